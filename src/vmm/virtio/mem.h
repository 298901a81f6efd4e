/* mem: see mem.c. What is asked of the memory that a VM grows by. vmm thread. */
#pragma once

#include "../vmm_impl.h"

struct mem_report {
	uint64_t room_bytes;      /* the most that there can be */
	uint64_t requested_bytes; /* what the guest shall have of it */
	uint64_t plugged_bytes;   /* what it has */
};

/* The VM's device, or NULL. */
struct virtio_device *mem_find(struct vmm *vm);
/* The guest shall have so much of the room, rounded up to whole 2 MiB; it plugs and unplugs as it can, if it has a driver. -ENOSPC:
 * more than there is room for; -errno of KVM. */
int mem_request(struct virtio_device *d, uint64_t bytes, struct err *e);
void mem_report(struct virtio_device *d, struct mem_report *ret);
