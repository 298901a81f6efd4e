/* name: requests that look names up, make and remove them. A name was checked to be one component (request.c). */
#include <sys/syscall.h>

#include "fs_impl.h"

/* The entry behind fd (taken), as the answer. */
static int answer_entry(struct fs_req *r, int fd)
{
	struct fuse_entry_out *out = (void *)r->out;
	int e;

	if (fd < 0)
		return fd;
	if (r->out_max < sizeof(*out)) {
		fd_close(fd);
		return -EINVAL;
	}
	e = fs_node_add(r->fs, fd, r->node, r->name[0], out, NULL);
	return e < 0 ? e : (int)sizeof(*out);
}

int fs_op_lookup(struct fs_req *r) { return answer_entry(r, fs_open_path(r->node, r->name[0])); }

/* What was just made under the name; whoever has put something else there meanwhile shares the directory and may. */
static int answer_new(struct fs_req *r, int made) { return made < 0 ? made : fs_op_lookup(r); }

int fs_op_mkdir(struct fs_req *r)
{
	const struct fuse_mkdir_in *in = r->arg;
	int e = fs_become(r);

	if (e < 0)
		return e;
	e = fs_errno(mkdirat(r->node->fd, r->name[0], in->mode & 07777));
	fs_return(r);
	return answer_new(r, e);
}

/* Files, FIFOs and sockets. Nodes of devices would be the host's devices there. */
int fs_op_mknod(struct fs_req *r)
{
	const struct fuse_mknod_in *in = r->arg;
	uint32_t type = in->mode & S_IFMT;
	int e;

	if (type == S_IFCHR || type == S_IFBLK)
		return -EPERM;
	if (type != S_IFREG && type != S_IFIFO && type != S_IFSOCK)
		return -EINVAL;
	e = fs_become(r);
	if (e < 0)
		return e;
	e = fs_errno(mknodat(r->node->fd, r->name[0], type | (in->mode & 07777), 0));
	fs_return(r);
	return answer_new(r, e);
}

int fs_op_symlink(struct fs_req *r)
{
	int e = fs_become(r);

	if (e < 0)
		return e;
	e = fs_errno(symlinkat(r->name[1], r->node->fd, r->name[0]));
	fs_return(r);
	return answer_new(r, e);
}

int fs_op_unlink(struct fs_req *r) { return fs_errno(unlinkat(r->node->fd, r->name[0], 0)); }
int fs_op_rmdir(struct fs_req *r) { return fs_errno(unlinkat(r->node->fd, r->name[0], AT_REMOVEDIR)); }

static int rename_to(struct fs_req *r, uint64_t newdir, unsigned flags)
{
	struct fs_node *to;
	int e;

	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE)) /* a whiteout is a device node */
		return -EINVAL;
	e = fs_node_get(r->fs, newdir, &to);
	if (e < 0)
		return e;
	/* Not by glibc, which makes another call of it where there are no flags. */
	e = fs_errno((int)syscall(SYS_renameat2, r->node->fd, r->name[0], to->fd, r->name[1], flags));
	fs_node_put(r->fs, to);
	return e;
}

int fs_op_rename(struct fs_req *r) { return rename_to(r, ((const struct fuse_rename_in *)r->arg)->newdir, 0); }
int fs_op_rename2(struct fs_req *r)
{
	const struct fuse_rename2_in *in = r->arg;

	return rename_to(r, in->newdir, in->flags);
}

int fs_op_link(struct fs_req *r)
{
	const struct fuse_link_in *in = r->arg;
	struct fs_node *from;
	char name[FS_FD_NAME];
	int e = fs_node_get(r->fs, in->oldnodeid, &from);

	if (e < 0)
		return e;
	/* By the magic link: AT_EMPTY_PATH would take CAP_DAC_READ_SEARCH. */
	e = fs_errno(linkat(AT_FDCWD, fs_fd_name(from->fd, name), r->node->fd, r->name[0], AT_SYMLINK_FOLLOW));
	fs_node_put(r->fs, from);
	return answer_new(r, e);
}

int fs_op_readlink(struct fs_req *r)
{
	ssize_t n;

	if (r->node->type != S_IFLNK)
		return -EINVAL;
	n = readlinkat(r->node->fd, "", (char *)r->out, MIN(r->out_max, (size_t)PATH_MAX));
	return n < 0 ? -errno : (int)n;
}

/* ---- create: a file and its handle at once ---- */

static int answer_create(struct fs_req *r, int fd)
{
	struct fuse_entry_out *entry = (void *)r->out;
	struct fuse_open_out *open_out = (void *)(entry + 1);
	struct fs_node *n = NULL;
	char name[FS_FD_NAME];
	uint64_t fh;
	int e, path;

	if (r->out_max < sizeof(*entry) + sizeof(*open_out)) {
		fd_close(fd);
		return -EINVAL;
	}
	/* The node of this very file, whatever has the name by now. */
	path = fs_errno(open(fs_fd_name(fd, name), O_PATH | O_CLOEXEC));
	e = path < 0 ? path : fs_node_add(r->fs, path, r->node, r->name[0], entry, &n);
	if (e < 0) {
		fd_close(fd);
		return e;
	}
	e = fs_handle_add(r->fs, fd, n, false, &fh);
	if (e < 0)
		fs_node_forget(r->fs, n->id, 1);
	fs_node_put(r->fs, n);
	if (e < 0)
		return e;
	*open_out = (struct fuse_open_out){ .fh = fh };
	return sizeof(*entry) + sizeof(*open_out);
}

/* The name is there already: opened as an open would. */
static int open_existing(struct fs_req *r, int flags)
{
	struct fs_node there = { .fd = fs_open_path(r->node, r->name[0]) };
	struct statx st;
	int fd;

	if (there.fd < 0)
		return there.fd;
	fd = fs_statx(there.fd, &st);
	there.type = st.stx_mode & S_IFMT;
	if (fd >= 0)
		fd = fs_reopen(&there, flags);
	fd_close(there.fd);
	return fd;
}

int fs_op_create(struct fs_req *r)
{
	const struct fuse_create_in *in = r->arg;
	int flags = (int)in->flags & (O_ACCMODE | O_TRUNC | O_SYNC | O_DSYNC | O_NOATIME), fd, e = fs_become(r);

	if (e < 0)
		return e;
	fd = fs_errno(openat(r->node->fd, r->name[0], flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK,
			     in->mode & 07777));
	fs_return(r);
	if (fd == -EEXIST && !(in->flags & O_EXCL))
		fd = open_existing(r, flags);
	return fd < 0 ? fd : answer_create(r, fd);
}
