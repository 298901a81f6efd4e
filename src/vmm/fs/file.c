/* file: open files. No position is kept anywhere: each read and write says where. */
#include <sys/syscall.h>
#include <sys/uio.h>

#include "fs_impl.h"

enum { COPY_MAX = 64 << 20 }; /* of one request: a short copy is one, and the guest goes on */

int fs_op_open(struct fs_req *r)
{
	const struct fuse_open_in *in = r->arg;
	/* O_APPEND comes with each write, as pages that the guest has changed in its cache go where they belong. */
	int flags = (int)in->flags & (O_ACCMODE | O_TRUNC | O_SYNC | O_DSYNC | O_NOATIME), fd, e;
	bool kills = in->flags & O_TRUNC && in->open_flags & FUSE_OPEN_KILL_SUIDGID;
	struct fuse_open_out *out = (void *)r->out;
	uint64_t fh;

	if (r->out_max < sizeof(*out))
		return -EINVAL;
	if (kills)
		fs_drop_fsetid(r->fs);
	fd = fs_reopen(r->node, flags);
	if (kills)
		fs_take_fsetid(r->fs);
	if (fd < 0)
		return fd;
	e = fs_handle_add(r->fs, fd, r->node, false, &fh);
	if (e < 0)
		return e;
	*out = (struct fuse_open_out){ .fh = fh };
	return sizeof(*out);
}

int fs_op_read(struct fs_req *r)
{
	const struct fuse_read_in *in = r->arg;
	struct fs_handle *h;
	ssize_t n;
	int e;

	if (in->offset > INT64_MAX)
		return -EINVAL;
	e = fs_handle_get(r->fs, in->fh, r->node, false, &h);
	if (e < 0)
		return e;
	n = pread(h->fd, r->out, MIN(MIN((size_t)in->size, r->out_max), (size_t)FS_DATA_MAX), (off_t)in->offset);
	e = n < 0 ? -errno : (int)n;
	fs_handle_put(r->fs, h);
	return e;
}

int fs_op_write(struct fs_req *r)
{
	const struct fuse_write_in *in = r->arg;
	const struct iovec iov = { (void *)(uintptr_t)r->data, in->size };
	bool kills = in->write_flags & FUSE_WRITE_KILL_SUIDGID;
	/* A page of the guest's cache goes to its place, whoever opened the file how. */
	bool appends = in->flags & O_APPEND && !(in->write_flags & FUSE_WRITE_CACHE);
	struct fuse_write_out out = { 0 };
	struct fs_handle *h;
	ssize_t n;
	int e;

	if (in->offset > INT64_MAX - FS_DATA_MAX || r->out_max < sizeof(out))
		return -EINVAL;
	e = fs_handle_get(r->fs, in->fh, r->node, false, &h);
	if (e < 0)
		return e;
	if (kills)
		fs_drop_fsetid(r->fs);
	n = pwritev2(h->fd, &iov, 1, (off_t)in->offset, appends ? RWF_APPEND : 0);
	e = n < 0 ? -errno : 0;
	if (kills)
		fs_take_fsetid(r->fs);
	fs_handle_put(r->fs, h);
	if (e < 0)
		return e;
	out.size = (uint32_t)n;
	memcpy(r->out, &out, sizeof(out)); /* where the data was, perhaps */
	return sizeof(out);
}

int fs_op_release(struct fs_req *r)
{
	const struct fuse_release_in *in = r->arg;
	struct fs_handle *h;
	int e = fs_handle_get(r->fs, in->fh, r->node, false, &h);

	if (e < 0)
		return e;
	if (in->release_flags & FUSE_RELEASE_FLOCK_UNLOCK)
		(void)flock(h->fd, LOCK_UN);
	fs_handle_put(r->fs, h);
	e = fs_handle_release(r->fs, in->fh, r->node, false);
	fs_locks_nudge(r->fs);
	return e;
}

