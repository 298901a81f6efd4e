/* Trees and tars into each other: what must arrive, and what must not get out. */
#include "files_diff.h"
#include "files_main.h"
#include "files_tar.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tap_dir.h"
#include "unpack_private.h"

static void begin(void)
{
	tap_dir_enter();
	umask(0);
	ok(mkdir("src", 0755) == 0);
	ok(mkdir("dst", 0755) == 0);
}

static int open_dir(const char *path)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	ok(fd >= 0);
	return fd;
}

static const char *text_of(const char *path)
{
	char *text;

	is_int(file_read(AT_FDCWD, path, 1 << 20, &text, NULL), 0);
	return tap_keep(text);
}

/* src's content, or by the name `as`, into dst. */
static int copy(const char *as, bool keeps_owner, struct err *e)
{
	_cleanup_fd_ int from = open_dir("src"), to = open_dir("dst");
	const struct walk w = { .dirfd = from, .name = ".", .as = as };
	struct tree_sink t;
	int r;

	is_int(tree_sink_init(&t, to, e), 0);
	t.keeps_owner = keeps_owner;
	r = files_walk(&w, &t.base, e);
	if (r == 0)
		r = tree_sink_finish(&t, e);
	tree_sink_done(&t);
	return r;
}

TEST(a_tree_arrives_whole)
{
	const struct timespec old[2] = { { 1000000000, 123456789 }, { 1000000000, 123456789 } };
	struct err e = { 0 };
	struct stat a, b;
	char to[32] = "";

	begin();
	ok(mkdir("src/d", 0750) == 0);
	tap_file("src/d/file", 0640, "text");
	ok(chmod("src/d/file", 04711) == 0);
	ok(link("src/d/file", "src/d/again") == 0);
	ok(symlink("/etc/passwd", "src/d/sym") == 0);
	ok(mkfifo("src/d/fifo", 0620) == 0);
	tap_file("src/sparse", 0640, "begin");
	ok(truncate("src/sparse", 8 << 20) == 0);
	ok(utimensat(AT_FDCWD, "src/d/file", old, 0) == 0);
	ok(utimensat(AT_FDCWD, "src/d", old, 0) == 0);
	is_int(copy("", false, &e), 0);
	is_str(text_of("dst/d/file"), "text");
	ok(stat("dst/d/file", &a) == 0 && stat("dst/d/again", &b) == 0);
	is_int(a.st_ino, b.st_ino);
	is_int(a.st_mode & 07777, 0711); /* without its owner no set-id bit */
	is_int(a.st_mtim.tv_sec, 1000000000);
	is_int(a.st_mtim.tv_nsec, 123456789);
	ok(stat("dst/d", &a) == 0);
	is_int(a.st_mode & 07777, 0750);
	is_int(a.st_mtim.tv_sec, 1000000000);
	ok(readlink("dst/d/sym", to, sizeof(to) - 1) > 0);
	is_str(to, "/etc/passwd");
	ok(lstat("dst/d/fifo", &a) == 0 && S_ISFIFO(a.st_mode));
	ok(stat("dst/sparse", &a) == 0);
	is_int(a.st_size, 8 << 20);
	ok(a.st_blocks < 2048);
	is_int(copy("", true, &e), 0); /* once more: everything is replaced */
	ok(stat("dst/d/file", &a) == 0);
	is_int(a.st_mode & 07777, 04711);
	tap_dir_leave();
}

TEST(directories_and_files_never_replace_each_other)
{
	struct err e = { 0 };

	begin();
	tap_file("src/x", 0640, "file");
	ok(mkdir("dst/x", 0755) == 0);
	is_int(copy("", false, &e), -EISDIR);
	has_str(e.msg, "cannot overwrite directory \"x\" with non-directory");
	ok(unlink("src/x") == 0 && mkdir("src/x", 0755) == 0);
	ok(rmdir("dst/x") == 0);
	tap_file("dst/x", 0640, "file");
	is_int(copy("", false, &e), -ENOTDIR);
	has_str(e.msg, "cannot overwrite non-directory \"x\" with directory");
	is_str(text_of("dst/x"), "file");
	tap_dir_leave();
}

