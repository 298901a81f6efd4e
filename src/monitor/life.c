/* Who the monitor of a container is, asked of the kernel: for as long as its process lives, a monitor holds a record lock on
 * ROOT/containers/ID/alive, a file of nothing else's: launch.json is replaced by update. The run directory can't tell it to the end: that is gone
 * while the last frames are still being sent. A lock goes with its process, is inherited by no child, and F_GETLK names the process. */
#include <unistd.h>

#include "monitor_impl.h"

#define ALIVE "alive"

int life_hold(int bundledirfd)
{
	struct flock l = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	_cleanup_fd_ int fd = openat(bundledirfd, ALIVE, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0 || fcntl(fd, F_SETLK, &l) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int monitor_pidfd(const struct paths *p, const char *id, int *ret_pidfd, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s/containers/%s/" ALIVE, p->root, id);
	_cleanup_fd_ int fd = path ? open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;

	if (!path)
		return err_set(e, ENOMEM, "out of memory");
	if (fd < 0)
		return errno == ENOENT ? 0 : err_set(e, errno, "%s: %s", path, strerror(errno));
	_cleanup_fd_ int pidfd = pidfd_of_lock(fd, 0, NULL);
	if (pidfd < 0)
		return pidfd == -ESRCH ? 0 : err_set(e, -pidfd, "%s: ask for its lock: %s", path, strerror(-pidfd));
	*ret_pidfd = TAKE_FD(pidfd);
	return 1;
}
