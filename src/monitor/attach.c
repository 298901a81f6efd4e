/* attach_run: the user's three descriptors on one side, the monitor's connection on the other.
 *
 * Nothing here blocks but poll(). The user's own descriptors stay as they are: O_NONBLOCK belongs to the open file, which the
 * shell and others share, so a terminal or pipe is opened anew through /proc/self/fd where that can be done. Where it can't
 * (another user's terminal), writes are as small as poll's promise, PIPE_BUF.
 *
 * Flow: what comes from the monitor waits in `sink` until the user's side takes it; credit goes back when it has, so at most
 * FRAME_WINDOW bytes a stream are ever held. What is typed goes out within the monitor's credit.
 *
 * Signals are blocked and read from a signalfd while attached. Those of `forwarded` go to the process when sig_proxy is set;
 * otherwise one of them restores the terminal and then does to us what it would have done. */
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "monitor.h"
#include "terminal.h"

#define READ_MAX (16u << 10)

static const int forwarded[] = { SIGHUP,  SIGINT,  SIGQUIT, SIGABRT,   SIGUSR1, SIGUSR2,
				 SIGALRM, SIGTERM, SIGPROF, SIGVTALRM, SIGIO,   SIGPWR };

/* One of the user's output descriptors. */
struct sink {
	int fd, own_fd; /* own_fd: opened anew, ours to close; -1 = fd is the user's */
	bool is_socket;
	enum frame_type type;
	struct buf waiting;
	bool at_end, is_broken; /* broken: nobody reads; the rest is thrown away */
};

struct session {
	const struct attach_opts *opts;
	int sock, sigfd;
	int in_fd, in_own_fd; /* -1 = no more input */
	uint32_t in_credit;
	struct sink sinks[2];
	struct buf in, out; /* frames from and to the monitor */
	struct terminal term;
	struct detach_keys keys;
	sigset_t old_mask;
	bool is_started, is_over, is_detached, is_left_by_keys;
	int raise; /* a signal to die of, at the very end */
	struct exit_status exit;
	int result;
	struct err *e;
};

static int fail(struct session *s, int r)
{
	s->is_over = true;
	s->result = r;
	return r;
}

/* ---- descriptors ---- */

