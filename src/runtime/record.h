/* record: what ROOT/ID holds, and the one lock over it. Written by whoever has the lock; anyone may read.
 *
 *   lock         whoever writes holds a POSIX lock on it, which a child never inherits and a killed holder loses
 *   state.json   struct record (docs/FORMATS.md); replaced as a whole
 *   config.json  the bundle's, as it was at create
 *   resources.json  linux.resources as `update` left them; missing before the first one
 *   start.sock   where the first process waits to be started (container_start_listen) */
#pragma once

#include "verbs.h"

#define RECORD_VERSION 1
#define RDT_MARK       "rdt" /* in its directory: update has made a group of resctrl of the container's id */

enum status { STATUS_CREATING, STATUS_CREATED, STATUS_RUNNING, STATUS_PAUSED, STATUS_STOPPED, STATUS_COUNT };
extern const char *const status_names[STATUS_COUNT]; /* OCI's words */

struct record {
	uint32_t version;
	char *id, *oci_version, *bundle, *rootfs, *owner, *created;
	char *written; /* status_names[] of CREATING, CREATED or RUNNING */
	int64_t pid, maker_pid;
	uint64_t start_time, maker_start_time; /* pid_start_time() */
	char *boot_id;
	char *cgroup_path; /* "" = none */
	char *scope;       /* systemd's unit that the cgroup belongs to; NULL or "" = none */
	char **stdio;      /* what its first process had as 0, 1 and 2: readlink of /proc/PID/fd/N; NULL with a terminal */
	bool has_pid_ns;   /* its first process's end ends all others */
	bool needs_config; /* delete must read it: poststop hooks, or a resctrl group to remove */
	struct string_map annotations;
};
void record_done(struct record *rec);

/* A container's directory, open. */
struct held {
	int rootfd, dirfd, lockfd;
	struct record rec;
};
#define HELD_NONE ((struct held){ .rootfd = -1, .dirfd = -1, .lockfd = -1 })
void held_done(struct held *h); /* releases the lock */
#define _cleanup_held_ _cleanup_(held_done)

/* Ids are runc's: letters, digits, "_", "+", "-", "."; not "." or "..". */
int id_check(const char *id, struct err *e);
/* ROOT as a directory fd; made (0700) where `make`. -ENOENT where it is missing and not made. */
int root_dir_open(const struct runtime *rt, bool make, struct err *e);

enum lock { UNLOCKED, LOCKED };
/* -ENOENT, with the words that callers of runc look for, where there is none. */
int record_open(const struct runtime *rt, const char *id, enum lock lock, struct held *ret, struct err *e);
/* A new, empty directory, locked. -EEXIST. */
int record_claim(const struct runtime *rt, const char *id, struct held *ret, struct err *e);
int record_save(struct held *h, struct err *e);
/* Lets others write it for a while, and has it again. -ENOENT: they have removed it. */
int record_unlock(struct held *h, struct err *e);
int record_relock(struct held *h, struct err *e);
/* The directory goes, and with it the container's name; h->rec stays until held_done. */
int record_remove(struct held *h, struct err *e);

int record_set_process(struct record *rec, pid_t pid, struct err *e);
int record_set_maker(struct record *rec, struct err *e);
/* The truth, now. host: for the freezer. */
enum status record_status(const struct held *h, const struct host *host);
/* pid of its first process where that is alive, else 0. */
pid_t record_live_pid(const struct record *rec);
/* The state of the OCI specification with runc's additions; NULL on ENOMEM. */
struct json_object *record_json(const struct record *rec, enum status status);
/* The processes of its cgroup; without one those of its own pid namespace, else only the first. Caller frees. */
int record_pids(const struct record *rec, const struct host *host, pid_t **ret, size_t *ret_n, struct err *e);
/* -ENOENT where its cgroup is gone or it has none. */
int record_cgroup(const struct record *rec, const struct host *host, struct cgroup **ret, struct err *e);