TEST(I18_links_in_the_destination_are_replaced_or_refused)
{
	struct err e = { 0 };
	struct stat st;

	begin();
	tap_file("victim", 0640, "mine");
	tap_file("src/file", 0640, "new");
	ok(symlink("../victim", "dst/file") == 0);
	is_int(copy("", false, &e), 0);
	is_str(text_of("victim"), "mine");
	is_str(text_of("dst/file"), "new");
	ok(mkdir("src/d", 0755) == 0 && mkdir("outside", 0755) == 0);
	tap_file("src/d/in", 0640, "new");
	ok(symlink("../outside", "dst/d") == 0);
	is_int(copy("", false, &e), -ENOTDIR);
	ok(stat("outside/in", &st) < 0);
	tap_dir_leave();
}

TEST(a_directory_is_not_copied_into_itself)
{
	_cleanup_fd_ int from = -1, to = -1;
	struct err e = { 0 };
	struct tree_sink t;

	begin();
	from = open_dir(".");
	to = open_dir("dst");
	const struct walk w = { .dirfd = from, .name = ".", .as = "copy" };
	is_int(tree_sink_init(&t, to, &e), 0);
	is_int(files_walk(&w, &t.base, &e), -EINVAL);
	has_str(e.msg, "can't be copied into itself");
	tree_sink_done(&t);
	tap_dir_leave();
}

TEST(I06_devices_are_left_out_and_told)
{
	struct err e = { 0 };
	struct stat st;

	begin();
	if (mknod("src/null", S_IFCHR | 0666, makedev(1, 3)) < 0)
		skip("no device nodes here");
	tap_file("src/file", 0640, "1");
	is_int(copy("", true, &e), 0);
	ok(lstat("dst/null", &st) < 0);
	is_str(text_of("dst/file"), "1");
	tap_dir_leave();
}

