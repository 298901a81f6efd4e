/* copyup: the option tmpcopyup of a tmpfs: what the image has at the mount point is copied into the tmpfs before it covers it,
 * with owners, modes and times. Directories, files, links and FIFOs; a device node would come to life on a mount that is not
 * nodev, so one is refused. Both sides are walked by fd and without following links. Called by mounts.c. */
#include <dirent.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "setup.h"

enum { DEPTH_MAX = 128 };

static int copy_dir(int from, int to, int depth, struct err *e);

static int copy_attrs(int dirfd, const char *name, const struct stat *st, struct err *e)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };

	if (fchownat(dirfd, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(e, errno, "%s: owner: %s", name, strerror(errno));
	/* After the owner, whose change clears setuid bits. Links have no mode. */
	if (!S_ISLNK(st->st_mode) && fchmodat(dirfd, name, st->st_mode & 07777, 0) < 0)
		return err_set(e, errno, "%s: mode: %s", name, strerror(errno));
	return utimensat(dirfd, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? err_set(e, errno, "%s: times: %s", name, strerror(errno))
								      : 0;
}

static int copy_data(int from, int to, off_t size)
{
	while (size > 0) {
		ssize_t n = sendfile(to, from, NULL, (size_t)MIN(size, (off_t)1 << 30));

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0) /* it has become shorter */
			return 0;
		if (n > 0)
			size -= n;
	}
	return 0;
}

static int copy_file(int from, int to, const char *name, const struct stat *st, struct err *e)
{
	_cleanup_fd_ int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), out = -1;
	int r;

	if (in < 0)
		return err_set(e, errno, "%s: %s", name, strerror(errno));
	out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0)
		return err_set(e, errno, "%s: %s", name, strerror(errno));
	r = copy_data(in, out, st->st_size);
	return r < 0 ? err_set(e, -r, "%s: %s", name,
			       r == -ENOSPC ? "the tmpfs is too small: give it a larger size" : strerror(-r))
		     : 0;
}

static int copy_link(int from, int to, const char *name, struct err *e)
{
	char text[PATH_MAX];
	ssize_t n = readlinkat(from, name, text, sizeof(text) - 1);

	if (n >= 0) {
		text[n] = 0;
		n = symlinkat(text, to, name);
	}
	return n < 0 ? err_set(e, errno, "%s: %s", name, strerror(errno)) : 0;
}

static int copy_subdir(int from, int to, const char *name, int depth, struct err *e)
{
	_cleanup_fd_ int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), out = -1;
	int r;

	if (in < 0 || mkdirat(to, name, 0700) < 0)
		return err_set(e, errno, "%s: %s", name, strerror(errno));
	out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (out < 0)
		return err_set(e, errno, "%s: %s", name, strerror(errno));
	r = copy_dir(in, out, depth + 1, e);
	return r < 0 ? err_push(e, r, "%s", name) : 0;
}

static int copy_entry(int from, int to, const char *name, int depth, struct err *e)
{
	struct stat st;
	int r;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(e, errno, "%s: %s", name, strerror(errno));
	switch (st.st_mode & S_IFMT) {
	case S_IFDIR: r = copy_subdir(from, to, name, depth, e); break;
	case S_IFREG: r = copy_file(from, to, name, &st, e); break;
	case S_IFLNK: r = copy_link(from, to, name, e); break;
	case S_IFIFO: r = mkfifoat(to, name, 0600) < 0 ? err_set(e, errno, "%s: %s", name, strerror(errno)) : 0; break;
	default: return err_set(e, ENOTSUP, "%s: is a device or socket, which is not copied", name);
	}
	return r < 0 ? r : copy_attrs(to, name, &st, e);
}

static int copy_dir(int from, int to, int depth, struct err *e)
{
	int fd = fcntl(from, F_DUPFD_CLOEXEC, 3), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d) {
		r = err_set(e, errno, "%s", strerror(errno));
		fd_close(fd);
		return r;
	}
	if (depth > DEPTH_MAX)
		r = err_set(e, ELOOP, "directories are more than %d deep", DEPTH_MAX);
	struct dirent *ent;
	int more = 0;
	while (r == 0 && (more = dir_next(d, &ent)) > 0)
		r = copy_entry(from, to, ent->d_name, depth, e);
	if (more < 0)
		r = err_set(e, -more, "%s", strerror(-more));
	closedir(d);
	return r;
}

int copyup(int target, int mountfd, bool keep_mode, struct err *e)
{
	_cleanup_fd_ int from = openat(target, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
			 to = openat(mountfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int r;

	if (from < 0 || to < 0 || fstat(from, &st) < 0)
		return err_set(e, errno, "tmpcopyup: %s", strerror(errno));
	r = copy_dir(from, to, 0, e);
	if (r == 0 && !keep_mode)
		r = copy_attrs(to, ".", &st, e);
	return r < 0 ? err_push(e, r, "tmpcopyup") : 0;
}
