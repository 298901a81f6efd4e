/* rootfs: the container's root as a mount of its own, and the change into it. Called as steps. */
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "setup.h"

static bool dev_is_mounted(const struct spec *s)
{
	for (size_t i = 0; i < s->n_mounts; i++)
		if (path_is_under("/dev", s->mounts[i].destination))
			return true;
	return false;
}

/* Device nodes that came with the image must not work; but where no mount covers /dev, Berth's own nodes lie on the root. A
 * root.path is another engine's, and so are its mount's flags: what runs there may well make and use nodes (debootstrap, say). */
static uint64_t root_attrs(const struct setup *s, bool is_ours)
{
	return is_ours && dev_is_mounted(s->spec) ? MOUNT_ATTR_NODEV : 0;
}

int rootfs_make(struct setup *s, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	int r;

	if (!s->args->make_root)
		return 0;
	r = s->args->make_root(s->args->make_root_arg, &fd, e);
	if (r < 0)
		return r;
	r = sync_send_fd(s->sock, SYNC_ROOT, fd);
	/* Gone: what it reported, if anything, is the better error, and read next. */
	return r == -EPIPE || r == -ECONNRESET ? 0 : r < 0 ? err_set(e, -r, "%s", strerror(-r)) : 0;
}

/* In another's mount namespace: the directory as it is there. */
static int rootfs_find(struct setup *s, struct err *e)
{
	const char *ns = s->spec->ns.path[NS_MOUNT], *path = s->spec->root_path;
	/* Joining has left the bundle's directory for the namespace's root. */
	_cleanup_free_ char *full = path[0] != '/' && s->args->bundle ? str_fmt("%s/%s", s->args->bundle, path) : strdup(path);

	if (!full)
		return err_set(e, ENOMEM, "root.path: out of memory");
	s->rootfd = open(full, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return s->rootfd < 0 ? err_set(e, errno, "root.path %s%s%s: %s", full, ns ? ", in " : "", ns ? ns : "", strerror(errno))
			     : 0;
}

/* A mount that was made is attached on the old root, in nobody's sight; or, for hooks that look for it where config.json says (an absolute
 * path; engines write a relative one too where there is nothing to see), there until they have run (rootfs_pivot). */
static bool has_place(const struct setup *s) { return s->args->make_root && s->spec->root_path && *s->spec->root_path == '/'; }

static int attach_over_old(struct setup *s)
{
	_cleanup_fd_ int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return old < 0 ? -errno : mount_attach(s->rootfd, old);
}

int rootfs_attach(struct setup *s, struct err *e)
{
	_cleanup_fd_ int fd = -1, old = -1;
	bool is_ours;
	int r = s->args->make_root ? sync_wait(s, SYNC_ROOT, e) : 0;

	if (r < 0)
		return r;
	if (ns_mount_is_anothers(s))
		return rootfs_find(s, e);
	fd = s->args->make_root ? TAKE_FD(s->rootfd) : s->args->rootfd;
	is_ours = fd >= 0;
	if (!is_ours) {
		if (!s->spec->root_path)
			return err_set(e, EINVAL, "root.path is missing");
		fd = mount_clone(AT_FDCWD, s->spec->root_path, true);
		if (fd < 0)
			return err_set(e, -fd, "root.path %s: %s", s->spec->root_path, strerror(-fd));
	}
	r = mount_attrs(fd, false, root_attrs(s, is_ours), 0, MS_PRIVATE);
	if (r < 0)
		return err_set(e, -r, "attributes of the root: %s", strerror(-r));
	const char *place = has_place(s) ? s->spec->root_path : "/";
	old = open(place, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (old < 0)
		return err_set(e, errno, "%s: %s", place, strerror(errno));
	r = mount_attach(fd, old);
	if (r < 0)
		return err_set(e, -r, "attach the root: %s", strerror(-r));
	s->rootfd = TAKE_FD(fd);
	return 0;
}

/* After pivot_root(".", ".") the old root lies on top of the new one, with whatever lay on top of that. "/" does not see it,
 * but ".." from a directory of the root does: it would be the way out. So what lies there is detached until "/.." is the new
 * root itself. */
static int detach_old(struct setup *s, struct err *e)
{
	enum { STACKED_MAX = 64 };
	uint64_t root = 0, top = 0;
	int r = mount_id(s->rootfd, "", &root);

	for (int i = 0; r == 0 && i < STACKED_MAX; i++) {
		_cleanup_fd_ int fd = open("/..", O_PATH | O_DIRECTORY | O_CLOEXEC);

		r = fd < 0 ? -errno : mount_id(fd, "", &top);
		if (r == 0 && top == root)
			return 0;
		if (r == 0 && umount2("/..", MNT_DETACH) < 0)
			r = -errno;
	}
	return err_set(e, r < 0 ? -r : ELOOP, "detach the old root: %s", r < 0 ? strerror(-r) : "there is no end of it");
}

/* pivot_root(".", ".") as in pivot_root(2), NOTES. An initramfs has no parent mount and can't be pivoted away (EINVAL): there
 * (and where the caller asks for it) the new root, which lies right on top of it, is entered by chroot; ".." at its top never
 * leads to a mount that is covered at its own root, so there is no way back. */
static int become_root_dir(bool no_pivot)
{
	if (!no_pivot && syscall(SYS_pivot_root, ".", ".") == 0)
		return 0;
	if (!no_pivot && errno != EINVAL)
		return -errno;
	return chroot(".") < 0 ? -errno : 0;
}

int rootfs_pivot(struct setup *s, struct err *e)
{
	int r = has_place(s) ? attach_over_old(s) : 0;

	if (r < 0)
		return err_set(e, -r, "move the root over the old one: %s", strerror(-r));
	r = s->spec->root_readonly ? mount_attrs(s->rootfd, false, MOUNT_ATTR_RDONLY, 0, 0) : 0;
	if (r < 0)
		return err_set(e, -r, "read-only root: %s", strerror(-r));
	r = chroot_leave(s, e);
	if (r < 0)
		return r;
	if (fchdir(s->rootfd) < 0)
		return err_set(e, errno, "enter the root: %s", strerror(errno));
	if (ns_mount_is_anothers(s))
		return chroot(".") < 0 ? err_set(e, errno, "chroot: %s", strerror(errno)) : 0;
	r = become_root_dir(s->args->no_pivot);
	if (r < 0)
		return err_set(e, -r, "%s: %s", s->args->no_pivot ? "chroot" : "pivot_root", strerror(-r));
	if (chdir("/") < 0)
		return err_set(e, errno, "enter the root: %s", strerror(errno));
	r = detach_old(s, e);
	return r < 0 ? r : mounts_propagation(s, e);
}

int rootfs_of_exec(struct setup *s, struct err *e)
{
	s->rootfd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return s->rootfd < 0 ? err_set(e, errno, "/: %s", strerror(errno)) : 0;
}
