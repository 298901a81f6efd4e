/* Running a helper for its output: both pipes are read together, so that a program that fills one never blocks us. */
#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "spawn.h"
#include "str.h"

#define STDERR_KEPT 400 /* of what the program said: fits into a struct err beside its name */

static int pipe_read(int *fd, struct buf *b, size_t max, bool *ret_over)
{
	char chunk[8192];
	ssize_t n = read(*fd, chunk, sizeof(chunk));

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (n == 0) {
		*fd = fd_close(*fd);
		return 0;
	}
	size_t room = max - b->len;
	if ((size_t)n > room)
		*ret_over = true;
	buf_add(b, chunk, MIN((size_t)n, room));
	return b->failed ? -ENOMEM : 0;
}

static int collect(int *outfd, int *errfd, size_t max, struct buf *out, struct buf *said, bool *ret_over)
{
	bool ignored;

	while ((*outfd >= 0 || *errfd >= 0) && !*ret_over) {
		struct pollfd p[2] = { { .fd = *outfd, .events = POLLIN }, { .fd = *errfd, .events = POLLIN } };
		if (poll(p, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		int r = p[0].revents ? pipe_read(outfd, out, max, ret_over) : 0;
		if (r == 0 && p[1].revents)
			r = pipe_read(errfd, said, STDERR_KEPT, &ignored);
		if (r < 0)
			return r;
	}
	return 0;
}

int spawn_output(char *const *argv, size_t max, char **ret_out, struct err *e)
{
	_cleanup_buf_ struct buf out = { 0 }, said = { 0 };
	int outp[2], errp[2], status, r;
	bool over = false;
	pid_t pid;

	if (pipe2(outp, O_CLOEXEC) < 0)
		return err_set(e, errno, "start %s: pipe: %s", argv[0], strerror(errno));
	_cleanup_fd_ int out_r = outp[0], out_w = outp[1];
	if (pipe2(errp, O_CLOEXEC) < 0)
		return err_set(e, errno, "start %s: pipe: %s", argv[0], strerror(errno));
	_cleanup_fd_ int err_r = errp[0], err_w = errp[1];
	const int fds[][2] = { { out_w, 1 }, { err_w, 2 } };
	const struct spawn s = { .path = argv[0], .argv = argv, .fds = fds, .n_fds = 2, .die_with_parent = true };
	r = spawn_start(&s, &pid, NULL, e);
	if (r < 0)
		return r;
	out_w = fd_close(out_w);
	err_w = fd_close(err_w);
	r = collect(&out_r, &err_r, max, &out, &said, &over);
	/* Closing what is left unread ends a program that goes on writing (SIGPIPE). */
	out_r = fd_close(out_r);
	err_r = fd_close(err_r);
	int w = spawn_wait(pid, &status);
	if (r < 0 || w < 0)
		return err_set(e, r < 0 ? -r : -w, "%s: read its output: %s", argv[0], strerror(r < 0 ? -r : -w));
	if (over)
		return err_set(e, EFBIG, "%s: printed more than %zu bytes", argv[0], max);
	if (status != 0) {
		while (said.len && (said.data[said.len - 1] == '\n' || said.data[said.len - 1] == ' '))
			said.data[--said.len] = '\0';
		return err_set(e, EIO, "%s ended with status %d%s%s", argv[0], status_to_exit(status), said.len ? ": " : "",
			       said.len ? said.data : "");
	}
	char *text = buf_take(&out);
	if (!text)
		return err_set(e, ENOMEM, "%s: out of memory", argv[0]);
	*ret_out = text;
	return 0;
}
