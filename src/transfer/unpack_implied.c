/* Directories that a layer holds something in without an entry of their own (builders such as Bazel's and Jib's write such layers).
 * A layer says nothing of them, so they look as the layers below have them; where there is none below they are root's, 0755.
 * overlayfs shows a directory as the highest layer has it: what is below is taken over when the layer is installed. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "unpack_private.h"

static const char *mark(void) { return overlay_has_user_xattrs() ? "user.berth.implied" : "trusted.berth.implied"; }

int implied_mark(int dirfd) { return fsetxattr(dirfd, mark(), "y", 1, 0) < 0 ? -errno : 0; }

/* 1: it was marked, 0: it was not. */
int implied_unmark(int dirfd)
{
	if (fremovexattr(dirfd, mark()) == 0)
		return 1;
	return errno == ENODATA ? 0 : -errno;
}

struct below {
	int diff;       /* of the layer that is installed */
	const int *fds; /* of the layers below, the nearest first */
	size_t n;
};

/* Whether the layers further down are seen where this one has nothing. */
enum look { LOOK_HERE, LOOK_FURTHER, LOOK_NOWHERE };

/* path in one layer. *ret_fd: the directory, with LOOK_HERE. Symlinks are not followed: a directory upon one takes its place. */
static int look_in(int layer, const char *path, enum look *ret, int *ret_fd)
{
	_cleanup_fd_ int at = openat(layer, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool is_opaque = false;

	*ret = LOOK_NOWHERE;
	if (at < 0)
		return -errno;
	while (*path) {
		size_t n = strcspn(path, "/");
		char name[NAME_MAX + 1];
		struct stat st;
		if (n > NAME_MAX)
			return 0;
		memcpy(name, path, n);
		name[n] = '\0';
		path += n + (path[n] == '/');
		if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			*ret = is_opaque ? LOOK_NOWHERE : LOOK_FURTHER;
			return errno == ENOENT ? 0 : -errno;
		}
		if (!S_ISDIR(st.st_mode)) /* a whiteout is none either */
			return 0;
		int next = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return -errno;
		fd_close(at);
		at = next;
		is_opaque = is_opaque || fgetxattr(at, overlay_opaque(), NULL, 0) >= 0;
	}
	*ret = LOOK_HERE;
	*ret_fd = TAKE_FD(at);
	return 0;
}

/* All but overlayfs' own. */
static int copy_xattrs(int from, int to)
{
	ssize_t size = flistxattr(from, NULL, 0), n;
	_cleanup_free_ char *names = size > 0 ? malloc((size_t)size) : NULL;

	if (size <= 0)
		return size < 0 && errno != ENOTSUP ? -errno : 0;
	if (!names)
		return -ENOMEM;
	if ((size = flistxattr(from, names, (size_t)size)) < 0)
		return -errno;
	for (const char *name = names; name < names + size; name += strlen(name) + 1) {
		_cleanup_free_ char *value = NULL;
		if (str_after(name, "trusted.overlay.") || str_after(name, "user.overlay."))
			continue;
		if ((n = fgetxattr(from, name, NULL, 0)) < 0 || !(value = malloc((size_t)n + 1)) ||
		    (n = fgetxattr(from, name, value, (size_t)n)) < 0 || fsetxattr(to, name, value, (size_t)n, 0) < 0)
			return -errno;
	}
	return 0;
}

static int take_over(int from, int to, struct file_line *l)
{
	struct stat st;
	int r;

	if (fstat(from, &st) < 0 || fchown(to, st.st_uid, st.st_gid) < 0 || fchmod(to, st.st_mode & 07777) < 0)
		return -errno;
	if ((r = copy_xattrs(from, to)) < 0)
		return r;
	if (futimens(to, (struct timespec[2]){ st.st_mtim, st.st_mtim }) < 0)
		return -errno;
	l->mode = st.st_mode & 07777;
	l->uid = st.st_uid;
	l->gid = st.st_gid;
	return 0;
}

static int settle_one(struct file_line *l, void *arg)
{
	const struct below *b = arg;
	_cleanup_fd_ int to = root_open(b->diff, l->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK, 0);
	enum look look = LOOK_FURTHER;
	int r = 0;

	l->type = 'd';
	if (to < 0)
		return to == -ENOENT || to == -ENOTDIR || to == -ELOOP ? 1 : to; /* a later entry took its place */
	if ((r = implied_unmark(to)) <= 0)
		return r < 0 ? r : 1; /* a later entry spoke of it */
	for (size_t i = 0; i < b->n && look == LOOK_FURTHER; i++) {
		_cleanup_fd_ int from = -1;
		if ((r = look_in(b->fds[i], l->path, &look, &from)) < 0 ||
		    (look == LOOK_HERE && (r = take_over(from, to, l)) < 0))
			return r;
	}
	return 1;
}

int unpack_implied(int rootfd, int layerfd, const struct layer_info *info, struct err *e)
{
	_cleanup_fd_ int diff = openat(layerfd, "diff", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_free_ int *fds = calloc(info->n_below + 1, sizeof(*fds));
	struct below b = { .diff = diff, .fds = fds };
	int r = !fds ? -ENOMEM : diff < 0 ? -errno : 0;

	for (; r >= 0 && b.n < info->n_below; b.n += r >= 0) {
		char path[96];
		snprintf(path, sizeof(path), "layers/%s/diff", digest_hex(info->below[b.n]));
		fds[b.n] = openat(rootfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = fds[b.n] < 0 ? -errno : 0;
	}
	if (r >= 0)
		r = unpack_relist(layerfd, "i", settle_one, &b);
	for (size_t i = 0; i < b.n; i++)
		fd_close(fds[i]);
	return r < 0 ? err_set(e, -r, "take over directories of the layers below: %s", strerror(-r)) : 0;
}
