/* snapshot: VMs copied while they run: to be kept (snapshot_store.c), or to go on at once beside the original (clone.c).
 *
 * A kept one may be a diff: its memory file has only what was written since another one, its parent, whose record can't go before its own.
 * Everything else of it is whole. Its parent is found by what berth-vmm counts from (snapshot_chain.c).
 *
 *   ROOT/snapshots/ID/                 whole before its record comes; the record goes first. Its one writer is who takes it
 *     state, memory                    berth-vmm's (docs/FORMATS.md); mapped privately by every VM that goes on from it, never written.
 *                                      Memory of a diff is put together for each of them, in ROOT/tmp/chain-ID
 *     disk                             the VM's writable disk, as it was in the same moment; absent where it has none
 *     image                            the read-only disk, one more name of ROOT/erofs/...: what the guest holds of it in memory fits no other
 *     config.json, launch.json         the VM's own
 *     snapshot.json                    struct snapshot_meta: what it needs to go on, and what a record of the VM is made of
 *   ROOT/tmp/snap-ID/                  the same on its way: renamed when it is on the disk, removed by any collection after a crash
 *
 * All that makes or uses such a directory holds the store's lock shared. */
#pragma once

#include "engine_impl.h"
#include "vmm.h"

#define SNAPSHOT_DIR    "snapshots"
#define SNAPSHOT_DISK   "disk"
#define SNAPSHOT_IMAGE  "image"
#define SNAPSHOT_META   "snapshot.json"
#define SNAPSHOT_FORMAT 1u

struct snapshot_cpu {
	char *vendor, *model, *flags; /* of /proc/cpuinfo */
};
struct snapshot_meta {
	uint32_t version;               /* SNAPSHOT_FORMAT */
	uint32_t vmm_version, protocol; /* VMM_SNAPSHOT_VERSION, FRAME_VERSION */
	char *berth;                    /* version of the program, for people */
	struct snapshot_cpu cpu;
	uint64_t mem_bytes;
	uint32_t cpus;
	uint64_t pause_us, state_file_bytes, memory_file_bytes, disk_file_bytes;
	/* The container's record */
	char *image_id, *image_ref, *options;
	bool auto_remove, has_tty;
	struct string_map labels;
};
void snapshot_meta_done(struct snapshot_meta *m);

/* ---- snapshot_meta.c ---- */
int snapshot_meta_read(int dirfd, struct snapshot_meta *ret, struct err *e);
int snapshot_meta_parse(const char *text, size_t len, struct snapshot_meta *ret, struct err *e);
int snapshot_meta_write(int dirfd, const struct snapshot_meta *m, struct err *e); /* durable */
struct json_object *snapshot_meta_json(const struct snapshot_meta *m);
/* What the CPU of this host is; from such a file as /proc/cpuinfo. */
int snapshot_cpu_read(const char *cpuinfo, struct snapshot_cpu *ret, struct err *e);
void snapshot_cpu_done(struct snapshot_cpu *c);
/* Can a VM that was saved there go on here? One line says why not. */
int snapshot_fits(const struct snapshot_meta *m, const struct snapshot_cpu *here, struct err *e);

/* ---- vm_control.c: berth-vmm's control socket ---- */
/* -ECONNREFUSED, -ENOENT: there is none. */
int vm_control_open(struct engine *en, const char *id, int *ret_fd, struct err *e);
/* One request and its answer, which the caller puts; what the VMM refuses is an error with its sentence. */
int vm_control_ask(int fd, const char *request, const int *fds, size_t n_fds, struct json_object **ret, struct err *e);
/* c must be a VM that runs on berth-vmm. what: the deed that needs it, for the error. */
int vm_control_check(struct engine *en, const struct container_record *c, const char *what, struct err *e);

/* ---- snapshot_take.c ---- */
struct taken {
	uint64_t pause_us;
	struct vmm_snapshot_facts facts;
	int control; /* of one that tracks: until snapshot_keep berth-vmm takes it back when this is closed; else -1 */
};
/* Copies the VM, which runs, into dirfd: state, memory, disk, image, config.json, launch.json. Nothing is synced. o NULL: whole, and what is
 * counted stays as it is. *ret is snapshot_taken_done's, also after a failure. */
int snapshot_take(struct engine *en, const struct container_record *c, int dirfd, const struct engine_snapshot_opts *o,
		  struct taken *ret, struct err *e);
/* It is there to stay: what is written is counted from it on. */
int snapshot_keep(struct taken *t, struct err *e);
void snapshot_taken_done(struct taken *t);

/* ---- snapshot_chain.c: a diff and what it needs ---- */
#define SNAPSHOT_CHAIN_MAX 32u
/* ROOT/snapshots/ID */
int snapshot_open_dir(struct engine *en, const struct snapshot_record *s, int *ret_fd, struct err *e);
/* What the VM counts from: the caller's; and the id that its files carry. The error says what to do where it counts from nothing. */
int snapshot_parent_find(struct engine *en, const struct container_record *c, struct snapshot_record *ret,
			 uint8_t ret_id[VMM_SNAPSHOT_ID_BYTES], struct err *e);
/* The second half of it: the snapshot of that VM, and of no other, whose files carry the id: whoever has taken over berth-vmm says what he likes. */
int snapshot_parent_of(struct engine *en, const struct container_record *c, const uint8_t id[VMM_SNAPSHOT_ID_BYTES],
		       struct snapshot_record *ret, struct err *e);
/* Is it whole, with all that it needs? The error names which is not. *ret: its own. */
int snapshot_chain_check(struct engine *en, const struct snapshot_record *s, struct vmm_snapshot_facts *ret, struct err *e);
/* The whole memory of a diff, as a new file in dirfd. */
int snapshot_chain_merge(struct engine *en, const struct snapshot_record *s, int dirfd, struct err *e);

/* ---- clone.c ---- */
/* Copies that are to be, all or none. */
struct clones {
	struct engine *en;
	size_t total;
	size_t at_once; /* how many may be under way */
	int all_fd;     /* monitor_config's */
	struct clone_made {
		char *id; /* NULL: nothing of it was made */
		struct waiting_monitor monitor;
	} * made; /* room for total */
	size_t n, n_running;
	bool is_kept;
};
/* What one is a copy of. */
struct clone_of {
	int dirfd;                            /* what snapshot_take has filled */
	const struct container_record *model; /* whose record it gets, but for id and name */
	bool may_take;                        /* the disk in dirfd need not be copied for the last one: nobody else wants it */
};
/* Whatever it returns, clones_end follows. */
int clones_begin(struct clones *all, struct engine *en, size_t total, struct err *e);
/* One more, on its way; the failure may be another's, and says whose. name NULL: made up. */
int clones_add(struct clones *all, const struct clone_of *of, const char *name, struct err *e);
/* All run, and from here on live without us. */
int clones_keep(struct clones *all, struct err *e);
/* Of those that were not kept nothing is left. */
void clones_end(struct clones *all);
/* One alone. *ret_id: the caller's. On failure nothing is left. */
int clone_start(struct engine *en, int dirfd, const struct container_record *model, const char *name, char **ret_id,
		struct err *e);
/* Is c a VM that can be copied now? what: the deed, for the error. */
int clone_check(struct engine *en, const struct container_record *c, const char *what, struct err *e);
