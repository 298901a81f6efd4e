/* Unpacking a layer, the parent's side: starts the confined writer (unpack_writer.c), waits for its report.
 *
 * A gzip layer whose fast decoding fails is unpacked once more by zlib, where the blob can be read again from where it stood; so a
 * bug of the fast decoder costs time, not an image. A pipe can't be read again: there the caller retries from the file.
 * Called by pull (many at once, by poll) and by load (one after the other). */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unpack_private.h"

const struct unpack_limits unpack_limits_default = {
	.max_ratio = 100,
	.ratio_floor_bytes = 1ull << 30,
	.max_entries = 2000000,
	.max_bytes = 256ull << 30,
	.max_depth = 512,
};

struct unpack {
	int blobfd, dirfd, listfd, reportfd;
	pid_t pid;   /* 0: reaped */
	off_t start; /* where the blob begins; -1: a pipe */
	enum media_compression comp;
	enum unpack_gzip gzip;
	struct unpack_limits lim;
	char diff_id[DIGEST_LEN];
};

static int start(struct unpack *u, struct err *e)
{
	pid_t me = getpid();
	int report[2];

	if (pipe2(report, O_CLOEXEC) < 0)
		return err_set(e, errno, "unpack: pipe: %s", strerror(errno));
	struct unpack_job j = { .blobfd = u->blobfd,
				.dirfd = u->dirfd,
				.listfd = u->listfd,
				.reportfd = report[1],
				.comp = u->comp,
				.gzip = u->gzip,
				.diff_id = u->diff_id,
				.lim = &u->lim,
				.parent = me };
	u->pid = fork();
	if (u->pid == 0)
		unpack_writer_main(&j);
	int no = errno;
	fd_close(report[1]);
	if (u->pid < 0) {
		u->pid = 0;
		fd_close(report[0]);
		return err_set(e, no, "unpack: fork: %s", strerror(no));
	}
	u->reportfd = report[0];
	fd_nonblock(u->reportfd, true);
	return 0;
}

int unpack_start(int fd, enum media_compression comp, int dirfd, const char *diff_id, const struct unpack_limits *lim,
		 struct unpack **ret, struct err *e)
{
	_cleanup_(unpack_free_ptr) struct unpack *u = calloc(1, sizeof(*u));
	int r = digest_check(diff_id, e);

	if (r < 0)
		return r;
	if (!u)
		return err_set(e, ENOMEM, "unpack: out of memory");
	u->blobfd = u->dirfd = u->listfd = u->reportfd = -1;
	u->comp = comp;
	u->lim = lim ? *lim : unpack_limits_default;
	memcpy(u->diff_id, diff_id, sizeof(u->diff_id));
	u->start = lseek(fd, 0, SEEK_CUR);
	if ((u->blobfd = fcntl(fd, F_DUPFD_CLOEXEC, 3)) < 0 || (u->dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, 3)) < 0)
		return err_set(e, errno, "unpack: %s", strerror(errno));
	u->listfd = openat(dirfd, "../files", O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (u->listfd < 0)
		return err_set(e, errno, "create the layer's file list: %s", strerror(errno));
	if ((r = start(u, e)) < 0)
		return r;
	*ret = TAKE_PTR(u);
	return 0;
}

int unpack_pollfd(const struct unpack *u) { return u->reportfd; }

static void reap(struct unpack *u, int *ret_status)
{
	if (u->pid > 0)
		spawn_wait(u->pid, ret_status);
	u->pid = 0;
	u->reportfd = fd_close(u->reportfd);
}

/* Empties dirfd and starts again with zlib. */
static int second_opinion(struct unpack *u, struct err *e)
{
	_cleanup_fd_ int fd = openat(u->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int r = 0;

	if (!d)
		return err_set(e, errno, "unpack: %s", strerror(errno));
	TAKE_FD(fd);
	while (r == 0 && (entry = readdir(d)))
		if (!streq(entry->d_name, ".") && !streq(entry->d_name, ".."))
			r = rm_rf(u->dirfd, entry->d_name);
	closedir(d);
	if (r < 0)
		return err_set(e, -r, "unpack: empty the directory: %s", strerror(-r));
	if (ftruncate(u->listfd, 0) < 0 || lseek(u->listfd, 0, SEEK_SET) < 0 || lseek(u->blobfd, u->start, SEEK_SET) < 0)
		return err_set(e, errno, "unpack: start again: %s", strerror(errno));
	u->gzip = GZIP_ZLIB;
	*e = (struct err){ 0 };
	return start(u, e);
}

int unpack_step(struct unpack *u, struct unpack_result *ret, struct err *e)
{
	struct unpack_report rep;
	int status = 0, r;
	ssize_t n;

	if (u->reportfd < 0)
		return err_set(e, EINVAL, "unpack: has ended already");
	while ((n = read(u->reportfd, &rep, sizeof(rep))) < 0 && errno == EINTR)
		;
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n < 0) {
		int no = errno;
		kill(u->pid, SIGKILL); /* it lives, and waits for more of the blob */
		reap(u, &status);
		return err_set(e, no, "read what the unpacking process says: %s", strerror(no));
	}
	reap(u, &status);
	if (n != (ssize_t)sizeof(rep))
		return err_set(e, EIO, "the unpacking process was killed (status %d): out of memory or time",
			       status_to_exit(status));
	rep.e.msg[sizeof(rep.e.msg) - 1] = '\0';
	if (rep.e.no == 0) {
		*ret = rep.result;
		return 1;
	}
	log_debug("unpack", "%s", rep.e.msg);
	if (rep.may_be_inflate && u->comp == COMP_GZIP && u->gzip == GZIP_FAST && u->start >= 0)
		return (r = second_opinion(u, e)) < 0 ? r : 0;
	return err_set(e, rep.e.no > 0 ? rep.e.no : EIO, "%s", rep.e.msg);
}

void unpack_free(struct unpack *u)
{
	int status;

	if (!u)
		return;
	if (u->pid > 0)
		kill(u->pid, SIGKILL);
	reap(u, &status);
	fd_close(u->blobfd);
	fd_close(u->dirfd);
	fd_close(u->listfd);
	free(u);
}

int layer_unpack(int blobfd, enum media_compression comp, int dirfd, const char *diff_id, const struct unpack_limits *lim,
		 void (*progress)(uint64_t done, void *arg), void *arg, struct unpack_result *ret, struct err *e)
{
	_cleanup_(unpack_free_ptr) struct unpack *u = NULL;
	int r = unpack_start(blobfd, comp, dirfd, diff_id, lim, &u, e);

	while (r == 0 && u) {
		struct pollfd p = { .fd = unpack_pollfd(u), .events = POLLIN };
		if (poll(&p, 1, progress ? 200 : -1) < 0 && errno != EINTR)
			return err_set(e, errno, "unpack: poll: %s", strerror(errno));
		/* The processes share the blob's file offset with us. */
		off_t at = progress && u->start >= 0 ? lseek(u->blobfd, 0, SEEK_CUR) : -1;
		if (at >= u->start && at >= 0)
			progress((uint64_t)(at - u->start), arg);
		r = unpack_step(u, ret, e);
	}
	return r < 0 ? r : 0;
}
