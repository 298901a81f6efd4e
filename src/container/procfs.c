/* procfs: a procfs of Berth's own, made detached inside the child's pid namespace, through which the child sets kernel
 * parameters. Writes by path to a /proc that an image or a volume can shape may land elsewhere (CVE-2019-16884,
 * CVE-2019-19921, CVE-2025-52881); a mount that nobody else has seen yet can't be shaped. Called by the steps. */
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "setup.h"

bool fd_is_procfs(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

/* The runtime's own /proc, for where a fresh procfs may not be made: in a user namespace that shares its pid namespace with
 * others. The mount tree is still the host's at this point. */
static int host_procfs(struct err *e)
{
	_cleanup_fd_ int fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || !fd_is_procfs(fd))
		return err_set(e, fd < 0 ? errno : EINVAL, "/proc: %s",
			       fd < 0 ? strerror(errno) : "is not a procfs: mount one there");
	return TAKE_FD(fd);
}

int procfs_open(struct setup *s, struct err *e)
{
	struct err why = { 0 };
	int fd = fs_mount("proc", "proc", NULL, 0, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, &why);

	if (fd == -EPERM && !ns_is_new(s->spec, NS_PID))
		fd = host_procfs(&why);
	if (fd < 0)
		return err_set(e, -fd, "%s%s", why.msg, fd == -EPERM && in_user_namespace() ? PROC_COVERED : "");
	if (!fd_is_procfs(fd)) {
		fd_close(fd);
		return err_set(e, EINVAL, "the new procfs is none");
	}
	s->procfd = fd;
	return 0;
}

static int write_once(int fd, const char *text)
{
	size_t n = strlen(text);
	ssize_t w;

	if (!fd_is_procfs(fd))
		return -EXDEV;
	do
		w = write(fd, text, n);
	while (w < 0 && errno == EINTR);
	return w < 0 ? -errno : (size_t)w == n ? 0 : -EIO;
}

int procfs_write(const struct setup *s, const char *path, const char *text)
{
	_cleanup_fd_ int fd = openat(s->procfd, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);

	return fd < 0 ? -errno : write_once(fd, text);
}

int procfs_write_pid(pid_t pid, const char *name, const char *text)
{
	_cleanup_fd_ int fd = -1;
	char path[64];

	if (pid == 0)
		snprintf(path, sizeof(path), "/proc/thread-self/%s", name);
	else
		snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW);
	return fd < 0 ? -errno : write_once(fd, text);
}
