/* request: a message is copied, taken apart by the table of operations, carried out, and answered. The table says what an operation's
 * message holds: a struct, names, what is behind them. No function sees a message that is not of that shape. */
#include <linux/capability.h>

#include "fs_impl.h"

enum { MINOR = 36, MINOR_MIN = 31, NAME_LEN_MAX = 255 };
enum name_kind {
	NONE,
	FILE_NAME, /* one component: not empty, no '/', not "." or ".." */
	TEXT,      /* anything up to its NUL */
};
enum { NO_NODE = 1, ALONE = 2, HAS_REST = 4, HAS_DATA = 8 };

static fs_fn op_init, op_destroy, op_forget, op_batch_forget;

static const struct op {
	const char *name;
	fs_fn *fn;
	uint16_t arg_bytes;
	uint8_t kinds[2];
	uint8_t flags;
} ops[] = {
	[FUSE_INIT] = { "init", op_init, 16, { NONE }, NO_NODE | ALONE | HAS_REST }, /* longer since 7.36 */
	[FUSE_DESTROY] = { "destroy", op_destroy, 0, { NONE }, NO_NODE | ALONE },
	[FUSE_FORGET] = { "forget", op_forget, sizeof(struct fuse_forget_in), { NONE }, NO_NODE },
	[FUSE_BATCH_FORGET] = { "batch_forget",
				op_batch_forget,
				sizeof(struct fuse_batch_forget_in),
				{ NONE },
				NO_NODE | HAS_REST },
	[FUSE_INTERRUPT] = { "interrupt", fs_op_interrupt, sizeof(struct fuse_interrupt_in), { NONE }, NO_NODE },
	[FUSE_LOOKUP] = { "lookup", fs_op_lookup, 0, { FILE_NAME } },
	[FUSE_GETATTR] = { "getattr", fs_op_getattr, sizeof(struct fuse_getattr_in) },
	[FUSE_SETATTR] = { "setattr", fs_op_setattr, sizeof(struct fuse_setattr_in) },
	[FUSE_READLINK] = { "readlink", fs_op_readlink, 0 },
	[FUSE_SYMLINK] = { "symlink", fs_op_symlink, 0, { FILE_NAME, TEXT } },
	[FUSE_MKNOD] = { "mknod", fs_op_mknod, sizeof(struct fuse_mknod_in), { FILE_NAME } },
	[FUSE_MKDIR] = { "mkdir", fs_op_mkdir, sizeof(struct fuse_mkdir_in), { FILE_NAME } },
	[FUSE_UNLINK] = { "unlink", fs_op_unlink, 0, { FILE_NAME } },
	[FUSE_RMDIR] = { "rmdir", fs_op_rmdir, 0, { FILE_NAME } },
	[FUSE_RENAME] = { "rename", fs_op_rename, sizeof(struct fuse_rename_in), { FILE_NAME, FILE_NAME } },
	[FUSE_RENAME2] = { "rename2", fs_op_rename2, sizeof(struct fuse_rename2_in), { FILE_NAME, FILE_NAME } },
	[FUSE_LINK] = { "link", fs_op_link, sizeof(struct fuse_link_in), { FILE_NAME } },
	[FUSE_OPEN] = { "open", fs_op_open, sizeof(struct fuse_open_in) },
	[FUSE_READ] = { "read", fs_op_read, sizeof(struct fuse_read_in) },
	[FUSE_WRITE] = { "write", fs_op_write, sizeof(struct fuse_write_in), { NONE }, HAS_DATA },
	[FUSE_STATFS] = { "statfs", fs_op_statfs, 0 },
	[FUSE_RELEASE] = { "release", fs_op_release, sizeof(struct fuse_release_in) },
	[FUSE_FSYNC] = { "fsync", fs_op_fsync, sizeof(struct fuse_fsync_in) },
	[FUSE_SETXATTR] = { "setxattr", fs_op_setxattr, FUSE_COMPAT_SETXATTR_IN_SIZE, { TEXT }, HAS_REST },
	[FUSE_GETXATTR] = { "getxattr", fs_op_getxattr, sizeof(struct fuse_getxattr_in), { TEXT } },
	[FUSE_LISTXATTR] = { "listxattr", fs_op_listxattr, sizeof(struct fuse_getxattr_in) },
	[FUSE_REMOVEXATTR] = { "removexattr", fs_op_removexattr, 0, { TEXT } },
	[FUSE_FLUSH] = { "flush", fs_op_flush, sizeof(struct fuse_flush_in) },
	[FUSE_OPENDIR] = { "opendir", fs_op_opendir, sizeof(struct fuse_open_in) },
	[FUSE_READDIR] = { "readdir", fs_op_readdir, sizeof(struct fuse_read_in) },
	[FUSE_READDIRPLUS] = { "readdirplus", fs_op_readdirplus, sizeof(struct fuse_read_in) },
	[FUSE_RELEASEDIR] = { "releasedir", fs_op_releasedir, sizeof(struct fuse_release_in) },
	[FUSE_FSYNCDIR] = { "fsyncdir", fs_op_fsyncdir, sizeof(struct fuse_fsync_in) },
	[FUSE_GETLK] = { "getlk", fs_op_getlk, sizeof(struct fuse_lk_in) },
	[FUSE_SETLK] = { "setlk", fs_op_setlk, sizeof(struct fuse_lk_in) },
	[FUSE_SETLKW] = { "setlkw", fs_op_setlkw, sizeof(struct fuse_lk_in) },
	[FUSE_ACCESS] = { "access", fs_op_access, sizeof(struct fuse_access_in) },
	[FUSE_CREATE] = { "create", fs_op_create, sizeof(struct fuse_create_in), { FILE_NAME } },
	[FUSE_FALLOCATE] = { "fallocate", fs_op_fallocate, sizeof(struct fuse_fallocate_in) },
	[FUSE_LSEEK] = { "lseek", fs_op_lseek, sizeof(struct fuse_lseek_in) },
	[FUSE_COPY_FILE_RANGE] = { "copy_file_range", fs_op_copy, sizeof(struct fuse_copy_file_range_in) },
	[FUSE_SYNCFS] = { "syncfs", fs_op_syncfs, sizeof(struct fuse_syncfs_in) },
};

