/* Every claim about paths is checked twice: with openat2, and where it answers ENOSYS. */
#include <stdio.h>
#include <sys/mount.h>

#include "fd.h"
#include "no_openat2.h"
#include "str.h"
#include "tap.h"

#define str_fmt(...) ((char *)tap_keep(str_fmt(__VA_ARGS__)))

/* A tree to escape from: BASE/outside holds "secret", BASE/root is the root. */
static char base[64];
static int outer = -1, root = -1;

static void put(int dir, const char *path, const char *text)
{
	int fd = openat(dir, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	ok(fd >= 0);
	is_int(fd_write_full(fd, text, strlen(text)), 0);
	close(fd);
}

static void remove_tree(void) { rm_rf(AT_FDCWD, base); }

static void make_tree(void)
{
	strcpy(base, "/tmp/berth-root-XXXXXX");
	ok(mkdtemp(base));
	atexit(remove_tree);
	outer = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	is_int(mkdir_p(outer, "root/etc", 0755), 0);
	is_int(mkdir_p(outer, "root/a/b/c", 0755), 0);
	put(outer, "secret", "outside");
	put(outer, "root/etc/passwd", "inside");
	put(outer, "root/secret", "inside");
	put(outer, "root/a/file", "a");
	root = openat(outer, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	ok(root >= 0);
}

static const char *content(const char *path)
{
	static char *text;
	int fd = root_open(root, path, O_RDONLY, 0);

	if (fd < 0)
		return strerror(-fd);
	free(text);
	text = NULL;
	int r = fd_read_all(fd, 100, &text, NULL);
	close(fd);
	return r < 0 ? strerror(-r) : text;
}

#define TWICE(claim)                                                                   \
	static void claim##_body(void);                                                \
	TEST(claim)                                                                    \
	{                                                                              \
		make_tree();                                                           \
		claim##_body();                                                        \
	}                                                                              \
	TEST(claim##__without_openat2)                                                 \
	{                                                                              \
		make_tree();                                                           \
		is_int(without_openat2(), 0);                                          \
		is_int(syscall(SYS_openat2, -1, "", NULL, 0) < 0 ? errno : 0, ENOSYS); \
		claim##_body();                                                        \
	}                                                                              \
	static void claim##_body(void)

TWICE(dotdot_stays_at_the_top)
{
	is_str(content("../secret"), "inside");
	is_str(content("/../../secret"), "inside");
	is_str(content("a/b/../../../../secret"), "inside");
	is_str(content("a/../a/./file"), "a");
	is_str(content("a/.."), "Is a directory");
}

TWICE(absolute_paths_and_links_begin_at_the_root)
{
	is_int(symlinkat("/secret", root, "abs"), 0);
	is_int(symlinkat("/etc", root, "a/b/to-etc"), 0);
	is_str(content("/etc/passwd"), "inside");
	is_str(content("abs"), "inside");
	is_str(content("a/b/to-etc/passwd"), "inside");
	is_str(content("a/b/to-etc/../secret"), "inside");
}

TWICE(relative_links_can_not_climb_out)
{
	is_int(symlinkat("../../../../../../secret", root, "a/b/up"), 0);
	is_int(symlinkat("../..", root, "a/b/two-up"), 0);
	is_str(content("a/b/up"), "inside");
	is_str(content("a/b/two-up/../../secret"), "inside");
}

TWICE(chains_of_links_are_followed_inside_and_loops_end)
{
	is_int(symlinkat("l2", root, "l1"), 0);
	is_int(symlinkat("/l3", root, "l2"), 0);
	is_int(symlinkat("a/../../l4", root, "l3"), 0);
	is_int(symlinkat("../../secret", root, "l4"), 0);
	is_str(content("l1"), "inside");
	is_int(symlinkat("loop", root, "loop"), 0);
	is_int(root_open(root, "loop", O_RDONLY, 0), -ELOOP);
	is_int(symlinkat("twin/x", root, "nil"), 0);
	is_int(symlinkat("nil/x", root, "twin"), 0);
	is_int(root_open(root, "nil", O_RDONLY, 0), -ELOOP);
}

TWICE(magic_links_are_refused_and_plain_links_of_proc_are_not)
{
	char via[64];
	int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int slash = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	ok(proc >= 0 && slash >= 0);
	is_int(root_open(proc, "self/root/etc/passwd", O_RDONLY, 0), -ELOOP);
	is_int(root_open(proc, "self/cwd", O_PATH, 0), -ELOOP);
	is_int(root_open(proc, "self/exe", O_RDONLY, 0), -ELOOP);
	snprintf(via, sizeof(via), "self/fd/%d/secret", outer);
	is_int(root_open(proc, via, O_RDONLY, 0), -ELOOP);
	is_int(symlinkat("/proc/self/root", root, "bridge"), 0);
	is_int(root_open(slash, str_fmt("%s/root/bridge/etc", base), O_PATH, 0), -ELOOP);
	ok(root_open(proc, "self/stat", O_RDONLY, 0) >= 0);
	ok(root_open(proc, "mounts", O_RDONLY, 0) >= 0);
}

TWICE(nofollow_gives_the_link_itself_only_with_o_path)
{
	struct stat st;

	is_int(symlinkat("/secret", root, "abs"), 0);
	int fd = root_open(root, "abs", O_PATH | O_NOFOLLOW, 0);
	ok(fd >= 0);
	is_int(fstat(fd, &st), 0);
	ok(S_ISLNK(st.st_mode));
	is_int(root_open(root, "abs", O_RDONLY | O_NOFOLLOW, 0), -ELOOP);
}

TWICE(files_are_created_inside_also_through_dangling_links)
{
	struct stat st;

	umask(0);
	int fd = root_open(root, "/../new", O_WRONLY | O_CREAT, 0640);
	ok(fd >= 0);
	is_int(fstatat(outer, "root/new", &st, 0), 0);
	is_int(st.st_mode & 07777, 0640);
	is_int(symlinkat("../../dangling", root, "a/link"), 0);
	fd = root_open(root, "a/link", O_WRONLY | O_CREAT, 0600);
	ok(fd >= 0);
	is_int(fstatat(outer, "root/dangling", &st, AT_SYMLINK_NOFOLLOW), 0);
	ok(fstatat(outer, "dangling", &st, AT_SYMLINK_NOFOLLOW) < 0);
	is_int(root_open(root, "a/link", O_WRONLY | O_CREAT | O_EXCL, 0600), -EEXIST);
	is_int(root_open(root, "nowhere/new", O_WRONLY | O_CREAT, 0600), -ENOENT);
}

TWICE(errors_are_those_of_open)
{
	is_int(root_open(root, "", O_RDONLY, 0), -ENOENT);
	is_int(root_open(root, "none", O_RDONLY, 0), -ENOENT);
	is_int(root_open(root, "a/file/x", O_RDONLY, 0), -ENOTDIR);
	is_int(root_open(root, "a/file/", O_RDONLY, 0), -ENOTDIR);
	is_int(root_open(root, "a/file/..", O_PATH, 0), -ENOTDIR);
	is_int(root_open(root, "a", O_WRONLY, 0), -EISDIR);
	is_int(root_open(root, "secret", O_PATH | O_DIRECTORY, 0), -ENOTDIR);
	is_int(root_open(root, "new/", O_WRONLY | O_CREAT, 0600), -EISDIR);
	char name[300];
	memset(name, 'x', 299);
	name[299] = '\0';
	is_int(root_open(root, name, O_RDONLY, 0), -ENAMETOOLONG);
	ok(root_open(root, "/", O_RDONLY | O_DIRECTORY, 0) >= 0);
	ok(root_open(root, ".", O_PATH, 0) >= 0);
}

TWICE(descriptors_are_close_on_exec)
{
	int fd = root_open(root, "secret", O_RDONLY, 0);

	ok(fd >= 0);
	is_int(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

TWICE(mkdir_p_makes_what_is_missing_inside)
{
	struct stat st;

	umask(0);
	ok(root_mkdir_p(root, "/x/y/z/", 0711) >= 0);
	is_int(fstatat(outer, "root/x/y/z", &st, 0), 0);
	is_int(st.st_mode & 07777, 0711);
	ok(root_mkdir_p(root, "../../esc", 0700) >= 0);
	is_int(fstatat(outer, "root/esc", &st, 0), 0);
	ok(fstatat(outer, "esc", &st, 0) < 0);
	is_int(root_mkdir_p(root, "secret/x", 0700), -ENOTDIR);
	ok(root_mkdir_p(root, "/", 0700) >= 0);
}

TWICE(mkdir_p_goes_through_links_and_makes_their_missing_targets)
{
	struct stat st;

	is_int(mkdirat(root, "var", 0755), 0);
	is_int(symlinkat("/run", root, "var/run"), 0);
	ok(root_mkdir_p(root, "var/run/app/d", 0755) >= 0);
	is_int(fstatat(outer, "root/run/app/d", &st, 0), 0);
	is_int(symlinkat("../../../lock", root, "var/lock"), 0);
	ok(root_mkdir_p(root, "var/lock", 0755) >= 0);
	is_int(fstatat(outer, "root/lock", &st, 0), 0);
	is_int(symlinkat("self", root, "self"), 0);
	is_int(root_mkdir_p(root, "self/x", 0755), -ELOOP);
}

TWICE(the_parent_of_a_path_and_its_last_name)
{
	static char *name;
	struct stat a, b;

	int fd = root_open_parent(root, "a/b/new//", &name);
	ok(fd >= 0);
	is_str(name, "new");
	is_int(fstat(fd, &a), 0);
	is_int(fstatat(outer, "root/a/b", &b, 0), 0);
	is_int(a.st_ino, b.st_ino);
	free(name);
	fd = root_open_parent(root, "top", &name);
	ok(fd >= 0);
	is_str(name, "top");
	is_int(root_open_parent(root, "/", &name), -EINVAL);
	is_int(root_open_parent(root, "", &name), -EINVAL);
	is_int(root_open_parent(root, "a/..", &name), -EINVAL);
	is_int(root_open_parent(root, "a/.", &name), -EINVAL);
	is_int(root_open_parent(root, "none/x", &name), -ENOENT);
	is_str(name, "top");
}

TWICE(a_racing_rename_never_shows_the_outside)
{
	/* The other side swaps a folder between two depths while the path walks through it and up again. */
	is_int(mkdir_p(outer, "root/deep/er", 0755), 0);
	pid_t pid = fork();
	if (pid == 0) {
		for (int i = 0; i < 1500; i++) {
			renameat(root, "deep/er", root, "er");
			renameat(root, "er", root, "deep/er");
		}
		_exit(0);
	}
	int done = 0, status;
	while (!done) {
		for (int i = 0; i < 20; i++) {
			int fd = root_open(root, "deep/er/../../../secret", O_RDONLY, 0);
			if (fd < 0)
				continue;
			char got[10] = "";
			ok(read(fd, got, 9) > 0);
			is_str(got, "inside");
			close(fd);
		}
		done = waitpid(pid, &status, WNOHANG) == pid;
	}
}

TWICE(rm_rf_follows_no_link)
{
	struct stat st;

	is_int(mkdirat(root, "doomed", 0755), 0);
	is_int(symlinkat(base, root, "doomed/out"), 0);
	is_int(symlinkat("../a", root, "doomed/rel"), 0);
	put(root, "doomed/file", "x");
	is_int(rm_rf(root, "doomed"), 0);
	ok(fstatat(root, "doomed", &st, 0) < 0 && errno == ENOENT);
	is_int(fstatat(outer, "secret", &st, 0), 0);
	is_int(fstatat(root, "a/file", &st, 0), 0);
	is_int(symlinkat(base, root, "link"), 0);
	is_int(rm_rf(root, "link"), 0);
	is_int(fstatat(outer, "secret", &st, 0), 0);
	is_int(rm_rf(root, "never-was"), 0);
}

TWICE(rm_rf_stops_at_mounts)
{
	if (geteuid() != 0)
		skip("needs root to mount");
	struct stat st;
	char *at = str_fmt("%s/root/a/b", base);
	char *from = str_fmt("%s/root/etc", base);

	is_int(mount(from, at, NULL, MS_BIND, NULL), 0); /* a bind mount of the same file system */
	int r = rm_rf(root, "a");
	is_int(umount(at), 0);
	is_int(r, -EXDEV);
	is_int(fstatat(root, "etc/passwd", &st, 0), 0);
}

TWICE(rm_rf_reaches_a_tree_on_another_mount_than_its_callers)
{
	if (geteuid() != 0)
		skip("needs root to mount");
	struct stat st;
	char *at = str_fmt("%s/root/a", base), *tree = str_fmt("%s/root/a/tree", base);

	is_int(mount("none", at, "tmpfs", 0, NULL), 0);
	is_int(mkdir(tree, 0755), 0);
	is_int(mkdirat(root, "a/tree/sub", 0755), 0);
	int r = rm_rf(AT_FDCWD, tree);
	bool is_there = fstatat(root, "a/tree", &st, 0) == 0;
	int itself = rm_rf(root, "a");
	is_int(umount(at), 0);
	is_int(r, 0);
	ok(!is_there);
	is_int(itself, -EXDEV); /* a mount itself is not what was asked for */
	is_int(rm_rf(root, "a/.."), -EINVAL);
}

TWICE(rm_rf_takes_any_depth_with_few_descriptors)
{
	enum { DEPTH = 600 };
	int at = dup(root);

	for (int i = 0; i < DEPTH; i++) {
		is_int(mkdirat(at, "d", 0755), 0);
		int next = openat(at, "d", O_PATH | O_DIRECTORY | O_CLOEXEC);
		put(next, "f", "x");
		close(at);
		at = next;
	}
	close(at);
	is_int(rm_rf(root, "d"), 0);
	struct stat st;
	ok(fstatat(root, "d", &st, 0) < 0 && errno == ENOENT);
}

TAP_MAIN()
