/* target: the places below the container's root where mounts, files and devices are put. Each is resolved exactly once, from
 * the root's fd, and used as an fd from then on, so that a symlink or a swapped directory can neither lead out of the root
 * nor make two resolutions differ (CVE-2021-30465, CVE-2024-45310). Called by mounts.c, dev.c, files.c, mask.c, tty.c. */
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "setup.h"

bool path_is_under(const char *path, const char *dir)
{
	/* Component-wise, so that "//proc/./x" is seen for what it is. ".." never counts as under: target_open_strict and
	 * root_open deal with it on the tree itself. */
	while (1) {
		size_t np, nd;

		while (*dir == '/' || (dir[0] == '.' && (dir[1] == '/' || !dir[1])))
			dir++;
		while (*path == '/' || (path[0] == '.' && (path[1] == '/' || !path[1])))
			path++;
		if (!*dir)
			return true;
		np = strcspn(path, "/");
		nd = strcspn(dir, "/");
		if (np != nd || memcmp(path, dir, nd) != 0)
			return false;
		path += np;
		dir += nd;
	}
}

bool path_is_kernels(const char *path)
{
	return path_is_under(path, "/proc") || path_is_under(path, "/sys") || path_is_under(path, "/dev");
}

/* One component of a strict walk: O_PATH, never through a symlink. */
static int step_into(int dirfd, const char *name, bool mkdir, mode_t mode)
{
	struct stat st;
	int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT && mkdir) {
		if (mkdirat(dirfd, name, mode) < 0 && errno != EEXIST)
			return -errno;
		fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || S_ISLNK(st.st_mode)) {
		fd_close(fd);
		return -ELOOP;
	}
	return fd;
}

static bool has_dotdot(const char *path)
{
	for (const char *p = path; (p = strstr(p, "..")); p += 2)
		if ((p == path || p[-1] == '/') && (p[2] == '/' || !p[2]))
			return true;
	return false;
}

/* All of the walk in one call, where the kernel has it (Linux 5.6) and nothing is missing. */
static int open_at_once(int rootfd, const char *path)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS };

	return (int)syscall(SYS_openat2, rootfd, path, &how, sizeof(how));
}

int target_open_strict(int rootfd, const char *path, bool mkdir, mode_t mode)
{
	_cleanup_fd_ int fd = has_dotdot(path) ? -1 : open_at_once(rootfd, path);
	char name[256];

	if (fd >= 0)
		return TAKE_FD(fd);
	while (*path) {
		size_t n;
		int next;

		path += strspn(path, "/");
		n = strcspn(path, "/");
		if (n == 0)
			break;
		if (n >= sizeof(name))
			return -ENAMETOOLONG;
		memcpy(name, path, n);
		name[n] = 0;
		path += n;
		if (streq(name, "."))
			continue;
		if (streq(name, ".."))
			return -EINVAL;
		next = step_into(fd >= 0 ? fd : rootfd, name, mkdir, mode);
		if (next < 0)
			return next;
		fd_close(fd);
		fd = next;
	}
	if (fd < 0) /* of "/" nothing was to be walked */
		fd = openat(rootfd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : TAKE_FD(fd);
}

/* An empty file to bind onto; its directory is made where missing. */
static int make_file(int rootfd, const char *path, bool strict, struct err *e)
{
	_cleanup_free_ char *dir = strdup(path), *name = NULL;
	_cleanup_fd_ int parent = -1, made = -1;
	char *slash;
	int fd;

	if (!dir)
		return err_set(e, ENOMEM, "mount point %s: out of memory", path);
	for (size_t n = strlen(dir); n > 1 && dir[n - 1] == '/'; n--)
		dir[n - 1] = 0;
	slash = strrchr(dir, '/');
	name = strdup(slash ? slash + 1 : dir);
	if (!name)
		return err_set(e, ENOMEM, "mount point %s: out of memory", path);
	if (!*name || streq(name, ".") || streq(name, ".."))
		return err_set(e, EISDIR, "mount point %s: a file can't be mounted there", path);
	if (slash)
		*slash = 0;
	else
		*dir = 0;
	parent = strict ? target_open_strict(rootfd, dir, true, 0755) : root_mkdir_p(rootfd, *dir ? dir : "/", 0755);
	if (parent < 0)
		return err_set(e, -parent, "mount point %s: its directory: %s", path, strerror(-parent));
	made = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (made < 0 && errno != EEXIST)
		return err_set(e, errno, "mount point %s: can't be made: %s", path, strerror(errno));
	fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_set(e, errno, "mount point %s: %s", path, strerror(errno)) : fd;
}

int target_make(int rootfd, const char *path, enum target_kind kind, bool strict, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	struct stat st;

	fd = strict ? target_open_strict(rootfd, path, kind == TARGET_DIR, 0755) : root_open(rootfd, path, O_PATH, 0);
	if (fd == -ENOENT)
		fd = kind == TARGET_FILE ? make_file(rootfd, path, strict, e) : root_mkdir_p(rootfd, path, 0755);
	if (fd == -ELOOP && strict)
		return err_set(e, ELOOP,
			       "mount point %s: there is a symbolic link on the way, which the image may not have there", path);
	if (fd < 0)
		return e && e->no ? fd : err_set(e, -fd, "mount point %s: %s", path, strerror(-fd));
	if (fstat(fd, &st) < 0)
		return err_set(e, errno, "mount point %s: %s", path, strerror(errno));
	if (S_ISLNK(st.st_mode))
		return err_set(e, ELOOP, "mount point %s: is a symbolic link", path);
	if (S_ISDIR(st.st_mode) != (kind == TARGET_DIR))
		return err_set(e, S_ISDIR(st.st_mode) ? EISDIR : ENOTDIR, "mount point %s: %s directory, but the source is %s",
			       path, S_ISDIR(st.st_mode) ? "a" : "not a", S_ISDIR(st.st_mode) ? "none" : "one");
	return TAKE_FD(fd);
}
