/* Who a process is, out of an image's hostile passwd and group. */
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "setup.h"
#include "tap.h"

static const char passwd[] = "# comment\n"
			     "+nis\n"
			     "broken:x:12\n"
			     "negative:x:-1:0::/:/bin/sh\n"
			     "huge:x:4294967296:0::/:/bin/sh\n"
			     "empty:x:::::\n"
			     "root:x:0:0:root:/root:/bin/sh\n"
			     "alice:x:1000:1001:Alice:/home/alice:/bin/sh\n"
			     "10:x:0:0:a user called ten:/root:/bin/sh\n"
			     "relative:x:1002:1002::home:/bin/sh\n"
			     "last:x:1003:1003::/home/last:/bin/sh"; /* no newline */
static const char group[] = "root:x:0:\n"
			    "staff:x:50:alice,bob\n"
			    "users:x:1001:\n"
			    "alic:x:60:alic\n"
			    "wheel:x:10:bob,alice\n"
			    "huge:x:4294967296:alice\n"
			    "77:x:0:\n"
			    "cut:x:90";

struct tree {
	char dir[64];
	int fd;
};

static void put(struct tree *t, const char *path, const char *text, size_t n)
{
	int fd = openat(t->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	ok(fd >= 0 && write(fd, text, n) == (ssize_t)n);
	close(fd);
}

static struct tree tree_new(void)
{
	struct tree t = { .dir = "/tmp/berth-user.XXXXXX" };

	ok(mkdtemp(t.dir) != NULL);
	t.fd = open(t.dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	ok(t.fd >= 0 && mkdirat(t.fd, "etc", 0755) == 0);
	put(&t, "etc/passwd", passwd, strlen(passwd));
	put(&t, "etc/group", group, strlen(group));
	return t;
}

static void tree_done(struct tree *t)
{
	close(t->fd);
	ok(rm_rf(AT_FDCWD, t->dir) == 0);
}

TEST(R11_names_and_numbers_give_the_exact_ids)
{
	static const struct {
		const char *user;
		uint32_t uid, gid;
		const char *home;
	} rows[] = {
		{ "root", 0, 0, "/root" },
		{ "alice", 1000, 1001, "/home/alice" },
		{ "1000", 1000, 1001, "/home/alice" },
		{ "alice:staff", 1000, 50, "/home/alice" },
		{ "alice:7", 1000, 7, "/home/alice" },
		{ "0:0", 0, 0, "/root" },
		{ "1", 1, 0, "/" },
		{ "10", 10, 0, "/" }, /* not the user that is called so */
		{ "0010", 10, 0, "/" },
		{ "alice:77", 1000, 77, "/home/alice" }, /* nor the group */
		{ "2147483648", 2147483648U, 0, "/" },
		{ "4294967294", 4294967294U, 0, "/" },
		{ "relative", 1002, 1002, "/" },
		{ "last", 1003, 1003, "/home/last" },
	};
	struct tree t = tree_new();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct spec_user u = { 0 };
		struct err e = { 0 };
		char *home = NULL;

		if (container_resolve_user(t.fd, rows[i].user, &u, &home, &e) < 0)
			TAP_FAIL("%s: %s", rows[i].user, e.msg);
		printf("# %s\n", rows[i].user);
		is_int(u.uid, rows[i].uid);
		is_int(u.gid, rows[i].gid);
		is_str(home, rows[i].home);
		free(home);
		free(u.additional_gids);
	}
	tree_done(&t);
}

TEST(R11_R12_everything_else_is_an_error_and_never_root)
{
	static const char *const rows[] = { "",
					    ":",
					    "1:",
					    ":1",
					    "+1",
					    "-1",
					    "1:+1",
					    "1:-1",
					    "1 ",
					    " 1",
					    "0x1",
					    "1:2:3",
					    "4294967295",
					    "4294967296",
					    "18446744073709551616",
					    "nobody",
					    "alice:none",
					    "alice:",
					    "broken",
					    "negative",
					    "huge",
					    "empty",
					    "+nis",
					    "1:4294967296",
					    "1:4294967295",
					    "alice:huge",
					    "99999999999999999999999",
					    "# comment",
					    "alice\n",
					    "alice:cut" };
	struct tree t = tree_new();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct spec_user u = { .uid = 4711 };
		struct err e = { 0 };

		if (container_resolve_user(t.fd, rows[i], &u, NULL, &e) >= 0)
			TAP_FAIL("\"%s\" became %u:%u", rows[i], u.uid, u.gid);
		ok(e.msg[0] != 0);
		is_int(u.uid, 4711);
	}
	tree_done(&t);
}

static bool has_group(const struct spec_user *u, uint32_t gid)
{
	for (size_t i = 0; i < u->n_additional_gids; i++)
		if (u->additional_gids[i] == gid)
			return true;
	return false;
}

TEST(R14_supplementary_groups_hold_the_primary_one)
{
	struct tree t = tree_new();
	struct spec_user u = { 0 };
	struct err e = { 0 };

	is_int(container_resolve_user(t.fd, "alice", &u, NULL, &e), 0);
	is_int(u.n_additional_gids, 3);
	ok(has_group(&u, 1001) && has_group(&u, 50) && has_group(&u, 10) && !has_group(&u, 60));
	free(u.additional_gids);
	is_int(container_resolve_user(t.fd, "alice:staff", &u, NULL, &e), 0);
	is_int(u.n_additional_gids, 1);
	ok(has_group(&u, 50));
	free(u.additional_gids);
	tree_done(&t);
}

