#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fd.h"
#include "mount_ns.h"
#include "spawn.h"
#include "util.h"

/* setns into one's own mount namespace leads to its root (kernel/nsproxy.c, mntns_install); by pidfd since Linux 5.8. */
static int to_namespace_root(void)
{
	_cleanup_fd_ int self = pidfd_open_(getpid());

	if (self < 0)
		return self;
	return setns(self, CLONE_NEWNS) < 0 ? -errno : 0;
}

/* A mount of the folder, on the folder: what pivot_root wants. */
static int mount_on_itself(int dirfd)
{
	int fd = open_tree(dirfd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);

	if (fd < 0)
		return -errno;
	if (move_mount(fd, "", dirfd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0) {
		int r = -errno;
		fd_close(fd);
		return r;
	}
	return fd;
}

/* pivot_root(2), NOTES: the old root lies on the new one and is detached from there. */
static int make_root(int dirfd)
{
	if (fchdir(dirfd) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -errno;
	return 0;
}

static int of_chroot(unsigned long propagation)
{
	_cleanup_fd_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), top = -1;
	int r = root < 0 ? -errno : to_namespace_root();

	if (r == 0 && mount(NULL, "/", NULL, MS_REC | propagation, NULL) < 0)
		r = -errno;
	if (r == 0 && (top = mount_on_itself(root)) < 0)
		r = top;
	return r < 0 ? r : make_root(top);
}

int mount_ns_new(unsigned long propagation) { return unshare(CLONE_NEWNS) < 0 ? -errno : mount_ns_cut_off(propagation); }

int mount_ns_cut_off(unsigned long propagation)
{
	_cleanup_free_ char *cwd = getcwd(NULL, 0);
	int r;

	if (!cwd)
		return -errno;
	if (mount(NULL, "/", NULL, MS_REC | propagation, NULL) == 0)
		return 0;
	if (errno != EINVAL)
		return -errno;
	r = of_chroot(propagation);
	return r < 0 ? r : chdir(cwd) < 0 ? -errno : 0;
}
