/* wire: between a VM's virtio-fs device and its file server: a SOCK_SEQPACKET pair, and memory that both have mapped, in slots of one
 * message each. The guest's own memory stays with the VM; the server sees messages, and no descriptor of the VM's.
 *
 *   VM -> server   hello, once, with the memory's descriptor (sealed: it keeps its size)
 *   VM -> server   call: the slot's message, how long, and how much of the slot the answer may take
 *   server -> VM   done: the slot, and the answer's length; 0: there is none. In any order; the slot is the VM's again
 *
 * Neither believes the other: numbers are checked, and what breaks the rules is treated as gone. Either end's end is the other's: the
 * server exits, the VM goes on and answers its guest with EIO. */
#pragma once

#include "fs.h"
#include "vmm.h"

enum {
	FS_WIRE_MAGIC = 0x42465331, /* of this layout */
	FS_SLOTS = 48,              /* of which locks that are waited for take FS_WAITERS_MAX at most */
	FS_SLOT_BYTES = FS_MESSAGE_MAX,
	FS_ARENA_BYTES = FS_SLOTS * FS_SLOT_BYTES,
};
_Static_assert(FS_SLOT_BYTES % 4096 == 0 && (int)FS_WAITERS_MAX < (int)FS_SLOTS, "slots are pages, and waiting never takes all");

struct fs_hello {
	uint32_t magic, slots, slot_bytes, pad;
};
struct fs_call {
	uint32_t slot, in_len, out_max, pad;
};
struct fs_done {
	uint32_t slot, len;
};

/* ---- arena.c ---- */
/* A new one: its descriptor, and *ret the mapping. -errno with e. */
int fs_arena_new(uint8_t **ret, struct err *e);
/* The other's: only if it is a sealed file of the right size. Takes no ownership of fd. */
int fs_arena_map(int fd, uint8_t **ret, struct err *e);

/* ---- serve.c ---- */
struct fs_serve_config {
	int sock;
	struct fs_config fs; /* without answer and arg */
	unsigned threads;
	enum vmm_seccomp seccomp;
};
/* Waits for hello, makes its threads, loads their filters, and serves until the VM's end is closed; then the process ends with
 * status 0, whatever its threads do. Returns only with an error of the beginning; a later one ends the process with status 1. */
int fs_serve(const struct fs_serve_config *c, struct err *e);

/* ---- jail.c ---- */
/* Confines the process, which must have one thread and be root's: it has then the tree at root_fd (a mount point) as its root,
 * sock, and standard error. *ret: descriptors and limits. Nothing is undone on failure. */
int fs_jail_enter(int sock, int root_fd, struct fs_config *ret, struct err *e);
