/* memory: guest RAM and the one gate to it.
 *
 * RAM is one file (a memfd, or a snapshot's), mapped once, in at most two regions of guest-physical addresses: from 0 up to
 * VMM_HOLE_START, and what is left from 4 GiB on. A third one may follow, room to grow into (virtio/mem.c), which is no memory at
 * first: neither the guest nor this process can touch it, and it costs addresses only. Offsets into the file have no hole:
 *
 *   guest-physical   0 ........ low_bytes   |  hole: devices, APIC  |  4 GiB ...... 4 GiB + high_bytes    | whole GiB ... + room
 *   file offset      0 ........ low_bytes                              low_bytes .. low_bytes + high_bytes    .......... + room
 *
 * Invariant: no pointer into guest RAM is made but by the functions here, and each gets an address AND a length. A range
 * that wraps, that leaves its region, or that is empty at an address outside of RAM gives NULL or -EFAULT; nothing aborts.
 * The guest writes to its RAM while we read it: what is decided upon is copied first (vmm_mem_read), once.
 *
 * Threads: a struct vmm_mem does not change once the VM is built, but for how much of the room is memory, which only grows and
 * which any thread may see late; so everything here may be called by any thread. */
#pragma once

#include <sys/uio.h>

#include "vmm.h"

#define VMM_HOLE_START 0xc0000000ull
#define VMM_HOLE_END   0x100000000ull

struct vmm_mem;

struct vmm_mem_config {
	uint64_t bytes; /* a multiple of 2 MiB */
	uint64_t
		room_bytes; /* to grow into: a multiple of VMM_ROOM_UNIT, at most VMM_ROOM_MAX; 0: none. The file has them as well */
	enum vmm_pages pages;
	/* Where RAM comes from: -1: a new memfd, or with is_private no file at all. Else a file of at least `bytes` from file_offset
	 * on (page-aligned), which stays the caller's. is_private: writes stay in this process (restore, fork): the file is never
	 * changed. Hosts give huge pages to memory without a file when they are asked (MADV_HUGEPAGE), to a memfd mostly not
	 * (shmem_enabled is "never" by default); but a whole snapshot of it has to look at every page for zeros. */
	int file_fd;
	uint64_t file_offset;
	bool is_private;
};
struct vmm_mem_region {
	uint64_t gpa, bytes;
	void *host;
	uint64_t file_offset; /* into vmm_mem_fd */
};

int vmm_mem_new(const struct vmm_mem_config *c, struct vmm_mem **ret, struct err *e);
void vmm_mem_free(struct vmm_mem *m);
DEFINE_CLEANUP(struct vmm_mem *, vmm_mem_free)
/* What a VM boots with, by address: 1 or 2. */
size_t vmm_mem_regions(const struct vmm_mem *m, const struct vmm_mem_region **ret);
uint64_t vmm_mem_boot_bytes(const struct vmm_mem *m); /* of these */
uint64_t vmm_mem_bytes(const struct vmm_mem *m);      /* of the file: with the room, however much of it is memory */
uint64_t vmm_mem_used_bytes(const struct vmm_mem *m); /* of the file: nothing was ever behind this */
uint64_t vmm_mem_top(const struct vmm_mem *m);        /* behind the last address of RAM and room, at least 4 GiB */
/* The file behind RAM, for back ends in other processes (vhost-user) and for snapshots; owned by m. -1 where the mapping is
 * private, because then the file is not what the guest sees. */
int vmm_mem_fd(const struct vmm_mem *m);

/* [gpa, gpa + len) as host memory, or NULL. vmm_mem_at is for reading; vmm_mem_at_write marks the range dirty, at once: who
 * writes later (I/O in flight) calls vmm_mem_dirty when it is done, which vq_push does for a request's buffers. */
const void *vmm_mem_at(const struct vmm_mem *m, uint64_t gpa, uint64_t len);
void *vmm_mem_at_write(struct vmm_mem *m, uint64_t gpa, uint64_t len);
/* As vmm_mem_at_write, for who marks it dirty later. */
void *vmm_mem_at_fill(const struct vmm_mem *m, uint64_t gpa, uint64_t len);
/* Whether all of it is RAM; a window is not. */
bool vmm_mem_is_ram(const struct vmm_mem *m, uint64_t gpa, uint64_t len);
/* Copies. 0 or -EFAULT (nothing is copied then). */
int vmm_mem_read(const struct vmm_mem *m, uint64_t gpa, void *to, size_t len);
int vmm_mem_write(struct vmm_mem *m, uint64_t gpa, const void *from, size_t len);
int vmm_mem_zero(struct vmm_mem *m, uint64_t gpa, uint64_t len);
/* Fills [gpa, gpa + len) from fd at offset. 0, -EFAULT, -ENODATA (the file is shorter), or -errno of pread. */
int vmm_mem_pread(struct vmm_mem *m, uint64_t gpa, int fd, uint64_t offset, uint64_t len);
/* The same for files that stay as they are, whose pages then need not be read (memory_map.c). While the VM is built; what was in the
 * range before may be gone when it fails. */
