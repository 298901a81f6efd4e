/* attr: requests about what a file is. */
#include <sys/statfs.h>

#include "fs_impl.h"

static int answer_attr(struct fs_req *r)
{
	struct fuse_attr_out *out = (void *)r->out;
	struct statx st;
	int e = fs_statx(r->node->fd, &st);

	if (e < 0)
		return e;
	if (r->out_max < sizeof(*out))
		return -EINVAL;
	*out = (struct fuse_attr_out){ .dummy = 0 };
	fs_attr_valid(r->node, &out->attr_valid, &out->attr_valid_nsec);
	fs_attr_of(&st, &out->attr);
	return sizeof(*out);
}

int fs_op_getattr(struct fs_req *r) { return answer_attr(r); }

static int cut(struct fs_req *r, const struct fuse_setattr_in *in)
{
	struct fs_handle *h = NULL;
	int e, fd;

	if (in->size > INT64_MAX)
		return -EFBIG;
	if (in->valid & FATTR_FH) {
		e = fs_handle_get(r->fs, in->fh, r->node, false, &h);
		fd = e < 0 ? e : h->fd;
	} else {
		fd = fs_reopen(r->node, O_WRONLY);
	}
	if (fd < 0)
		return fd;
	if (in->valid & FATTR_KILL_SUIDGID)
		fs_drop_fsetid(r->fs);
	e = fs_errno(ftruncate(fd, (off_t)in->size));
	if (in->valid & FATTR_KILL_SUIDGID)
		fs_take_fsetid(r->fs);
	if (h)
		fs_handle_put(r->fs, h);
	else
		fd_close(fd);
	return e;
}

static struct timespec time_of(uint32_t valid, uint32_t set, uint32_t now, uint64_t s, uint32_t ns)
{
	if (valid & now)
		return (struct timespec){ 0, UTIME_NOW };
	return (valid & set) ? (struct timespec){ (time_t)s, (long)ns } : (struct timespec){ 0, UTIME_OMIT };
}

static int set_times(struct fs_req *r, const struct fuse_setattr_in *in)
{
	const struct timespec t[2] = { time_of(in->valid, FATTR_ATIME, FATTR_ATIME_NOW, in->atime, in->atimensec),
				       time_of(in->valid, FATTR_MTIME, FATTR_MTIME_NOW, in->mtime, in->mtimensec) };
	char name[FS_FD_NAME];

	if ((in->valid & FATTR_ATIME && in->atimensec > 999999999) || (in->valid & FATTR_MTIME && in->mtimensec > 999999999))
		return -EINVAL; /* UTIME_NOW and UTIME_OMIT are above */
	return fs_errno(utimensat(AT_FDCWD, fs_fd_name(r->node->fd, name), t, 0));
}

int fs_op_setattr(struct fs_req *r)
{
	const struct fuse_setattr_in *in = r->arg;
	char name[FS_FD_NAME];
	int e = 0;

	if (in->valid & FATTR_MODE)
		e = r->node->type == S_IFLNK ? -EOPNOTSUPP
					     : fs_errno(fchmodat(AT_FDCWD, fs_fd_name(r->node->fd, name), in->mode & 07777, 0));
	if (e >= 0 && in->valid & (FATTR_UID | FATTR_GID))
		e = fs_errno(fchownat(r->node->fd, "", (in->valid & FATTR_UID) ? in->uid : UINT32_MAX,
				      (in->valid & FATTR_GID) ? in->gid : UINT32_MAX, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
	if (e >= 0 && in->valid & FATTR_SIZE)
		e = cut(r, in);
	if (e >= 0 && in->valid & (FATTR_ATIME | FATTR_MTIME | FATTR_ATIME_NOW | FATTR_MTIME_NOW))
		e = set_times(r, in);
	return e < 0 ? e : answer_attr(r);
}

/* Asked only where a guest's kernel leaves the judgement to us: by owner, group and mode, as access(2). */
int fs_op_access(struct fs_req *r)
{
	const struct fuse_access_in *in = r->arg;
	uint32_t may, want = in->mask & 7;
	struct statx st;
	int e = fs_statx(r->node->fd, &st);

	if (e < 0)
		return e;
	if (r->h.uid == 0)
		may = S_ISDIR(st.stx_mode) || st.stx_mode & 0111 ? 7 : 6;
	else
		may = (uint32_t)st.stx_mode >> (r->h.uid == st.stx_uid ? 6 : r->h.gid == st.stx_gid ? 3 : 0) & 7;
	return (want & ~may) ? -EACCES : 0;
}

int fs_op_statfs(struct fs_req *r)
{
	struct fuse_statfs_out *out = (void *)r->out;
	struct statfs s;

	if (r->out_max < sizeof(*out))
		return -EINVAL;
	if (fstatfs(r->node->fd, &s) < 0)
		return -errno;
	*out = (struct fuse_statfs_out){ .st = { .blocks = s.f_blocks,
						 .bfree = s.f_bfree,
						 .bavail = s.f_bavail,
						 .files = s.f_files,
						 .ffree = s.f_ffree,
						 .bsize = (uint32_t)s.f_bsize,
						 .namelen = (uint32_t)s.f_namelen,
						 .frsize = (uint32_t)s.f_frsize } };
	return sizeof(*out);
}

/* The whole file system of the host is written out, as by sync(1) there: what the guest wrote is in its page cache. */
int fs_op_syncfs(struct fs_req *r)
{
	_cleanup_fd_ int fd = fs_reopen(r->node, r->node->type == S_IFDIR ? O_RDONLY | O_DIRECTORY : O_RDONLY);

	return fd < 0 ? fd : fs_errno(syncfs(fd));
}
