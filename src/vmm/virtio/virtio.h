/* virtio: devices, and what the transport does for them.
 *
 * Transport: virtio-pci, modern only (virtio 1.2, 4.1), MSI-X. Chosen over virtio-mmio because an interrupt of virtio-mmio is
 * one level-triggered line per device, which needs an I/O APIC and a read and a write of registers (two exits) each time;
 * MSI-X gives each queue a vector of its own without any exit, and every distribution's kernel finds the devices by itself
 * (Debian's takes no virtio-mmio from its command line). A kick is an ioeventfd, an interrupt an irqfd: no exit reaches this
 * process on the data path. The price is some 150 configuration accesses per device at boot.
 *
 * Who calls what, on which thread:
 *   vmm thread     activate, reset, kick, config_write, quiesce, resume, save, load, free: one at a time, so a device that
 *                  has no threads of its own needs no lock at all. (A vCPU that writes STATUS waits until it is done.)
 *   vCPU threads   read and write the transport's registers and the device's config bytes, under the transport's lock; no
 *                  function of the device runs there.
 *   workers        of a device (block, net). The device's _new sets n_workers, its ops their class (../thread.h: the system
 *                  calls that they may make); virtio_add makes the threads, d->workers. No thread can be made later. activate
 *                  lends them a function (vmm_worker_start); reset and quiesce tell it to return (by an eventfd of the
 *                  device's, say) and vmm_worker_wait for that; resume starts it again. A worker owns its queues meanwhile: it
 *                  polls q->kick_fd and uses vq_*, virtio_queue_broken, virtio_set_config and vmm_end; nothing else of the VM.
 *                  Files, rings of io_uring and the like are opened in _new: a class may open nothing.
 *
 * Life:  OFFERED -activate-> ACTIVE -reset-> OFFERED ...; quiesce and resume come in pairs, while ACTIVE or not, vCPUs parked. */
#pragma once

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>

#include "../state.h"
#include "../thread.h"
#include "queue.h"

#define VIRTIO_QUEUES_MAX  32u
#define VIRTIO_CONFIG_MAX  256u
#define VIRTIO_WORKERS_MAX 8u

struct virtio_device;

struct virtio_device_ops {
	const char *name; /* "rng": in messages */
	uint16_t id;      /* VIRTIO_ID_x */
	/* Where d->window_bytes is set: the guest-physical address of a window of so many bytes that is the device's own, aligned
	 * to its size rounded up to a power of two. Called by virtio_add. */
	int (*place)(struct virtio_device *d, uint64_t gpa, struct err *e);
	/* The driver is ready: d->features_acked and d->queues[i].s.is_enabled say what it chose. -errno with e: the device is
	 * marked NEEDS_RESET. Queues of devices with owns_kicks false are kicked once right after. */
	int (*activate)(struct virtio_device *d, struct err *e);
	/* Stops everything and forgets all requests: after it no thread touches guest RAM or queues for this device. Also
	 * called at the end of the VM if it is active. */
	void (*reset)(struct virtio_device *d);
	/* Queue has new buffers. Only where owns_kicks is false; else the device polls q->kick_fd on a thread of its own. */
	void (*kick)(struct virtio_device *d, unsigned queue);
	bool owns_kicks;
	enum vmm_thread worker_class; /* where the device has workers: the row of system calls that they get */
	/* The guest wrote d->config[offset, offset + n) within [config_rw, config_rw_end); NULL: config is read-only. */
	void (*config_write)(struct virtio_device *d, unsigned offset, unsigned n);
	/* Lets requests in flight finish, then stops workers; until resume nothing changes RAM or state. NULL: nothing to do
	 * (the vmm thread is busy with the snapshot, so kicks wait). */
	void (*quiesce)(struct virtio_device *d);
	void (*resume)(struct virtio_device *d);
	/* The device's own state as one plain struct of state_bytes, quiesced. load comes right before activate, after the core
	 * has set features, queues and config; it checks every field. state_bytes 0: no state, both NULL. */
	uint32_t state_version;
	size_t state_bytes;
	int (*save)(struct virtio_device *d, void *state, struct err *e);
	int (*load)(struct virtio_device *d, const void *state, struct err *e);
	void (*free)(struct virtio_device *d); /* after reset; frees the struct that d is part of */
};