/* ---- the session ---- */

static int start_session(struct fs *f)
{
	fs_locks_drop(f);
	fs_handles_drop(f);
	fs_nodes_drop(f);
	f->is_ready = f->has_submounts = false;
	return fs_node_add_root(f, f->config.root_fd);
}

/* What the guest's kernel is told to do, where it can. No WRITEBACK_CACHE: what is written is at the host when write(2) returns. */
#define WANTED                                                                                                                  \
	(FUSE_ASYNC_READ | FUSE_POSIX_LOCKS | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_FLOCK_LOCKS | FUSE_AUTO_INVAL_DATA | \
	 FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES | FUSE_SUBMOUNTS | FUSE_HANDLE_KILLPRIV_V2)
/* Attributes with a directory's names: of use only where they are trusted until they are asked for. */
#define WANTED_OF_SECONDS (FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO)

static uint32_t wanted(const struct fs *f)
{
	for (size_t i = 0; i < f->config.n_volumes; i++)
		if (f->config.volumes[i].trust == FS_TRUST_SECOND)
			return WANTED | WANTED_OF_SECONDS;
	return WANTED;
}

static int op_init(struct fs_req *r)
{
	const struct fuse_init_in *in = r->arg; /* of which there are 16 bytes */
	struct fuse_init_out *out = (void *)r->out;
	int e;

	if (r->out_max < sizeof(*out))
		return -EINVAL;
	if (in->major != FUSE_KERNEL_VERSION || in->minor < MINOR_MIN)
		return -EPROTO;
	e = start_session(r->fs);
	if (e < 0)
		return e;
	*out = (struct fuse_init_out){ .major = FUSE_KERNEL_VERSION,
				       .minor = MIN(in->minor, (uint32_t)MINOR),
				       .max_readahead = in->max_readahead,
				       .flags = in->flags & wanted(r->fs),
				       .max_background = 32,
				       .congestion_threshold = 24,
				       .max_write = FS_DATA_MAX,
				       .time_gran = 1,
				       .max_pages = FS_DATA_MAX / 4096 };
	r->fs->has_submounts = in->flags & FUSE_SUBMOUNTS;
	r->fs->is_ready = true;
	return sizeof(*out);
}

