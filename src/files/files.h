/* files: nodes of a file system on their way from a tree or a tar into a tree or a tar: what `cp`, `export`, `import` and `commit`
 * have in common. A source calls a sink for each node, parents before their children, in an order that depends on names alone.
 *
 *   files_walk (tree) --+                       +--> tree_sink (a directory)
 *                       +--> struct file_node --+
 *   files_untar (tar) --+                       +--> tar_sink (a tar)
 *
 * Either side may be changed by a hostile container while it is worked on. So a path is never used twice: what stands at a name is
 * opened once, without following it, and from then on only the descriptor counts. */
#pragma once

#include <sys/stat.h>

#include "base.h"

#define FILES_DEPTH_MAX 512u

struct file_xattr {
	char *name;
	void *value;
	size_t len;
};
struct file_node {
	const char *path; /* relative, cleaned: no "..", "." or empty component; "" is the top itself, a directory */
	uint32_t mode;    /* type and permissions */
	uint32_t uid, gid;
	uint64_t size; /* of a regular file */
	dev_t rdev;
	struct timespec mtime;
	const char *target; /* of a symlink */
	const char *link;   /* path of an earlier node that this is another name of; NULL */
	struct file_xattr *xattrs;
	size_t n_xattrs;
	bool is_opaque; /* overlay: a directory that hides what is below it */
	dev_t dev;      /* of a tree's: which one it is; 0 from a tar */
	ino_t ino;
	/* A regular file's bytes: 1 and the next piece, whose offset never falls (what lies between are zeros); 0: no more; -errno. */
	int (*next)(const struct file_node *n, const void **ret_p, size_t *ret_len, uint64_t *ret_off, struct err *e);
	void *from; /* next's own */
};

struct file_sink {
	int (*put)(struct file_sink *s, const struct file_node *n, struct err *e);
	/* That directory must not be walked: it is what the sink itself fills. NULL: there is none. */
	bool (*is_own)(struct file_sink *s, dev_t dev, ino_t ino);
	uint64_t bytes, nodes; /* of files' content; of what was put */
	uint64_t skipped;      /* nodes that a tree is not given: devices, sockets */
	uint64_t shown_us;     /* progress: when last drawn; 0: never */
	const char *progress;  /* what to call it on the terminal; NULL: nothing is drawn */
};
/* Counts bytes and draws them now and then, where the sink has progress; files_progress_end wipes that. */
void files_progress(struct file_sink *s, uint64_t bytes);
void files_progress_end(struct file_sink *s);

/* ---- sources ---- */

enum walk_xattrs {
	WALK_XATTRS_CAPABILITY, /* security.capability alone */
	WALK_XATTRS_LAYER,      /* what a layer may hold (node_xattrs takes the same) */
};
struct walk {
	int dirfd;        /* walked is what stands at name in it, never followed; "." = dirfd itself */
	const char *name; /* not owned */
	const char *as;   /* its path in the nodes; "" = the top */
	enum walk_xattrs xattrs;
	bool is_overlay; /* an upper directory of overlayfs: opaque marks are looked at; what only its kernel can read is refused */
	/* Nodes whose path says so are left out, with all below; NULL: none. */
	bool (*is_left_out)(const char *path, const struct stat *st, void *arg);
	void *arg;
};
int files_walk(const struct walk *w, struct file_sink *s, struct err *e);
bool files_xattr_is_wanted(enum walk_xattrs which, const char *name);

/* ---- sinks ---- */

/* Into the directory dirfd. Existing directories are merged with; other nodes are replaced; a directory never replaces what is none
 * and the other way round. Symlinks are not followed on the way to a node's place, unless follows_links says that dirfd is a
 * root: then they lead where they lead in it. Devices and sockets are never made. */
struct tree_sink {
	struct file_sink base;
	int dirfd; /* O_PATH, not owned */
	bool follows_links;
	bool keeps_owner; /* also set-id bits and capabilities, which mean nothing with another owner; else uid and gid own all */
	uint32_t uid, gid;
	/* private */
	char *parent; /* of the last node, and its directory */
	int parentfd;
	dev_t own_dev, base_dev;
	ino_t own_ino, base_ino;
	bool has_own;
	struct tree_time {
		char *path;
		struct timespec mtime;
		dev_t dev;
		ino_t ino;
	} * times;
	size_t n_times, room_times;
	void *linked; /* tsearch tree of files that may get further names */
};
int tree_sink_init(struct tree_sink *t, int dirfd, struct err *e);
/* What comes last: the times of directories. */
int tree_sink_finish(struct tree_sink *t, struct err *e);
void tree_sink_done(struct tree_sink *t);
