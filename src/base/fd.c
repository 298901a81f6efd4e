/* Plain file descriptors: closing, whole reads and writes, whole-file replacement. Paths given here are the host's own;
 * whatever lies inside a container's or an image's tree goes through root.c. */
#include <stdio.h>
#include <unistd.h>

#include "fd.h"
#include "path.h"
#include "str.h"

int fd_close(int fd)
{
	int keep = errno;

	if (fd >= 0)
		close(fd);
	errno = keep;
	return -1;
}

char *fd_path(int fd, char buf[FD_PATH_LEN])
{
	snprintf(buf, FD_PATH_LEN, "/proc/self/fd/%d", fd);
	return buf;
}

ssize_t fd_read_full(int fd, void *p, size_t n)
{
	size_t got = 0;

	while (got < n) {
		ssize_t k = read(fd, (char *)p + got, n - got);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		if (k == 0)
			break;
		got += (size_t)k;
	}
	return (ssize_t)got;
}

int fd_write_full(int fd, const void *p, size_t n)
{
	while (n > 0) {
		ssize_t k = write(fd, p, n);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		p = (const char *)p + k;
		n -= (size_t)k;
	}
	return 0;
}

/* Most files are shorter than the first piece, and that is small: 1024 bytes or more make malloc tidy up all that has been freed, and
 * a large array on the stack has to be given its pages first. */
enum { PIECE_MIN = 960, PIECE_MAX = 65536 };

int fd_read_all(int fd, size_t max, char **ret_data, size_t *ret_len)
{
	_cleanup_buf_ struct buf b = { 0 };

	for (;;) {
		size_t piece = MIN(MAX(3 * b.len, (size_t)PIECE_MIN), (size_t)PIECE_MAX);
		/* One byte beyond max is asked for, so that a file of exactly max bytes is told from a longer one. */
		size_t room = max - b.len < piece ? max - b.len + 1 : piece;
		char *to = buf_room(&b, room);
		if (!to)
			return -ENOMEM;
		ssize_t k = read(fd, to, room);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		if (k == 0)
			break;
		if ((size_t)k > max - b.len)
			return -EFBIG;
		b.len += (size_t)k;
	}
	size_t len = b.len;
	char *data = buf_take(&b);
	if (!data)
		return -ENOMEM;
	*ret_data = data;
	if (ret_len)
		*ret_len = len;
	return 0;
}

int file_read(int dirfd, const char *path, size_t max, char **ret_data, size_t *ret_len)
{
	_cleanup_fd_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return fd_read_all(fd, max, ret_data, ret_len);
}

int file_exists(int dirfd, const char *path)
{
	if (faccessat(dirfd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
}

int dir_next(DIR *d, struct dirent **ret)
{
	do {
		errno = 0;
		*ret = readdir(d);
	} while (*ret && (streq((*ret)->d_name, ".") || streq((*ret)->d_name, "..")));
	return *ret ? 1 : -errno;
}

int dir_sync(int dirfd, const char *path)
{
	_cleanup_fd_ int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int file_replace(int dirfd, const char *name, const void *p, size_t n, mode_t mode, bool durable)
{
	/* The pid keeps writers of two processes apart; a leftover of a crashed one with our pid is truncated. */
	_cleanup_free_ char *tmp = str_fmt(".%s.%d.tmp", name, (int)getpid());
	if (!tmp)
		return -ENOMEM;
	_cleanup_fd_ int fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int r = fd_write_full(fd, p, n);
	if (r == 0 && fchmod(fd, mode) < 0)
		r = -errno;
	if (r == 0 && durable && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(dirfd, tmp, dirfd, name) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(dirfd, tmp, 0);
		return r;
	}
	return durable ? dir_sync(dirfd, ".") : 0;
}

/* id_new's: nobody else has the name, and after a crash the file is one of a folder for temporary files. */
static int open_and_unlink(int dirfd, const char *name)
{
	char id[ID_LEN + 1];
	int r = id_new(id);
	_cleanup_free_ char *path = r == 0 ? str_fmt("%s/unnamed-%.16s", name, id) : NULL;

	if (!path)
		return r < 0 ? r : -ENOMEM;
	_cleanup_fd_ int fd = openat(dirfd, path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || unlinkat(dirfd, path, 0) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int file_unnamed(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0 && errno == EOPNOTSUPP)
		return open_and_unlink(dirfd, name);
	return fd < 0 ? -errno : fd;
}

int file_replace_clean(int dirfd, const char *name, const void *p, size_t n, mode_t mode)
{
	_cleanup_fd_ int fd = openat(dirfd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	char path[FD_PATH_LEN];
	int r;

	/* Some file systems have no such files (overlayfs over a shared folder): a temporary one may then be left. */
	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
		return file_replace(dirfd, name, p, n, mode, false);
	if (fd < 0)
		return -errno;
	r = fd_write_full(fd, p, n);
	if (r == 0 && fchmod(fd, mode) < 0)
		r = -errno;
	/* A link can't replace. Who else makes the same name meanwhile is overtaken. */
	while (r == 0 && linkat(AT_FDCWD, fd_path(fd, path), dirfd, name, AT_SYMLINK_FOLLOW) < 0)
		if (errno != EEXIST || (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT))
			r = -errno;
	return r;
}

int file_write(int dirfd, const char *path, const char *s)
{
	_cleanup_fd_ int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC);
	size_t n = strlen(s);
	ssize_t k;

	if (fd < 0)
		return -errno;
	do
		k = write(fd, s, n);
	while (k < 0 && errno == EINTR);
	if (k < 0)
		return -errno;
	return (size_t)k == n ? 0 : -EIO;
}

static int change_flag(int fd, int get, int set, int flag, bool on)
{
	int old = fcntl(fd, get);

	if (old < 0)
		return -errno;
	int want = on ? old | flag : old & ~flag;
	if (want != old && fcntl(fd, set, want) < 0)
		return -errno;
	return 0;
}

int fd_nonblock(int fd, bool on) { return change_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, on); }

int fd_cloexec(int fd, bool on) { return change_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on); }

int mkdir_p(int dirfd, const char *path, mode_t mode)
{
	struct stat st;
	_cleanup_free_ char *copy = NULL;

	if (!*path)
		return -ENOENT;
	if (mkdirat(dirfd, path, mode) == 0)
		return 0;
	if (errno == ENOENT) {
		copy = strdup(path);
		if (!copy)
			return -ENOMEM;
		/* Each '/' behind a name ends a prefix that has to exist. */
		for (char *p = copy + 1; *p; p++) {
			if (*p != '/' || p[-1] == '/')
				continue;
			*p = '\0';
			if (mkdirat(dirfd, copy, mode) < 0 && errno != EEXIST)
				return -errno;
			*p = '/';
		}
		if (mkdirat(dirfd, path, mode) == 0)
			return 0;
	}
	if (errno != EEXIST)
		return -errno;
	if (fstatat(dirfd, path, &st, 0) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

void fd_fill_stdio(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd < 3);
	fd_close(fd);
}
