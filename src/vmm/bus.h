/* bus: who answers at a port or a memory-mapped address that is not RAM.
 *
 * Ranges are added while the VM is built and never change while it runs, so dispatch takes no lock. Callbacks run on the
 * vCPU thread that made the access, several at once: the owner locks. A callback is short, never blocks on the guest, and
 * never takes the VM down: what the guest does wrong is ignored, and reads give ones. */
#pragma once

#include "vmm.h"

enum vmm_space { VMM_PIO, VMM_MMIO, VMM_SPACES };

struct vmm_range_ops {
	const char *name;
	/* data: size bytes, little endian, size in {1, 2, 4, 8} (ports: 1, 2, 4) and offset + size <= the range's size. An access
	 * that does not fit a range is answered by the bus. Either may be NULL: reads give ones, writes nothing. */
	void (*read)(void *arg, uint64_t offset, void *data, unsigned size);
	void (*write)(void *arg, uint64_t offset, const void *data, unsigned size);
};

struct vmm_bus;
int vmm_bus_new(struct vmm_bus **ret);
void vmm_bus_free(struct vmm_bus *b);
DEFINE_CLEANUP(struct vmm_bus *, vmm_bus_free)
/* [base, base + size). -EEXIST with e: overlaps another range. ops and arg live as long as the bus. */
int vmm_bus_add(struct vmm_bus *b, enum vmm_space space, uint64_t base, uint64_t size, const struct vmm_range_ops *ops, void *arg,
		struct err *e);
/* An access as KVM reports it. Never fails: what nobody owns, or what crosses a range's end, reads as ones. */
void vmm_bus_read(const struct vmm_bus *b, enum vmm_space space, uint64_t addr, void *data, unsigned size);
void vmm_bus_write(const struct vmm_bus *b, enum vmm_space space, uint64_t addr, const void *data, unsigned size);

/* Writes of any length to an MMIO address (for the kernel's fast path) signal event_fd and don't leave the kernel. */
int vmm_ioeventfd_add(int fd_vm, uint64_t addr, int event_fd, struct err *e);
int vmm_ioeventfd_del(int fd_vm, uint64_t addr, int event_fd);
