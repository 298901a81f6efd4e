/* memory_impl: guest RAM as memory.c and memory_discard.c see it. */
#pragma once

#include <stdatomic.h>

#include "memory.h"

#define VMM_PAGE      4096ull
#define VMM_HUGE_PAGE VMM_MEM_PIECE
#define VMM_REGIONS   2
#define VMM_PIECES    16u /* of the room, each of which is a slot of KVM's */

struct vmm_mem {
	uint64_t bytes;
	struct vmm_mem_region regions[VMM_REGIONS + 1]; /* the last one is the room: .bytes of it are memory */
	size_t n_regions;                               /* without the room */
	uint64_t room_bytes, piece_bytes;
	uint8_t *host;
	int fd; /* -1: private */
	enum vmm_pages pages;
	int fd_vm;
	struct vmm_mem_window windows[VMM_WINDOWS_MAX];
	size_t n_windows;
	/* Of a private mapping, a bit for each 2 MiB: memory of our own, no (longer a) file's, not even in part (memory_discard.c). NULL:
	 * shared, or without any file. */
	uint64_t *is_anonymous;
	size_t n_anonymous;
	/* Written by this process since the log was started; NULL: no log. Readers see either. */
	_Atomic(uint64_t) *_Atomic log;
};

/* The offset of [gpa, gpa + len) in the mapping; UINT64_MAX: not all RAM. */
uint64_t vmm_mem_offset(const struct vmm_mem *m, uint64_t gpa, uint64_t len);
/* What the host should know about a part of the mapping: the size of pages, and that no core file has it. */
void vmm_mem_advise(const struct vmm_mem *m, void *p, uint64_t len);
