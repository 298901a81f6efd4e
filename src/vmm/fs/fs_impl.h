/* fs_impl: what the files of the file server share. */
#pragma once

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs.h"

/* ---- nodes and handles: slots that are numbered (table.c) ---- */
struct fs_slot {
	void *item;
	uint32_t generation, next_free;
};
struct fs_table {
	struct fs_slot *slots;
	uint32_t n_slots, max, used, first_free; /* slot 0 is never given; first_free 0: none */
};
/* Under the owner's lock. add: -ENFILE, -ENOMEM. */
int fs_table_add(struct fs_table *t, void *item, uint64_t *ret_id);
void *fs_table_find(const struct fs_table *t, uint64_t id);
void fs_table_remove(struct fs_table *t, uint64_t id);
void fs_table_done(struct fs_table *t);

struct fs_owner { /* of POSIX locks on one file: a description of its own, as locks of the guest's are apart by owner */
	uint64_t owner;
	int fd;
	struct fs_owner *next;
};
struct fs_node {
	uint64_t id;
	int fd;        /* O_PATH */
	uint32_t type; /* S_IFMT */
	enum fs_trust trust;
	uint64_t dev, ino, mnt;
	uint64_t lookups; /* the guest's; fs->lock */
	uint32_t refs;    /* ours: requests, handles; fs->lock */
	struct fs_node *next;
	struct fs_owner *owners; /* fs->locks_lock */
};
struct fs_handle {
	uint64_t id;
	int fd;
	bool is_dir;
	struct fs_node *node; /* one ref */
	uint32_t refs;        /* fs->lock; the table's is one */
	pthread_mutex_t lock; /* the position of a directory */
};
struct fs_waiter {
	uint32_t tag;
	uint64_t unique, owner;
	struct fs_node *node;
	struct fs_handle *handle;
	struct flock lock;
	bool is_flock;
	void *out;
	struct fs_waiter *next;
};

struct fs {
	struct fs_config config;
	bool is_root;                   /* may act as others */
	uint32_t caps[2];               /* effective and permitted, low words, as at the start */
	pthread_rwlock_t session;       /* INIT and DESTROY hold it alone */
	bool is_ready, has_submounts;   /* after INIT */
	pthread_mutex_t lock;           /* nodes, handles */
	struct fs_table nodes, handles; /* id 1: the root */
	struct fs_node **hash;
	uint32_t hash_mask;
	pthread_mutex_t locks_lock;
	pthread_cond_t locks_changed;
	struct fs_waiter *waiters;
	uint32_t n_waiters, n_owners;
	unsigned patience_ms;
};

struct fs_scratch {
	uint8_t args[FS_ARGS_MAX];
	uint8_t room[64 << 10];
};

/* One request, as its function sees it: all checked and copied but `data`. */
struct fs_req {
	struct fs *fs;
	struct fs_scratch *scratch;
	uint32_t tag;
	struct fuse_in_header h;
	struct fs_node *node; /* of h.nodeid, with a ref; NULL where the operation has none */
	const void *arg;      /* the operation's struct, whole */
	const char *name[2];
	const void *rest; /* behind struct and names */
	size_t rest_len;
	const uint8_t *data; /* of a write: in memory that may change */
	uint8_t *out;        /* behind the answer's header */
	size_t out_max;
	void *answer; /* the header's place */
};
/* The length of what is in out, FS_REQ_x, or -errno. */
enum { FS_REQ_NO_ANSWER = INT32_MAX, FS_REQ_LATER = INT32_MAX - 1 };
typedef int fs_fn(struct fs_req *r);

/* node.c. Each _get takes a ref, for _put. */
int fs_node_get(struct fs *f, uint64_t id, struct fs_node **ret); /* -ESTALE */
void fs_node_put(struct fs *f, struct fs_node *n);
void fs_node_forget(struct fs *f, uint64_t id, uint64_t lookups);
/* Fills *ret for the file behind fd (O_PATH, taken in any case), which parent has under that name, and counts one lookup. */
int fs_node_add(struct fs *f, int fd, const struct fs_node *parent, const char *name, struct fuse_entry_out *ret,
		struct fs_node **ret_node);
int fs_node_add_root(struct fs *f, int root_fd);
void fs_nodes_drop(struct fs *f);                              /* all */
int fs_open_path(const struct fs_node *dir, const char *name); /* O_PATH descriptor or -errno */
void fs_attr_of(const struct statx *st, struct fuse_attr *ret);
void fs_attr_valid(const struct fs_node *n, uint64_t *ret_s, uint32_t *ret_ns);
int fs_statx(int fd, struct statx *ret);

/* handle.c */
int fs_handle_add(struct fs *f, int fd, struct fs_node *n, bool is_dir, uint64_t *ret_fh);                  /* takes fd */
int fs_handle_get(struct fs *f, uint64_t fh, const struct fs_node *n, bool is_dir, struct fs_handle **ret); /* -EBADF */
void fs_handle_put(struct fs *f, struct fs_handle *h);
int fs_handle_release(struct fs *f, uint64_t fh, const struct fs_node *n, bool is_dir);
void fs_handles_drop(struct fs *f);
/* The node's file, opened; regular files and directories only. fd or -errno. */
int fs_reopen(const struct fs_node *n, int flags);

/* who.c: as whom something is done */
int fs_become(const struct fs_req *r); /* the caller of the request, or -errno */
void fs_return(const struct fs_req *r);
/* Without CAP_FSETID: what is written or cut loses its set-id bits. */
void fs_drop_fsetid(const struct fs *f);
void fs_take_fsetid(const struct fs *f);

/* lock.c */
void fs_locks_forget(struct fs *f, struct fs_node *n); /* the node ends */
void fs_locks_drop(struct fs *f);                      /* all that wait are told so */
void fs_locks_flush(struct fs *f, struct fs_node *n, uint64_t owner);
void fs_locks_nudge(struct fs *f);

/* "N": the descriptor's name in the working directory */
#define FS_FD_NAME 12
static inline const char *fs_fd_name(int fd, char buf[FS_FD_NAME])
{
	snprintf(buf, FS_FD_NAME, "%d", fd);
	return buf;
}
static inline int fs_errno(int r) { return r < 0 ? -errno : r; }

/* name.c, attr.c, file.c, dir.c, lock.c, xattr.c */
fs_fn fs_op_lookup, fs_op_mkdir, fs_op_mknod, fs_op_symlink, fs_op_unlink, fs_op_rmdir, fs_op_rename, fs_op_rename2, fs_op_link,
	fs_op_readlink, fs_op_create;
fs_fn fs_op_getattr, fs_op_setattr, fs_op_access, fs_op_statfs, fs_op_syncfs;
fs_fn fs_op_open, fs_op_read, fs_op_write, fs_op_release, fs_op_flush, fs_op_fsync, fs_op_lseek, fs_op_fallocate, fs_op_copy;
fs_fn fs_op_opendir, fs_op_readdir, fs_op_readdirplus, fs_op_releasedir, fs_op_fsyncdir;
fs_fn fs_op_getlk, fs_op_setlk, fs_op_setlkw, fs_op_interrupt;
fs_fn fs_op_getxattr, fs_op_setxattr, fs_op_listxattr, fs_op_removexattr;
