/* docker's table of what goes where, and how paths lead there. */
#include "copy_place.h"

#include <fcntl.h>
#include <unistd.h>

#include "tap_dir.h"

static void begin(void)
{
	tap_dir_enter();
	ok(mkdir("dir", 0755) == 0);
	ok(mkdir("other", 0755) == 0);
	tap_file("file", 0644, "1");
	tap_file("second", 0644, "2");
	tap_file("dir/in", 0644, "3");
	ok(symlink("dir", "to-dir") == 0);
	ok(symlink("file", "to-file") == 0);
	ok(symlink("/dir/in", "to-absolute") == 0);
	ok(symlink("nowhere", "dangling") == 0);
	ok(symlink("loop", "loop") == 0);
	ok(mkfifo("fifo", 0600) == 0);
}

TEST(absolute_paths_are_cleaned)
{
	static const char *const rows[][3] = {
		{ "/", "", "/" },
		{ "/", "..", "/" },
		{ "/", "../..//a/", "/a" },
		{ "/w", "a/./b/", "/w/a/b" },
		{ "/w", "/a/../b", "/b" },
		{ "/w/x", "../y", "/w/y" },
		{ "/w", "a/../../..", "/" },
		{ "/w", ".", "/w" },
		{ "/w", "..a/b..", "/w/..a/b.." },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *got = path_absolute(rows[i][0], rows[i][1]);
		is_str(got, rows[i][2]);
	}
}

/* into: "dir <- as": into that directory; "= as": beside, by that name; else words of the error. */
static const struct {
	const char *src, *dst;
	bool follow;
	const char *want;
} rules[] = {
	/* a file */
	{ "file", "new", false, "= new" },
	{ "file", "missing/", false, "no such directory" },
	{ "file", "missing/new", false, "No such file or directory" },
	{ "file", "second", false, "= second" },
	{ "file", "second/", false, "not a directory" },
	{ "file", "dir", false, "dir <- file" },
	{ "file", "dir/", false, "dir <- file" },
	{ "file", "dir/.", false, "dir <- file" },
	{ "file", "to-dir", false, "dir <- file" },
	{ "file", "to-file", false, "= file" },
	{ "file", "dangling", false, "= nowhere" },
	{ "file", "fifo", false, "must be a directory or a regular file" },
	{ "file", "loop", false, "Too many levels" },
	{ "file/", "dir", false, "not a directory" },
	{ "file/.", "dir", false, "not a directory" },
	/* a directory */
	{ "dir", "new", false, "= new" },
	{ "dir", "new/", false, "= new" },
	{ "dir/.", "new", false, "= new" },
	{ "dir", "missing/new", false, "No such file or directory" },
	{ "dir", "file", false, "cannot copy directory" },
	{ "dir/.", "file", false, "cannot copy directory" },
	{ "dir", "other", false, "other <- dir" },
	{ "dir/", "other", false, "other <- dir" },
	{ "dir/.", "other", false, "other <- " },
	{ "dir/./", "other", false, "other <- dir" },
	{ ".", "other", false, "other <- " },
	{ "other/../dir", "other", false, "other <- dir" },
	/* a symlink */
	{ "to-dir", "other", false, "other <- to-dir" },
	{ "to-dir", "file", false, "= file" }, /* the link itself is no directory */
	{ "to-dir", "other", true, "other <- to-dir" },
	{ "to-dir", "file", true, "cannot copy directory" },
	{ "to-dir/", "other", false, "other <- to-dir" },
	{ "to-dir/.", "other", false, "other <- " },
	{ "to-file", "new", true, "= new" },
	{ "dangling", "other", false, "other <- dangling" },
};

static void check_rule(size_t i, int rootfd)
{
	_cleanup_(place_done) struct place src = { .dirfd = -1 }, dst = { .dirfd = -1 };
	struct copy_plan plan = { 0 };
	_cleanup_free_ char *got = NULL;
	struct err e = { 0 };
	int r = place_open(&src, rootfd, rules[i].src, rules[i].follow, &e);

	ok(r < 0 || src.exists);
	if (r == 0)
		r = place_open(&dst, rootfd, rules[i].dst, true, &e);
	if (r == 0)
		r = copy_plan(&src, &dst, &plan, &e);
	if (r < 0)
		got = strdup(e.msg);
	else if (plan.is_into)
		got = str_fmt("%s <- %s", dst.name, plan.as);
	else
		got = str_fmt("= %s", plan.as);
	if (r < 0 ? !strstr(got, rules[i].want) : !streq(got, rules[i].want))
		TAP_FAIL("%s to %s: \"%s\", expected \"%s\"", rules[i].src, rules[i].dst, got, rules[i].want);
}

TEST(what_goes_where_is_dockers_table_on_this_host)
{
	begin();
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		check_rule(i, -1);
	tap_dir_leave();
}

TEST(what_goes_where_is_the_same_beneath_a_root)
{
	begin();
	_cleanup_fd_ int root = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	ok(root >= 0);
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (!streq(rules[i].src, ".")) /* there it is the root, which holds the destination */
			check_rule(i, root);
	tap_dir_leave();
}

TEST(a_roots_links_stay_in_it)
{
	begin();
	_cleanup_fd_ int root = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(place_done) struct place p = { .dirfd = -1 }, q = { .dirfd = -1 };
	struct err e = { 0 };
	struct stat st;

	ok(stat("dir/in", &st) == 0);
	is_int(place_open(&p, root, "/to-absolute", true, &e), 0);
	ok(p.exists && p.st.st_ino == st.st_ino);
	is_str(p.name, "in");
	is_str(p.base, "to-absolute");
	ok(symlink("../../../../../../etc/passwd", "dir/up") == 0);
	is_int(place_open(&q, root, "dir/up", true, &e), -ENOENT);
	ok(mkdir("etc", 0755) == 0);
	place_done(&q);
	is_int(place_open(&q, root, "dir/up", true, &e), 0);
	ok(!q.exists);
	is_str(q.name, "passwd");
	tap_dir_leave();
}

TEST(a_root_itself_means_its_content)
{
	static const char *const names[] = { "/", ".", "..", "dir/..", "" };

	begin();
	_cleanup_fd_ int root = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_(place_done) struct place p = { .dirfd = -1 };
		struct err e = { 0 };
		is_int(place_open(&p, root, names[i], false, &e), 0);
		ok(p.exists && p.is_content && S_ISDIR(p.st.st_mode));
	}
	tap_dir_leave();
}

TAP_MAIN()