/* A close in the guest: its POSIX locks end, and what a network file system has to say at a close is heard. */
int fs_op_flush(struct fs_req *r)
{
	const struct fuse_flush_in *in = r->arg;
	struct fs_handle *h;
	int e = fs_handle_get(r->fs, in->fh, r->node, false, &h), fd;

	if (e < 0)
		return e;
	fs_locks_flush(r->fs, r->node, in->lock_owner);
	fd = fcntl(h->fd, F_DUPFD_CLOEXEC, 0);
	e = fd < 0 ? -errno : fs_errno(close(fd));
	fs_handle_put(r->fs, h);
	return e;
}

int fs_op_fsync(struct fs_req *r)
{
	const struct fuse_fsync_in *in = r->arg;
	struct fs_handle *h;
	int e = fs_handle_get(r->fs, in->fh, r->node, false, &h);

	if (e < 0)
		return e;
	e = fs_errno((in->fsync_flags & FUSE_FSYNC_FDATASYNC) ? fdatasync(h->fd) : fsync(h->fd));
	fs_handle_put(r->fs, h);
	return e;
}

int fs_op_lseek(struct fs_req *r)
{
	const struct fuse_lseek_in *in = r->arg;
	struct fuse_lseek_out *out = (void *)r->out;
	struct fs_handle *h;
	off_t at;
	int e;

	if ((in->whence != SEEK_DATA && in->whence != SEEK_HOLE) || in->offset > INT64_MAX || r->out_max < sizeof(*out))
		return -EINVAL;
	e = fs_handle_get(r->fs, in->fh, r->node, false, &h);
	if (e < 0)
		return e;
	at = lseek(h->fd, (off_t)in->offset, (int)in->whence);
	e = at < 0 ? -errno : (int)sizeof(*out);
	fs_handle_put(r->fs, h);
	if (e > 0)
		*out = (struct fuse_lseek_out){ .offset = (uint64_t)at };
	return e;
}

int fs_op_fallocate(struct fs_req *r)
{
	const struct fuse_fallocate_in *in = r->arg;
	struct fs_handle *h;
	int e;

	if (in->mode & ~(uint32_t)(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		return -EOPNOTSUPP;
	if (in->offset > INT64_MAX || in->length > INT64_MAX)
		return -EFBIG;
	e = fs_handle_get(r->fs, in->fh, r->node, false, &h);
	if (e < 0)
		return e;
	e = fs_errno(fallocate(h->fd, (int)in->mode, (off_t)in->offset, (off_t)in->length));
	fs_handle_put(r->fs, h);
	return e;
}

int fs_op_copy(struct fs_req *r)
{
	const struct fuse_copy_file_range_in *in = r->arg;
	struct fuse_write_out *out = (void *)r->out;
	off_t from_at = (off_t)in->off_in, to_at = (off_t)in->off_out;
	struct fs_handle *from = NULL, *to = NULL;
	struct fs_node *node = NULL;
	ssize_t n = -1;
	int e;

	if (in->off_in > INT64_MAX || in->off_out > INT64_MAX || in->flags || r->out_max < sizeof(*out))
		return -EINVAL;
	e = fs_handle_get(r->fs, in->fh_in, r->node, false, &from);
	if (e >= 0)
		e = fs_node_get(r->fs, in->nodeid_out, &node);
	if (e >= 0)
		e = fs_handle_get(r->fs, in->fh_out, node, false, &to);
	if (e >= 0) {
		n = copy_file_range(from->fd, &from_at, to->fd, &to_at, MIN(in->len, (uint64_t)COPY_MAX), 0);
		e = n < 0 ? -errno : (int)sizeof(*out);
	}
	fs_handle_put(r->fs, from);
	fs_handle_put(r->fs, to);
	fs_node_put(r->fs, node);
	if (e > 0)
		*out = (struct fuse_write_out){ .size = (uint32_t)n };
	return e;
}
