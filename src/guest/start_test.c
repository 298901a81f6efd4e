#include "guest.h"

#include "tap.h"

static const char text[] =
	"{\"id\":\"abc\",\"config\":{\"ociVersion\":\"1.2.0\",\"hostname\":\"h\",\"linux\":{\"namespaces\":[{\"type\":\"uts\"}]},"
	"\"root\":{\"path\":\"rootfs\",\"readonly\":true},"
	"\"process\":{\"args\":[\"sh\",\"-c\",\"echo hi\"],\"cwd\":\"/\",\"env\":[\"A=1\"],\"user\":{\"uid\":7,\"gid\":8}}},"
	"\"files\":[{\"path\":\"/etc/hosts\",\"content\":\"127.0.0.1 localhost\\n\",\"mode\":420}],"
	"\"root\":{\"disk\":\"/dev/vda\",\"upper\":\"/dev/vdb\"},\"shares\":[{\"tag\":\"berth\",\"target\":\"/shares\"}],"
	"\"disks\":[\"/dev/vdc\",\"/dev/vdd\"],"
	"\"interfaces\":[{\"name\":\"eth0\",\"mac\":\"02:42:01:02:03:04\",\"addresses\":[\"10.1.0.2/16\",\"fd00::2/64\"],"
	"\"gateway4\":\"10.1.0.1\",\"gateway6\":\"fd00::1\",\"mtu\":1400},{\"name\":\"eth1\",\"mac\":\"02:42:01:02:03:05\"}],"
	"\"init\":true,\"volatile\":true,\"seccomp\":\"BgAAAAAA/38=\",\"seccomp_flags\":3,\"time_ns\":1700000000123456789,"
	"\"entropy\":\"c2VlZA==\"}";

static void check(const struct guest_start *s)
{
	is_str(s->id, "abc");
	is_str(s->spec.hostname, "h");
	is_str(s->spec.process.args[2], "echo hi");
	is_int(s->spec.process.user.uid, 7);
	ok(s->spec.root_readonly);
	is_int(s->n_files, 1);
	is_str(s->files[0].path, "/etc/hosts");
	is_int(s->files[0].mode, 0644);
	is_str(s->root_disk, "/dev/vda");
	is_str(s->upper_disk, "/dev/vdb");
	is_int(strv_len(s->disks), 2);
	is_str(s->disks[1], "/dev/vdd");
	is_int(s->n_shares, 1);
	is_str(s->shares[0].target, "/shares");
	is_int(s->n_interfaces, 2);
	is_str(s->interfaces[0].name, "eth0");
	is_str(s->interfaces[0].addresses[1], "fd00::2/64");
	is_str(s->interfaces[0].gateway4, "10.1.0.1");
	is_str(s->interfaces[0].gateway6, "fd00::1");
	is_int(s->interfaces[0].mtu, 1400);
	is_str(s->interfaces[1].mac, "02:42:01:02:03:05");
	ok(!s->interfaces[1].addresses && !s->interfaces[1].gateway4 && !s->interfaces[1].mtu);
	ok(s->use_init && s->is_volatile);
	is_int(s->seccomp.n_filters, 1);
	is_int(s->seccomp.flags, 3);
	ok(memcmp(s->seccomp.filters, "\6\0\0\0\0\0\xff\x7f", 8) == 0);
	is_int(s->time_ns, 1700000000123456789);
	is_str(s->entropy_b64, "c2VlZA==");
}

TEST(start_comes_back_as_it_was_sent)
{
	struct guest_start a, b;
	struct err e = { 0 };
	struct json_object *o;
	const char *again;

	if (guest_start_parse(text, strlen(text), &a, &e) < 0)
		TAP_FAIL("%s", e.msg);
	check(&a);
	o = guest_start_json(&a);
	ok(o != NULL);
	again = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	if (guest_start_parse(again, strlen(again), &b, &e) < 0)
		TAP_FAIL("%s", e.msg);
	check(&b);
	json_object_put(o);
	guest_start_done(&a);
	guest_start_done(&b);
}

TEST(a_start_that_lacks_or_breaks_a_part_names_it)
{
	static const struct {
		const char *cut, *with, *says;
	} bad[] = {
		{ "\"disk\":\"/dev/vda\",", "", "disk" },
		{ "\"id\":\"abc\",", "", "id" },
		{ "\"config\":", "\"conf\":", "config" },
		{ "BgAAAAAA/38=", "BgAAAAAA/3=", "seccomp" },
		{ "BgAAAAAA/38=", "BgAAAAAA", "seccomp" },
		{ "\"BgAAAAAA/38=\"", "5", "seccomp" },
		{ "\"ociVersion\":\"1.2.0\",", "", "ociVersion" },
		{ "1700000000123456789", "\"x\"", "time_ns" },
		{ "\"name\":\"eth1\",", "", ".interfaces[1].name" },
		{ "\"mtu\":1400", "\"mtu\":-1", ".interfaces[0].mtu" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const char *at = strstr(text, bad[i].cut);
		_cleanup_free_ char *t = str_fmt("%.*s%s%s", (int)(at - text), text, bad[i].with, at + strlen(bad[i].cut));
		struct guest_start s;
		struct err e = { 0 };

		ok(guest_start_parse(t, strlen(t), &s, &e) < 0);
		has_str(e.msg, bad[i].says);
	}
}

TEST(a_cut_start_is_refused_at_every_length)
{
	for (size_t n = 0; n + 1 < strlen(text); n += 7) {
		struct guest_start s;
		struct err e;

		ok(guest_start_parse(text, n, &s, &e) < 0);
	}
}

TAP_MAIN()
