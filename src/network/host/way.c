/* See way.h. */
#include "way.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spawn.h"

/* Its output, to which it writes nothing else, is a pipe of ours: nothing of it is left, whoever is killed. */
#define PID_FILE "/proc/self/fd/1"

enum { START_MS = 20000, AGAIN_MS = 200, WORDS_MAX = 4096 };

/* ---- the process beside it ---- */

struct guard {
	const struct way *w;
	int pasta, pidfd, words;
};

static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static void close_all_but(int *keep, size_t n)
{
	unsigned from = 0;

	qsort(keep, n, sizeof(*keep), compare);
	for (size_t i = 0; i < n; i++) {
		if (keep[i] < 0)
			continue;
		if ((unsigned)keep[i] > from)
			syscall(SYS_close_range, from, (unsigned)keep[i] - 1, 0);
		from = (unsigned)keep[i] + 1;
	}
	syscall(SYS_close_range, from, ~0U, 0);
	fd_fill_stdio();
}

static int push_address(char ***v, const char *option, const struct address *a)
{
	char text[ADDRESS_TEXT];
	int r = strv_push(v, option);

	return r < 0 ? r : strv_push(v, address_text(a, text));
}

static int arguments(const struct way *w, char ***ret)
{
	/* --no-map-gw: the host's loopback is not to be had by the gateway's address. Nothing of the namespace's is bound for the host. */
	const char *const always[] = { WAY_PROGRAM, "--quiet", "--foreground", "--netns",     w->netns,    "--ns-ifname",
				       w->device,   "--pid",   PID_FILE,       "--no-map-gw", "--no-dhcp", "--no-dhcpv6",
				       "--no-ra",   "-T",      "none",         "-U",          "none" };
	char **v = NULL;
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(always) && r >= 0; i++)
		r = strv_push(&v, always[i]);
	if (r >= 0)
		r = push_address(&v, "--address", &w->own4);
	if (r >= 0)
		r = push_address(&v, "--gateway", &w->gateway4);
	if (r >= 0)
		r = push_address(&v, "--address", &w->own6);
	if (r >= 0)
		r = push_address(&v, "--gateway", &w->gateway6);
	for (char **o = w->options; o && *o && r >= 0; o++)
		r = strv_push(&v, *o);
	if (r < 0)
		strv_free(v);
	else
		*ret = v;
	return r;
}

static int spawn_pasta(struct guard *g, int pid, int words, struct err *e)
{
	_cleanup_free_ char *program = spawn_find(WAY_PROGRAM);
	_cleanup_strv_ char **argv = NULL;
	char *env[] = { (char[]){ "PATH=/usr/sbin:/usr/bin:/sbin:/bin" }, (char[]){ "LANG=C" }, NULL };
	const int fds[][2] = { { pid, 1 }, { words, 2 } };

	if (!program)
		return err_set(e, ENOENT,
			       "networks of a user without root's rights need pasta: install it (Debian's package passt), or use "
			       "--network none or host");
	if (arguments(g->w, &argv) < 0)
		return err_set(e, ENOMEM, "pasta: %s", strerror(ENOMEM));
	const struct spawn s = { .path = program,
				 .argv = argv,
				 .env = env,
				 .fds = fds,
				 .n_fds = ARRAY_SIZE(fds),
				 .die_with_parent = true,
				 .new_session = true,
				 .cwd_fd = -1 };
	return spawn_start(&s, &g->pasta, &g->pidfd, e);
}

/* The last line that is not about its log, which nobody keeps. */
static const char *complaint(char *text)
{
	const char *last = "it said nothing";
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (!strstr(line, "syslog"))
			last = line;
	return last;
}

static int failed(struct guard *g, struct err *e)
{
	char text[WORDS_MAX + 1] = "";
	int status = 0;
	ssize_t n;

	spawn_wait(g->pasta, &status);
	n = read(g->words, text, WORDS_MAX);
	text[MAX(n, 0)] = '\0';
	return err_set(e, EIO, "pasta, which carries the network of this user, ended with status %d: %.300s",
		       status_to_exit(status), complaint(text));
}

/* It writes its pid when all that was asked of it is there. */
static int await_start(struct guard *g, int pid, struct err *e)
{
	struct pollfd p[] = { { .fd = pid, .events = POLLIN }, { .fd = g->pidfd, .events = POLLIN } };
	int r;

	do
		r = poll(p, ARRAY_SIZE(p), START_MS);
	while (r < 0 && errno == EINTR);
	if (r > 0 && p[0].revents)
		return 0;
	if (r == 0)
		pidfd_kill(g->pidfd, SIGKILL);
	return r == 0 ? err_set(e, ETIMEDOUT, "pasta, which carries the network of this user, has not begun within %d s",
				START_MS / 1000)
		      : failed(g, e);
}