TEST(an_image_without_passwd_knows_numbers_only)
{
	struct tree t = tree_new();
	struct spec_user u = { 0 };
	struct err e = { 0 };
	char *home = NULL;

	ok(unlinkat(t.fd, "etc/passwd", 0) == 0 && unlinkat(t.fd, "etc/group", 0) == 0);
	is_int(container_resolve_user(t.fd, "5:6", &u, &home, &e), 0);
	ok(u.uid == 5 && u.gid == 6);
	is_str(home, "/");
	is_int(container_resolve_user(t.fd, "root", &u, NULL, &e), -ENOENT);
	has_str(e.msg, "root");
	free(home);
	free(u.additional_gids);
	tree_done(&t);
}

TEST(R13_a_fifo_or_device_is_refused_at_once)
{
	struct tree t = tree_new();
	struct spec_user u = { 0 };
	struct err e = { 0 };

	alarm(60); /* who opened it would wait for ever */
	ok(unlinkat(t.fd, "etc/passwd", 0) == 0 && mkfifoat(t.fd, "etc/passwd", 0644) == 0);
	ok(container_resolve_user(t.fd, "alice", &u, NULL, &e) < 0);
	has_str(e.msg, "regular file");
	ok(unlinkat(t.fd, "etc/passwd", 0) == 0 && mkdirat(t.fd, "etc/passwd", 0755) == 0);
	ok(container_resolve_user(t.fd, "alice", &u, NULL, &e) < 0);
	alarm(0);
	tree_done(&t);
}

TEST(R13_a_huge_file_is_refused_without_reading_it)
{
	struct tree t = tree_new();
	struct spec_user u = { 0 };
	struct err e = { 0 };
	struct rusage before, after;
	int fd = openat(t.fd, "etc/group", O_WRONLY | O_CLOEXEC);

	ok(fd >= 0 && ftruncate(fd, 1 << 30) == 0);
	ok(getrusage(RUSAGE_SELF, &before) == 0);
	is_int(container_resolve_user(t.fd, "alice", &u, NULL, &e), -EFBIG);
	ok(getrusage(RUSAGE_SELF, &after) == 0);
	ok(after.ru_maxrss - before.ru_maxrss < 16 << 10);
	close(fd);
	tree_done(&t);
}

TEST(links_lead_no_further_than_the_root)
{
	struct tree t = tree_new();
	struct spec_user u = { 0 };
	struct err e = { 0 };

	/* The host's /etc/passwd has root for certain, the tree's has it no more. */
	ok(unlinkat(t.fd, "etc/passwd", 0) == 0 && symlinkat("/../../etc/passwd2", t.fd, "etc/passwd") == 0);
	is_int(container_resolve_user(t.fd, "root", &u, NULL, &e), -ENOENT);
	put(&t, "etc/passwd2", "eve:x:5:5::/:\n", 14);
	is_int(container_resolve_user(t.fd, "eve", &u, NULL, &e), 0);
	is_int(u.uid, 5);
	free(u.additional_gids);
	ok(unlinkat(t.fd, "etc/passwd", 0) == 0 && symlinkat("/proc/self/root/etc/passwd", t.fd, "etc/passwd") == 0);
	is_int(container_resolve_user(t.fd, "root", &u, NULL, &e), -ENOENT);
	tree_done(&t);
}

TEST(more_groups_are_named_or_numbered)
{
	char www[] = "www", nobodys[] = "nobodys", *names[] = { www, NULL };
	struct tree t = tree_new();
	uint32_t given[] = { 77 };
	struct spec_process p = {
		.user = { .uid = 9, .gid = 9, .additional_gids = given, .n_additional_gids = 1, .additional_groups = names }
	};
	struct setup s = { .rootfd = t.fd, .process = &p };
	struct err e = { 0 };

	put(&t, "etc/group", "root:x:0:\nwww:x:33:\n", 21);
	is_int(user_resolve(&s, &e), 0);
	ok(s.user.uid == 9 && s.user.gid == 9 && s.user.n_additional_gids == 2);
	ok(s.user.additional_gids[0] == 77 && s.user.additional_gids[1] == 33);
	free(s.user.additional_gids);
	strv_free(s.env);
	free_ptr(&s.home);
	s.env = NULL;
	names[0] = nobodys;
	is_int(user_resolve(&s, &e), -ENOENT);
	has_str(e.msg, "group \"nobodys\" is not in the image's /etc/group");
	tree_done(&t);
}

TEST(a_user_in_very_many_groups_is_bounded)
{
	struct tree t = tree_new();
	struct spec_user u = { 0 };
	struct err e = { 0 };
	struct buf b = { 0 };

	for (int i = 0; i < 50000 && b.len < 1000000; i++)
		buf_fmt(&b, "g:x:%d:alice\n", i + 1);
	ok(!b.failed);
	put(&t, "etc/group", b.data, b.len);
	is_int(container_resolve_user(t.fd, "alice", &u, NULL, &e), 0);
	ok(u.n_additional_gids > 40000 && u.n_additional_gids <= 65536);
	free(u.additional_gids);
	buf_done(&b);
	tree_done(&t);
}

TAP_MAIN()
