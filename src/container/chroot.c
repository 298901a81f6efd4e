/* chroot: makers of containers that are themselves in a chroot (a build tree, a rescue system, debootstrap's folder).
 *
 * pivot_root there changes the chroot's folder only: above it the namespace keeps the host's whole tree, and whoever enters the
 * namespace later, as every exec does, stands at the namespace's own root, outside of the container. So the change of the
 * root must begin from the namespace's root, to which setns into one's own mount namespace leads (kernel/nsproxy.c, mntns_install).
 *
 *   chroot_suspect  parent, before the clone: compares "/" with PID 1's, which says something of the host's own PID 1 only
 *                   (any other may be in the same chroot); costs a few calls
 *   chroot_find     child: certainty, only where suspected; cuts what is above off from the host's mounts, too
 *   chroot_leave    child, right before pivot_root: from here on no path of the chroot's leads anywhere */
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "setup.h"

int mount_id(int dirfd, const char *path, uint64_t *ret)
{
	struct statx st;

	/* STATX_MNT_ID: Linux 5.8. */
	if (statx(dirfd, path, *path ? 0 : AT_EMPTY_PATH, STATX_MNT_ID, &st) < 0)
		return -errno;
	*ret = st.stx_mnt_id;
	return 0;
}

/* A folder, also one that is no mount of its own. */
struct place {
	uint64_t mount, inode;
};

static int place_of(int dirfd, const char *path, struct place *ret)
{
	struct stat st;
	int r = mount_id(dirfd, path, &ret->mount);

	if (r == 0 && fstatat(dirfd, path, &st, *path ? 0 : AT_EMPTY_PATH) < 0)
		r = -errno;
	if (r == 0)
		ret->inode = st.st_ino;
	return r;
}

static bool is_same(const struct place *a, const struct place *b) { return a->mount == b->mount && a->inode == b->inode; }

#define HOSTS_PID_NAMESPACE 0xEFFFFFFCu /* include/linux/proc_ns.h, PROC_PID_INIT_INO; its number since Linux 3.8 */

static bool is_hosts_pid_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) == 0 && st.st_ino == HOSTS_PID_NAMESPACE;
}

int chroot_suspect(struct setup *s, struct err *e)
{
	struct place ours = { 0 }, inits = { 0 };

	(void)e;
	/* No /proc, or not ours to see: then the child looks. */
	s->may_be_chrooted =
		ns_is_new(s->spec, NS_MOUNT) && (!is_hosts_pid_namespace() || place_of(AT_FDCWD, "/", &ours) < 0 ||
						 place_of(AT_FDCWD, "/proc/1/root/", &inits) < 0 || !is_same(&ours, &inits));
	return 0;
}

static int to_namespace_root(const struct setup *s)
{
	/* Through a pidfd (Linux 5.8) it takes a quarter of what it takes through procfs. */
	_cleanup_fd_ int self = pidfd_open_(getpid());

	if (self >= 0 && setns(self, CLONE_NEWNS) == 0)
		return 0;
	_cleanup_fd_ int ns = openat(s->procfd, "self/ns/mnt", O_RDONLY | O_CLOEXEC);

	return ns < 0 || setns(ns, CLONE_NEWNS) < 0 ? -errno : 0;
}

int chroot_find(struct setup *s, struct err *e)
{
	struct place before = { 0 }, after = { 0 };

	if (!s->may_be_chrooted)
		return 0;
	_cleanup_fd_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = root < 0 || cwd < 0 ? -errno : place_of(root, "", &before);
	if (r == 0)
		r = to_namespace_root(s);
	if (r == 0)
		r = place_of(AT_FDCWD, "/", &after);
	s->is_chrooted = r == 0 && !is_same(&before, &after);
	/* What is above goes away with the old root, and that must not reach the host's mounts. */
	if (s->is_chrooted && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		r = -errno;
	if (r == 0 && (fchdir(root) < 0 || chroot(".") < 0 || fchdir(cwd) < 0))
		r = -errno;
	return r < 0 ? err_set(e, -r, "find out whether this is a chroot: %s", strerror(-r)) : 0;
}

int chroot_leave(struct setup *s, struct err *e)
{
	int r = s->is_chrooted ? to_namespace_root(s) : 0;

	return r < 0 ? err_set(e, -r, "leave the chroot: %s", strerror(-r)) : 0;
}
