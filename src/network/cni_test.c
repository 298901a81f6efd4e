#include "cni.h"

#include <sys/stat.h>
#include <unistd.h>

#include "spawn.h"
#include "tap_dir.h"

static struct err E;

static int parse(const char *text, struct json_object **ret)
{
	return cni_conf_parse(text, strlen(text), "site.conf", "lan", ret, &E);
}

TEST(one_plugin_is_a_list_of_one_and_is_called_as_its_network_where_it_has_no_name)
{
	_cleanup_json_ struct json_object *list = NULL, *one = NULL;

	is_int(parse("{\"cniVersion\":\"1.0.0\",\"type\":\"ptp\",\"capabilities\":{\"ips\":true,\"mac\":false}}", &one), 0);
	is_str(cni_conf_text(one, "name"), "lan");
	is_str(cni_conf_text(one, "cniVersion"), "1.0.0");
	is_int(json_object_array_length(cni_conf_plugins(one)), 1);
	ok(cni_conf_can(one, "ips"));
	ok(!cni_conf_can(one, "mac"));
	ok(!cni_conf_can(one, "portMappings"));
	is_int(parse("{\"cniVersion\":\"0.4.0\",\"name\":\"own\",\"plugins\":[{\"type\":\"bridge\"},{\"type\":\"portmap\","
		     "\"capabilities\":{\"portMappings\":true}}]}",
		     &list),
	       0);
	is_str(cni_conf_text(list, "name"), "own");
	ok(cni_conf_can(list, "portMappings"));
}

