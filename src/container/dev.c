/* dev: what is in the container's /dev. Nodes are made, never taken over from the image: what an image has put at /dev/null
 * may be anything (CVE-2025-31133). Called as step `devices`. */
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "setup.h"

/* OCI 1.2 config-linux, "Default Devices". /dev/console is tty.c's. */
static const struct spec_device default_devices[] = {
	{ .path = (char[]){ "/dev/null" }, .type = 'c', .major = 1, .minor = 3, .has_mode = true, .mode = 0666 },
	{ .path = (char[]){ "/dev/zero" }, .type = 'c', .major = 1, .minor = 5, .has_mode = true, .mode = 0666 },
	{ .path = (char[]){ "/dev/full" }, .type = 'c', .major = 1, .minor = 7, .has_mode = true, .mode = 0666 },
	{ .path = (char[]){ "/dev/random" }, .type = 'c', .major = 1, .minor = 8, .has_mode = true, .mode = 0666 },
	{ .path = (char[]){ "/dev/urandom" }, .type = 'c', .major = 1, .minor = 9, .has_mode = true, .mode = 0666 },
	{ .path = (char[]){ "/dev/tty" }, .type = 'c', .major = 5, .minor = 0, .has_mode = true, .mode = 0666 },
};

/* "Default symbolic links" of the same chapter, and Docker's core. */
static const struct {
	const char *name, *to;
} default_links[] = {
	{ "fd", "/proc/self/fd" },       { "stdin", "/proc/self/fd/0" }, { "stdout", "/proc/self/fd/1" },
	{ "stderr", "/proc/self/fd/2" }, { "core", "/proc/kcore" },      { "ptmx", "pts/ptmx" },
};

static mode_t node_type(char type) { return type == 'b' ? S_IFBLK : type == 'p' ? S_IFIFO : S_IFCHR; }

static bool is_node(int fd, const struct spec_device *d)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || (st.st_mode & S_IFMT) != node_type(d->type))
		return false;
	return d->type == 'p' || st.st_rdev == makedev((unsigned)d->major, (unsigned)d->minor);
}

/* The host's node by the kernel's own name for the device. */
static int clone_by_number(const struct spec_device *d)
{
	_cleanup_free_ char *path = str_fmt("/sys/dev/%s/%lld:%lld/uevent", d->type == 'b' ? "block" : "char",
					    (long long)d->major, (long long)d->minor);
	_cleanup_free_ char *text = NULL, *node = NULL;
	const char *name;

	if (!path)
		return -ENOMEM;
	if (file_read(AT_FDCWD, path, 4096, &text, NULL) < 0 || !(name = strstr(text, "DEVNAME=")))
		return -ENOENT;
	name += strlen("DEVNAME=");
	node = str_fmt("/dev/%.*s", (int)strcspn(name, "\n"), name);
	return node ? mount_clone(AT_FDCWD, node, false) : -ENOMEM;
}

/* Without the right to make nodes (a user namespace, a dropped CAP_MKNOD) the host's own is bound, if it is the same. */
static int bind_node(struct setup *s, int dirfd, const char *name, const struct spec_device *d, struct err *e)
{
	_cleanup_fd_ int fd = mount_clone(AT_FDCWD, d->path, false), made = -1, target = -1;
	int r;

	if (fd < 0 || !is_node(fd, d)) { /* it has another name there */
		int other = clone_by_number(d);

		if (other >= 0) {
			fd_close(fd);
			fd = other;
		}
	}
	if (fd < 0)
		return err_set(e, -fd, "%s: may not be made here, and the host has none to lend: %s", d->path, strerror(-fd));
	if (!is_node(fd, d))
		return err_set(e, ENODEV, "%s: may not be made here, and the host's is another device", d->path);
	made = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	target = made < 0 ? -1 : openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (target < 0)
		return err_set(e, errno, "%s: %s", d->path, strerror(errno));
	(void)s;
	r = mount_attach(fd, target);
	return r < 0 ? err_set(e, -r, "%s: attach: %s", d->path, strerror(-r)) : 0;
}

/* There already: from an earlier row of the spec, or from the image where /dev is the image's. Only the very device will do. */
static int check_existing(int dirfd, const char *name, const struct spec_device *d, struct err *e)
{
	_cleanup_fd_ int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_set(e, errno, "%s: %s", d->path, strerror(errno));
	if (!is_node(fd, d))
		return err_set(e, EEXIST, "%s: the image has something else there: mount a tmpfs at /dev", d->path);
	return 0;
}

