/* Private to the unpacker: what its two confined processes and their parent share.
 *
 *   parent (unpack.c)  --fork-->  writer (unpack_writer.c)  --fork-->  inflater (unpack_inflate.c)
 *        ^                          | parses the tar, writes files       | reads the blob, inflates, hashes
 *        |   struct unpack_report   |<------- pipe of tar bytes ---------|
 *        +--------------------------+<------- struct unpack_report ------+
 *
 * Two processes, because inflating and writing each fill a core, and because the one that chews compressed bytes needs no file
 * system at all. */
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include "filelist.h"
#include "transfer.h"

/* What a child says before it exits, in one write(2). */
struct unpack_report {
	struct err e; /* .no 0 = success */
	struct unpack_result result;
	char diff_id[DIGEST_LEN]; /* inflater: of the uncompressed bytes */
	bool may_be_inflate;      /* failed in a way that another gzip decoder might not */
};
_Static_assert(sizeof(struct unpack_report) <= PIPE_BUF, "one write() must carry a report");

enum unpack_gzip { GZIP_FAST, GZIP_ZLIB };

/* ---- unpack_writer.c ---- */
struct unpack_job {
	int blobfd, dirfd, listfd, reportfd;
	enum media_compression comp;
	enum unpack_gzip gzip;
	const char *diff_id;
	const struct unpack_limits *lim;
	pid_t parent;
};
_noreturn_ void unpack_writer_main(const struct unpack_job *j);

/* ---- unpack_inflate.c ---- */
/* in -> out until EOF; hashes what it writes. -EBADMSG damaged, -E2BIG beyond the ratio, or an I/O error. */
int unpack_inflate(int in, int out, enum media_compression comp, enum unpack_gzip gzip, const struct unpack_limits *lim,
		   char ret_diff_id[DIGEST_LEN], struct err *e);

/* ---- unpack_confine.c: irrevocable; each returns 0 or -errno with e ---- */
int unpack_confine_common(pid_t parent, struct err *e); /* death signal, no_new_privs, own network and IPC */
int unpack_confine_inflater(struct err *e);             /* nothing but reading and writing open fds */
/* Of `cp` and its like, common included: nothing but readfds (directories or files) can be read and nothing but writefd be written to;
 * none, -1: nothing at all but what is open. reads_overlay: keeps what it takes to see overlayfs' marks. */
int unpack_confine_copier(const int *readfds, size_t n_readfds, int writefd, bool reads_overlay, struct err *e);
bool unpack_is_copier(void);                                                          /* it has been called */
int unpack_confine_writer(int dirfd, const struct unpack_limits *lim, struct err *e); /* only beneath dirfd */

/* ---- unpack_tar.c ---- */
/* Reads a tar from fd into the empty directory dirfd; listfd: the file list. Also the fuzzer's entry. */
int unpack_tar(int fd, int dirfd, int listfd, const struct unpack_limits *lim, struct unpack_result *ret, struct err *e);

/* ---- unpack_tree.c: the tree being written ---- */
#define TREE_CACHE 32
struct tree {
	int rootfd, listfd;
	const struct unpack_limits *lim;
	struct tree_dir {
		char *path; /* "" is the root; NULL an empty slot */
		int fd;     /* O_PATH */
		bool is_setgid;
		uint64_t used;
	} cache[TREE_CACHE];
	uint64_t clock;
	struct buf list;
	struct tree_mtime {
		char *path;
		struct timespec mtime;
	} * mtimes; /* of directories: set last, because writing into them changes them */
	size_t n_mtimes, room_mtimes;
	uint64_t bytes, entries, implied;
	bool has_default_acl;
};
void tree_init(struct tree *t, int rootfd, int listfd, const struct unpack_limits *lim);
void tree_done(struct tree *t);
/* The directory `path` (cleaned; "" = root), made with its parents where missing (0755 root). *ret belongs to the cache until the
 * next call. Symlinks in it are resolved inside the tree. */
int tree_dir(struct tree *t, const char *path, struct tree_dir **ret, struct err *e);
/* Removes whatever stands at name in parent (path: its whole path, for the list). */
int tree_remove(struct tree *t, int parentfd, const char *name, const char *path, struct err *e);
bool tree_is_whiteout(int parentfd, const char *name);
int tree_set_opaque(int dirfd, const char *path, struct err *e); /* dirfd: not O_PATH */
int tree_list(struct tree *t, const struct file_line *l, struct err *e);
int tree_note_mtime(struct tree *t, const char *path, struct timespec mtime, struct err *e);
int tree_finish(struct tree *t, struct err *e); /* directories' mtimes, rest of the list */

/* ---- unpack_node.c: one entry of the tar becomes one node ---- */
struct node {
	const char *path, *name; /* cleaned; name points to path's last component; path "" is the root itself */
	struct tree_dir *parent;
	uint32_t mode, uid, gid; /* mode: permission bits */
	struct timespec mtime;
	const char *target; /* of a symlink as it stands, of a hard link cleaned */
	dev_t rdev;
	struct archive_entry *entry; /* xattrs */
};
int node_directory(struct tree *t, const struct node *n, struct err *e);
int node_file(struct tree *t, const struct node *n, struct archive *a, struct err *e);
int node_symlink(struct tree *t, const struct node *n, struct err *e);
int node_hardlink(struct tree *t, const struct node *n, struct err *e);
int node_special(struct tree *t, const struct node *n, mode_t type, struct err *e);
int node_whiteout(struct tree *t, const struct node *n, struct err *e); /* n->name already without ".wh." */

/* ---- unpack_xattr.c ---- */
/* Sets the entry's xattrs on fd, or (fd -1) on parentfd/name itself, never through a symlink. */
int node_xattrs(struct tree *t, const struct node *n, int fd, struct err *e);

/* ---- unpack_path.c ---- */
#define UNPACK_PATH_MAX 4096
/* Cleaned relative path: no leading "/" or "./", no empty or "." components. -EINVAL for "..", too long, too deep. */
int unpack_path_clean(const char *in, unsigned max_depth, char ret[UNPACK_PATH_MAX], struct err *e);
enum wh_kind { WH_NONE, WH_FILE, WH_OPAQUE, WH_IGNORE };
/* What a cleaned path says as a whiteout (image spec 1.1 layer.md "Whiteouts"; AUFS leftovers are ignored). -EINVAL: one that
 * names nothing, ".", "..". */
int unpack_whiteout(const char *path, enum wh_kind *ret, struct err *e);

/* ---- unpack_relist.c; layerfd, here and below: the directory that holds diff and files ---- */
/* change is called for each line of one of these types: 1: it stays, as l is now; 0: it goes; -errno ends it all. */
int unpack_relist(int layerfd, const char *types, int (*change)(struct file_line *l, void *arg), void *arg);

/* ---- unpack_bottom.c ---- */
int unpack_bottom(int layerfd, struct err *e);

/* ---- unpack_implied.c ---- */
int implied_mark(int dirfd);   /* not O_PATH */
int implied_unmark(int dirfd); /* 1: it was marked, 0: it was not, -errno */
/* The layers below are installed. */
int unpack_implied(int rootfd, int layerfd, const struct layer_info *info, struct err *e);