static int pipe_ends(int *ret_read, int *ret_write, struct err *e)
{
	int pair[2];

	if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_set(e, errno, "pipe: %s", strerror(errno));
	*ret_read = pair[0];
	*ret_write = pair[1];
	return 0;
}

static int begin(struct guard *g, struct err *e)
{
	_cleanup_fd_ int theirs = -1, pid = -1, pid_theirs = -1;
	int r = pipe_ends(&g->words, &theirs, e);

	if (r >= 0)
		r = pipe_ends(&pid, &pid_theirs, e);
	if (r < 0)
		return r;
	r = spawn_pasta(g, pid_theirs, theirs, e);
	theirs = fd_close(theirs);
	if (r >= 0)
		r = await_start(g, pid, e);
	g->words = fd_close(g->words); /* what it says later goes nowhere */
	return r;
}

/* The pidfd of a process that does nothing but wait. */
static int waiter(const struct way *w)
{
	const pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		w->wait(w);
		_exit(0);
	}
	const int fd = pidfd_open_(pid);

	if (fd < 0) {
		kill(pid, SIGKILL);
		spawn_wait(pid, &(int){ 0 });
	}
	return fd;
}

/* Until the pasta has ended by itself, or, true, is to. */
static bool stay(struct guard *g)
{
	int until = g->w->until;

	for (;;) {
		if (g->w->until < 0)
			until = waiter(g->w);
		struct pollfd p[] = { { .fd = g->pidfd, .events = POLLIN }, { .fd = until, .events = POLLIN } };
		int r;

		do /* without one to wait with it is tried again in a while */
			r = poll(p, ARRAY_SIZE(p), until < 0 ? AGAIN_MS : -1);
		while (r < 0 && errno == EINTR);
		if (r < 0 || p[0].revents)
			return false;
		if (g->w->until >= 0)
			return true;
		if (until < 0)
			continue;
		(void)waitid(P_PIDFD, (id_t)until, &(siginfo_t){ 0 }, WEXITED);
		fd_close(until);
		if (g->w->is_over(g->w))
			return true;
	}
}

/* Whoever finds the lock taken sees whether it is of a pasta that lives. */
static void write_pid(const struct guard *g)
{
	char text[16];
	const int n = snprintf(text, sizeof(text), "%d\n", (int)g->pasta);

	if (g->w->keep >= 0 && (ftruncate(g->w->keep, 0) < 0 || pwrite(g->w->keep, text, (size_t)n, 0) < 0))
		log_error("network", "%s: %s", g->w->device, strerror(errno));
}

/* tell: of its beginning: "+", or what went wrong. */
static _noreturn_ void guard(const struct way *w, int tell)
{
	struct guard g = { .w = w, .pidfd = -1, .words = -1 };
	int keep[] = { w->until, w->keep, tell }, status;
	struct err e = { 0 };

	setsid();
	if (chdir("/") < 0)
		_exit(1);
	close_all_but(keep, ARRAY_SIZE(keep));
	if (begin(&g, &e) < 0) {
		(void)fd_write_full(tell, e.msg, strlen(e.msg)); /* with nobody to hear it there is nobody to tell */
		_exit(1);
	}
	write_pid(&g);
	(void)fd_write_full(tell, "+", 1);
	fd_close(tell);
	const bool is_to_end = stay(&g);
	pidfd_kill(g.pidfd, SIGKILL);
	spawn_wait(g.pasta, &status);
	if (is_to_end && w->at_end)
		w->at_end(w);
	_exit(0);
}

/* ---- those who want it ---- */

int way_start(const struct way *w, struct err *e)
{
	_cleanup_free_ char *said = NULL;
	_cleanup_fd_ int hear = -1, tell = -1;
	int pair[2], r;
	pid_t pid;

	if (pipe2(pair, O_CLOEXEC) < 0)
		return err_set(e, errno, "pipe: %s", strerror(errno));
	hear = pair[0];
	tell = pair[1];
	pid = fork();
	if (pid == 0)
		guard(w, tell);
	if (pid < 0)
		return err_set(e, errno, "fork: %s", strerror(errno));
	tell = fd_close(tell);
	r = fd_read_all(hear, WORDS_MAX, &said, NULL);
	if (r < 0)
		return err_set(e, -r, "pasta: %s", strerror(-r));
	return streq(said, "+") ? 0 : err_set(e, EIO, "%s", *said ? said : "the process beside pasta was killed");
}