static int set_owner(int dirfd, const char *name, const struct spec_device *d, struct err *e)
{
	if ((d->uid || d->gid) && fchownat(dirfd, name, d->uid, d->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(e, errno, "%s: owner %u:%u: %s", d->path, d->uid, d->gid, strerror(errno));
	return 0;
}

static int make_node(struct setup *s, int dirfd, const char *name, const struct spec_device *d, struct err *e)
{
	mode_t mode = (d->has_mode ? d->mode & 07777 : 0666) | node_type(d->type);
	int r;

	if (mknodat(dirfd, name, mode, makedev((unsigned)d->major, (unsigned)d->minor)) == 0)
		return set_owner(dirfd, name, d, e);
	if (errno == EPERM)
		return bind_node(s, dirfd, name, d, e);
	if (errno != EEXIST)
		return err_set(e, errno, "%s: %s", d->path, strerror(errno));
	r = check_existing(dirfd, name, d, e);
	return r < 0 ? r : set_owner(dirfd, name, d, e);
}

/* A device of the spec, anywhere in the root. */
static int make_device(struct setup *s, const struct spec_device *d, struct err *e)
{
	_cleanup_free_ char *dir = NULL;
	_cleanup_fd_ int fd = -1;
	const char *slash = d->path ? strrchr(d->path, '/') : NULL;

	if (!slash || d->path[0] != '/' || !slash[1] || streq(slash + 1, ".") || streq(slash + 1, ".."))
		return err_set(e, EINVAL, "device \"%s\": expected an absolute path", d->path ? d->path : "");
	if (!strchr("bcup", d->type))
		return err_set(e, EINVAL, "%s: type '%c': expected b, c, u or p", d->path, d->type);
	dir = strndup(d->path, (size_t)(slash - d->path));
	if (!dir)
		return err_set(e, ENOMEM, "%s: out of memory", d->path);
	fd = path_is_kernels(d->path) ? target_open_strict(s->rootfd, dir, true, 0755)
				      : root_mkdir_p(s->rootfd, *dir ? dir : "/", 0755);
	if (fd < 0)
		return err_set(e, -fd, "%s: its directory: %s", d->path, strerror(-fd));
	return make_node(s, fd, slash + 1, d, e);
}

static int make_links(int devfd, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(default_links); i++)
		if (symlinkat(default_links[i].to, devfd, default_links[i].name) < 0 && errno != EEXIST)
			return err_set(e, errno, "/dev/%s: %s", default_links[i].name, strerror(errno));
	return 0;
}

/* A bind of some other /dev, say the host's, is as its owner wants it. */
static bool dev_is_bound(const struct spec *s)
{
	for (size_t i = 0; i < s->n_mounts; i++)
		if (path_is_under("/dev", s->mounts[i].destination) && !streq0(s->mounts[i].type, "tmpfs"))
			return true;
	return false;
}

int dev_make(struct setup *s, struct err *e)
{
	int r = 0;

	if (ns_mount_is_anothers(s))
		return 0;
	if (s->devfd < 0 && dev_is_bound(s->spec))
		return 0;
	if (s->devfd < 0)
		s->devfd = target_open_strict(s->rootfd, "/dev", true, 0755);
	if (s->devfd < 0)
		return err_set(e, -s->devfd, "/dev: %s",
			       s->devfd == -ELOOP ? "is a symbolic link, which the image may not have there"
						  : strerror(-s->devfd));
	for (size_t i = 0; i < ARRAY_SIZE(default_devices) && r == 0; i++)
		r = make_node(s, s->devfd, strrchr(default_devices[i].path, '/') + 1, &default_devices[i], e);
	if (r == 0)
		r = make_links(s->devfd, e);
	/* Docker's --privileged lists all of the host's, ptmx among them: the container's own stays, as with runc. */
	for (size_t i = 0; i < s->spec->n_devices && r == 0; i++)
		if (!streq0(s->spec->devices[i].path, "/dev/ptmx"))
			r = make_device(s, &s->spec->devices[i], e);
	return r;
}

int dev_null_open(struct setup *s, struct err *e)
{
	_cleanup_fd_ int fd = target_open_strict(s->rootfd, "/dev/null", false, 0);

	if (fd < 0)
		return err_set(e, -fd, "/dev/null: %s", strerror(-fd));
	if (!is_node(fd, &default_devices[0]))
		return err_set(e, ENODEV, "/dev/null is not the null device: nothing can be masked with it");
	return TAKE_FD(fd);
}
