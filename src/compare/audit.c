/* audit: see audit.h. */
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit.h"

int audit_start(char *const *argv, struct audit_probe *ret, struct err *e)
{
	int in[2], out[2], r;

	if (pipe2(in, O_CLOEXEC) < 0)
		return err_set(e, errno, "start %s: pipe: %s", argv[0], strerror(errno));
	_cleanup_fd_ int in_r = in[0], in_w = in[1];
	if (pipe2(out, O_CLOEXEC) < 0)
		return err_set(e, errno, "start %s: pipe: %s", argv[0], strerror(errno));
	_cleanup_fd_ int out_r = out[0], out_w = out[1];
	const int fds[][2] = { { in_r, 0 }, { out_w, 1 }, { STDERR_FILENO, 2 } };
	const struct spawn s = { .path = argv[0], .argv = argv, .fds = fds, .n_fds = 3, .die_with_parent = true };
	r = spawn_start(&s, &ret->pid, NULL, e);
	if (r < 0)
		return r;
	ret->in = TAKE_FD(in_w);
	ret->out = TAKE_FD(out_r);
	return 0;
}

/* What there is to read within the time that is left: bytes, 0 at the end, -errno. */
static ssize_t read_some(int fd, void *to, size_t n, uint64_t deadline_us)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t now = clock_mono_us();
	int ready = now < deadline_us ? poll(&p, 1, (int)MIN((deadline_us - now) / 1000 + 1, 60000u)) : 0;
	ssize_t got;

	if (ready <= 0)
		return ready < 0 && errno != EINTR ? -errno : clock_mono_us() < deadline_us ? -EAGAIN : -ETIMEDOUT;
	got = read(fd, to, n);
	return got < 0 ? errno == EINTR ? -EAGAIN : -errno : got;
}

int audit_read(struct audit_probe *p, size_t max, uint64_t timeout_ms, char **ret_line, struct err *e)
{
	uint64_t deadline = clock_mono_us() + timeout_ms * 1000;
	_cleanup_buf_ struct buf line = { 0 };
	char chunk[16384], *newline = NULL;

	while (!newline) {
		ssize_t n = read_some(p->out, chunk, sizeof(chunk), deadline);

		if (n == -EAGAIN)
			continue;
		if (n == -ETIMEDOUT)
			return err_set(e, ETIMEDOUT, "the probe has not answered within %llu s",
				       (unsigned long long)timeout_ms / 1000);
		if (n <= 0)
			return n < 0 ? err_set(e, (int)-n, "the probe's answer: %s", strerror((int)-n))
				     : err_set(e, ENODATA, "the probe has ended without an answer");
		newline = memchr(chunk, '\n', (size_t)n);
		buf_add(&line, chunk, newline ? (size_t)(newline - chunk) : (size_t)n);
		if (line.len > max)
			return err_set(e, EFBIG, "the probe's answer is longer than %zu bytes", max);
	}
	*ret_line = line.data ? buf_take(&line) : strdup("");
	return *ret_line ? 0 : err_set(e, ENOMEM, "out of memory");
}

int audit_end(struct audit_probe *p, uint64_t timeout_ms)
{
	uint64_t deadline = clock_mono_us() + timeout_ms * 1000;
	pid_t ended = 0;
	int status = 0;

	if (!p->pid)
		return 0;
	p->in = fd_close(p->in);
	p->out = fd_close(p->out); /* what it still has to say nobody reads */
	while ((ended = waitpid(p->pid, &status, WNOHANG)) == 0 && clock_mono_us() < deadline)
		usleep(2000);
	if (ended == 0) {
		kill(p->pid, SIGTERM);
		ended = waitpid(p->pid, &status, 0);
	}
	p->pid = 0;
	return ended > 0 ? status_to_exit(status) : 125;
}