/* The same file, non-blocking, as an open file of our own; -1 where that is impossible or pointless. */
static int open_anew(int fd, int flags)
{
	char path[FD_PATH_LEN];
	struct stat st;

	if (fstat(fd, &st) < 0 || (!S_ISCHR(st.st_mode) && !S_ISFIFO(st.st_mode)))
		return -1; /* files share their offset with others who write there, and sockets can't be opened */
	return open(fd_path(fd, path), flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static void sink_open(struct sink *k, int fd, bool drops, enum frame_type type)
{
	struct stat st;

	*k = (struct sink){ .fd = fd,
			    .own_fd = drops ? open("/dev/null", O_WRONLY | O_CLOEXEC) : open_anew(fd, O_WRONLY),
			    .type = type,
			    .is_broken = drops };
	if (k->own_fd >= 0)
		k->fd = k->own_fd;
	k->is_socket = fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

static ssize_t sink_write(struct sink *k)
{
	size_t n = k->own_fd >= 0 ? k->waiting.len : MIN(k->waiting.len, (size_t)PIPE_BUF);

	return k->is_socket ? send(k->fd, k->waiting.data, k->waiting.len, MSG_DONTWAIT | MSG_NOSIGNAL)
			    : write(k->fd, k->waiting.data, n);
}

/* An output can't be written. Standard output's reader may have gone, as `head` does: then we end as every filter does, by
 * SIGPIPE, and where that is ignored by an error. Either way the container goes on, as after a detach. Standard error is not
 * worth leaving for, but what it lost is an error in the end, unless its reader has gone. */
static void output_refused(struct session *s, const struct sink *k, int no)
{
	bool is_stdout = k->type == FRAME_STDOUT;

	if (s->result < 0 || (!is_stdout && no == EPIPE))
		return;
	if (!is_stdout) {
		s->result = err_set(s->e, no, "write to standard error: %s; some of what the container said there is lost",
				    strerror(no));
		return;
	}
	if (no == EPIPE) {
		s->raise = SIGPIPE;
		s->result = err_set_exit(s->e, 128 + SIGPIPE, EPIPE, "nobody reads the output any more; the container goes on");
	} else {
		s->result = err_set(s->e, no, "write the output: %s; the container goes on", strerror(no));
	}
	s->is_over = s->is_detached = true;
}

/* After poll said so. */
static void sink_flush(struct session *s, struct sink *k)
{
	ssize_t n = k->is_broken ? (ssize_t)k->waiting.len : sink_write(k);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		output_refused(s, k, errno);
		k->is_broken = true;
		n = (ssize_t)k->waiting.len;
	}
	buf_consume(&k->waiting, (size_t)n);
	if (n > 0 && !k->at_end)
		frame_put_credit(&s->out, s->opts->channel, k->type, (uint32_t)n);
}

/* ---- to the monitor ---- */

static void send_size(struct session *s)
{
	uint16_t rows, cols;

	if (s->term.fd >= 0 && terminal_size(s->term.fd, &rows, &cols) == 0)
		frame_put_resize(&s->out, s->opts->channel, rows, cols);
}

static int flush_out(struct session *s)
{
	while (s->out.len > 0) {
		ssize_t n = send(s->sock, s->out.data, s->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			/* It is closing: what it said last is still to be read. */
			s->out.len = 0;
			break;
		}
		buf_consume(&s->out, (size_t)n);
	}
	return s->out.failed ? fail(s, err_set(s->e, ENOMEM, "out of memory")) : 0;
}

static void input_end(struct session *s)
{
	if (s->keys.seen) /* held back, and now sure not to become the sequence */
		frame_put(&s->out, FRAME_STDIN, s->opts->channel, s->keys.keys, (uint32_t)s->keys.seen);
	frame_put(&s->out, FRAME_STDIN, s->opts->channel, NULL, 0);
	s->in_fd = -1;
}

static void read_input(struct session *s)
{
	char data[READ_MAX];
	_cleanup_buf_ struct buf typed = { 0 };
	ssize_t n = read(s->in_fd, data, MIN(sizeof(data), (size_t)s->in_credit - s->keys.seen));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) { /* EIO: the terminal has hung up, or we are in the background of a dead session */
		input_end(s);
		return;
	}
	bool detach = s->opts->has_tty ? detach_keys_filter(&s->keys, data, (size_t)n, &typed)
				       : (buf_add(&typed, data, (size_t)n), false);
	if (typed.failed) {
		fail(s, err_set(s->e, ENOMEM, "out of memory"));
		return;
	}
	if (typed.len)
		frame_put(&s->out, FRAME_STDIN, s->opts->channel, typed.data, (uint32_t)typed.len);
	s->in_credit -= (uint32_t)typed.len;
	if (detach)
		s->is_over = s->is_detached = s->is_left_by_keys = true;
}

/* ---- from the monitor ---- */

static void on_output(struct session *s, const struct frame *f)
{
	struct sink *k = &s->sinks[f->type == FRAME_STDERR];

	if (f->len == 0)
		k->at_end = true;
	else if (f->len > FRAME_WINDOW - MIN(k->waiting.len, (size_t)FRAME_WINDOW))
		fail(s, err_set(s->e, EPROTO, "the container's monitor sent more than it may"));
	else
		buf_add(&k->waiting, f->payload, f->len);
	if (k->waiting.failed)
		fail(s, err_set(s->e, ENOMEM, "out of memory"));
}

static void on_frame(struct session *s, const struct frame *f)
{
	uint32_t code, sig, bytes;
	enum frame_type stream;
	struct err sent = { 0 };

	if (f->channel != s->opts->channel && !(f->channel == 0 && f->type == FRAME_ERROR))
		return;
	switch (f->type) {
	case FRAME_STDOUT:
	case FRAME_STDERR: on_output(s, f); break;
	case FRAME_STARTED:
		s->is_started = true;
		send_size(s); /* the first one may have come before there was a terminal to set */
		break;
	case FRAME_CREDIT:
		if (frame_get_credit(f, &stream, &bytes) == 0 && stream == FRAME_STDIN && bytes <= FRAME_WINDOW - s->in_credit)
			s->in_credit += bytes;
		else
			fail(s, err_set(s->e, EPROTO, "the container's monitor sent a malformed credit"));
		break;
	case FRAME_EXIT:
		if (frame_get_exit(f, &code, &sig, &s->exit.oom) < 0) {
			fail(s, err_set(s->e, EPROTO, "the container's monitor sent a malformed exit status"));
			break;
		}
		s->exit.code = (int)code;
		s->exit.signal = (int)sig;
		s->is_over = true;
		break;
	case FRAME_ERROR:
		if (frame_get_error(f, &sent) < 0)
			err_set(&sent, EPROTO, "the container's monitor sent a malformed error");
		if (s->e)
			*s->e = sent;
		fail(s, -sent.no);
		break;
	default: break; /* HELLO, OK: nothing to do */
	}
}

static void read_monitor(struct session *s)
{
	char data[64u << 10];
	struct frame f;
	ssize_t n = recv(s->sock, data, sizeof(data), MSG_DONTWAIT);
	int r;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		fail(s, err_set(s->e, EPIPE, "the container's monitor has died%s",
				s->is_started ? "" : " before the container ran"));
		return;
	}
	buf_add(&s->in, data, (size_t)n);
	while (!s->is_over && (r = frame_peek(&s->in, &f)) != 0) {
		if (r < 0) {
			fail(s, err_set(s->e, EPROTO, "the container's monitor does not speak Berth's protocol"));
			return;
		}
		size_t size = FRAME_HDR + f.len;
		on_frame(s, &f);
		buf_consume(&s->in, size);
	}
	if (s->in.failed)
		fail(s, err_set(s->e, ENOMEM, "out of memory"));
}

