/* Whiteouts in a layer that nothing lies below: they delete nothing, but where such a layer is mounted alone (a read-only image of
 * one layer is not an overlay, image/snapshot.c) they would show as devices. So the lowest layer loses them when it is installed. */
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "unpack_private.h"

static int drop_one(struct file_line *l, void *arg)
{
	int diff = *(int *)arg;
	_cleanup_free_ char *name = NULL;
	_cleanup_fd_ int at = -1;
	int r;

	if (l->type == 'o') {
		if ((at = root_open(diff, l->path, O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0)) < 0)
			return at == -ENOENT || at == -ENOTDIR ? 0 : at; /* a later entry took its place */
		r = fremovexattr(at, overlay_opaque()) < 0 ? -errno : 0;
		return r == -ENODATA ? 0 : r;
	}
	if ((at = root_open_parent(diff, l->path, &name)) < 0)
		return at == -ENOENT || at == -ENOTDIR ? 0 : at;
	if (!tree_is_whiteout(at, name))
		return 0;
	return unlinkat(at, name, 0) < 0 ? -errno : 0;
}

int unpack_bottom(int layerfd, struct err *e)
{
	_cleanup_fd_ int diff = openat(layerfd, "diff", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = diff < 0 ? -errno : unpack_relist(layerfd, "wo", drop_one, &diff);

	return r < 0 ? err_set(e, -r, "take the whiteouts out of the lowest layer: %s", strerror(-r)) : 0;
}
