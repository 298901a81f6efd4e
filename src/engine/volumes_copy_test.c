/* What volume_copy and volume_chown do to trees: all that a file has comes over, and nothing is followed. */
#include "volumes_impl.h"

#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tap.h"

static char top[] = "/var/tmp/volumes-copy-test-XXXXXX";
static int from, to;
static struct err e;

static void leave(void) { rm_rf(AT_FDCWD, top); }

static void put(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600);

	ok(fd >= 0 && fd_write_full(fd, text, strlen(text)) == 0);
	close(fd);
}

static int make_dir(int dir, const char *name)
{
	ok(mkdirat(dir, name, 0755) == 0);
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ok(fd >= 0);
	return fd;
}

static void fresh(void)
{
	if (geteuid() != 0)
		skip("owners need root");
	ok(mkdtemp(top));
	atexit(leave);
	int fd = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);
	from = make_dir(fd, "from");
	to = make_dir(fd, "to");
	close(fd);
	e = (struct err){ 0 };
}

static struct stat stat_of(int dir, const char *name)
{
	struct stat st;

	ok(fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0);
	return st;
}

static void same(const char *name)
{
	struct stat a = stat_of(from, name), b = stat_of(to, name);

	is_int(b.st_mode, a.st_mode);
	is_int(b.st_uid, a.st_uid);
	is_int(b.st_gid, a.st_gid);
	is_int(b.st_size, a.st_size);
	is_int(b.st_rdev, a.st_rdev);
	is_int(b.st_nlink, a.st_nlink);
	is_int(b.st_mtim.tv_sec, a.st_mtim.tv_sec);
	is_int(b.st_mtim.tv_nsec, a.st_mtim.tv_nsec);
}

