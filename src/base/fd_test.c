#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "fd.h"
#include "str.h"
#include "tap.h"

static char dir[64];
static int dirfd_ = -1;

static void clean(void) { rm_rf(AT_FDCWD, dir); }

static void make_dir(void)
{
	strcpy(dir, "/tmp/berth-fd-XXXXXX");
	ok(mkdtemp(dir));
	atexit(clean);
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ok(dirfd_ >= 0);
}

static size_t count_fds(void)
{
	size_t n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

TEST(closing_keeps_errno)
{
	errno = 77;
	is_int(fd_close(250), -1);
	is_int(errno, 77);
	is_int(fd_close(-1), -1);
}

TEST(reading_all_stops_exactly_at_the_limit)
{
	char *text = NULL;
	size_t n;

	make_dir();
	is_int(file_replace(dirfd_, "f", "12345678", 8, 0600, false), 0);
	is_int(file_read(dirfd_, "f", 8, &text, &n), 0);
	is_int(n, 8);
	is_str(text, "12345678");
	free(text);
	text = NULL;
	is_int(file_read(dirfd_, "f", 7, &text, NULL), -EFBIG);
	ok(!text);
	is_int(file_read(dirfd_, "none", 7, &text, NULL), -ENOENT);
	is_int(file_exists(dirfd_, "f"), 1);
	is_int(file_exists(dirfd_, "none"), 0);
	is_int(file_exists(dirfd_, "f/below"), 0);
	is_int(file_exists(-1, "f"), -EBADF);
	/* Longer than one chunk, at the edge of the limit. */
	char *big = calloc(1, 40001);
	memset(big, 'y', 40000);
	is_int(file_replace(dirfd_, "big", big, 40000, 0600, false), 0);
	is_int(file_read(dirfd_, "big", 40000, &text, &n), 0);
	is_int(n, 40000);
	free(text);
	is_int(file_read(dirfd_, "big", 39999, &text, &n), -EFBIG);
	is_int(file_read(dirfd_, "big", 0, &text, &n), -EFBIG);
	free(big);
}

TEST(replaced_files_have_their_mode_and_leave_nothing_else)
{
	struct stat st;

	make_dir();
	umask(077);
	for (int durable = 0; durable < 2; durable++) {
		is_int(file_replace(dirfd_, "f", "a", 1, 0644, durable), 0);
		is_int(fstatat(dirfd_, "f", &st, 0), 0);
		is_int(st.st_mode & 07777, 0644);
	}
	is_int(file_replace(dirfd_, "sub/f", "a", 1, 0644, false), -ENOENT);
	is_int(unlinkat(dirfd_, "f", 0), 0);
	is_int(rmdir(dir), 0); /* it is empty */
}

TEST(mkdir_p_makes_parents_and_refuses_files)
{
	make_dir();
	is_int(mkdir_p(dirfd_, "a/b//c/", 0755), 0);
	is_int(mkdir_p(dirfd_, "a/b/c", 0755), 0);
	is_int(file_replace(dirfd_, "file", "x", 1, 0600, false), 0);
	is_int(mkdir_p(dirfd_, "file", 0755), -ENOTDIR);
	is_int(mkdir_p(dirfd_, "file/x", 0755), -ENOTDIR);
	is_int(mkdir_p(dirfd_, "", 0755), -ENOENT);
}

TEST(a_knob_is_written_at_once_or_not_at_all)
{
	char *text;

	make_dir();
	is_int(file_write(dirfd_, "none", "1"), -ENOENT); /* never made */
	is_int(file_replace(dirfd_, "knob", "", 0, 0600, false), 0);
	is_int(file_write(dirfd_, "knob", "42"), 0);
	is_int(file_read(dirfd_, "knob", 10, &text, NULL), 0);
	is_str(text, "42");
	free(text);
	is_int(file_write(AT_FDCWD, "/dev/full", "1"), -ENOSPC);
}

TEST(descriptors_pass_through_sockets)
{
	int s[2], fds[3], got[4];
	char text[8] = "";
	size_t n = 4;
	struct stat a, b;

	is_int(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
	for (int i = 0; i < 3; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	is_int(sock_send_fds(s[0], "hey", 3, fds, 3), 0);
	is_int(sock_recv_fds(s[1], text, sizeof(text), got, &n), 3);
	is_str(text, "hey");
	is_int(n, 3);
	is_int(fcntl(got[0], F_GETFD), FD_CLOEXEC);
	is_int(fstat(fds[2], &a), 0);
	is_int(fstat(got[2], &b), 0);
	is_int(a.st_rdev, b.st_rdev);
	close(s[0]);
	n = 4;
	is_int(sock_recv_fds(s[1], text, sizeof(text), got, &n), 0);
	is_int(n, 0);
	is_int(sock_send_fds(s[1], "x", 1, NULL, 0), -EPIPE); /* and no SIGPIPE */
	is_int(sock_send_fds(s[1], "", 0, fds, 1), -EINVAL);
}

TEST(unwanted_descriptors_are_closed_not_leaked)
{
	int s[2], fds[8];
	char text[8];

	is_int(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
	for (int i = 0; i < 8; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	size_t before = count_fds(), n = 2;
	int got[2];
	is_int(sock_send_fds(s[0], "x", 1, fds, 8), 0);
	is_int(sock_recv_fds(s[1], text, sizeof(text), got, &n), -EMSGSIZE);
	is_int(count_fds(), before);
	is_int(sock_send_fds(s[0], "x", 1, fds, 8), 0);
	is_int(sock_recv_fds(s[1], text, sizeof(text), NULL, NULL), -EMSGSIZE);
	is_int(count_fds(), before);
}

TEST(sockets_by_folder_know_no_limit_of_path_length)
{
	char text[4];
	struct stat st;

	make_dir();
	char *deep = str_fmt("%s/%0200d", dir, 1);
	is_int(mkdir_p(AT_FDCWD, deep, 0700), 0);
	int d = open(deep, O_PATH | O_DIRECTORY | O_CLOEXEC);
	umask(0);
	int l = sock_unix_listen(d, "sock", 0600);
	ok(l >= 0);
	is_int(fstatat(d, "sock", &st, 0), 0);
	is_int(st.st_mode & 0777, 0600);
	int c = sock_unix_connect(d, "sock");
	ok(c >= 0);
	int a = accept(l, NULL, NULL);
	is_int(write(a, "hi", 2), 2);
	is_int(read(c, text, 4), 2);
	is_int(sock_unix_listen(d, "sock", 0600), -EADDRINUSE);
	is_int(sock_unix_connect(d, "none"), -ENOENT);
	char lng[200];
	memset(lng, 'n', 199);
	lng[199] = '\0';
	is_int(sock_unix_listen(d, lng, 0600), -ENAMETOOLONG);
	close(l);
	is_int(sock_unix_connect(d, "sock"), -ECONNREFUSED);
	free(deep);
}

TEST(flags_go_on_and_off)
{
	int p[2];

	is_int(pipe(p), 0);
	is_int(fd_nonblock(p[0], true), 0);
	char c;
	ok(read(p[0], &c, 1) < 0 && errno == EAGAIN);
	is_int(fd_nonblock(p[0], false), 0);
	ok(!(fcntl(p[0], F_GETFL) & O_NONBLOCK));
	is_int(fd_cloexec(p[0], true), 0);
	is_int(fcntl(p[0], F_GETFD), FD_CLOEXEC);
	is_int(fd_nonblock(-1, true), -EBADF);
}

TEST(closed_standard_descriptors_are_filled_and_open_ones_left)
{
	struct stat null, st;
	int p[2], kept = dup(1), next;

	is_int(stat("/dev/null", &null), 0);
	is_int(pipe(p), 0);
	is_int(dup2(p[1], 2), 2);
	close(0);
	close(1);
	fd_fill_stdio();
	is_int(fstat(0, &st), 0);
	ok(st.st_rdev == null.st_rdev);
	is_int(fstat(1, &st), 0);
	ok(st.st_rdev == null.st_rdev);
	is_int(write(2, "x", 1), 1);
	next = dup(p[0]);
	fd_fill_stdio();
	close(next);
	is_int(dup(p[0]), next); /* none is kept but those */
	dup2(kept, 1);
}

TAP_MAIN()
