/* Devices by name: --gpus, what a vendor's file may say and may not, which of several files counts, and what becomes of a container. */
#include "cdi.h"

#include <sys/sysmacros.h>

#include "tap_dir.h"

#define FILE_OF(version, kind, rest) "{\"cdiVersion\":\"" version "\",\"kind\":\"" kind "\",\"devices\":[" rest "]}"
#define DEVICE(name, edits)          "{\"name\":\"" name "\",\"containerEdits\":{" edits "}}"
#define ONE(edits)                   FILE_OF("1.1.0", "v.com/c", DEVICE("d", edits))

TEST(gpus_are_names_as_docker_means_them)
{
	static const struct {
		const char *text, *names;
		int64_t count;
	} rows[] = {
		{ "all", "nvidia.com/gpu=all", -1 },
		{ "2", "nvidia.com/gpu=0 nvidia.com/gpu=1", 2 },
		{ "count=1", "nvidia.com/gpu=0", 1 },
		{ "device=3", "nvidia.com/gpu=3", 0 },
		{ "\"device=0,1\"", "nvidia.com/gpu=0 nvidia.com/gpu=1", 0 },
		{ "\"device=0,GPU-a-b\",\"capabilities=compute,utility\"", "nvidia.com/gpu=0 nvidia.com/gpu=GPU-a-b", 0 },
		{ "capabilities=gpu", "nvidia.com/gpu=0", 1 },
		{ "driver=nvidia,count=all", "nvidia.com/gpu=all", -1 },
		{ "driver=cdi,device=amd.com/gpu=0", "amd.com/gpu=0", 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(gpu_request_done) struct gpu_request g = { 0 };
		_cleanup_buf_ struct buf all = { 0 };
		is_int(gpu_request_parse(rows[i].text, &g, NULL), 0);
		for (char **n = g.names; *n; n++)
			buf_fmt(&all, "%s%s", n == g.names ? "" : " ", *n);
		is_str(all.data, rows[i].names);
		is_int(g.count, rows[i].count);
	}
}

TEST(wrong_gpus_are_named)
{
	static const char *const rows[][2] = {
		{ "", "invalid count ()" },
		{ "0", "invalid count (0)" },
		{ "-1", "invalid count (-1)" },
		{ "many", "invalid count (many)" },
		{ "1025", "invalid count" },
		{ "device=0,1", "cannot set both" },
		{ "device=0,1,2", "'count' can be specified only once" },
		{ "count=1,count=2", "'count' can be specified only once" },
		{ "count=1,device=0", "cannot set both" },
		{ "device=", "device \"\"" },
		{ "device=../x", "device \"../x\"" },
		{ "name=x", "unexpected key in 'name=x'" },
		{ "driver=amd", "device driver \"amd\"" },
		{ "driver=cdi", "by name" },
		{ "driver=cdi,device=0", "device \"0\"" },
		{ "capabilities=fly", "capability \"fly\"" },
		{ "\"device=0", "quotes" },
		{ "\"device=0\"x", "quotes" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct gpu_request g = { 0 };
		struct err e = { 0 };
		ok(gpu_request_parse(rows[i][0], &g, &e) < 0);
		has_str(e.msg, rows[i][1]);
		ok(!g.names && !g.ids);
	}
}

TEST(a_name_is_not_a_path)
{
	static const char *const names[] = { "vendor.com/class=name", "nvidia.com/gpu=0", "a/b=c", "v.com/c_1.x=GPU-1:2.3" };
	static const char *const others[] = { "/dev/null",         "/dev/a=b/c=d",
					      "vendor.com/class",  "vendor.com=x",
					      "vendor.com/class=", "1.com/class=x",
					      "v.com/1class=x",    "v.com/c/d=x",
					      "v.com/c=-x",        "v.com/c=x-",
					      "v.com/c=x/y",       "-v.com/c=x",
					      "v.com./c=x",        "" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		ok(cdi_is_name(names[i]));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		ok(!cdi_is_name(others[i]));
}

TEST(wrong_files_are_refused_by_the_place_in_them)
{
	static const char *const rows[][2] = {
		{ "", "JSON" },
		{ "[]", "expected an object" },
		{ "{\"kind\":\"v.com/c\"}", ".cdiVersion: missing" },
		{ FILE_OF("0.5.0", "v.com/c", ""), ".devices: is empty" },
		{ "{\"cdiVersion\":\"0.5.0\",\"kind\":\"v.com/c\"}", ".devices: missing" },
		{ FILE_OF("0.5.0", "v.com", DEVICE("d", "\"env\":[\"A=1\"]")), ".kind: \"v.com\"" },
		{ FILE_OF("0.5.0", "v.com/c/d", DEVICE("d", "\"env\":[\"A=1\"]")), ".kind" },
		{ FILE_OF("9.9.9", "v.com/c", DEVICE("d", "\"env\":[\"A=1\"]")), "\"9.9.9\" is not known; 0.3.0 to 1.1.0" },
		{ FILE_OF("0.2.0", "v.com/c", DEVICE("d", "\"env\":[\"A=1\"]")), "\"0.2.0\" is not known" },
		{ FILE_OF("", "v.com/c", DEVICE("d", "\"env\":[\"A=1\"]")), "is not known" },
		{ FILE_OF("0.5.0", "v.com/c.x", DEVICE("d", "\"env\":[\"A=1\"]")), "a dot in the class of kind came with 0.6.0" },
		{ FILE_OF("0.4.0", "v.com/c", DEVICE("0", "\"env\":[\"A=1\"]")), "begins with a digit came with 0.5.0" },
		{ FILE_OF("0.4.0", "v.com/c", DEVICE("d", "\"deviceNodes\":[{\"path\":\"/dev/a\",\"hostPath\":\"/dev/b\"}]")),
		  "hostPath of a device node came with 0.5.0" },
		{ FILE_OF("0.3.0", "v.com/c",
			  DEVICE("d", "\"mounts\":[{\"hostPath\":\"/a\",\"containerPath\":\"/b\",\"type\":\"none\"}]")),
		  "type of a mount came with 0.4.0" },
		{ FILE_OF("0.5.0", "v.com/c",
			  "{\"name\":\"d\",\"annotations\":{\"a\":\"b\"},\"containerEdits\":{\"env\":[\"A=1\"]}}"),
		  "annotations came with 0.6.0" },
		{ FILE_OF("0.6.0", "v.com/c", DEVICE("d", "\"additionalGids\":[1]")), "additionalGids came with 0.7.0" },
		{ FILE_OF("0.6.0", "v.com/c", DEVICE("d", "\"intelRdt\":{\"closID\":\"x\"}")), "intelRdt came with 0.7.0" },
		{ FILE_OF("1.0.0", "v.com/c", DEVICE("d", "\"intelRdt\":{\"schemata\":[\"x\"]}")), "schemata came with 1.1.0" },
		{ FILE_OF("1.0.0", "v.com/c", DEVICE("d", "\"netDevices\":[{\"hostInterfaceName\":\"a\",\"name\":\"b\"}]")),
		  "netDevices came with 1.1.0" },
		{ FILE_OF("1.1.0", "v.com/c", DEVICE("d", "")), ".devices[0].containerEdits: is empty" },
		{ FILE_OF("1.1.0", "v.com/c", "{\"name\":\"d\"}"), "is empty" },
		{ FILE_OF("1.1.0", "v.com/c", DEVICE("", "\"env\":[\"A=1\"]")), ".devices[0].name: \"\"" },
		{ FILE_OF("1.1.0", "v.com/c", DEVICE("a/b", "\"env\":[\"A=1\"]")), ".devices[0].name" },
		{ FILE_OF("1.1.0", "v.com/c", DEVICE("d", "\"env\":[\"A=1\"]") "," DEVICE("d", "\"env\":[\"A=1\"]")),
		  ".devices[1].name: d is devices[0]'s too" },
		{ ONE("\"enw\":[\"A=1\"]"), ".devices[0].containerEdits.enw: not a property" },
		{ ONE("\"env\":[\"A\"]"), ".devices[0].containerEdits.env[0]: expected NAME=VALUE" },
		{ ONE("\"env\":[\"=A\"]"), "env[0]" },
		{ ONE("\"env\":\"A=1\""), "env: expected an array" },
		{ ONE("\"deviceNodes\":[{}]"), "deviceNodes[0].path: missing" },
		{ ONE("\"deviceNodes\":[{\"path\":\"dev/x\"}]"), "deviceNodes[0].path: expected an absolute path" },
		{ ONE("\"deviceNodes\":[{\"path\":\"/dev/../x\"}]"), "deviceNodes[0].path" },
		{ ONE("\"deviceNodes\":[{\"path\":\"/dev/x\",\"hostPath\":\"y\"}]"), "deviceNodes[0].hostPath" },
		{ ONE("\"deviceNodes\":[{\"path\":\"/dev/x\",\"type\":\"x\"}]"), "deviceNodes[0].type" },
		{ ONE("\"deviceNodes\":[{\"path\":\"/dev/x\",\"permissions\":\"rx\"}]"), "deviceNodes[0].permissions" },
		{ ONE("\"deviceNodes\":[{\"path\":\"/dev/x\",\"fileMode\":1000000}]"), "deviceNodes[0].fileMode" },
		{ ONE("\"deviceNodes\":[{\"path\":\"/dev/x\",\"major\":\"1\"}]"),
		  "deviceNodes[0].major: expected a whole number" },
		{ ONE("\"mounts\":[{\"hostPath\":\"/a\"}]"), "mounts[0].containerPath: missing" },
		{ ONE("\"mounts\":[{\"hostPath\":\"\",\"containerPath\":\"/a\"}]"), "mounts[0].hostPath: is empty" },
		{ ONE("\"mounts\":[{\"hostPath\":\"/a\",\"containerPath\":\"b\"}]"),
		  "mounts[0].containerPath: expected an absolute" },
		{ ONE("\"hooks\":[{\"hookName\":\"never\",\"path\":\"/x\"}]"), "hooks[0].hookName: \"never\"" },
		{ ONE("\"hooks\":[{\"hookName\":\"poststop\",\"path\":\"x\"}]"), "hooks[0].path: expected an absolute path" },
		{ ONE("\"hooks\":[{\"hookName\":\"poststop\",\"path\":\"/x\",\"timeout\":0}]"), "hooks[0].timeout" },
		{ ONE("\"hooks\":[{\"hookName\":\"poststop\",\"path\":\"/x\",\"env\":[\"A\"]}]"), "hooks[0].env[0]" },
		{ ONE("\"netDevices\":[{\"hostInterfaceName\":\"\",\"name\":\"b\"}]"), "netDevices[0]: expected two names" },
		{ ONE("\"netDevices\":[{\"hostInterfaceName\":\"a\",\"name\":\"b\"},{\"hostInterfaceName\":\"c\",\"name\":\"b\"}"
		      "]"),
		  "netDevices[1]: its name is netDevices[0]'s too" },
		{ ONE("\"additionalGids\":[-1]"), "additionalGids[0]" },
		{ ONE("\"additionalGids\":7"), "additionalGids: expected an array" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct cdi_file f = { 0 };
		struct err e = { 0 };
		ok(cdi_file_parse(rows[i][0], strlen(rows[i][0]), &f, &e) < 0);
		has_str(e.msg, rows[i][1]);
		ok(!f.devices);
	}
}

/* ---- directories ---- */

static void load(struct cdi *c, struct err *e)
{
	char a[] = "a", b[] = "b", *dirs[] = { a, b, NULL };

	is_int(cdi_load(dirs, c, e), 0);
}

TEST(the_later_directory_wins_and_equals_are_nobodys)
{
	_cleanup_(cdi_done) struct cdi c = { 0 };
	const struct cdi_device *d = NULL;
	const struct cdi_file *f = NULL;
	struct err e = { 0 };

	tap_dir_enter();
	ok(mkdir("a", 0700) == 0 && mkdir("b", 0700) == 0 && mkdir("b/dir.json", 0700) == 0);
	tap_file("a/1.json", 0600,
		 FILE_OF("1.0.0", "v.com/c", DEVICE("both", "\"env\":[\"A=1\"]") "," DEVICE("twice", "\"env\":[\"A=1\"]")));
	tap_file("a/2.json", 0600, FILE_OF("1.0.0", "v.com/c", DEVICE("twice", "\"env\":[\"A=1\"]")));
	tap_file("b/1.json", 0600, FILE_OF("1.0.0", "v.com/c", DEVICE("both", "\"env\":[\"A=2\"]")));
	tap_file("b/no.txt", 0600, "{");
	load(&c, &e);
	is_int(c.n, 3);
	ok(!c.wrong && !c.yaml);
	is_int(cdi_find(&c, "v.com/c=both", &f, &d, &e), 0);
	is_str(f->path, "b/1.json");
	is_str(d->edits.env[0], "A=2");
	is_int(cdi_find(&c, "v.com/c=twice", &f, &d, &e), -EEXIST);
	has_str(e.msg, "in a/1.json and in a/2.json");
	tap_dir_leave();
}

TEST(what_is_not_found_says_what_there_is_and_what_could_not_be_read)
{
	_cleanup_(cdi_done) struct cdi none = { 0 }, c = { 0 };
	const struct cdi_device *d = NULL;
	const struct cdi_file *f = NULL;
	struct err e = { 0 };

	tap_dir_enter();
	load(&none, &e); /* neither directory is there */
	is_int(cdi_find(&none, "v.com/c=x", &f, &d, &e), -ENODEV);
	has_str(e.msg, "device v.com/c=x is not described in a and b, where there is none");

	ok(mkdir("a", 0700) == 0);
	tap_file("a/nvidia.yaml", 0600, "cdiVersion: 1.0.0\n");
	tap_file("a/v.json", 0600, FILE_OF("1.0.0", "v.com/c", DEVICE("y", "\"env\":[\"A=1\"]")));
	tap_file("a/w.json", 0600, FILE_OF("1.0.0", "w.com/c", DEVICE("z", "\"env\":[\"A=1\"]")));
	load(&c, &e);
	is_int(cdi_find(&c, "w.com/c=x", &f, &d, &e), -ENODEV);
	has_str(e.msg, "there are w.com/c=z, v.com/c=y;");
	has_str(e.msg, "a/nvidia.yaml is YAML");
	has_str(e.msg, "--format=json");
	cdi_done(&c);

	tap_file("a/broken.json", 0600, "{");
	ok(mkfifo("a/pipe.json", 0600) == 0);
	load(&c, &e);
	is_int(strv_len(c.wrong), 2);
	has_str(c.wrong[1], "a/pipe.json: is not a file");
	is_int(cdi_find(&c, "v.com/c=x", &f, &d, &e), -ENODEV);
	has_str(e.msg, "can't be used: a/broken.json: ");
	is_int(cdi_find(&c, "v.com/c=y", &f, &d, &e), 0); /* the others don't suffer */
	tap_dir_leave();
}

TEST(a_long_list_of_devices_leaves_room_for_the_reason)
{
	_cleanup_(cdi_done) struct cdi c = { 0 };
	_cleanup_buf_ struct buf text = { 0 };
	const struct cdi_device *d = NULL;
	const struct cdi_file *f = NULL;
	struct err e = { 0 };

	tap_dir_enter();
	ok(mkdir("a", 0700) == 0);
	buf_str(&text, "{\"cdiVersion\":\"1.0.0\",\"kind\":\"v.com/c\",\"devices\":[");
	for (int i = 0; i < 100; i++)
		buf_fmt(&text, "%s{\"name\":\"device-%d\",\"containerEdits\":{\"env\":[\"A=1\"]}}", i ? "," : "", i);
	buf_str(&text, "]}");
	tap_file("a/x.json", 0600, text.data);
	tap_file("a/y.yaml", 0600, "");
	load(&c, &e);
	is_int(cdi_find(&c, "v.com/c=x", &f, &d, &e), -ENODEV);
	has_str(e.msg, "v.com/c=device-0, ");
	has_str(e.msg, " more; a/y.yaml is YAML");
	tap_dir_leave();
}

/* ---- a container's configuration ---- */

static void apply(const char *edits, const char *user, struct spec *s, int want, const char *says)
{
	_cleanup_(cdi_file_done) struct cdi_file f = { 0 };
	_cleanup_free_ char *text = str_fmt(FILE_OF("1.1.0", "v.com/c", "{\"name\":\"d\",\"containerEdits\":{%s}}"), edits);
	struct err e = { 0 };

	is_int(cdi_file_parse(text, strlen(text), &f, &e), 0);
	is_int(cdi_apply(&f.devices[0].edits, user, s, &e), want);
	if (says)
		has_str(e.msg, says);
}

TEST(edits_go_into_the_configuration)
{
	struct spec s;
	struct stat null;

	spec_init(&s);
	ok(stat("/dev/null", &null) == 0);
	ok(env_set(&s.process.env, "A=old") == 0);
	apply("\"env\":[\"A=1\",\"B=2\"],\"additionalGids\":[0,5,5],"
	      "\"deviceNodes\":[{\"path\":\"/dev/n\",\"hostPath\":\"/dev/null\",\"fileMode\":384,\"permissions\":\"r\"},"
	      "{\"path\":\"/dev/whole\",\"hostPath\":\"/no/"
	      "such\",\"type\":\"b\",\"major\":7,\"minor\":9,\"permissions\":\"none\",\"uid\":3},"
	      "{\"path\":\"/dev/u\",\"hostPath\":\"/dev/zero\",\"type\":\"c\"}],"
	      "\"mounts\":[{\"hostPath\":\"/tmp\",\"containerPath\":\"/x/deep/er\"},"
	      "{\"hostPath\":\"/tmp\",\"containerPath\":\"/x\",\"options\":[\"ro\",\"bind\"]},"
	      "{\"hostPath\":\"tmpfs\",\"containerPath\":\"/t\",\"type\":\"tmpfs\",\"options\":[\"size=1m\"]}],"
	      "\"netDevices\":[{\"hostInterfaceName\":\"a\",\"name\":\"b\"}],\"intelRdt\":{\"closID\":\"x\",\"schemata\":[\"L3:0="
	      "f\"]},"
	      "\"hooks\":[{\"hookName\":\"createContainer\",\"path\":\"/bin/"
	      "sh\",\"args\":[\"sh\"],\"env\":[\"X=1\"],\"timeout\":4}]",
	      "1000:100", &s, 0, NULL);
	is_str(env_get(s.process.env, "A"), "1");
	is_str(env_get(s.process.env, "B"), "2");
	is_int(s.process.user.n_additional_gids, 1);
	is_int(s.process.user.additional_gids[0], 5);
	is_int(s.n_devices, 3);
	is_str(s.devices[0].path, "/dev/n");
	ok(s.devices[0].type == 'c' && s.devices[0].major == major(null.st_rdev) && s.devices[0].minor == minor(null.st_rdev));
	is_int(s.devices[0].mode, 0600);
	ok(s.devices[0].uid == 1000 && s.devices[0].gid == 100); /* whose process it is */
	ok(s.devices[1].type == 'b' && s.devices[1].major == 7 && s.devices[1].minor == 9 && s.devices[1].uid == 3);
	is_int(s.resources.n_devices, 2); /* "none": no rule */
	is_str(s.resources.devices[0].access, "r");
	is_str(s.resources.devices[1].access, "rwm");
	is_int(s.n_mounts, 3);
	is_str(s.mounts[0].destination, "/x"); /* what lies below comes after it */
	is_str(s.mounts[0].type, "bind");
	is_str(s.mounts[2].type, "tmpfs");
	is_str(s.mounts[1].destination, "/x/deep/er");
	is_str(s.mounts[1].options[0], "rbind");
	is_str(s.net_devices[0].name, "b");
	is_str(s.rdt->schemata[0], "L3:0=f");
	is_int(s.hooks.n[HOOK_CREATE_CONTAINER], 1);
	is_int(s.hooks.list[HOOK_CREATE_CONTAINER][0].timeout_s, 4);

	/* once more: what is there gives way */
	apply("\"deviceNodes\":[{\"path\":\"/dev/n\",\"hostPath\":\"/dev/zero\"}],\"mounts\":[{\"hostPath\":\"/"
	      "\",\"containerPath\":\"/x\"}],"
	      "\"intelRdt\":{\"closID\":\"y\"}",
	      "web", &s, 0, NULL);
	is_int(s.n_devices, 3);
	is_int(s.devices[0].uid, 0); /* a name is the image's */
	is_int(s.n_mounts, 3);
	is_str(s.rdt->clos_id, "y");
	spec_done(&s);
}

TEST(what_the_host_does_not_have_is_named)
{
	static const char *const rows[][2] = {
		{ "\"deviceNodes\":[{\"path\":\"/dev/no-such\"}]", "device node /dev/no-such: No such file" },
		{ "\"deviceNodes\":[{\"path\":\"/dev/x\",\"hostPath\":\"/etc/passwd\"}]", "/etc/passwd: is not a device" },
		{ "\"deviceNodes\":[{\"path\":\"/dev/null\",\"type\":\"b\"}]", "is of type c, and the file says b" },
		{ "\"mounts\":[{\"hostPath\":\"/no/such\",\"containerPath\":\"/x\"}]", "mount of /no/such: No such file" },
		{ "\"hooks\":[{\"hookName\":\"poststop\",\"path\":\"/no/such\"}]", "hook /no/such: No such file" },
		{ "\"hooks\":[{\"hookName\":\"poststop\",\"path\":\"/etc/passwd\"}]", "hook /etc/passwd: Permission denied" },
	};
	static const int wants[] = { -ENOENT, -ENODEV, -EINVAL, -ENOENT, -ENOENT, -EACCES };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct spec s;
		spec_init(&s);
		apply(rows[i][0], NULL, &s, wants[i], rows[i][1]);
		is_int(s.n_devices + s.n_mounts, 0);
		spec_done(&s);
	}
}

TAP_MAIN()
