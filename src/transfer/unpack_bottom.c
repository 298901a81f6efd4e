/* Whiteouts in a layer that nothing lies below: they delete nothing, but where such a layer is mounted alone (a read-only image of
 * one layer is not an overlay, image/snapshot.c) they would show as devices. So the lowest layer loses them when it is installed. */
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "unpack_private.h"

#define LIST_MAX (1u << 30)

static int drop_one(int diff, const struct file_line *l)
{
	_cleanup_free_ char *name = NULL;
	_cleanup_fd_ int at = -1;
	int r;

	if (l->type == 'o') {
		if ((at = root_open(diff, l->path, O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0)) < 0)
			return at == -ENOENT || at == -ENOTDIR ? 0 : at; /* a later entry took its place */
		r = fremovexattr(at, "trusted.overlay.opaque") < 0 ? -errno : 0;
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
	_cleanup_free_ char *text = NULL;
	_cleanup_buf_ struct buf kept = { 0 };
	_cleanup_fd_ int diff = openat(layerfd, "diff", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	bool is_changed = false;
	size_t len;
	int r = diff < 0 ? -errno : file_read(layerfd, "files", LIST_MAX, &text, &len);

	for (char *at = text, *end; r >= 0 && at && (end = strchr(at, '\n')); at = end + 1) {
		struct file_line l;
		if (at[0] != 'w' && at[0] != 'o') {
			buf_add(&kept, at, (size_t)(end - at) + 1);
			continue;
		}
		*end = '\0';
		is_changed = true;
		if ((r = file_line_parse(at, &l)) >= 0)
			r = drop_one(diff, &l);
	}
	if (r >= 0 && is_changed)
		r = kept.failed ? -ENOMEM : file_replace(layerfd, "files", kept.data ? kept.data : "", kept.len, 0600, false);
	return r < 0 ? err_set(e, -r, "take the whiteouts out of the lowest layer: %s", strerror(-r)) : 0;
}
