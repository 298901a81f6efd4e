/* run.c: one child: `berth` as a user starts it, in a session of its own so that a Ctrl-C is ours alone. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure_impl.h"
#include "spawn.h"

static int environment(const struct way *way, char ***ret)
{
	_cleanup_strv_ char **env = strv_copy(environ);
	_cleanup_free_ char *accel = way && way->accel ? str_fmt("BERTH_VM_ACCEL=%s", way->accel) : NULL;

	if (!env || (way && way->accel && (!accel || env_set(&env, accel) < 0)))
		return -ENOMEM;
	*ret = TAKE_PTR(env);
	return 0;
}

/* "berth", "--root" ...: what stands before the verb. */
static int arguments(const struct measure *m, const char *program, const char *const *words, char ***ret)
{
	_cleanup_strv_ char **v = NULL;
	int r = strv_push(&v, program ? program : "berth");

	if (r >= 0 && !program && m->o->root)
		r = strv_push_option(&v, "--root", strdup(m->o->root));
	if (r >= 0 && !program && m->o->run)
		r = strv_push_option(&v, "--run", strdup(m->o->run));
	for (; *words && r >= 0; words++)
		r = strv_push(&v, *words);
	if (r >= 0)
		*ret = TAKE_PTR(v);
	return r;
}

int run_begin(struct measure *m, const struct way *way, const char *program, const char *const *words, struct run *ret,
	      struct err *e)
{
	struct run r = { .pidfd = -1, .out = -1, .err = -1 };
	_cleanup_strv_ char **env = NULL, **argv = NULL;
	_cleanup_fd_ int out = -1, err = -1;
	int p[2], q[2];

	*ret = r;
	if (environment(way, &env) < 0 || arguments(m, program, words, &argv) < 0)
		return err_set(e, ENOMEM, "out of memory");
	if (pipe2(p, O_CLOEXEC) < 0)
		return err_set(e, errno, "pipe: %s", strerror(errno));
	ret->out = p[0];
	out = p[1];
	if (pipe2(q, O_CLOEXEC) < 0)
		return err_set(e, errno, "pipe: %s", strerror(errno));
	ret->err = q[0];
	err = q[1];
	if (fd_nonblock(ret->out, true) < 0 || fd_nonblock(ret->err, true) < 0)
		return err_set(e, errno, "pipe: %s", strerror(errno));
	const int fds[][2] = { { out, STDOUT_FILENO }, { err, STDERR_FILENO } };
	const struct spawn s = {
		.path = program ? program : m->program, .argv = argv, .env = env, .fds = fds, .n_fds = 2, .new_session = true
	};
	ret->began_us = clock_mono_us();
	return spawn_start(&s, &ret->pid, &ret->pidfd, e);
}

/* Berth's own notes, such as that a machine is emulated, are not the workload's. What may yet become one is kept until its line is whole. */
static size_t leave_out_notes(struct buf *b)
{
	static const char own[] = "berth: ";

	while (b->len && strncmp(b->data, own, MIN(b->len, sizeof(own) - 1)) == 0) {
		const char *end = memchr(b->data, '\n', b->len);

		if (!end)
			return 0;
		buf_consume(b, (size_t)(end - b->data) + 1);
	}
	return b->len;
}

/* What there is to read now; the descriptor is closed at its end. */
static void take(int *fd, struct buf *to)
{
	char part[4096];
	ssize_t n;

	while (*fd >= 0 && (n = read(*fd, part, sizeof(part))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			break;
		if (to->len < RUN_TEXT_MAX)
			buf_add(to, part, MIN((size_t)n, RUN_TEXT_MAX - to->len));
	}
	*fd = fd_close(*fd);
}

static void note_end(struct run *r, short revents)
{
	if (!(revents & POLLIN) || r->ended_us)
		return;
	if (waitpid(r->pid, &r->status, 0) == r->pid)
		r->ended_us = clock_mono_us();
}

int run_step(struct measure *m, struct run *r, int ms, struct err *e)
{
	struct pollfd p[] = { { .fd = r->out, .events = POLLIN },
			      { .fd = r->err, .events = POLLIN },
			      { .fd = r->ended_us ? -1 : r->pidfd, .events = POLLIN },
			      { .fd = m->signals, .events = POLLIN } };
	int n = poll(p, ARRAY_SIZE(p), ms);
	uint64_t now = clock_mono_us();

	if (n < 0 && errno != EINTR)
		return err_set(e, errno, "poll: %s", strerror(errno));
	if (n <= 0)
		return 0;
	if (p[3].revents)
		return err_set(e, EINTR, "stopped");
	take(&r->out, &r->said);
	take(&r->err, &r->complained);
	if (!r->first_us && (r->said.len || leave_out_notes(&r->complained)))
		r->first_us = now;
	note_end(r, p[2].revents);
	return r->said.failed || r->complained.failed ? err_set(e, ENOMEM, "out of memory") : 0;
}

int run_end(struct measure *m, struct run *r, uint64_t within_ms, struct err *e)
{
	uint64_t until = clock_mono_us() + within_ms * 1000;
	int x = 0;

	while (x >= 0 && (!r->ended_us || r->out >= 0 || r->err >= 0)) {
		uint64_t now = clock_mono_us();

		if (now >= until)
			return err_set(e, ETIMEDOUT, "it has not ended within %llu seconds",
				       (unsigned long long)within_ms / 1000);
		x = run_step(m, r, (int)MIN((until - now) / 1000 + 1, 1000u), e);
	}
	return x;
}

int run_failed(const struct run *r, const char *what, struct err *e)
{
	const char *said = r->complained.len ? r->complained.data : r->said.len ? r->said.data : "";
	size_t n = strlen(said);

	/* Its last line is its error; before it may stand progress. */
	while (n && said[n - 1] == '\n')
		n--;
	const char *line = n ? memrchr(said, '\n', n) : NULL;
	line = line ? line + 1 : said;
	return err_set(e, EIO, "%s ended with %d: %.*s", what, status_to_exit(r->status),
		       (int)MIN((size_t)(said + n - line), (size_t)300), line);
}

void run_done(struct run *r)
{
	if (r->pid > 0 && !r->ended_us) {
		(void)pidfd_kill(r->pidfd, SIGKILL);
		(void)spawn_wait(r->pid, &r->status);
	}
	fd_close(r->pidfd);
	fd_close(r->out);
	fd_close(r->err);
	buf_done(&r->said);
	buf_done(&r->complained);
	*r = (struct run){ .pidfd = -1, .out = -1, .err = -1 };
}

int run_whole(struct measure *m, const struct way *way, const char *const *words, char **ret_out, struct err *e)
{
	_cleanup_run_ struct run run = { .pidfd = -1, .out = -1, .err = -1 };
	const int signals = m->signals;
	int r;

	m->signals = -1;
	r = run_begin(m, way, NULL, words, &run, e);
	while (r >= 0 && (!run.ended_us || run.out >= 0 || run.err >= 0))
		r = run_step(m, &run, 1000, e);
	m->signals = signals;
	if (r < 0)
		return r;
	if (run.status != 0)
		return run_failed(&run, words[0], e);
	if (!ret_out)
		return 0;
	while (run.said.len && run.said.data[run.said.len - 1] == '\n')
		run.said.data[--run.said.len] = '\0';
	buf_str(&run.said, "");
	*ret_out = buf_take(&run.said);
	return *ret_out ? 0 : err_set(e, ENOMEM, "out of memory");
}