/* ---- signals ---- */

static bool is_forwarded(int sig)
{
	for (size_t i = 0; i < ARRAY_SIZE(forwarded); i++)
		if (forwarded[i] == sig)
			return true;
	return false;
}

/* The terminal is the shell's while we are stopped. */
static void stop_ourselves(struct session *s)
{
	bool was_raw = s->term.is_raw;

	terminal_restore(&s->term);
	kill(getpid(), SIGSTOP);
	if (was_raw)
		terminal_again(&s->term);
	send_size(s);
}

static void on_signal(struct session *s, int sig)
{
	if (sig == SIGWINCH)
		send_size(s);
	else if (sig == SIGTSTP)
		stop_ourselves(s);
	else if (is_forwarded(sig) && s->opts->sig_proxy)
		frame_put_u32(&s->out, FRAME_SIGNAL, s->opts->channel, (uint32_t)sig);
	else if (is_forwarded(sig)) {
		s->raise = sig;
		s->is_over = s->is_detached = true;
	}
}

static void read_signals(struct session *s)
{
	struct signalfd_siginfo info;

	while (!s->is_over && read(s->sigfd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		on_signal(s, (int)info.ssi_signo);
}

static int open_signals(struct session *s)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(forwarded); i++)
		sigaddset(&set, forwarded[i]);
	/* SIGPIPE stays blocked and unread: writes report EPIPE instead. */
	sigaddset(&set, SIGPIPE);
	sigprocmask(SIG_BLOCK, &set, &s->old_mask);
	sigdelset(&set, SIGPIPE);
	if (s->term.fd >= 0) {
		sigaddset(&set, SIGWINCH);
		sigaddset(&set, SIGTSTP);
		sigprocmask(SIG_BLOCK, &set, NULL);
	}
	s->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->sigfd < 0 ? err_set(s->e, errno, "set up signals: %s", strerror(errno)) : 0;
}

static void close_signals(struct session *s)
{
	/* A SIGPIPE of ours that is still pending must not kill the caller when it is unblocked. */
	struct timespec now = { 0 };
	sigset_t pipe_only;

	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	while (sigtimedwait(&pipe_only, NULL, &now) == SIGPIPE)
		;
	s->sigfd = fd_close(s->sigfd);
	sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
}

/* ---- the loop ---- */

enum { ON_SOCK, ON_SIGNALS, ON_IN, ON_OUT, ON_ERR, ON_COUNT };

static int turn(struct session *s)
{
	bool may_read = s->in_fd >= 0 && s->out.len < FRAME_WINDOW && s->in_credit > s->keys.seen;
	struct pollfd p[ON_COUNT] = {
		[ON_SOCK] = { .fd = s->sock, .events = (short)(POLLIN | (s->out.len ? POLLOUT : 0)) },
		[ON_SIGNALS] = { .fd = s->sigfd, .events = POLLIN },
		[ON_IN] = { .fd = may_read ? s->in_fd : -1, .events = POLLIN },
		[ON_OUT] = { .fd = s->sinks[0].waiting.len ? s->sinks[0].fd : -1, .events = POLLOUT },
		[ON_ERR] = { .fd = s->sinks[1].waiting.len ? s->sinks[1].fd : -1, .events = POLLOUT },
	};

	if (poll(p, ON_COUNT, -1) < 0)
		return errno == EINTR ? 0 : fail(s, err_set(s->e, errno, "wait for the container's output: %s", strerror(errno)));
	if (p[ON_SIGNALS].revents)
		read_signals(s);
	if (p[ON_OUT].revents)
		sink_flush(s, &s->sinks[0]);
	if (p[ON_ERR].revents)
		sink_flush(s, &s->sinks[1]);
	if (p[ON_IN].revents && !s->is_over)
		read_input(s);
	if (p[ON_SOCK].revents & (POLLIN | POLLHUP | POLLERR) && !s->is_over)
		read_monitor(s);
	return flush_out(s);
}

