/* The writer process: forks the inflater, confines itself, unpacks, compares the diff id, reports. Never returns. */
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unpack_private.h"

#define PIPE_SIZE (1 << 20)

_noreturn_ static void say(int reportfd, const struct unpack_report *r)
{
	/* A report that can't be written is told by its absence. */
	_exit(fd_write_full(reportfd, r, sizeof(*r)) < 0 || r->e.no);
}

/* Keeps the job's fds, at numbers from 3 on; 0-2 become an unwritable /dev/null, so that nothing hostile reaches our caller's output. */
static int settle_fds(int **fds, size_t n, struct err *e)
{
	/* Our caller's Landlock lets us read there, not write; nothing is meant to be written. */
	_cleanup_fd_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	for (size_t i = 0; i < n; i++)
		if ((*fds[i] = fcntl(*fds[i], F_DUPFD_CLOEXEC, 32)) < 0)
			return err_set(e, errno, "unpack: %s", strerror(errno));
	for (size_t i = 0; i < n; i++)
		if ((*fds[i] = dup3(*fds[i], 3 + (int)i, O_CLOEXEC)) < 0)
			return err_set(e, errno, "unpack: %s", strerror(errno));
	for (int i = 0; i < 3; i++)
		if (null < 0 || dup2(null, i) < 0)
			return err_set(e, errno, "unpack: /dev/null: %s", strerror(errno));
	null = -1; /* closed with all the others */
	return close_range(3 + (unsigned)n, ~0u, 0) < 0 ? err_set(e, errno, "unpack: close_range: %s", strerror(errno)) : 0;
}

static void reset_signals(void)
{
	sigset_t none;

	for (int s = 1; s < _NSIG; s++)
		signal(s, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a write beyond RLIMIT_FSIZE shall answer EFBIG */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

_noreturn_ static void inflater_main(const struct unpack_job *j, int tarfd, int verdictfd, pid_t writer)
{
	struct unpack_report rep = { 0 };
	int fd = j->blobfd, *keep[] = { &fd, &tarfd, &verdictfd };
	int r = settle_fds(keep, ARRAY_SIZE(keep), &rep.e);

	if (r == 0)
		r = unpack_confine_common(writer, &rep.e);
	if (r == 0)
		r = unpack_confine_inflater(&rep.e);
	if (r == 0) {
		r = unpack_inflate(fd, tarfd, j->comp, j->gzip, j->lim, rep.diff_id, &rep.e);
		rep.may_be_inflate = r == -EBADMSG;
	}
	say(verdictfd, &rep);
}

static pid_t start_inflater(const struct unpack_job *j, int *ret_tarfd, int *ret_verdictfd, struct err *e)
{
	int tar[2], verdict[2];
	pid_t me = getpid();

	if (pipe2(tar, O_CLOEXEC) < 0)
		return err_set(e, errno, "unpack: pipe: %s", strerror(errno));
	if (pipe2(verdict, O_CLOEXEC) < 0) {
		int no = errno;
		fd_close(tar[0]);
		fd_close(tar[1]);
		return err_set(e, no, "unpack: pipe: %s", strerror(no));
	}
	fcntl(tar[0], F_SETPIPE_SZ, PIPE_SIZE); /* fewer switches; the default size works, too */
	pid_t pid = fork();
	if (pid == 0)
		inflater_main(j, tar[1], verdict[1], me);
	int no = errno;
	fd_close(tar[1]);
	fd_close(verdict[1]);
	if (pid < 0) {
		fd_close(tar[0]);
		fd_close(verdict[0]);
		return err_set(e, no, "unpack: fork: %s", strerror(no));
	}
	*ret_tarfd = tar[0];
	*ret_verdictfd = verdict[0];
	return pid;
}

/* What the inflater found goes before what its silence made of the tar. */
static int judge(const struct unpack_job *j, pid_t inflater, int verdictfd, struct unpack_report *rep)
{
	struct unpack_report in;
	ssize_t n = fd_read_full(verdictfd, &in, sizeof(in));
	int status;

	spawn_wait(inflater, &status); /* the report says it all; this only leaves no zombie */

	if (n != (ssize_t)sizeof(in))
		return err_set(&rep->e, EIO, "the inflating process was killed (out of memory or time)");
	/* EPIPE: we ourselves gave up first. */
	if (in.e.no && !(in.e.no == EPIPE && rep->e.no)) {
		rep->e = in.e;
		rep->may_be_inflate = in.may_be_inflate;
		return -in.e.no;
	}
	if (rep->e.no) {
		rep->may_be_inflate = rep->e.no == EBADMSG;
		return -rep->e.no;
	}
	if (streq(in.diff_id, j->diff_id))
		return 0;
	rep->may_be_inflate = true;
	return err_set(&rep->e, EBADMSG, "the layer unpacks to %s, but its image says %s", in.diff_id, j->diff_id);
}

void unpack_writer_main(const struct unpack_job *given)
{
	struct unpack_report rep = { 0 };
	struct unpack_job j = *given;
	int *keep[] = { &j.reportfd, &j.blobfd, &j.dirfd, &j.listfd }, tarfd = -1, verdictfd = -1;
	int r = settle_fds(keep, ARRAY_SIZE(keep), &rep.e);

	reset_signals();
	umask(0);
	/* PAX headers are UTF-8; without a UTF-8 locale libarchive can't give their names back. Never fatal: raw names still work. */
	setlocale(LC_CTYPE, "C.UTF-8");
	if (r == 0)
		r = unpack_confine_common(j.parent, &rep.e);
	pid_t inflater = r < 0 ? r : start_inflater(&j, &tarfd, &verdictfd, &rep.e);
	if (inflater < 0)
		say(j.reportfd, &rep);
	fd_close(j.blobfd);
	if ((r = unpack_confine_writer(j.dirfd, j.lim, &rep.e)) == 0) {
		r = unpack_tar(tarfd, j.dirfd, j.listfd, j.lim, &rep.result, &rep.e);
		fd_close(tarfd); /* an inflater that still writes ends with EPIPE */
		judge(&j, inflater, verdictfd, &rep);
	}
	say(j.reportfd, &rep);
}
