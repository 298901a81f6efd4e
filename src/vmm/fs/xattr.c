/* xattr: extended attributes of a user's, and file capabilities. Others (trusted, the labels and lists that steer the host's own
 * judgement) are neither shown nor set. */
#include <sys/xattr.h>

#include "fs_impl.h"

static bool is_shared(const char *name) { return (str_after(name, "user.") && name[5]) || streq(name, "security.capability"); }

int fs_op_getxattr(struct fs_req *r)
{
	const struct fuse_getxattr_in *in = r->arg;
	struct fuse_getxattr_out *out = (void *)r->out;
	char fd[FS_FD_NAME];
	ssize_t n;

	if (!is_shared(r->name[0]))
		return -EOPNOTSUPP;
	if (in->size > r->out_max || r->out_max < sizeof(*out))
		return -EINVAL;
	n = getxattr(fs_fd_name(r->node->fd, fd), r->name[0], r->out, MIN((size_t)in->size, (size_t)XATTR_SIZE_MAX));
	if (n < 0 || in->size > 0)
		return n < 0 ? -errno : (int)n;
	*out = (struct fuse_getxattr_out){ .size = (uint32_t)n };
	return sizeof(*out);
}

int fs_op_setxattr(struct fs_req *r)
{
	const struct { /* fuse_setxattr_in without FUSE_SETXATTR_EXT */
		uint32_t size, flags;
	} *in = r->arg;
	char fd[FS_FD_NAME];

	if (!is_shared(r->name[0]))
		return -EOPNOTSUPP;
	if (in->size != r->rest_len || in->flags & ~(uint32_t)(XATTR_CREATE | XATTR_REPLACE))
		return -EINVAL;
	return fs_errno(setxattr(fs_fd_name(r->node->fd, fd), r->name[0], r->rest, in->size, (int)in->flags));
}

int fs_op_removexattr(struct fs_req *r)
{
	char fd[FS_FD_NAME];

	if (!is_shared(r->name[0]))
		return -EOPNOTSUPP;
	return fs_errno(removexattr(fs_fd_name(r->node->fd, fd), r->name[0]));
}

int fs_op_listxattr(struct fs_req *r)
{
	const struct fuse_getxattr_in *in = r->arg;
	struct fuse_getxattr_out *out = (void *)r->out;
	char fd[FS_FD_NAME], *all = (char *)r->scratch->room;
	size_t kept = 0, len;
	ssize_t n;

	if (in->size > r->out_max || r->out_max < sizeof(*out))
		return -EINVAL;
	n = listxattr(fs_fd_name(r->node->fd, fd), all, sizeof(r->scratch->room));
	if (n < 0)
		return -errno;
	for (ssize_t i = 0; i < n; i += (ssize_t)len) {
		len = strnlen(all + i, (size_t)(n - i)) + 1;
		if (len > (size_t)(n - i) || !is_shared(all + i))
			continue;
		memmove(all + kept, all + i, len);
		kept += len;
	}
	if (in->size == 0) {
		*out = (struct fuse_getxattr_out){ .size = (uint32_t)kept };
		return sizeof(*out);
	}
	if (kept > in->size)
		return -ERANGE;
	memcpy(r->out, all, kept);
	return (int)kept;
}
