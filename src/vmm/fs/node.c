/* node: the files that the guest knows. One node a file (device, inode number, mount), however many names it has: its descriptor
 * keeps the inode number from being used again. It lives while the guest counts lookups or a request or handle uses it. */
#include "fs_impl.h"

int fs_statx(int fd, struct statx *ret)
{
	return statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_MNT_ID, ret) < 0 ? -errno : 0;
}

static uint64_t dev_of(const struct statx *st) { return (uint64_t)st->stx_dev_major << 32 | st->stx_dev_minor; }
static uint64_t mnt_of(const struct statx *st) { return (st->stx_mask & STATX_MNT_ID) ? st->stx_mnt_id : 0; }

static uint32_t dev_word(uint32_t major, uint32_t minor) /* the kernel's new_encode_dev */
{
	return (minor & 0xff) | major << 8 | (minor & ~0xffu) << 12;
}

void fs_attr_of(const struct statx *st, struct fuse_attr *ret)
{
	*ret = (struct fuse_attr){
		.ino = st->stx_ino,
		.size = st->stx_size,
		.blocks = st->stx_blocks,
		.atime = (uint64_t)st->stx_atime.tv_sec,
		.mtime = (uint64_t)st->stx_mtime.tv_sec,
		.ctime = (uint64_t)st->stx_ctime.tv_sec,
		.atimensec = st->stx_atime.tv_nsec,
		.mtimensec = st->stx_mtime.tv_nsec,
		.ctimensec = st->stx_ctime.tv_nsec,
		.mode = st->stx_mode,
		.nlink = st->stx_nlink,
		.uid = st->stx_uid,
		.gid = st->stx_gid,
		.rdev = dev_word(st->stx_rdev_major, st->stx_rdev_minor),
		.blksize = st->stx_blksize,
	};
}

/* The least that a kernel counts is one tick of its own (fuse's time_to_jiffies rounds up). */
void fs_attr_valid(const struct fs_node *n, uint64_t *ret_s, uint32_t *ret_ns)
{
	*ret_s = n->trust == FS_TRUST_SECOND;
	*ret_ns = n->trust == FS_TRUST_TICK;
}

/* Of a name. A directory that was renamed or removed meanwhile is still the one that its descriptor has; a file's name that now
 * means another file would be wrong. */
static void entry_valid(const struct fs_node *n, uint64_t *ret_s, uint32_t *ret_ns)
{
	*ret_s = n->trust == FS_TRUST_SECOND;
	*ret_ns = n->trust == FS_TRUST_TICK && n->type == S_IFDIR;
}

static enum fs_trust trust_of(const struct fs *f, const char *name, enum fs_trust otherwise)
{
	for (size_t i = 0; i < f->config.n_volumes; i++)
		if (streq(f->config.volumes[i].name, name))
			return f->config.volumes[i].trust;
	return otherwise;
}

static struct fs_node **bucket(struct fs *f, const struct statx *st)
{
	uint64_t h = (st->stx_ino ^ dev_of(st) << 17 ^ mnt_of(st) << 7) * 0x9e3779b97f4a7c15ull;

	return &f->hash[h >> 40 & f->hash_mask];
}

static struct fs_node *find(struct fs *f, const struct statx *st)
{
	struct fs_node *n = *bucket(f, st);

	while (n && (n->ino != st->stx_ino || n->dev != dev_of(st) || n->mnt != mnt_of(st)))
		n = n->next;
	return n;
}

/* Takes fd on success. fs->lock is held. */
static int make(struct fs *f, int fd, const struct statx *st, struct fs_node **ret)
{
	struct fs_node *n = calloc(1, sizeof(*n)), **at = bucket(f, st);
	int r = n ? fs_table_add(&f->nodes, n, &n->id) : -ENOMEM;

	if (r < 0) {
		free(n);
		return r;
	}
	n->fd = fd;
	n->type = st->stx_mode & S_IFMT;
	n->dev = dev_of(st);
	n->ino = st->stx_ino;
	n->mnt = mnt_of(st);
	n->next = *at;
	*at = n;
	*ret = n;
	return 0;
}

