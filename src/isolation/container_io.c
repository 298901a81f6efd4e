/* Pipes and terminals of processes behind namespaces. */
#include <string.h>
#include <unistd.h>

#include "container_io.h"

/* One pipe; the monitor's end (`ours`: 0 = it reads, 1 = it writes) is non-blocking. Each end is an open file of its own, so
 * the process sees a blocking one. */
static int open_pipe(int ours, int *ret_ours, int *ret_theirs)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	int r = fd_nonblock(p[ours], true);
	if (r < 0) {
		fd_close(p[0]);
		fd_close(p[1]);
		return r;
	}
	*ret_ours = p[ours];
	*ret_theirs = p[!ours];
	return 0;
}

int task_io_open(struct task *t, bool want_stdin, struct task_io *ret, struct err *e)
{
	int r = 0;

	*ret = (struct task_io){ .theirs = { -1, -1, -1 } };
	if (t->has_tty)
		return 0;
	if (want_stdin) {
		r = open_pipe(1, &t->in, &ret->theirs[0]);
	} else {
		ret->theirs[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		r = ret->theirs[0] < 0 ? -errno : 0;
	}
	if (r == 0)
		r = open_pipe(0, &t->out, &ret->theirs[1]);
	if (r == 0)
		r = open_pipe(0, &t->err, &ret->theirs[2]);
	if (r == 0)
		return 0;
	task_io_close_theirs(ret);
	task_io_abandon(t);
	return err_set(e, -r, "make pipes for the process: %s", strerror(-r));
}

int task_io_set_console(struct task *t, int master, struct err *e)
{
	int r = master < 0 ? -ENOTTY : fd_nonblock(master, true);

	if (r < 0) {
		fd_close(master);
		return err_set(e, -r, "the process's terminal: %s", strerror(-r));
	}
	t->in = t->out = master;
	t->err = -1;
	return 0;
}

void task_io_close_theirs(struct task_io *io)
{
	for (int i = 0; i < 3; i++)
		io->theirs[i] = fd_close(io->theirs[i]);
}

void task_io_abandon(struct task *t)
{
	if (t->out != t->in)
		fd_close(t->out);
	fd_close(t->in);
	fd_close(t->err);
	t->in = t->out = t->err = -1;
}