TEST(what_is_wrong_with_a_configuration_is_named)
{
	static const struct {
		const char *text, *says;
	} wrong[] = {
		{ "[]", "a JSON object" },
		{ "{", "site.conf" },
		{ "{\"type\":\"ptp\"}", ".cniVersion is missing" },
		{ "{\"cniVersion\":\"0.2.0\",\"type\":\"ptp\"}", ".cniVersion is 0.2.0" },
		{ "{\"cniVersion\":\"1.0.0\",\"name\":\"a/b\",\"type\":\"ptp\"}", ".name \"a/b\"" },
		{ "{\"cniVersion\":\"1.0.0\",\"name\":5,\"type\":\"ptp\"}", ".name \"\"" },
		{ "{\"cniVersion\":\"1.0.0\"}", ".plugins[0].type" },
		{ "{\"cniVersion\":\"1.0.0\",\"plugins\":[]}", "1 to 16 plugins" },
		{ "{\"cniVersion\":\"1.0.0\",\"plugins\":{}}", "1 to 16 plugins" },
		{ "{\"cniVersion\":\"1.0.0\",\"plugins\":[5]}", ".plugins[0].type" },
		{ "{\"cniVersion\":\"1.0.0\",\"plugins\":[{\"type\":\"ptp\"},{\"type\":\"../sh\"}]}", ".plugins[1].type" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct json_object *o = NULL;

		E.msg[0] = '\0';
		is_int(parse(wrong[i].text, &o), -EINVAL);
		has_str(E.msg, wrong[i].says);
	}
}

static char *program(const char *name, const char *text, mode_t mode)
{
	char *path = str_fmt("%s/%s", tap_dir, name);
	FILE *f = fopen(path, "we");

	ok(f && fputs(text, f) >= 0);
	fclose(f);
	is_int(chmod(path, mode), 0);
	return path;
}

TEST(programs_are_found_along_the_path_and_only_where_nobody_else_can_change_them)
{
	_cleanup_free_ char *first = NULL, *second = NULL, *path = NULL, *found = NULL;

	tap_dir_enter();
	path = str_fmt("/nowhere:%s", tap_dir);
	first = program("good", "#!/bin/sh\n", 0755);
	second = program("bad", "#!/bin/sh\n", 0775);
	is_int(cni_find("good", path, &found, &E), 0);
	is_str(found, first);
	is_int(cni_find("bad", path, &found, &E), -EPERM);
	has_str(E.msg, "chmod go-w");
	is_int(cni_find("none", path, &found, &E), -ENOENT);
	has_str(E.msg, path);
	has_str(E.msg, CNI_PACKAGE);
	is_int(cni_path_check(path, &E), 0);
	is_int(cni_path_check("/a:b", &E), -EINVAL);
	has_str(E.msg, "\"b\"");
	is_int(cni_path_check("", &E), -EINVAL);
	tap_dir_leave();
}

TEST(programs_are_not_taken_by_a_way_that_others_can_change)
{
	_cleanup_free_ char *target = NULL, *own = NULL, *way = NULL, *found = NULL;

	tap_dir_enter();
	is_int(mkdir("open", 0755), 0);
	is_int(mkdir("open/bin", 0755), 0);
	is_int(mkdir("links", 0755), 0);
	target = program("open/bin/plugin", "#!/bin/sh\n", 0755);
	own = str_fmt("%s/links", tap_dir);
	way = str_fmt("%s/open/bin", tap_dir);
	is_int(symlink(target, "links/plugin"), 0);
	is_int(cni_find("plugin", own, &found, &E), 0);
	is_int(chmod("open", 0777), 0);
	E.msg[0] = '\0';
	is_int(cni_find("plugin", way, &found, &E), -EPERM);
	has_str(E.msg, "/open, and a CNI plugin");
	E.msg[0] = '\0';
	is_int(cni_find("plugin", own, &found, &E), -EPERM); /* by a link from a directory of nobody else's */
	has_str(E.msg, "/open, and a CNI plugin");
	is_int(chmod("open", 01777), 0); /* others may add to it */
	free(TAKE_PTR(found));
	is_int(cni_find("plugin", way, &found, &E), 0);
	tap_dir_leave();
}

TEST(a_file_that_others_can_change_or_that_is_none_is_refused)
{
	_cleanup_free_ char *file = NULL;
	struct json_object *o = NULL;

	tap_dir_enter();
	file = program("a.conf", "{\"cniVersion\":\"1.0.0\",\"type\":\"ptp\"}", 0666);
	is_int(cni_conf_read(file, "lan", &o, &E), -EPERM);
	is_int(chmod(file, 0644), 0);
	is_int(cni_conf_read(file, "lan", &o, &E), 0);
	json_object_put(o);
	is_int(truncate(file, CNI_CONF_MAX + 1), 0);
	is_int(cni_conf_read(file, "lan", &o, &E), -EFBIG);
	has_str(E.msg, "64 KiB");
	is_int(cni_conf_read(tap_dir, "lan", &o, &E), -EINVAL);
	is_int(cni_conf_read("/nowhere/a.conf", "lan", &o, &E), -ENOENT);
	tap_dir_leave();
}

static int call(const char *script, unsigned seconds, struct json_object **ret)
{
	_cleanup_json_ struct json_object *config = json_object_new_object();
	_cleanup_free_ char *path _unused_ = program("plugin", script, 0755);
	const struct cni_call c = { .command = "ADD",
				    .type = "plugin",
				    .path = tap_dir,
				    .container = "c1",
				    .netns = "/n",
				    .ifname = "eth0",
				    .config = config,
				    .seconds = seconds };

	json_add(config, "name", json_object_new_string("lan"));
	return cni_call(&c, ret, &E);
}

TEST(a_plugin_has_the_calls_environment_and_nothing_else)
{
	_cleanup_json_ struct json_object *o = NULL;

	tap_dir_enter();
	setenv("SECRET", "of ours", 1);
	is_int(call("#!/bin/sh\nread -r in\nprintf '{\"in\":%s,\"env\":\"%s\"}' \"$in\" "
		    "\"$CNI_COMMAND $CNI_CONTAINERID $CNI_NETNS $CNI_IFNAME $CNI_ARGS $SECRET.\"\n",
		    5, &o),
	       0);
	is_str(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
	       "{\"in\":{\"name\":\"lan\"},\"env\":\"ADD c1 /n eth0 IgnoreUnknown=1 .\"}");
	tap_dir_leave();
}

TEST(what_a_plugin_says_of_its_failure_is_the_error)
{
	struct json_object *o = NULL;

	tap_dir_enter();
	is_int(call("#!/bin/sh\nprintf '%s' '{\"code\":7,\"msg\":\"no addresses\",\"details\":\"all\\nleased\"}'; exit 1\n", 5,
		    &o),
	       -EIO);
	is_str(E.msg, "CNI plugin plugin: ADD: no addresses; all leased");
	is_int(call("#!/bin/sh\necho oh dear >&2; exit 3\n", 5, &o), -EIO);
	is_str(E.msg, "CNI plugin plugin: ADD: oh dear");
	is_int(call("#!/bin/sh\nkill -9 $$\n", 5, &o), -EIO);
	has_str(E.msg, "status 137");
	is_int(call("#!/bin/sh\necho nonsense\n", 5, &o), -EPROTO);
	is_int(call("#!/bin/sh\nhead -c 2000000 /dev/zero | tr '\\0' x\n", 5, &o), -EFBIG);
	has_str(E.msg, "more than 1024 KiB");
	is_int(call("#!/bin/sh\necho usage: none; exit 2\n", 5, &o), -EIO);
	is_str(E.msg, "CNI plugin plugin: ADD: usage: none");
	is_int(call("#!/bin/sh\n", 5, &o), 0);
	ok(!o);
	tap_dir_leave();
}

TEST(a_plugin_that_hangs_is_ended_with_its_children)
{
	_cleanup_free_ char *script = NULL, *file = NULL, *text = NULL;
	struct json_object *o = NULL;
	uint64_t pid = 0, pid_ticks;

	tap_dir_enter();
	file = str_fmt("%s/child", tap_dir);
	script = str_fmt("#!/bin/sh\nsleep 1000 & echo $! > %s\nwait\n", file);
	is_int(call(script, 1, &o), -ETIMEDOUT);
	has_str(E.msg, "longer than 1 s");
	is_int(file_read(AT_FDCWD, file, 64, &text, NULL), 0);
	text[strcspn(text, "\n")] = '\0';
	is_int(str_to_u64(text, &pid), 0);
	for (int i = 0; i < 1000 && pid_start_time((pid_t)pid, &pid_ticks) >= 0; i++)
		usleep(10000);
	is_int(pid_start_time((pid_t)pid, &pid_ticks), -ESRCH);
	tap_dir_leave();
}

TAP_MAIN()