/* The end is known; what was written before it still has to be shown. Signals end the wait. */
static void drain(struct session *s)
{
	while ((s->sinks[0].waiting.len || s->sinks[1].waiting.len) && !s->raise) {
		struct pollfd p[] = {
			{ .fd = s->sigfd, .events = POLLIN },
			{ .fd = s->sinks[0].waiting.len ? s->sinks[0].fd : -1, .events = POLLOUT },
			{ .fd = s->sinks[1].waiting.len ? s->sinks[1].fd : -1, .events = POLLOUT },
		};
		struct signalfd_siginfo info;
		int n = poll(p, ARRAY_SIZE(p), -1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			if (s->result == 0)
				s->result = err_set(s->e, errno, "wait to write the rest of the output: %s; it is lost",
						    strerror(errno));
			return;
		}
		for (int i = 0; i < 2; i++)
			if (p[i + 1].revents)
				sink_flush(s, &s->sinks[i]);
		if (p[0].revents && read(s->sigfd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
			if (is_forwarded((int)info.ssi_signo))
				s->raise = (int)info.ssi_signo;
			else
				on_signal(s, (int)info.ssi_signo);
		}
	}
}

static int session_open(struct session *s)
{
	int r = 0;

	sink_open(&s->sinks[0], STDOUT_FILENO, s->opts->drops_stdout, FRAME_STDOUT);
	sink_open(&s->sinks[1], STDERR_FILENO, s->opts->drops_stderr, FRAME_STDERR);
	if (s->opts->has_tty)
		r = detach_keys_parse(s->opts->detach_keys, &s->keys, s->e);
	if (r < 0)
		return r;
	if (s->opts->want_stdin) {
		s->in_own_fd = open_anew(STDIN_FILENO, O_RDONLY);
		s->in_fd = s->in_own_fd >= 0 ? s->in_own_fd : STDIN_FILENO;
	}
	int tty = s->opts->want_stdin && isatty(STDIN_FILENO) ? STDIN_FILENO : STDOUT_FILENO;
	if (s->opts->has_tty && isatty(tty))
		s->term.fd = tty;
	r = open_signals(s);
	/* With the signals blocked, none can end us between here and the restoring. */
	if (r == 0 && s->term.fd >= 0 && s->opts->want_stdin && tty == STDIN_FILENO)
		r = terminal_raw(&s->term, tty);
	if (r < 0)
		return r;
	send_size(s);
	return flush_out(s);
}

static void session_close(struct session *s)
{
	terminal_restore(&s->term);
	if (s->sigfd >= 0)
		close_signals(s);
	for (int i = 0; i < 2; i++) {
		fd_close(s->sinks[i].own_fd);
		buf_done(&s->sinks[i].waiting);
	}
	fd_close(s->in_own_fd);
	buf_done(&s->in);
	buf_done(&s->out);
}

int attach_run(int fd, const struct attach_opts *o, struct exit_status *ret_exit, bool *ret_detached, struct err *e)
{
	struct session s = {
		.opts = o,
		.sock = fd,
		.sigfd = -1,
		.in_fd = -1,
		.in_own_fd = -1,
		.in_credit = FRAME_WINDOW,
		.e = e,
		.term = { .fd = -1 },
	};
	int r = session_open(&s);

	if (r < 0)
		fail(&s, r);
	while (!s.is_over)
		turn(&s);
	if (!s.is_detached)
		drain(&s);
	session_close(&s);
	if (s.is_left_by_keys) /* docker's words; what follows begins on a line of its own */
		fputs("read escape sequence\n", stderr);
	if (s.raise)
		raise(s.raise); /* the terminal is restored, the mask too: as if we had never caught it */
	if (s.result < 0)
		return s.result;
	*ret_detached = s.is_detached;
	if (!s.is_detached)
		*ret_exit = s.exit;
	return 0;
}
