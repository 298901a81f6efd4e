/* Nodes through a stream and back, and what a hostile other side sends. */
#include "files_diff.h"
#include "files_stream.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "spawn.h"
#include "tap_dir.h"

static void begin(void)
{
	tap_dir_enter();
	ok(mkdir("src", 0755) == 0 && mkdir("dst", 0755) == 0);
}

static int open_stream(void)
{
	int fd = open("stream", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ok(fd >= 0);
	return fd;
}

static int receive(int fd, const char *as, struct err *e)
{
	_cleanup_fd_ int to = open("dst", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct tree_sink t;
	int r;

	ok(lseek(fd, 0, SEEK_SET) == 0);
	is_int(tree_sink_init(&t, to, e), 0);
	r = files_unstream(fd, STREAM_FILES, as, &t.base, e);
	if (r == 0)
		r = tree_sink_finish(&t, e);
	tree_sink_done(&t);
	return r;
}

TEST(a_tree_arrives_under_another_name)
{
	_cleanup_fd_ int fd = -1, from = -1;
	_cleanup_free_ char *text = NULL;
	struct stream_sink s;
	struct err e = { 0 };
	struct stat a, b;

	begin();
	fd = open_stream();
	ok(mkdir("src/d", 0700) == 0 && symlink("/somewhere", "src/d/l") == 0);
	tap_file("src/d/f", 0640, "text");
	ok(link("src/d/f", "src/again") == 0);
	tap_file("src/hole", 0640, "x");
	ok(truncate("src/hole", 10 << 20) == 0);
	from = open("src", O_PATH | O_DIRECTORY | O_CLOEXEC);
	stream_sink_init(&s, fd);
	const struct walk w = { .dirfd = from, .name = ".", .as = "" };
	is_int(files_walk(&w, &s.base, &e), 0);
	is_int(stream_end(fd, 0, &e, &e), 0);
	is_int(receive(fd, "named", &e), 0);
	is_int(file_read(AT_FDCWD, "dst/named/d/f", 100, &text, NULL), 0);
	is_str(text, "text");
	ok(stat("dst/named/d/f", &a) == 0 && stat("dst/named/again", &b) == 0 && a.st_ino == b.st_ino);
	is_int(a.st_mode & 07777, 0640);
	ok(stat("dst/named/hole", &a) == 0 && a.st_size == 10 << 20 && a.st_blocks < 2048);
	ok(fstat(fd, &a) == 0 && a.st_size < 1 << 20); /* holes are not sent */
	ok(lstat("dst/named/d/l", &a) == 0 && S_ISLNK(a.st_mode));
	tap_dir_leave();
}

TEST(heads_and_ends_are_read_as_they_were_written)
{
	const struct stream_head h = { .is_dir = true, .base = "name" };
	const struct err why = { .no = ENOENT, .msg = "there is nothing" };
	struct stream_head got = { 0 };
	_cleanup_fd_ int fd = -1;
	struct err e = { 0 };

	begin();
	fd = open_stream();
	is_int(stream_put_head(fd, &h, &e), 0);
	is_int(stream_end(fd, -ENOENT, &why, &e), 0);
	ok(lseek(fd, 0, SEEK_SET) == 0);
	is_int(stream_read_head(fd, &got, &e), 0);
	is_str(got.base, "name");
	ok(got.is_dir && !got.is_content && !got.is_tar);
	struct file_sink none = { .put = NULL };
	is_int(files_unstream(fd, STREAM_FILES, "", &none, &e), -ENOENT);
	is_str(e.msg, "there is nothing");
	ok(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
	is_int(stream_end(fd, -ENOENT, &why, &e), 0); /* instead of a head */
	ok(lseek(fd, 0, SEEK_SET) == 0);
	is_int(stream_read_head(fd, &got, &e), -ENOENT);
	is_str(e.msg, "there is nothing");
	tap_dir_leave();
}

TEST(heads_that_name_what_can_not_be_are_refused)
{
	static const struct stream_head heads[] = {
		{ .base = "" },
		{ .base = "." },
		{ .base = ".." },
		{ .base = "a/b" },
		{ .base = "/" },
		{ .is_content = true, .base = "d" },
		{ .is_tar = true, .base = "../out" },
		{ .is_tar = true, .is_dir = true },
		{ .is_tar = true, .is_dir = true, .is_content = true },
	};

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		struct stream_head h = heads[i], got = { 0 };
		_cleanup_fd_ int fd = open_stream();
		struct err e = { 0 };
		is_int(stream_put_head(fd, &h, &e), 0);
		ok(lseek(fd, 0, SEEK_SET) == 0);
		is_int(stream_read_head(fd, &got, &e), -EPROTO);
	}
	tap_dir_leave();
}

TEST(I01_hostile_nodes_are_refused)
{
	static char user_name[] = "user.x", no_name[] = "", caps[] = "security.capability";
	static uint8_t value[(64 << 10) + 1];
	static struct file_xattr user = { user_name, value, 1 }, unnamed = { no_name, value, 1 },
				 huge = { caps, value, sizeof(value) };
	static const struct {
		struct file_node n;
		int want;
	} rows[] = {
		{ { .path = "../out", .mode = S_IFIFO | 0644 }, -EPROTO },
		{ { .path = "/out", .mode = S_IFIFO | 0644 }, -EPROTO },
		{ { .path = "a//b", .mode = S_IFIFO | 0644 }, -EPROTO },
		{ { .path = "a/./b", .mode = S_IFIFO | 0644 }, -EPROTO },
		{ { .path = "a/", .mode = S_IFDIR | 0755 }, -EPROTO },
		{ { .path = "l", .mode = S_IFREG | 0644, .link = "../out" }, -EPROTO },
		{ { .path = "l", .mode = S_IFREG | 0644, .link = "never-sent" }, -EINVAL },
		{ { .path = "l", .mode = S_IFREG | 0644, .target = "x" }, -EPROTO },
		{ { .path = "l", .mode = S_IFLNK | 0777 }, -EPROTO },
		{ { .path = "u", .mode = S_IFIFO | 0644, .uid = UINT32_MAX }, -EPROTO },
		{ { .path = "s", .mode = S_IFREG | 0644, .size = UINT64_MAX }, -EPROTO },
		{ { .path = "t", .mode = 0644 }, -EPROTO },
		{ { .path = "c", .mode = CHANGE_ADDED }, -EPROTO },
		{ { .path = "o", .mode = S_IFDIR | 0755, .is_opaque = true }, -EPROTO }, /* of a layer only */
		{ { .path = "x", .mode = S_IFIFO | 0644, .xattrs = &user, .n_xattrs = 1 }, -EPROTO },
		{ { .path = "x", .mode = S_IFIFO | 0644, .xattrs = &unnamed, .n_xattrs = 1 }, -EPROTO },
		{ { .path = "x", .mode = S_IFIFO | 0644, .xattrs = &huge, .n_xattrs = 1 }, -EPROTO },
		{ { .path = "dev", .mode = S_IFCHR | 0644, .rdev = 0x103 }, 0 }, /* the tree makes none */
		{ { .path = "fine", .mode = S_IFIFO | 0644 }, 0 },
	};

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_fd_ int fd = open_stream();
		struct stream_sink s;
		struct err e = { 0 };
		stream_sink_init(&s, fd);
		is_int(s.base.put(&s.base, &rows[i].n, &e), 0);
		is_int(stream_end(fd, 0, &e, &e), 0);
		int r = receive(fd, "", &e);
		if (r != rows[i].want)
			TAP_FAIL("%s: %d (%s), expected %d", rows[i].n.path, r, e.msg, rows[i].want);
	}
	tap_dir_leave();
}

/* A sink that keeps what the last node was. */
struct last {
	struct file_sink base;
	struct file_node n;
	char path[64], name[64], value[64];
};

static int keep(struct file_sink *s, const struct file_node *n, struct err *e _unused_)
{
	struct last *l = container_of(s, struct last, base);

	l->n = *n;
	snprintf(l->path, sizeof(l->path), "%s", n->path);
	l->name[0] = l->value[0] = '\0';
	if (n->n_xattrs) {
		snprintf(l->name, sizeof(l->name), "%s", n->xattrs[0].name);
		snprintf(l->value, sizeof(l->value), "%.*s", (int)n->xattrs[0].len, (char *)n->xattrs[0].value);
	}
	return 0;
}

static int pass(const struct file_node *n, enum stream_kind kind, struct last *ret, struct err *e)
{
	_cleanup_fd_ int fd = open_stream();
	struct stream_sink s;

	stream_sink_init(&s, fd);
	is_int(s.base.put(&s.base, n, e), 0);
	is_int(stream_end(fd, 0, e, e), 0);
	ok(lseek(fd, 0, SEEK_SET) == 0);
	*ret = (struct last){ .base = { .put = keep } };
	return files_unstream(fd, kind, "", &ret->base, e);
}

TEST(a_layer_has_devices_opaque_marks_and_attributes)
{
	char name[] = "user.note", value[] = "kept", marks[] = "trusted.overlay.opaque";
	struct file_xattr x = { name, value, 4 }, mark = { marks, value, 4 };
	const struct file_node dev = { .path = "d", .mode = S_IFBLK | 0600, .rdev = makedev(259, 70000) },
			       dir = { .path = "o", .mode = S_IFDIR | 0755, .is_opaque = true, .xattrs = &x, .n_xattrs = 1 },
			       own = { .path = "o", .mode = S_IFDIR | 0755, .xattrs = &mark, .n_xattrs = 1 };
	struct last got;
	struct err e = { 0 };

	begin();
	is_int(pass(&dev, STREAM_LAYER, &got, &e), 0);
	ok(got.n.rdev == dev.rdev && got.n.size == 0 && S_ISBLK(got.n.mode));
	is_int(pass(&dir, STREAM_LAYER, &got, &e), 0);
	ok(got.n.is_opaque && got.n.n_xattrs == 1);
	is_str(got.name, "user.note");
	is_str(got.value, "kept");
	is_int(pass(&own, STREAM_LAYER, &got, &e), -EPROTO); /* overlayfs' own marks are nobody's to send */
	ok(strstr(e.msg, "trusted.overlay.opaque"));
	tap_dir_leave();
}

TEST(a_list_of_changes_holds_changes_and_nothing_else)
{
	const struct file_node gone = { .path = "a/b", .mode = CHANGE_DELETED }, odd = { .path = "a", .mode = 'X' },
			       file = { .path = "a", .mode = S_IFREG | 0644 }, out = { .path = "../a", .mode = CHANGE_ADDED };
	struct last got;
	struct err e = { 0 };

	begin();
	is_int(pass(&gone, STREAM_CHANGES, &got, &e), 0);
	is_int(got.n.mode, CHANGE_DELETED);
	is_str(got.path, "a/b");
	is_int(pass(&odd, STREAM_CHANGES, &got, &e), -EPROTO);
	is_int(pass(&file, STREAM_CHANGES, &got, &e), -EPROTO);
	is_int(pass(&out, STREAM_CHANGES, &got, &e), -EPROTO);
	tap_dir_leave();
}

TEST(a_node_with_too_many_attributes_is_not_sent)
{
	char name[] = "user.x";
	static struct file_xattr many[257];
	const struct file_node n = { .path = "f", .mode = S_IFIFO | 0644, .xattrs = many, .n_xattrs = ARRAY_SIZE(many) };
	struct stream_sink s;
	struct err e = { 0 };

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = (struct file_xattr){ .name = name, .value = name, .len = 1 };
	_cleanup_fd_ int fd = open_stream();
	stream_sink_init(&s, fd);
	is_int(s.base.put(&s.base, &n, &e), -E2BIG);
	tap_dir_leave();
}

/* The same node, for ever. */
_noreturn_ static void send_endlessly(int fd)
{
	static char nodes[500 * 41];
	struct stream_sink s;
	struct err e;
	const struct file_node n = { .path = "f", .mode = S_IFIFO | 0644 };
	int one = open("one", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	signal(SIGPIPE, SIG_IGN);
	stream_sink_init(&s, one);
	for (size_t i = 0; i < 500; i++)
		if (s.base.put(&s.base, &n, &e) < 0)
			_exit(1);
	if (pread(one, nodes, sizeof(nodes), 0) != (ssize_t)sizeof(nodes))
		_exit(1);
	while (fd_write_full(fd, nodes, sizeof(nodes)) == 0)
		;
	_exit(0);
}

TEST(I08_a_stream_without_an_end_is_given_up)
{
	struct last l = { .base = { .put = keep } };
	struct err e = { 0 };
	int p[2], status;

	begin();
	ok(pipe2(p, O_CLOEXEC) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		close(p[0]);
		send_endlessly(p[1]);
	}
	close(p[1]);
	is_int(files_unstream(p[0], STREAM_LAYER, "", &l.base, &e), -E2BIG);
	ok(strstr(e.msg, "more than 2000000"));
	close(p[0]);
	is_int(spawn_wait(pid, &status), 0);
	is_int(status, 0);
	tap_dir_leave();
}

TEST(a_stream_that_is_cut_anywhere_is_an_error)
{
	_cleanup_fd_ int fd = -1, from = -1;
	struct stream_sink s;
	struct err e = { 0 };
	struct stat st;

	begin();
	fd = open_stream();
	tap_file("src/f", 0640, "some text");
	from = open("src", O_PATH | O_DIRECTORY | O_CLOEXEC);
	stream_sink_init(&s, fd);
	const struct walk w = { .dirfd = from, .name = ".", .as = "" };
	is_int(files_walk(&w, &s.base, &e), 0);
	is_int(stream_end(fd, 0, &e, &e), 0);
	is_int(receive(fd, "", &e), 0);
	ok(fstat(fd, &st) == 0);
	for (off_t n = st.st_size - 1; n >= 0; n -= 3) {
		ok(ftruncate(fd, n) == 0);
		is_int(receive(fd, "", &e), -EPIPE);
	}
	tap_dir_leave();
}

TAP_MAIN()