/* fs->lock is held. */
static void end_unused(struct fs *f, struct fs_node *n)
{
	const struct statx key = { .stx_ino = n->ino,
				   .stx_dev_major = (uint32_t)(n->dev >> 32),
				   .stx_dev_minor = (uint32_t)n->dev,
				   .stx_mask = STATX_MNT_ID,
				   .stx_mnt_id = n->mnt };

	if (n->lookups > 0 || n->refs > 0)
		return;
	for (struct fs_node **at = bucket(f, &key); *at; at = &(*at)->next)
		if (*at == n) {
			*at = n->next;
			break;
		}
	fs_table_remove(&f->nodes, n->id);
	fs_locks_forget(f, n);
	fd_close(n->fd);
	free(n);
}

int fs_node_get(struct fs *f, uint64_t id, struct fs_node **ret)
{
	struct fs_node *n;

	pthread_mutex_lock(&f->lock);
	n = fs_table_find(&f->nodes, id);
	if (n)
		n->refs++;
	pthread_mutex_unlock(&f->lock);
	if (!n)
		return -ESTALE;
	*ret = n;
	return 0;
}

void fs_node_put(struct fs *f, struct fs_node *n)
{
	if (!n)
		return;
	pthread_mutex_lock(&f->lock);
	n->refs--;
	end_unused(f, n);
	pthread_mutex_unlock(&f->lock);
}

void fs_node_forget(struct fs *f, uint64_t id, uint64_t lookups)
{
	struct fs_node *n;

	pthread_mutex_lock(&f->lock);
	n = id == FUSE_ROOT_ID ? NULL : fs_table_find(&f->nodes, id);
	if (n) {
		n->lookups -= MIN(lookups, n->lookups);
		end_unused(f, n);
	}
	pthread_mutex_unlock(&f->lock);
}

int fs_node_add(struct fs *f, int fd, const struct fs_node *parent, const char *name, struct fuse_entry_out *ret,
		struct fs_node **ret_node)
{
	_cleanup_fd_ int mine = fd;
	struct fs_node *n;
	struct statx st;
	int r = fs_statx(fd, &st);

	if (r < 0)
		return r;
	pthread_mutex_lock(&f->lock);
	n = find(f, &st);
	if (!n)
		r = make(f, fd, &st, &n);
	if (r >= 0) {
		if (n->fd == fd) {
			(void)TAKE_FD(mine);
			n->trust = parent->id == FUSE_ROOT_ID ? trust_of(f, name, parent->trust) : parent->trust;
		}
		n->lookups++;
		if (ret_node) {
			n->refs++;
			*ret_node = n;
		}
		*ret = (struct fuse_entry_out){ .nodeid = n->id };
		fs_attr_valid(n, &ret->attr_valid, &ret->attr_valid_nsec);
		entry_valid(n, &ret->entry_valid, &ret->entry_valid_nsec);
	}
	pthread_mutex_unlock(&f->lock);
	if (r < 0)
		return r;
	fs_attr_of(&st, &ret->attr);
	/* Volumes of different file systems have inode numbers in common, and "the same file" must not be said of two. */
	if (f->has_submounts && S_ISDIR(st.stx_mode) && mnt_of(&st) != parent->mnt)
		ret->attr.flags |= FUSE_ATTR_SUBMOUNT;
	return 0;
}

int fs_node_add_root(struct fs *f, int root_fd)
{
	int fd = fcntl(root_fd, F_DUPFD_CLOEXEC, 0), r;
	struct fs_node *n = NULL;
	struct statx st;

	if (fd < 0)
		return -errno;
	r = fs_statx(fd, &st);
	if (r >= 0 && !S_ISDIR(st.stx_mode))
		r = -ENOTDIR;
	if (r >= 0)
		r = make(f, fd, &st, &n);
	if (r >= 0 && n->id != FUSE_ROOT_ID)
		r = -EINVAL;
	if (r < 0) {
		if (!n)
			fd_close(fd);
		return r;
	}
	n->lookups = 1;
	n->trust = trust_of(f, "", FS_TRUST_TICK);
	return 0;
}

void fs_nodes_drop(struct fs *f)
{
	for (uint32_t i = 0; i < f->nodes.n_slots; i++) {
		struct fs_node *n = f->nodes.slots[i].item;

		if (!n)
			continue;
		fs_locks_forget(f, n);
		fd_close(n->fd);
		free(n);
	}
	fs_table_done(&f->nodes);
	memset(f->hash, 0, (f->hash_mask + 1ul) * sizeof(struct fs_node *));
}

int fs_open_path(const struct fs_node *dir, const char *name)
{
	const struct open_how how = { .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
				      .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS };

	return fs_errno((int)syscall(SYS_openat2, dir->fd, name, &how, sizeof(how)));
}