TEST(every_kind_of_file_is_copied_with_all_that_it_has)
{
	static const char *const names[] = { "set-id", "link", "fifo", "null", "dir", "dir/again", "." };
	const struct timespec times[2] = { { 1000, 5 }, { 2000, 7 } };
	char value[8] = "";

	fresh();
	put(from, "set-id", "text");
	int dir = make_dir(from, "dir");
	ok(linkat(from, "set-id", dir, "again", 0) == 0);
	ok(symlinkat("/etc/passwd", from, "link") == 0 && mkfifoat(from, "fifo", 0640) == 0);
	ok(mknodat(from, "null", S_IFCHR | 0666, makedev(1, 3)) == 0);
	ok(fchownat(from, "link", 7, 8, AT_SYMLINK_NOFOLLOW) == 0 && fchownat(from, "set-id", 5, 6, 0) == 0);
	ok(fsetxattr(dir, "user.note", "kept", 4, 0) == 0);
	ok(fchmodat(from, "set-id", 06751, 0) == 0 && fchmod(dir, 01777) == 0 && fchown(from, 9, 9) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		ok(utimensat(from, names[i], times, AT_SYMLINK_NOFOLLOW) == 0);
	if (volume_copy(from, to, &e) < 0)
		TAP_FAIL("%s", e.msg);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		same(names[i]);
	is_int(stat_of(to, "set-id").st_ino, stat_of(to, "dir/again").st_ino);
	int copied = openat(to, "dir", O_RDONLY | O_DIRECTORY);
	is_int(fgetxattr(copied, "user.note", value, sizeof(value)), 4);
	is_str(value, "kept");
	ok(readlinkat(to, "link", value, 7) == 7 && streq(value, "/etc/pa"));
	ok(faccessat(from, "set-id", F_OK, 0) == 0); /* copied, not moved */
	close(copied);
	close(dir);
}

TEST(holes_stay_holes)
{
	struct stat st;

	fresh();
	int fd = openat(from, "sparse", O_RDWR | O_CREAT | O_EXCL, 0600);
	ok(ftruncate(fd, 64 << 20) == 0 && pwrite(fd, "x", 1, 32 << 20) == 1);
	ok(fstat(fd, &st) == 0);
	if (st.st_blocks * 512 > 1 << 20)
		skip("this file system has no holes");
	is_int(volume_copy(from, to, &e), 0);
	st = stat_of(to, "sparse");
	is_int(st.st_size, 64 << 20);
	ok(st.st_blocks * 512 < 1 << 20);
	close(fd);
}

TEST(a_tree_that_is_too_deep_is_refused)
{
	fresh();
	int at = dup(from);
	for (int i = 0; i < 230; i++) {
		int next = make_dir(at, "d");
		close(at);
		at = next;
	}
	close(at);
	is_int(volume_copy(from, to, &e), -ELOOP);
	has_str(e.msg, "more than 200 deep");
}

TEST(chown_gives_all_away_and_follows_nothing)
{
	_cleanup_free_ char *path = NULL, *link = NULL;

	fresh();
	put(to, "outside", "");
	int dir = make_dir(from, "dir");
	put(dir, "file", "");
	link = str_fmt("%s/to/outside", top);
	ok(symlinkat(link, dir, "link") == 0);
	path = str_fmt("%s/from", top);
	if (volume_chown(path, 1234, 567, &e) < 0)
		TAP_FAIL("%s", e.msg);
	is_int(stat_of(from, ".").st_uid, 1234);
	is_int(stat_of(from, "dir").st_gid, 567);
	is_int(stat_of(from, "dir/file").st_uid, 1234);
	is_int(stat_of(from, "dir/link").st_uid, 1234);
	is_int(stat_of(to, "outside").st_uid, 0);
	free(path);
	path = str_fmt("%s/from/dir/file", top);
	is_int(volume_chown(path, 8, 9, &e), 0); /* a file by itself */
	is_int(stat_of(from, "dir/file").st_gid, 9);
	free(path);
	path = str_fmt("%s/nowhere", top);
	is_int(volume_chown(path, 8, 9, &e), -ENOENT);
	has_str(e.msg, "nowhere");
	close(dir);
}

/* ---- volume_fill ---- */

static int make_volume(const char *kept)
{
	int fd = make_dir(to, "volume"), d = make_dir(fd, VOLUME_DATA);

	put(from, "a", "image");
	int sub = make_dir(from, "sub");
	put(sub, "b", "image");
	close(sub);
	ok(fchmod(from, 0751) == 0);
	if (kept)
		put(d, kept, "own");
	close(d);
	return fd;
}

static void is_text(int dir, const char *name, const char *want)
{
	char *got = NULL;

	is_int(file_read(dir, name, 100, &got, NULL), 0);
	is_str(got, want);
	free(got);
}

TEST(a_fill_of_a_volume_that_nobody_uses_is_one_rename)
{
	bool empty = false;

	fresh();
	int fd = make_volume(NULL);
	struct stat before = stat_of(fd, VOLUME_DATA);
	is_int(volume_is_settled(fd, &empty), 1);
	ok(empty);
	if (volume_fill(fd, from, false, true, &e) < 0)
		TAP_FAIL("%s", e.msg);
	ok(stat_of(fd, VOLUME_DATA).st_ino != before.st_ino);
	is_text(fd, VOLUME_DATA "/sub/b", "image");
	is_int(stat_of(fd, VOLUME_DATA).st_mode & 07777, 0751);
	is_int(volume_is_settled(fd, &empty), 1);
	ok(!empty);
	is_int(file_exists(fd, VOLUME_FILLING), 0);
	close(fd);
}

TEST(a_fill_of_a_volume_in_use_keeps_its_directory_and_what_is_in_it)
{
	fresh();
	int fd = make_volume("a");
	struct stat before = stat_of(fd, VOLUME_DATA);
	is_int(volume_fill(fd, from, true, false, &e), 0);
	is_int(stat_of(fd, VOLUME_DATA).st_ino, before.st_ino);
	is_text(fd, VOLUME_DATA "/a", "own");
	is_text(fd, VOLUME_DATA "/sub/b", "image");
	is_int(stat_of(fd, VOLUME_DATA).st_mode & 07777, 0751);
	is_int(file_exists(fd, VOLUME_FILLING), 0);
	is_int(file_exists(fd, VOLUME_FILLED), 0);
	close(fd);
}

TEST(what_has_come_into_an_unused_volume_meanwhile_stays_alone)
{
	fresh();
	int fd = make_volume("mine");
	is_int(volume_fill(fd, from, false, false, &e), 0);
	is_text(fd, VOLUME_DATA "/mine", "own");
	is_int(file_exists(fd, VOLUME_DATA "/sub"), 0);
	is_int(file_exists(fd, VOLUME_FILLING), 0);
	close(fd);
}

TEST(a_fill_that_was_killed_while_it_moved_is_gone_on_with)
{
	bool empty;

	fresh();
	int fd = make_volume("b"), rest = make_dir(fd, VOLUME_FILLED);
	put(rest, "b", "image");
	put(rest, "c", "image");
	close(rest);
	is_int(volume_is_settled(fd, &empty), 0);
	is_int(volume_settle(fd, &e), 0);
	is_text(fd, VOLUME_DATA "/b", "own");
	is_text(fd, VOLUME_DATA "/c", "image");
	is_int(volume_is_settled(fd, &empty), 1);
	is_int(volume_settle(fd, &e), 0);
	close(fd);
}

TAP_MAIN()
