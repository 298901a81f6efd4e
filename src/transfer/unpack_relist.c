/* Rewrites lines of a layer's file list (filelist.h) after it was unpacked, before it is installed. */
#include <string.h>

#include "unpack_private.h"

#define LIST_MAX (1u << 30)

int unpack_relist(int layerfd, const char *types, int (*change)(struct file_line *l, void *arg), void *arg)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_buf_ struct buf kept = { 0 };
	bool is_changed = false;
	size_t len;
	int r = file_read(layerfd, "files", LIST_MAX, &text, &len);

	for (char *at = text, *end; r >= 0 && at && (end = strchr(at, '\n')); at = end + 1) {
		struct file_line l;
		if (!strchr(types, at[0])) {
			buf_add(&kept, at, (size_t)(end - at) + 1);
			continue;
		}
		*end = '\0';
		is_changed = true;
		if ((r = file_line_parse(at, &l)) >= 0 && (r = change(&l, arg)) > 0)
			file_line_add(&kept, &l);
	}
	if (r >= 0 && is_changed)
		r = kept.failed ? -ENOMEM : file_replace(layerfd, "files", kept.data ? kept.data : "", kept.len, 0600, false);
	return MIN(r, 0);
}
