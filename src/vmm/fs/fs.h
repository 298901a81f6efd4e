/* fs: a file server that speaks FUSE (linux/fuse.h, 7.31 and later): one message in, one answer out. It knows neither virtio nor
 * guest memory; serve.c gives it messages, in a process that has the served tree as its root and nothing else (jail.h here).
 *
 * What is behind a number that the guest says:
 *
 *   nodeid   a slot of the node table and how often the slot was used before. A node is an O_PATH descriptor of one file, with
 *            the guest's count of lookups. Names are looked up one component at a time beneath such a descriptor, never "..",
 *            never through a symbolic link: no request names a path, so none can lead out of the tree, whatever is renamed
 *            meanwhile by whom.
 *   fh       the same for open files. A file is opened by its node's descriptor, and only regular files and directories are.
 *
 * A number that is stale, made up, or of another file gives ESTALE or EBADF. Messages may change while they are looked at (they are
 * in memory that the guest's side shares): all but a write's data is copied before it is judged.
 *
 * Ids: the caller's uid and gid own what is made; permissions are checked by the guest's kernel, which mounts with
 * default_permissions. Coherence: how long the guest may trust an answer is the volume's (enum fs_trust); what a page holds is checked
 * by mtime and size at each open, and at a read when the attributes are no longer trusted (FUSE_AUTO_INVAL_DATA).
 *
 * Threads: fs_handle may be called by any number of threads, each with a scratch of its own. */
#pragma once

#include <linux/fuse.h>

#include "base.h"

enum {
	FS_DATA_MAX = 256 << 10,             /* of one read or write */
	FS_MESSAGE_MAX = FS_DATA_MAX + 4096, /* a message with its headers, either way */
	FS_ARGS_MAX = 72 << 10,              /* of a message that is no write: names, an extended attribute's value */
	FS_NODES_MAX = 1 << 20,
	FS_HANDLES_MAX = 1 << 16,
	FS_WAITERS_MAX = 16,  /* requests for locks that wait */
	FS_OWNERS_MAX = 4096, /* of POSIX locks, of all files */
};
/* What fs_handle returns for a message without an answer (FORGET), and for one whose answer comes later (a lock that is waited for). */
enum { FS_NO_ANSWER = 0, FS_LATER = -1 };

/* How long a guest's kernel takes an answer about a name or an attribute for true without asking anew. It counts in ticks of its
 * own clock (4 ms at CONFIG_HZ=250) and begins in the midst of one. */
enum fs_trust {
	FS_TRUST_TICK,   /* one tick, and the name of a file never: who names a file sees it as it is now. One walk along a
			    path, and one stat, asks once for each directory and file instead of two or three times */
	FS_TRUST_NEVER,  /* also an open descriptor sees the host's changes at once */
	FS_TRUST_SECOND, /* a second, names of files as well */
};
/* One entry of the root, and all below it. */
struct fs_volume {
	const char *name; /* "": the root, and what is not named */
	enum fs_trust trust;
};

struct fs;
struct fs_scratch;
struct fs_config {
	int root_fd; /* O_PATH | O_DIRECTORY; stays the caller's */
	int proc_fd; /* /proc/self/fd; becomes the working directory (calls that take only paths); stays the caller's */
	uint32_t nodes_max, handles_max; /* 0: as the limits above */
	const struct fs_volume *volumes; /* those that are not FS_TRUST_TICK; stay the caller's, as long as the fs lives */
	size_t n_volumes;
	/* The answer to a message that was FS_LATER, which is in its `out` already. On the thread of fs_wait_locks, or of
	 * whoever ended the wait. */
	void (*answer)(void *arg, uint32_t tag, size_t len);
	void *arg;
};
int fs_new(const struct fs_config *c, struct fs **ret, struct err *e);
void fs_free(struct fs *f); /* no thread is in it; what waits is answered */
DEFINE_CLEANUP(struct fs *, fs_free)
struct fs_scratch *fs_scratch_new(void); /* free() it; NULL: out of memory */

/* The answer's length, in out; or one of the above. in and out may be the same memory; out_max less than a header: no answer is
 * given. tag: the caller's word for this message, for `answer`. */
ssize_t fs_handle(struct fs *f, struct fs_scratch *s, uint32_t tag, const void *in, size_t in_len, void *out, size_t out_max);
/* Tries what waits for locks once. Returns after how many milliseconds that is to be done again; -1: nothing waits. */
int fs_try_locks(struct fs *f);
/* Sleeps until something waits and ms (-1: any time) have passed, or a lock was given up. */
void fs_sleep_locks(struct fs *f, int ms);
/* For metrics and tests. */
struct fs_counts {
	uint32_t nodes, handles, owners, waiters;
};
void fs_count(struct fs *f, struct fs_counts *ret);
