/* foreground: see foreground.h. One loop: signals to the process, bytes both ways, and its end. The terminal is a raw one while
 * this lasts and set right on every way out. */
#include "foreground.h"
#include "notify.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* Not passed on: what can't be caught, and what tells of this very process. */
static const int kept[] = { SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGPIPE, SIGTTIN, SIGTTOU };

struct foreground {
	pid_t pid;
	int pidfd, notify, console, signals;
	bool is_raw, is_ready, has_ended, reads_input;
	struct termios before;
	int status;
};

int foreground_begin(bool adopts, sigset_t *ret_before, struct err *e)
{
	sigset_t set;

	sigfillset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		sigdelset(&set, kept[i]);
	if (sigprocmask(SIG_BLOCK, &set, ret_before) < 0)
		return err_set(e, errno, "block signals: %s", strerror(errno));
	return adopts && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0
		       ? err_set(e, errno, "PR_SET_CHILD_SUBREAPER: %s", strerror(errno))
		       : 0;
}

static void copy_size(const struct foreground *f)
{
	struct winsize size;

	/* Where ours is no terminal there is no size to pass on. */
	if (f->console >= 0 && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0)
		ioctl(f->console, TIOCSWINSZ, &size);
}

static int make_raw(struct foreground *f, struct err *e)
{
	struct termios raw;

	if (f->console < 0 || !isatty(STDIN_FILENO))
		return 0;
	if (tcgetattr(STDIN_FILENO, &f->before) < 0)
		return err_set(e, errno, "this terminal: %s", strerror(errno));
	raw = f->before;
	cfmakeraw(&raw);
	if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) < 0)
		return err_set(e, errno, "this terminal: %s", strerror(errno));
	f->is_raw = true;
	copy_size(f);
	return 0;
}

/* Children that are not the process are orphans of the container, ours as their subreaper. */
static void reap(struct foreground *f)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != f->pid)
			continue;
		f->status = status;
		f->has_ended = true;
	}
}

static void on_signal(struct foreground *f)
{
	struct signalfd_siginfo info;

	if (read(f->signals, &info, sizeof(info)) != sizeof(info) || info.ssi_signo == SIGCHLD)
		return; /* the end is seen on the pidfd */
	if (info.ssi_signo == SIGWINCH && f->console >= 0)
		copy_size(f);
	else
		pidfd_kill(f->pidfd, (int)info.ssi_signo); /* ESRCH: it has just ended */
}

/* -> false at the end of the input. EIO: the last user of the pty's other side is gone. */
static bool pump(int from, int to)
{
	char bytes[4096];
	ssize_t n = read(from, bytes, sizeof(bytes));

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	return n > 0 && fd_write_full(to, bytes, (size_t)n) == 0;
}

/* It goes on being read, lest who writes there be kept waiting. The main process of the service is this one. */
static void on_notify(struct foreground *f)
{
	if (!notify_heard_ready(f->notify) || f->is_ready)
		return;
	f->is_ready = true;
	notify_host(getpid(), false);
}

static int wait_all(struct foreground *f, struct err *e)
{
	while (!f->has_ended || f->console >= 0) {
		struct pollfd p[] = {
			{ .fd = f->signals, .events = POLLIN }, { .fd = f->has_ended ? -1 : f->pidfd, .events = POLLIN },
			{ .fd = f->console, .events = POLLIN }, { .fd = f->reads_input ? STDIN_FILENO : -1, .events = POLLIN },
			{ .fd = f->notify, .events = POLLIN },
		};

		/* After its end only what is still in the pty counts, not what others in the container may yet write. */
		int n = poll(p, ARRAY_SIZE(p), f->has_ended ? 0 : -1);
		if (n < 0 && errno != EINTR)
			return err_set(e, errno, "poll: %s", strerror(errno));
		if (n == 0)
			return 0;
		if (n < 0)
			continue;
		if (p[0].revents)
			on_signal(f);
		if (p[2].revents && !pump(f->console, STDOUT_FILENO))
			f->console = fd_close(f->console);
		if (p[3].revents && f->console >= 0)
			f->reads_input = pump(STDIN_FILENO, f->console);
		if (p[4].revents)
			on_notify(f);
		reap(f);
	}
	return 0;
}

int foreground_wait(const struct attended *a, const sigset_t *before, int *ret_status, struct err *e)
{
	struct foreground f = {
		.pid = a->pid, .pidfd = a->pidfd, .notify = a->notify, .console = a->console, .reads_input = a->console >= 0
	};
	sigset_t set;
	int r;

	sigprocmask(SIG_BLOCK, NULL, &set);
	f.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	r = f.signals < 0 ? err_set(e, errno, "signalfd: %s", strerror(errno)) : make_raw(&f, e);
	if (r == 0)
		r = wait_all(&f, e);
	if (f.is_raw && tcsetattr(STDIN_FILENO, TCSANOW, &f.before) < 0)
		log_warn("run", "the terminal's settings could not be restored: %s", strerror(errno));
	fd_close(f.signals);
	fd_close(f.console);
	sigprocmask(SIG_SETMASK, before, NULL);
	if (r == 0)
		*ret_status = f.status;
	return r;
}
