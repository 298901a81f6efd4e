/* snapshot_mount: the overlay of an image's layers as a detached mount.
 *
 * Built with fsopen/fsconfig/fsmount (Linux 5.2), so nothing is ever visible in a mount table before the container's own, and a
 * crash leaves nothing behind: the mount goes with its last fd. Three shapes:
 *   - upper and work: a writable overlay; `volatile` drops its syncs (Linux 5.10), which is most of the cost of unmounting it;
 *   - two or more layers without an upper: a read-only overlay;
 *   - one layer without an upper: overlayfs refuses that, so the layer itself is cloned by open_tree and made read-only.
 * Layers go in one by one by `lowerdir+` (Linux 6.8). Older kernels (Debian 12 has 6.1) want one `lowerdir=` string, of which fsconfig(2) takes 255
 * bytes: snapshot_list.c does that, and more than fit there. Called by the monitor for a container, by disk.c for a guest. */
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "snapshot_list.h"

/* fsconfig(2): strndup_user(value, 256). */
#define FSCONFIG_STRING_MAX 255

int snapshot_error(int fsfd, int no, const char *what, struct err *e)
{
	char msg[256];
	ssize_t n = fsfd >= 0 ? read(fsfd, msg, sizeof(msg) - 1) : 0; /* "e overlay: the reason" */

	if (n <= 2)
		return err_set(e, no, "overlay: %s: %s", what, strerror(no));
	msg[n] = '\0';
	msg[strcspn(msg, "\n")] = '\0';
	return err_set(e, no, "overlay: %s: %s (%s)", what, strerror(no), msg + 2);
}

/* Sets a path option; one that is too long, or that overlayfs would unescape, is named through an O_PATH fd, which must stay open
 * until the overlay is made. */
static int set_path(int fsfd, const char *key, const char *path, int *ret_fd)
{
	char by_fd[FD_PATH_LEN];
	int fd = -1;

	if (strlen(path) > FSCONFIG_STRING_MAX || path[strcspn(path, "\\:,")]) {
		if ((fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
			return -errno;
		path = fd_path(fd, by_fd);
	}
	if (fsconfig(fsfd, FSCONFIG_SET_STRING, key, path, 0) < 0) {
		int no = errno;
		fd_close(fd);
		return -no;
	}
	*ret_fd = fd;
	return 0;
}

static int add_layers(int fsfd, char *const *layers, int *fds, struct err *e)
{
	for (size_t i = 0; layers[i]; i++) {
		int r = set_path(fsfd, "lowerdir+", layers[i], &fds[i]);
		if (r == -EINVAL && i == 0)
			return -EOPNOTSUPP; /* before Linux 6.8 */
		if (r < 0)
			return snapshot_error(fsfd, -r, layers[i], e);
	}
	return 0;
}

int snapshot_finish(int fsfd, const struct snapshot *s, int *ret_mountfd, struct err *e)
{
	int fds[2] = { -1, -1 }, r = 0, fd;

	if (s->upper) {
		r = set_path(fsfd, "upperdir", s->upper, &fds[0]);
		if (r < 0)
			r = snapshot_error(fsfd, -r, s->upper, e);
		else if ((r = set_path(fsfd, "workdir", s->work, &fds[1])) < 0)
			r = snapshot_error(fsfd, -r, s->work, e);
	}
	if (r == 0 && s->upper && s->is_volatile && fsconfig(fsfd, FSCONFIG_SET_FLAG, "volatile", NULL, 0) < 0)
		r = snapshot_error(fsfd, errno, "volatile", e);
	if (r == 0 && overlay_has_user_xattrs() && fsconfig(fsfd, FSCONFIG_SET_FLAG, "userxattr", NULL, 0) < 0)
		r = snapshot_error(fsfd, errno, "userxattr", e);
	/* Layers come from strangers: a redirect xattr in one must never be followed (the unpacker strips them, too). */
	if (r == 0 && fsconfig(fsfd, FSCONFIG_SET_STRING, "redirect_dir", "nofollow", 0) < 0)
		r = snapshot_error(fsfd, errno, "redirect_dir=nofollow", e);
	if (r == 0 && fsconfig(fsfd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		r = snapshot_error(fsfd, errno, "mount", e);
	fd_close(fds[0]);
	fd_close(fds[1]);
	if (r < 0)
		return r;
	fd = fsmount(fsfd, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV | (s->upper ? 0 : MOUNT_ATTR_RDONLY));
	if (fd < 0)
		return snapshot_error(fsfd, errno, "fsmount", e);
	*ret_mountfd = fd;
	return 0;
}

static int clone_one(const char *layer, int *ret_mountfd, struct err *e)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV };
	_cleanup_fd_ int fd = open_tree(AT_FDCWD, layer, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0)
		return err_set(e, errno, "clone the mount of layer %s: %s", layer, strerror(errno));
	if (mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return err_set(e, errno, "make layer %s read-only: %s", layer, strerror(errno));
	*ret_mountfd = TAKE_FD(fd);
	return 0;
}

int snapshot_mount(const struct snapshot *s, int *ret_mountfd, struct err *e)
{
	size_t n = strv_len(s->layers);
	_cleanup_free_ int *fds = NULL;
	struct err why = { 0 };
	int r;

	if (n == 0)
		return err_set(e, EINVAL, "overlay: the image has no layers");
	if (!s->upper != !s->work)
		return err_set(e, EINVAL, "overlay: upper and work come together");
	if (n == 1 && !s->upper)
		return clone_one(s->layers[0], ret_mountfd, e);
	_cleanup_fd_ int fsfd = fsopen("overlay", FSOPEN_CLOEXEC);
	if (fsfd < 0)
		return err_set(e, errno, "overlay: fsopen: %s%s", strerror(errno),
			       errno == ENODEV ? " (the kernel lacks overlayfs: try `modprobe overlay`)" : "");
	if (!(fds = malloc(n * sizeof(*fds))))
		return err_set(e, ENOMEM, "overlay: out of memory");
	for (size_t i = 0; i < n; i++)
		fds[i] = -1;
	r = add_layers(fsfd, s->layers, fds, &why);
	if (r == 0)
		r = snapshot_finish(fsfd, s, ret_mountfd, &why);
	/* Before Linux 6.5 overlayfs takes any word at first and refuses it when the mount is made; the list's own error is then
	 * the one that counts. */
	if (r == -EOPNOTSUPP || r == -EINVAL)
		r = snapshot_mount_list(s, ret_mountfd, e);
	else if (r < 0 && e)
		*e = why;
	for (size_t i = 0; i < n; i++)
		fd_close(fds[i]);
	return r;
}
