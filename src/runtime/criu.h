/* criu: CRIU (criu.org), which saves the processes of a container to files and makes them again, as a program of the host that is
 * spoken with: `criu swrk FD` reads requests from a socket and answers there (its images/rpc.proto, Protocol Buffers 2). One
 * conversation: which version it is, then one request, during which CRIU says what it has come to ("notify") and goes on only once
 * it is answered. */
#pragma once

#include "verbs.h"

/* In the directory of images: criu_stdio.c */
#define CRIU_DESCRIPTORS "descriptors.json"

/* CRIU 3.16: version 2 of cgroups with its freezer, joined namespaces, labels of mounts. */
enum { CRIU_OLDEST = 31600 };

/* criu_req_type of rpc.proto */
enum criu_type {
	CRIU_DUMP = 1,
	CRIU_RESTORE = 2,
	CRIU_NOTIFY = 6,
	CRIU_VERSION = 10,
	CRIU_PRE_DUMP = 13, /* SINGLE_PRE_DUMP: the other one waits for more requests */
};

struct criu {
	pid_t pid;
	int pidfd, sock;
	int says; /* what it writes to standard error, where that is not the container's */
};
#define CRIU_NONE ((struct criu){ .pidfd = -1, .sock = -1, .says = -1 })

struct criu_start {
	const char *program;      /* --criu, or NULL */
	bool has_container_stdio; /* our 0, 1 and 2 are the container's, and CRIU is to have them as such */
	const int *fds;           /* n_fds, which CRIU has as CRIU_FIRST_FD and on */
	size_t n_fds;
};
enum { CRIU_SOCK = 3, CRIU_FIRST_FD = 4, CRIU_FDS_MAX = 8 };
/* Errors name what is missing or too old. */
int criu_start(const struct criu_start *s, struct criu *ret, struct err *e);

/* script: rpc.proto's name of what has come; pid: of the restored first process, with some; fd: passed, or -1; owned by the
 * callee. An error ends the request, and is the one that criu_ask returns. */
struct criu_listener {
	int (*heard)(void *arg, const char *script, pid_t pid, int fd, struct err *e);
	void *arg;
};
/* opts: a criu_opts message, or NULL. -EIO where CRIU says no, with its own words where it gave some. */
int criu_ask(struct criu *c, enum criu_type type, const struct buf *opts, const struct criu_listener *l, struct err *e);
/* Waits for its end, or where `kills` brings it about. */
void criu_end(struct criu *c, bool kills);

/* Makes e, of a request that has failed, say why: the last errors of CRIU's log, and whether it can work here at all. */
void criu_explain(const char *program, int dirfd, const char *log, struct err *e);

/* ---- criu_opts.c: the criu_opts message of rpc.proto ---- */
void criu_put_options(struct buf *b, const struct criu_opts *o);
/* --page-server, --manage-cgroups-mode, --empty-ns, and the directories. */
int criu_put_words(struct buf *b, const struct criu_opts *o, struct err *e);
enum criu_field {
	CRIU_IMAGES_DIR_FD = 1,
	CRIU_PID = 2,
	CRIU_EVASIVE_DEVICES = 6,
	CRIU_LOG_LEVEL = 9,
	CRIU_LOG_FILE = 10,
	CRIU_PAGE_SERVER = 11,
	CRIU_NOTIFY_SCRIPTS = 12,
	CRIU_ROOT = 13,
	CRIU_PARENT_IMG = 14,
	CRIU_TRACK_MEM = 15,
	CRIU_WORK_DIR_FD = 17,
	CRIU_EXT_MNT = 23,
	CRIU_CG_ROOT = 25,
	CRIU_RST_SIBLING = 26,
	CRIU_INHERIT_FD = 27,
	CRIU_MANAGE_CGROUPS_MODE = 34,
	CRIU_EXTERNAL = 37,
	CRIU_EMPTY_NS = 38,
	CRIU_JOIN_NS = 39,
	CRIU_FREEZE_CGROUP = 44,
	CRIU_ORPHAN_PTS_MASTER = 50,
	CRIU_CONFIG_FILE = 51,
};
/* The messages of two strings: ext_mount_map, cgroup_root, join_namespace. */
void criu_put_pair(struct buf *b, enum criu_field field, const char *first, const char *second);
/* A file of CRIU's own configuration, which goes before what we say: runc's, or what the container's annotation org.criu.config
 * names instead ("" = none). */
void criu_put_config_file(struct buf *b, const struct string_map *annotations);
void criu_put_inherit_fd(struct buf *b, const char *key, int fd);

/* ---- criu_places.c: what of a container is not CRIU's to save, but the host's to lend once more ---- */
/* Mounts of the host, by their place in the container: saved under that name, and given from their source when restored. rootfd:
 * the root as the host sees it. pid: the container's first process, to be saved; 0 where it is restored. */
enum criu_way { CRIU_SAVES, CRIU_RESTORES };
int criu_put_mounts(struct buf *b, const struct spec *s, int rootfd, const char *bundle, pid_t pid, enum criu_way way,
		    struct err *e);
/* Joined namespaces. fds: where they are opened for a restore (CRIU_FDS_MAX), owned by the caller also after an error. */
int criu_put_namespaces(struct buf *b, const struct spec *s, pid_t pid, enum criu_way way, int *fds, size_t *n_fds,
			struct err *e);
int criu_put_nodes(struct buf *b, const struct spec *s, pid_t pid, enum criu_way way, struct err *e);
/* The lines of /proc/PID/NAME; owned by the caller. */
int criu_proc_lines(pid_t pid, const char *name, char ***ret, struct err *e);
/* Whether a mount of what was saved had this place: CRIU's image of mounts has the word. */
bool criu_had_mount(int images, const char *place);
/* criu_stdio.c: stdio is the record's, dirfd the images'. */
int criu_stdio_save(struct buf *b, char *const *stdio, pid_t pid, int dirfd, struct err *e);
int criu_stdio_restore(struct buf *b, int dirfd, struct err *e);
/* What CRIU would silently leave out. */
int criu_check_spec(const struct spec *s, struct err *e);

/* The directory of images and the one of logs, the former made where `make`, the latter wherever it is given and missing (else the
 * former's). */
struct criu_dirs {
	int images, work;
	char *images_path, *work_path; /* as errors name them; absolute */
};
#define CRIU_DIRS_NONE ((struct criu_dirs){ .images = -1, .work = -1 })
int criu_dirs_open(const struct criu_opts *o, bool make, struct criu_dirs *ret, struct err *e);
/* The same descriptors for the same directories in another mount namespace: CRIU mounts in the latter, and may in its own only. */
int criu_dirs_reopen(struct criu_dirs *d, struct err *e);
void criu_dirs_done(struct criu_dirs *d);
