/* dir: open directories. An entry's place is the host's own (d_off), so a guest goes on where it was, and one that makes places up
 * sees entries in a strange order at worst. */
#include <dirent.h>
#include <sys/syscall.h>

#include "fs_impl.h"

struct entry { /* getdents64(2) */
	uint64_t ino;
	int64_t next;
	uint16_t len;
	uint8_t type;
	char name[];
};

int fs_op_opendir(struct fs_req *r)
{
	struct fuse_open_out *out = (void *)r->out;
	uint64_t fh;
	int fd, e;

	if (r->out_max < sizeof(*out))
		return -EINVAL;
	fd = fs_reopen(r->node, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return fd;
	e = fs_handle_add(r->fs, fd, r->node, true, &fh);
	if (e < 0)
		return e;
	*out = (struct fuse_open_out){ .fh = fh };
	return sizeof(*out);
}

static bool is_dots(const char *name) { return streq(name, ".") || streq(name, ".."); }

/* With what a lookup would say; counted as one. An entry that can't be looked up (gone meanwhile, no node free), or whose guest
 * would ask again anyway, is a name alone, which the guest looks up itself. */
static void look_up(struct fs_req *r, const char *name, struct fuse_entry_out *ret)
{
	int fd;

	*ret = (struct fuse_entry_out){ 0 };
	if (is_dots(name) || r->node->trust != FS_TRUST_SECOND)
		return;
	fd = fs_open_path(r->node, name);
	if (fd >= 0 && fs_node_add(r->fs, fd, r->node, name, ret, NULL) < 0)
		*ret = (struct fuse_entry_out){ 0 };
}

/* The entry at the answer's place; its length, 0: it does not fit. */
static size_t put(struct fs_req *r, const struct entry *d, size_t at, size_t max, bool is_plus)
{
	size_t n = strnlen(d->name, d->len - offsetof(struct entry, name));
	size_t head = is_plus ? offsetof(struct fuse_direntplus, dirent) : 0,
	       whole = head + FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + n);
	struct fuse_dirent *to = (void *)(r->out + at + head);

	if (whole > max - at)
		return 0;
	if (is_plus)
		look_up(r, d->name, (void *)(r->out + at));
	*to = (struct fuse_dirent){ .ino = d->ino, .off = (uint64_t)d->next, .namelen = (uint32_t)n, .type = d->type };
	memset(to->name, 0, whole - head - FUSE_NAME_OFFSET);
	memcpy(to->name, d->name, n);
	return whole;
}

static int list(struct fs_req *r, struct fs_handle *h, const struct fuse_read_in *in, bool is_plus)
{
	size_t max = MIN((size_t)in->size, r->out_max), at = 0, n;
	ssize_t got;

	if (lseek(h->fd, (off_t)in->offset, SEEK_SET) < 0)
		return -errno;
	while ((got = syscall(SYS_getdents64, h->fd, r->scratch->room, MIN(sizeof(r->scratch->room), MAX(max - at, 512ul)))) > 0)
		for (ssize_t i = 0; i < got;) {
			const struct entry *d = (void *)(r->scratch->room + i);

			n = put(r, d, at, max, is_plus);
			if (n == 0)
				return at > 0 ? (int)at : -EINVAL;
			at += n;
			i += d->len;
		}
	return got < 0 && at == 0 ? -errno : (int)at;
}

static int read_dir(struct fs_req *r, bool is_plus)
{
	const struct fuse_read_in *in = r->arg;
	struct fs_handle *h;
	int e;

	if (in->offset > INT64_MAX)
		return -EINVAL;
	e = fs_handle_get(r->fs, in->fh, r->node, true, &h);
	if (e < 0)
		return e;
	pthread_mutex_lock(&h->lock);
	e = list(r, h, in, is_plus);
	pthread_mutex_unlock(&h->lock);
	fs_handle_put(r->fs, h);
	return e;
}

int fs_op_readdir(struct fs_req *r) { return read_dir(r, false); }
int fs_op_readdirplus(struct fs_req *r) { return read_dir(r, true); }

int fs_op_releasedir(struct fs_req *r)
{
	return fs_handle_release(r->fs, ((const struct fuse_release_in *)r->arg)->fh, r->node, true);
}

int fs_op_fsyncdir(struct fs_req *r)
{
	const struct fuse_fsync_in *in = r->arg;
	struct fs_handle *h;
	int e = fs_handle_get(r->fs, in->fh, r->node, true, &h);

	if (e < 0)
		return e;
	e = fs_errno((in->fsync_flags & FUSE_FSYNC_FDATASYNC) ? fdatasync(h->fd) : fsync(h->fd));
	fs_handle_put(r->fs, h);
	return e;
}