static int op_destroy(struct fs_req *r)
{
	int e = start_session(r->fs);

	return e;
}

static int op_forget(struct fs_req *r)
{
	fs_node_forget(r->fs, r->h.nodeid, ((const struct fuse_forget_in *)r->arg)->nlookup);
	return FS_REQ_NO_ANSWER;
}

static int op_batch_forget(struct fs_req *r)
{
	const struct fuse_forget_one *one = r->rest;
	uint32_t n = ((const struct fuse_batch_forget_in *)r->arg)->count;

	for (uint32_t i = 0; i < n && i < r->rest_len / sizeof(*one); i++)
		fs_node_forget(r->fs, one[i].nodeid, one[i].nlookup);
	return FS_REQ_NO_ANSWER;
}

/* ---- taking a message apart ---- */

static bool is_file_name(const char *s, size_t n)
{
	return n > 0 && n <= NAME_LEN_MAX && !memchr(s, '/', n) && !streq(s, ".") && !streq(s, "..");
}

static int take_names(struct fs_req *r, const struct op *op)
{
	for (size_t i = 0; i < ARRAY_SIZE(op->kinds) && op->kinds[i] != NONE; i++) {
		const char *s = r->rest, *end = memchr(s, '\0', r->rest_len);

		if (!end)
			return -EINVAL;
		if ((size_t)(end - s) > (op->kinds[i] == FILE_NAME ? NAME_LEN_MAX : PATH_MAX - 1))
			return -ENAMETOOLONG;
		if (op->kinds[i] == FILE_NAME && !is_file_name(s, (size_t)(end - s)))
			return -EINVAL;
		r->name[i] = s;
		r->rest = end + 1;
		r->rest_len -= (size_t)(end - s) + 1;
	}
	return 0;
}

static int take_apart(struct fs_req *r, const struct op *op, const uint8_t *in, size_t in_len)
{
	size_t n = in_len - sizeof(r->h), copied = op->flags & HAS_DATA ? op->arg_bytes : n;

	if (r->h.len != in_len || n < op->arg_bytes)
		return -EINVAL;
	if (copied > sizeof(r->scratch->args))
		return -E2BIG;
	memcpy(r->scratch->args, in + sizeof(r->h), copied);
	r->arg = r->scratch->args;
	r->rest = r->scratch->args + op->arg_bytes;
	r->rest_len = copied - op->arg_bytes;
	if (op->flags & HAS_DATA) {
		r->data = in + sizeof(r->h) + op->arg_bytes;
		return ((const struct fuse_write_in *)r->arg)->size == n - op->arg_bytes ? 0 : -EINVAL;
	}
	return take_names(r, op);
}

static int carry_out(struct fs_req *r, const uint8_t *in, size_t in_len)
{
	const struct op *op = r->h.opcode < ARRAY_SIZE(ops) && ops[r->h.opcode].fn ? &ops[r->h.opcode] : NULL;
	struct fs *f = r->fs;
	int e;

	if (!op)
		return -ENOSYS;
	e = take_apart(r, op, in, in_len);
	if (e < 0)
		return e;
	if (op->flags & ALONE)
		pthread_rwlock_wrlock(&f->session);
	else
		pthread_rwlock_rdlock(&f->session);
	if (!f->is_ready && op->fn != op_init)
		e = -EIO;
	if (e >= 0 && !(op->flags & NO_NODE))
		e = fs_node_get(f, r->h.nodeid, &r->node);
	if (e >= 0)
		e = op->fn(r);
	fs_node_put(f, r->node);
	pthread_rwlock_unlock(&f->session);
	return e;
}

