/* lost: output that can't be read or written is an error for whoever would take it for all there was. The linker gives this program
 * its own epoll_ctl, poll and fcntl (--wrap), which fail when a test says so. */
#include <stdarg.h>

#include "fixture.h"

static unsigned unwatchable; /* so many pipes can't be watched yet */
static unsigned poll_fails_at, n_polls;
static bool no_duplicates;

int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev);
int __real_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev);
int __wrap_poll(struct pollfd *p, nfds_t n, int ms);
int __real_poll(struct pollfd *p, nfds_t n, int ms);
int __wrap_fcntl64(int fd, int cmd, ...);
int __real_fcntl64(int fd, int cmd, ...);

int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	struct stat st;

	if (op == EPOLL_CTL_ADD && unwatchable > 0 && fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode)) {
		unwatchable--;
		errno = ENOMEM;
		return -1;
	}
	return __real_epoll_ctl(epfd, op, fd, ev);
}

int __wrap_poll(struct pollfd *p, nfds_t n, int ms)
{
	if (++n_polls == poll_fails_at) {
		errno = ENOMEM;
		return -1;
	}
	return __real_poll(p, n, ms);
}

int __wrap_fcntl64(int fd, int cmd, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (cmd == F_DUPFD_CLOEXEC && no_duplicates) {
		errno = EMFILE;
		return -1;
	}
	return __real_fcntl64(fd, cmd, arg);
}

/* ---- the monitor ---- */

TEST(output_that_can_not_be_read_is_an_error_for_who_follows_it_and_for_nobody_else)
{
	const struct want w = { .script = "read x; echo said >&2; exit 3", .keep_stdin = true, .unreadable = true };
	int fd = run(&w), waiting;
	struct exit_status st;
	struct err e = { 0 };

	wait_started(fd);
	waiting = connect_now();
	send_frame(fd, FRAME_STDIN, 0, "\n", 1);
	is_str(transcript(fd), "error 125: part of the output is lost: Is a directory; the process ended with status 3");
	is_int(monitor_wait_exit(waiting, &st, &e), 0);
	is_int(st.code, 3);
	close(waiting);
	is_int(monitor_end(), 0);
	is_str(recorded(), "3 0 part of the output is lost: Is a directory");
}

TEST(output_of_an_exec_that_can_not_be_read_is_its_error)
{
	int fd = run(&(struct want){ .script = "read x", .keep_stdin = true, .unreadable = true });
	struct err e = { 0 };

	wait_started(fd);
	int c = connect_now();
	is_int(exec_request(c, 1, "exit 4", "", &e), 0);
	is_str(transcript_on(c, 1), "error 125: part of the output is lost: Is a directory; the process ended with status 4");
	is_int(exec_request(c, 2, "exit 5", ",\"berth\":{\"detach\":true}", &e), 0);
	is_str(transcript_on(c, 2), "||5 0");
}

TEST(who_follows_a_process_whose_end_is_not_known_hears_why_and_who_waits_goes_on)
{
	int fd = run(&(struct want){ .script = "echo said; read x", .keep_stdin = true, .unwaitable = true }), waiting;
	struct exit_status st;
	struct err e = { 0 };

	wait_started(fd);
	waiting = connect_now();
	is_int(exec_request(waiting, 1, "exit 4", "", &e), 0);
	is_str(transcript_on(waiting, 1), "error 125: its end is lost");
	send_frame(fd, FRAME_STDIN, 0, "\n", 1);
	is_str(transcript(fd), "error 125: its end is lost");
	is_int(monitor_wait_exit(waiting, &st, &e), 0);
	is_int(st.code, 125);
	close(waiting);
	is_int(monitor_end(), 0);
	is_str(recorded(), "125 0 its end is lost");
}

TEST(output_that_can_not_be_watched_is_looked_at_until_it_can)
{
	unwatchable = 7;
	int fd = run(&(struct want){ .script = "echo one; read x; echo two >&2; sleep 0.2; echo three", .keep_stdin = true });

	wait_started(fd);
	send_frame(fd, FRAME_STDIN, 0, "\n", 1);
	is_str(transcript(fd), "one\nthree\n|two\n|0 0");
	is_int(monitor_end(), 0);
}