/* A device embeds this, fills what is marked * in its _new, and reads the rest. */
struct virtio_device {
	const struct virtio_device_ops *ops; /* * */
	struct vmm *vm;                      /* set by virtio_add */
	struct vmm_mem *mem;
	uint64_t features;       /* * offered: bits 0-23 and device-specific ones; the core adds VERSION_1, RING_INDIRECT_DESC,
				    RING_EVENT_IDX */
	uint64_t features_acked; /* what the driver took; valid while active */
	unsigned n_queues;       /* * at most VIRTIO_QUEUES_MAX */
	struct virtqueue queues[VIRTIO_QUEUES_MAX];     /* * size_max of each */
	unsigned n_workers;                             /* * threads of its own, at most VIRTIO_WORKERS_MAX */
	struct vmm_worker *workers[VIRTIO_WORKERS_MAX]; /* made by virtio_add, idle */
	unsigned config_bytes;                          /* * */
	unsigned config_rw, config_rw_end;              /* * which of it the driver may write */
	_Alignas(8) uint8_t config[VIRTIO_CONFIG_MAX];  /* * little endian; changed later by virtio_set_config only */
	uint64_t window_bytes;                          /* * 0: none; whole 2 MiB (ops->place) */
	bool is_active;
	struct virtio_pci *pci; /* the transport; NULL: a test drives the device without one */
};

/* Puts d on the VM's PCI bus. d is the VM's on success: vmm_free calls ops->free. vmm thread, while building. */
int virtio_add(struct vmm *vm, struct virtio_device *d, struct err *e);
/* Any thread that owns the queue: DEVICE_NEEDS_RESET and a configuration interrupt. q NULL: the device as a whole. */
void virtio_queue_broken(struct virtio_device *d, struct virtqueue *q);
/* Changes config bytes, generation, and interrupts the driver. Any thread but a vCPU's. */
void virtio_set_config(struct virtio_device *d, unsigned offset, const void *p, unsigned n);
/* The same, and nobody is told: of a field that the driver reads when it has asked for something. */
void virtio_note_config(struct virtio_device *d, unsigned offset, const void *p, unsigned n);
/* Kicks a queue as the guest would: for a device that has done enough for one turn of the loop. */
void virtio_kick_self(struct virtqueue *q);
static inline bool virtio_has(const struct virtio_device *d, unsigned feature) { return d->features_acked >> feature & 1; }

/* ---- pci_state.c: what a snapshot keeps of transports, queues and devices. vCPUs parked, devices quiesced. ----
 * virtio_load: the devices are new and those of the snapshot; what was active is activated. Each gets its kicks and interrupts
 * once more, since one of either may have been under way. The number of records, or -errno with e. */
int virtio_save(struct vmm *vm, struct buf *out, struct err *e);
int virtio_load(struct vmm *vm, const void *data, size_t len, struct err *e);
/* Every device that has the function, active or not; in pairs. */
void virtio_quiesce_all(struct vmm *vm);
void virtio_resume_all(struct vmm *vm);

/* Ends what is active; frees all. vmm thread, vCPUs gone. */
void virtio_reset_all(struct vmm *vm);
void virtio_free_all(struct vmm *vm);

/* ---- devices.c: the one table of devices ---- */
int virtio_add_planned(struct vmm *vm, const struct vmm_device_plan *plan, struct err *e);
/* Each: *ret is freed by ops->free. */
int virtio_rng_new(const struct vmm_rng_plan *plan, struct virtio_device **ret, struct err *e);
int virtio_console_new(const struct vmm_console_plan *plan, struct virtio_device **ret, struct err *e);
int virtio_blk_new(const struct vmm_blk_plan *plan, unsigned cpus, struct virtio_device **ret, struct err *e);
int virtio_pmem_new(const struct vmm_pmem_plan *plan, struct virtio_device **ret, struct err *e);
int virtio_net_new(const struct vmm_net_plan *plan, struct virtio_device **ret, struct err *e);
int virtio_fs_new(const struct vmm_fs_plan *plan, struct virtio_device **ret, struct err *e);
int virtio_balloon_new(const struct vmm_balloon_plan *plan, struct virtio_device **ret, struct err *e);
int virtio_mem_new(struct vmm_mem *mem, struct virtio_device **ret, struct err *e);
int virtio_vsock_new(const struct vmm_vsock_plan *plan, struct virtio_device **ret, struct err *e);