/* These have no answer, also where they are wrong. */
static bool is_mute(uint32_t opcode) { return opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET || opcode == FUSE_INTERRUPT; }

ssize_t fs_handle(struct fs *f, struct fs_scratch *s, uint32_t tag, const void *in, size_t in_len, void *out, size_t out_max)
{
	struct fs_req r = { .fs = f, .scratch = s, .tag = tag, .answer = out };
	struct fuse_out_header head = { .len = sizeof(head) };
	int e;

	if (in_len < sizeof(r.h))
		return FS_NO_ANSWER;
	memcpy(&r.h, in, sizeof(r.h));
	if (out_max < sizeof(head) && !is_mute(r.h.opcode))
		return FS_NO_ANSWER;
	r.out = out_max < sizeof(head) ? NULL : (uint8_t *)out + sizeof(head);
	r.out_max = out_max < sizeof(head) ? 0 : out_max - sizeof(head);
	e = carry_out(&r, in, in_len);
	if (e == FS_REQ_LATER)
		return FS_LATER;
	if (e == FS_REQ_NO_ANSWER || is_mute(r.h.opcode))
		return FS_NO_ANSWER;
	head.unique = r.h.unique;
	head.error = e < 0 ? e : 0;
	head.len += e > 0 ? (uint32_t)e : 0;
	memcpy(out, &head, sizeof(head));
	return (ssize_t)head.len;
}

/* ---- the server ---- */

struct fs_scratch *fs_scratch_new(void) { return malloc(sizeof(struct fs_scratch)); }

static void note_caps(struct fs *f)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	f->is_root = geteuid() == 0 && syscall(SYS_capget, &head, data) == 0 && data[0].effective >> CAP_SETUID & 1;
	f->caps[0] = data[0].effective;
	f->caps[1] = data[0].permitted;
}

int fs_new(const struct fs_config *c, struct fs **ret, struct err *e)
{
	_cleanup_(fs_free_ptr) struct fs *f = calloc(1, sizeof(*f));
	uint32_t buckets = 1024;
	int r;

	if (!f)
		return err_set(e, ENOMEM, "out of memory");
	pthread_rwlock_init(&f->session, NULL);
	pthread_mutex_init(&f->lock, NULL);
	pthread_mutex_init(&f->locks_lock, NULL);
	pthread_cond_init(&f->locks_changed, NULL);
	f->config = *c;
	f->nodes.max = c->nodes_max ? c->nodes_max : FS_NODES_MAX;
	f->handles.max = c->handles_max ? c->handles_max : FS_HANDLES_MAX;
	while (buckets < f->nodes.max / 8)
		buckets *= 2;
	f->hash = calloc(buckets, sizeof(struct fs_node *));
	if (!f->hash)
		return err_set(e, ENOMEM, "out of memory");
	f->hash_mask = buckets - 1;
	note_caps(f);
	if (fchdir(c->proc_fd) < 0)
		return err_set(e, errno, "/proc/self/fd: %s", strerror(errno));
	r = fs_node_add_root(f, c->root_fd);
	if (r < 0)
		return err_set(e, -r, "the shared directory: %s", strerror(-r));
	*ret = TAKE_PTR(f);
	return 0;
}

void fs_free(struct fs *f)
{
	if (!f)
		return;
	if (f->hash) {
		fs_locks_drop(f);
		fs_handles_drop(f);
		fs_nodes_drop(f);
	}
	free(f->hash);
	pthread_cond_destroy(&f->locks_changed);
	pthread_mutex_destroy(&f->locks_lock);
	pthread_mutex_destroy(&f->lock);
	pthread_rwlock_destroy(&f->session);
	free(f);
}

void fs_count(struct fs *f, struct fs_counts *ret)
{
	pthread_mutex_lock(&f->lock);
	pthread_mutex_lock(&f->locks_lock);
	*ret = (struct fs_counts){ f->nodes.used, f->handles.used, f->n_owners, f->n_waiters };
	pthread_mutex_unlock(&f->locks_lock);
	pthread_mutex_unlock(&f->lock);
}