int vmm_mem_load(struct vmm_mem *m, uint64_t gpa, int fd, uint64_t offset, uint64_t len);
/* Those whole pages of [gpa, gpa + len) that are still a file's become this VM's own now, with what they have, instead of when they are
 * written. 0 or -errno, and then nothing is lost: a kernel before Linux 5.14 can't, or there is no memory. Any thread. */
int vmm_mem_own(const struct vmm_mem *m, uint64_t gpa, uint64_t len);
/* The same for a piece of VMM_MEM_PIECE bytes at a multiple of that, by other pages that take its place, huge ones where the host has
 * them. new makes them: 0 and *ret, or -errno (-EFAULT: not all RAM; -EOPNOTSUPP: its pages are a file's for good). put copies the
 * piece to them and exchanges it; no other thread writes to it meanwhile (a pause). They are RAM's then; -errno: the piece may be
 * lost. vmm thread. */
#define VMM_MEM_PIECE (2ull << 20)
int vmm_mem_piece_new(const struct vmm_mem *m, uint64_t gpa, void **ret);
int vmm_mem_piece_put(struct vmm_mem *m, uint64_t gpa, void *pages);
void vmm_mem_piece_drop(void *pages);
/* Whether some of the piece was mapped from a file, and is. vmm thread. */
bool vmm_mem_is_file(const struct vmm_mem *m, uint64_t gpa);
/* Of [gpa, gpa + len), whole pages of RAM, little will be used: no huge pages for it, where they are not reserved. */
void vmm_mem_sparse(struct vmm_mem *m, uint64_t gpa, uint64_t len);
/* Gives whole pages back to the host (memory_discard.c). 0; -EFAULT: not all RAM; -EINVAL: no whole pages; -errno.
 * -EOPNOTSUPP: reserved huge pages, which stay.
 * discard: they read as zero, or, a file being mapped privately, as the file, which is what the guest had there when it was saved.
 * discard_to_zero: they read as zero, or are as they were where that can't be had: a private mapping gives whole 2 MiB only. */
int vmm_mem_discard(struct vmm_mem *m, uint64_t gpa, uint64_t len);
int vmm_mem_discard_to_zero(struct vmm_mem *m, uint64_t gpa, uint64_t len);

/* ---- dirty log: which 4 KiB pages were written since it was started ----
 * Two writers: the guest (KVM logs; the log's fd_vm is asked on collect) and this process (vmm_mem_at_write, vmm_mem_dirty, on
 * any thread, atomically). Bit n of the bitmap is page n of the *file* (see above). Start and stop while the VM is paused and its
 * devices are quiesced. */
int vmm_mem_log_start(struct vmm_mem *m, struct err *e);
/* ORs what was written since the last collect into bitmap, of vmm_mem_log_words 64-bit words. vCPUs parked, or it is a lower
 * bound. */
int vmm_mem_log_collect(struct vmm_mem *m, uint64_t *bitmap, struct err *e);
void vmm_mem_log_stop(struct vmm_mem *m);
size_t vmm_mem_log_words(const struct vmm_mem *m);
void vmm_mem_dirty(struct vmm_mem *m, uint64_t gpa, uint64_t len);
/* The same for host memory that vmm_mem_at gave. */
void vmm_mem_dirty_host(struct vmm_mem *m, const void *p, uint64_t len);

/* Gives the regions to KVM as slots 0 and 1. Slots from VMM_SLOT_FIRST_FREE on are for windows, those from VMM_SLOT_FIRST_ROOM on
 * for what the VM has grown by. */
int vmm_mem_attach(struct vmm_mem *m, int fd_vm, struct err *e);
#define VMM_SLOT_FIRST_FREE 2u
#define VMM_SLOT_FIRST_ROOM (VMM_SLOT_FIRST_FREE + VMM_WINDOWS_MAX)

/* ---- growing: the room becomes memory from its beginning on, in pieces, and stays memory. vmm thread ---- */
const struct vmm_mem_region *vmm_mem_room(
	const struct vmm_mem *m); /* its gpa, and bytes that are memory; whatever room there is */
uint64_t vmm_mem_room_bytes(const struct vmm_mem *m);
/* The first `bytes` of the room, and what else the piece has, are memory. -ENOSPC: there is less room; -errno of KVM. */
int vmm_mem_grow(struct vmm_mem *m, uint64_t bytes, struct err *e);

/* ---- windows: memory above RAM that a device lends to the guest (pmem) ----
 * A file's pages, mapped by the device, which keeps them mapped until no thread reaches guest memory any more. The guest may
 * name them wherever it may name RAM (a page of a file that is executed in place is a buffer like any other), so the gate
 * gives them too; of a read-only one for reading only. They are no part of RAM's file, of its log, nor of a snapshot. */
struct vmm_mem_window {
	uint64_t gpa, bytes; /* whole 2 MiB, as is host: the guest gets huge pages where the file has them */
	void *host;
	bool is_read_only; /* a guest's write there goes nowhere */
};
#define VMM_WINDOWS_MAX 30u
#define VMM_WINDOW_END  (1ull << 46)
/* -EINVAL: misaligned, in RAM or below its end, in another window. While the VM is built; attached to KVM, or (tests) not. */
int vmm_mem_add_window(struct vmm_mem *m, const struct vmm_mem_window *w, struct err *e);
