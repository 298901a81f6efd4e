/* snapshot: a paused VM as two files, and a VM from two files. docs/FORMATS.md has the layout in words.
 *
 *   state file    struct snapshot_head, then records (state.h): vCPUs, clock, PCI, virtio, devices. Checksummed as a whole.
 *   memory file   full: guest RAM by file offset (memory.h), holes where it is zero, then one page, struct ram_tail
 *                 diff: struct diff_head, runs of pages, the pages: what was written since the snapshot that it names
 *
 * Both files of a snapshot carry its id; a state is loaded only with its own memory. A diff becomes a full one by merging it
 * into a copy of its base's memory file, which then carries the diff's id. Memory has no checksum: it is mapped, not read.
 *
 * A restored VM maps the memory file privately: its pages are read when the guest touches them, shared with other clones of the
 * file until written, and the file is never changed. Nobody may shorten it meanwhile (SIGBUS ends that VM).
 *
 * The clones of a snapshot have one random number generator, until each has a seed of its own: a restore gives each machine another
 * generation and tells its kernel (generation.h), which may have no driver for it; the agent in the guest gets one from the host as well (docs/THREATS.md).
 * The wall clock does not know how long the guest was away.
 *
 * System calls of a snapshot, for the vmm thread's filter: fstat, fcntl(F_GETFL), ftruncate, pwrite64, fsync, lseek on the
 * memory's memfd, getrandom, and ioctls: KVM_GET_x of vcpu_state.c, KVM_GET_CLOCK, KVM_GET_DIRTY_LOG,
 * KVM_SET_USER_MEMORY_REGION. Restoring happens before vmm_run. */
#pragma once

#include "memory.h"
#include "vmm.h"

#define SNAPSHOT_VERSION   VMM_SNAPSHOT_VERSION
#define SNAPSHOT_STATE_MAX (64u << 20)
#define SNAPSHOT_PAGE      4096u

struct snapshot_id {
	uint8_t b[16];
};

struct snapshot_head {
	char magic[8]; /* "BERTHVMS" */
	uint32_t version, head_bytes;
	struct snapshot_id id;
	uint64_t mem_bytes, records_bytes;
	uint64_t real_ns; /* when, CLOCK_REALTIME; a label */
	uint32_t cpus, pad;
	uint64_t sum; /* of this struct with zeros here, and of the records */
};

struct ram_tail {
	char magic[8]; /* "BERTHRAM"; zeros while the file is being written */
	uint32_t version, pad;
	struct snapshot_id id;
	uint64_t mem_bytes;
	uint64_t sum; /* of this struct with zeros here */
};

struct diff_head {
	char magic[8]; /* "BERTHDIF" */
	uint32_t version, pad;
	struct snapshot_id id, base;
	uint64_t mem_bytes, n_runs;
	uint64_t sum; /* of this struct with zeros here, and of the runs */
};
/* From SNAPSHOT_PAGE on. Pages of the memory file, ascending; the data of those that are not zero follows the last run, from
 * the next whole page on, in the same order. */
struct diff_run {
	uint64_t page;
	uint32_t n, is_zero;
};

/* What is written when a snapshot is taken and tracked (vmm.h); part of struct vmm. */
struct snapshot_track {
	uint64_t *written;       /* bitmap of file pages since base, but for what the log has not told yet; NULL: not tracked */
	struct snapshot_id base; /* the snapshot that it counts from */
	struct {
		bool is_pending;   /* a tentative snapshot is neither kept nor taken back; what was before it: */
		uint64_t *written; /* as above */
		struct snapshot_id base;
	} before;
};
/* Counts from now on, while paused; where it is on already only the base changes. */
int snapshot_track_start(struct vmm *vm, const struct snapshot_id *base, struct err *e);
void snapshot_track_stop(struct vmm *vm);

/* ---- snapshot_ram.c ---- */
/* Guest RAM into an empty file, and the page behind it. *ret_bytes: what was really written. Not durable yet. */
int ram_write_full(const struct vmm_mem *m, const struct snapshot_id *id, int fd, uint64_t *ret_bytes, struct err *e);
int ram_write_diff(const struct vmm_mem *m, const struct snapshot_id *id, const struct snapshot_track *t, int fd,
		   uint64_t *ret_bytes, struct err *e);
/* That fd is the whole memory of that snapshot. */
int ram_check(int fd, uint64_t mem_bytes, const struct snapshot_id *id, struct err *e);
/* 1: fd is a diff, and its list of pages is whole: *ret; 0: it is none; -EBADMSG. */
int ram_check_diff(int fd, struct diff_head *ret, struct err *e);

/* ---- snapshot_load.c ---- */
/* Head and checksum of a state file that was read whole. */
int snapshot_check(const void *data, size_t len, struct snapshot_head *ret, struct err *e);
/* Completes the head: length and checksum over it and the records. */
void snapshot_seal(struct snapshot_head *h, const void *records);
/* Reads the plan's state and memory files and checks them; the records go to vm->restore. While building, before memory. */
int snapshot_open(struct vmm *vm, struct err *e);
/* Gives a VM that was built the state in vm->restore. The last step of building. */
int snapshot_load(struct vmm *vm, struct err *e);
/* The records alone, for snapshot_load and the fuzzer. */
int snapshot_load_records(struct vmm *vm, const void *records, size_t len, struct err *e);
int snapshot_save_records(struct vmm *vm, struct buf *out, struct err *e);