static int into_tar(struct walk *w, bool is_layer, struct err *e)
{
	_cleanup_fd_ int fd = open("a.tar", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	struct tar_sink t;
	int r;

	is_int(tar_sink_init(&t, fd, e), 0);
	t.is_layer = is_layer;
	r = files_walk(w, &t.base, e);
	if (r == 0)
		r = tar_sink_finish(&t, e);
	tar_sink_done(&t);
	return r;
}

static int from_tar(struct err *e)
{
	_cleanup_fd_ int fd = open("a.tar", O_RDONLY | O_CLOEXEC), to = open_dir("dst");
	struct tree_sink t;
	int r;

	is_int(tree_sink_init(&t, to, e), 0);
	r = files_untar(fd, WALK_XATTRS_CAPABILITY, &t.base, e);
	if (r == 0)
		r = tree_sink_finish(&t, e);
	tree_sink_done(&t);
	return r;
}

TEST(a_tar_gives_back_what_went_into_it_and_is_the_same_each_time)
{
	struct err e = { 0 };
	struct stat a, b;

	begin();
	ok(mkdir("src/d", 0700) == 0);
	tap_file("src/d/b", 0640, "text");
	ok(link("src/d/b", "src/d/c") == 0);
	tap_file("src/d/"
		 "long-name-long-name-long-name-long-name-long-name-long-name-long-name-long-name-long-name-long-name-long-name",
		 0640, "x");
	tap_file("src/\xc3\xa4", 0640, "utf-8");
	tap_file("src/hole", 0640, "");
	ok(truncate("src/hole", 100000) == 0);
	_cleanup_fd_ int from = open_dir("src");
	struct walk w = { .dirfd = from, .name = ".", .as = "all" };
	is_int(into_tar(&w, false, &e), 0);
	ok(rename("a.tar", "b.tar") == 0);
	is_int(into_tar(&w, false, &e), 0);
	ok(system("cmp -s a.tar b.tar") == 0);
	is_int(from_tar(&e), 0);
	is_str(text_of("dst/all/d/c"), "text");
	is_str(text_of("dst/all/\xc3\xa4"), "utf-8");
	ok(stat("dst/all/d/b", &a) == 0 && stat("dst/all/d/c", &b) == 0 && a.st_ino == b.st_ino);
	ok(stat("dst/all/hole", &a) == 0 && a.st_size == 100000);
	tap_dir_leave();
}

TEST(I04_overlays_marks_become_whiteouts)
{
	struct err e = { 0 };

	begin();
	ok(mkdir("src/opaque", 0755) == 0);
	if (mknod("src/gone", S_IFCHR, 0) < 0 || setxattr("src/opaque", "trusted.overlay.opaque", "y", 1, 0) < 0)
		skip("no device nodes or trusted attributes here");
	_cleanup_fd_ int from = open_dir("src");
	struct walk w = { .dirfd = from, .name = ".", .as = "", .xattrs = WALK_XATTRS_LAYER, .is_overlay = true };
	is_int(into_tar(&w, true, &e), 0);
	ok(system("tar -tf a.tar | tr '\\n' ' ' | grep -qx './ .wh.gone opaque/ opaque/.wh..wh..opq '") == 0);
	tap_dir_leave();
}

static int put_one(const struct file_node *n, struct err *e)
{
	_cleanup_fd_ int fd = open("a.tar", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	struct tar_sink t;
	int r;

	is_int(tar_sink_init(&t, fd, e), 0);
	is_int(t.base.put(&t.base, n, e), 0);
	is_int(tar_sink_finish(&t, e), 0);
	tar_sink_done(&t);
	r = from_tar(e);
	return r;
}

TEST(I01_I03_a_hostile_tar_does_not_get_out)
{
	static const struct {
		struct file_node n;
		int want;
	} rows[] = {
		{ { .path = "../victim", .mode = S_IFREG | 0644 }, -EINVAL },
		{ { .path = "a/../../victim", .mode = S_IFREG | 0644 }, -EINVAL },
		{ { .path = "taken", .mode = S_IFREG | 0644, .link = "../victim" }, -EINVAL },
		{ { .path = "taken", .mode = S_IFREG | 0644, .link = "there" }, -EINVAL }, /* not of this tar */
		{ { .path = "out/victim", .mode = S_IFREG | 0644 }, -ENOTDIR },
	};

	begin();
	tap_file("victim", 0640, "mine");
	tap_file("dst/there", 0640, "mine");
	ok(symlink("..", "dst/out") == 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = { 0 };
		is_int(put_one(&rows[i].n, &e), rows[i].want);
	}
	struct err e = { 0 };
	is_int(put_one(&(struct file_node){ .path = "/etc/x", .mode = S_IFREG | 0644 }, &e), 0);
	ok(access("dst/etc/x", F_OK) == 0); /* beneath the destination */
	is_str(text_of("victim"), "mine");
	tap_dir_leave();
}

static bool can_open(const char *path, int flags)
{
	_cleanup_fd_ int fd = open(path, flags | O_CLOEXEC, 0600);

	return fd >= 0;
}

/* In a process of its own, since there is no way back. -> which of its claims is false; 0 = none. */
static int try_confined(void)
{
	_cleanup_fd_ int from = open_dir("src"), to = open_dir("dst");
	struct err e = { 0 };

	if (unpack_confine_copier(&from, 1, to, false, &e) < 0)
		return 1;
	if (!can_open("src/in", O_RDONLY) || !can_open("dst/made", O_WRONLY | O_CREAT) ||
	    !can_open("dst", O_RDONLY | O_DIRECTORY))
		return 2;
	if (can_open("src/in", O_WRONLY) || can_open("src/made", O_WRONLY | O_CREAT))
		return 3;
	if (can_open("other", O_RDONLY) || can_open("/etc/passwd", O_RDONLY) || can_open("made", O_WRONLY | O_CREAT))
		return 4;
	execl("/bin/true", "true", NULL);
	return errno == EPERM || errno == EACCES ? 0 : 5;
}

TEST(I19_what_copies_reads_its_source_writes_its_destination_and_runs_nothing)
{
	int status;
	pid_t pid;

	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 2)
		skip("no Landlock here, or an old one");
	begin();
	tap_file("src/in", 0640, "1");
	tap_file("other", 0640, "2");
	pid = fork();
	if (pid == 0)
		_exit(try_confined());
	is_int(spawn_wait(pid, &status), 0);
	ok(WIFEXITED(status));
	is_int(WEXITSTATUS(status), 0);
	tap_dir_leave();
}

/* What a guest could answer `export` and `diff` with: a head and one node. */
struct answer {
	struct stream_head head;
	struct file_node node;
	int (*run)(const struct files_options *o, struct json_object *answer, struct err *e);
	const char *says; /* NULL: it is taken */
};

static int take_answer(const struct answer *a)
{
	_cleanup_json_ struct json_object *result = json_object_new_object();
	const struct files_options o = { .is_stream = true };
	struct stream_sink s;
	struct err e = { 0 };
	int fd = open("stream", O_RDWR | O_CREAT | O_TRUNC, 0600), out = open("out", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	stream_sink_init(&s, fd);
	if (fd < 0 || out < 0 || stream_put_head(fd, &a->head, &e) < 0 || s.base.put(&s.base, &a->node, &e) < 0 ||
	    stream_end(fd, 0, &e, &e) < 0 || lseek(fd, 0, SEEK_SET) != 0)
		return 1;
	int high = fcntl(fd, F_DUPFD, 16);
	if (high < 0 || dup2(out, FILES_TAR_FD) < 0 || dup2(high, FILES_FROM_GUEST_FD) < 0)
		return 2;
	int r = a->run(&o, result, &e);
	if (!a->says)
		return r == 0 ? 0 : 3;
	return r < 0 && strstr(e.msg, a->says) ? 0 : 4;
}

TEST(I01_what_a_guest_answers_is_a_root_or_a_list_or_is_refused)
{
	const struct stream_head all = { .is_dir = true, .is_content = true }, one = { .base = "f" }, tar = { .is_tar = true };
	const struct file_node dir = { .path = "d", .mode = S_IFDIR | 0755 }, out = { .path = "../d", .mode = S_IFDIR | 0755 },
			       change = { .path = "d", .mode = CHANGE_ADDED }, top = { .path = "", .mode = CHANGE_ADDED };
	const struct answer rows[] = {
		{ all, dir, export_files, NULL },
		{ all, out, export_files, "sends the path \"../d\"" },
		{ all, change, export_files, "a node that can't be" },
		{ one, dir, export_files, "was asked for all" },
		{ tar, dir, export_files, "was asked for all" },
		{ all, change, diff_files, NULL },
		{ all, dir, diff_files, "a node that can't be" },
		{ all, top, diff_files, "a change without a name" },
		{ all, out, diff_files, "a node that can't be" },
	};

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int status;
		pid_t pid = fork(); /* what is confined stays so */
		if (pid == 0)
			_exit(take_answer(&rows[i]));
		is_int(spawn_wait(pid, &status), 0);
		if (status != 0)
			TAP_FAIL("row %zu: status %d", i, status_to_exit(status));
	}
	tap_dir_leave();
}

TEST(what_is_no_tar_is_said_so)
{
	struct err e = { 0 };

	begin();
	tap_file("a.tar", 0640, "this is just some text, and long enough to be looked at as the block of a tar would be");
	is_int(from_tar(&e), -EBADMSG);
	has_str(e.msg, "not a tar archive");
	tap_file("a.tar", 0640, "");
	is_int(from_tar(&e), 0); /* tar's own end of nothing */
	tap_dir_leave();
}

TAP_MAIN()
