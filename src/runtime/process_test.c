/* What exec makes of the container's process and of its options. */
#include "process.h"

#include <linux/capability.h>

#include "tap.h"

static struct spec_process base(void)
{
	struct spec_process p;

	spec_process_init(&p);
	ok(strv_push(&p.args, "own") == 0 && strv_push(&p.env, "A=1") == 0 && strv_push(&p.env, "B=2") == 0);
	p.cwd = strdup("/srv");
	p.terminal = true;
	p.has_caps = true;
	p.caps.bounding = p.caps.permitted = p.caps.effective = UINT64_C(1) << CAP_CHOWN;
	p.user = (struct spec_user){ .uid = 1000, .gid = 1001 };
	return p;
}

static char *const command[] = { (char[]){ "ls" }, (char[]){ "-l" }, NULL };

static struct spec_process made(const struct exec_opts *o)
{
	struct spec_process b = base(), p;
	struct err e = { 0 };

	if (process_make(o, &b, command, &p, &e) < 0)
		TAP_FAIL("%s", e.msg);
	spec_process_done(&b);
	return p;
}

static const char *refused(const struct exec_opts *o, char *const *argv)
{
	static struct err e;
	struct spec_process b = base(), p;

	ok(process_make(o, &b, argv, &p, &e) < 0);
	spec_process_done(&b);
	return e.msg;
}

TEST(without_options_it_is_the_containers_own_with_another_command)
{
	struct spec_process p = made(&(struct exec_opts){ 0 });

	is_str(p.args[0], "ls");
	is_str(p.args[1], "-l");
	ok(!p.args[2]);
	is_str(p.cwd, "/srv");
	is_str(env_get(p.env, "A"), "1");
	is_int(p.user.uid, 1000);
	ok(!p.terminal); /* of a terminal it has what --tty says */
	ok(p.caps.permitted == UINT64_C(1) << CAP_CHOWN);
	spec_process_done(&p);
}

TEST(options_change_what_they_name_and_nothing_else)
{
	char *env[] = { (char[]){ "B=3" }, (char[]){ "C=" }, NULL }, *gids[] = { (char[]){ "7" }, NULL };
	struct exec_opts o = { .cwd = (char[]){ "/tmp" }, .user = (char[]){ "5:6" }, .env = env, .gids = gids, .has_tty = true };
	struct spec_process p = made(&o);

	is_str(p.cwd, "/tmp");
	is_str(env_get(p.env, "A"), "1");
	is_str(env_get(p.env, "B"), "3");
	is_str(env_get(p.env, "C"), "");
	is_int(p.user.uid, 5);
	is_int(p.user.gid, 6);
	is_int(p.user.n_additional_gids, 1);
	is_int(p.user.additional_gids[0], 7);
	ok(p.terminal);
	spec_process_done(&p);
}

TEST(R10_a_further_capability_is_never_inheritable)
{
	char *caps[] = { (char[]){ "CAP_NET_RAW" }, NULL };
	struct spec_process p = made(&(struct exec_opts){ .caps = caps });

	ok(p.caps.effective == (UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_NET_RAW));
	ok(p.caps.inheritable == 0 && p.caps.ambient == 0);
	spec_process_done(&p);
}

TEST(R11_a_user_is_an_exact_number_or_an_error)
{
	static const char *const bad[] = { "1:",   "+1", "-1", "4294967295", "4294967296", "18446744073709551616",
					   "root", "",   ":1", "1:2:3",      " 1" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_free_ char *user = strdup(bad[i]);

		has_str(refused(&(struct exec_opts){ .user = user }, command), "--user");
	}
	struct spec_process p = made(&(struct exec_opts){ .user = (char[]){ "4294967294" } });
	is_int(p.user.uid, 4294967294U);
	is_int(p.user.gid, 1001);
	spec_process_done(&p);
}

TEST(what_is_wrong_is_named)
{
	char *none[] = { NULL }, *env[] = { (char[]){ "=x" }, NULL }, *caps[] = { (char[]){ "CAP_NONE" }, NULL };

	has_str(refused(&(struct exec_opts){ 0 }, none), "give a command");
	has_str(refused(&(struct exec_opts){ .env = env }, command), "--env");
	has_str(refused(&(struct exec_opts){ .caps = caps }, command), "--cap");
	has_str(refused(&(struct exec_opts){ .cwd = (char[]){ "tmp" } }, command), "--cwd");
	has_str(refused(&(struct exec_opts){ .process_file = (char[]){ "/none/such" } }, none), "--process /none/such");
}

TEST(a_file_is_taken_as_it_is)
{
	char path[] = "/tmp/berth-process-XXXXXX", *none[] = { NULL };
	static const char text[] = "{\"args\":[\"id\"],\"cwd\":\"/\",\"terminal\":true,\"user\":{\"uid\":3,\"gid\":4}}";
	struct spec_process b = base(), p;
	struct err e = { 0 };
	int fd = mkstemp(path);

	ok(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
	is_int(process_make(&(struct exec_opts){ .process_file = path }, &b, none, &p, &e), 0);
	is_str(p.args[0], "id");
	ok(p.terminal && !p.has_caps && !p.env);
	is_int(p.user.uid, 3);
	spec_process_done(&p);
	spec_process_done(&b);
	unlink(path);
}

TAP_MAIN()