TEST(a_stray_process_is_cut_off_where_its_output_can_not_be_watched)
{
	unwatchable = UINT32_MAX;
	int fd = run(&(struct want){ .script = "sleep 1000 & echo $!; exit 6" });
	char *said = transcript(fd);
	pid_t stray = atoi(said);

	ok(stray > 0 && kill(stray, SIGKILL) == 0);
	has_str(said, "||6 0");
	is_int(monitor_end(), 0);
}

static size_t children_of(pid_t pid)
{
	_cleanup_free_ char *path = (str_fmt)("/proc/%d/task/%d/children", (int)pid, (int)pid), *text = NULL;
	size_t n = 0;

	is_int(file_read(AT_FDCWD, path, 1000, &text, NULL), 0);
	for (const char *p = text; (p = strchr(p, ' ')); p++)
		n++;
	return n;
}

TEST(an_exec_whose_terminal_can_not_be_taken_over_is_ended)
{
	no_duplicates = true;
	int fd = run(&(struct want){ .script = "read x", .keep_stdin = true });
	struct err e = { 0 };
	const char *json = "{\"cwd\":\"/\",\"user\":{\"uid\":0,\"gid\":0},\"terminal\":true,\"args\":[\"sleep\",\"1000\"]}";

	wait_started(fd);
	int c = connect_now();
	/* Its answer follows on what the process has said of itself at its start. */
	send_frame(c, FRAME_EXEC, 1, json, strlen(json));
	is_str(transcript_on(c, 1), "error 0: duplicate the terminal: Too many open files");
	for (int i = 0; i < 500 && children_of(monitor_pid) > 1; i++)
		usleep(10000);
	is_int(children_of(monitor_pid), 1);
	is_int(monitor_request(c, FRAME_STATS, 0, NULL, 0, NULL, &e), 0);
	send_frame(fd, FRAME_STDIN, 0, "\n", 1);
	is_str(transcript(fd), "||0 0");
	is_int(monitor_end(), 0);
}

/* ---- the client ---- */

/* attach_run with what a monitor has said already; its result, or its exit status. out, err: for 1 and 2, -1 = a pipe that nobody
 * reads before the end. */
static int attached(int out, int err)
{
	const struct attach_opts o = { .channel = 0 };
	struct buf said = { 0 };
	struct exit_status st;
	struct err e = { 0 };
	int pair[2], keep[2] = { dup(1), dup(2) }, r;
	bool detached = false;

	is_int(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	frame_put(&said, FRAME_STDOUT, 0, "out\n", 4);
	frame_put(&said, FRAME_STDERR, 0, "err\n", 4);
	frame_put_exit(&said, 0, 7, 0, false);
	is_int(fd_write_full(pair[1], said.data, said.len), 0);
	buf_done(&said);
	fflush(stdout);
	dup2(out, 1);
	dup2(err, 2);
	r = attach_run(pair[0], &o, &st, &detached, &e);
	dup2(keep[0], 1);
	dup2(keep[1], 2);
	close(pair[0]);
	close(pair[1]);
	if (r < 0)
		printf("# %s\n", e.msg);
	return r < 0 ? r : st.code;
}

TEST(a_client_that_can_not_wait_to_write_does_not_pass_for_the_process)
{
	int fds[2];
	char got[16];

	ok(pipe2(fds, O_CLOEXEC) == 0);
	is_int(attached(fds[1], fds[1]), 7);
	is_int(read(fds[0], got, sizeof(got)), 8);
	/* The first poll is for what the monitor says, the second to write it. */
	poll_fails_at = n_polls + 2;
	is_int(attached(fds[1], fds[1]), -ENOMEM);
	poll_fails_at = n_polls + 1;
	is_int(attached(fds[1], fds[1]), -ENOMEM);
}

TEST(a_client_that_can_not_write_does_not_pass_for_the_process)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC), null = open("/dev/null", O_WRONLY | O_CLOEXEC), fds[2];

	ok(full >= 0 && null >= 0);
	is_int(attached(null, null), 7);
	is_int(attached(full, null), -ENOSPC);
	is_int(attached(null, full), -ENOSPC);
	/* Whose reader has gone is not missed. */
	ok(pipe2(fds, O_CLOEXEC) == 0);
	close(fds[0]);
	is_int(attached(null, fds[1]), 7);
}

TAP_MAIN()
