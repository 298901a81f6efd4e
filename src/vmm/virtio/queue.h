/* queue: the device's side of a split virtqueue (virtio 1.2, 2.7), with indirect descriptors and event-idx.
 *
 * The guest owns the ring and may change it at any time, so every index, address and length is read once and checked. Any
 * breach of the specification breaks the queue: vq_pop returns -EBADMSG from then on, and virtio_queue_broken, called by the
 * owner, sets DEVICE_NEEDS_RESET. Nothing outside of RAM is ever read; a chain has at most as many descriptors as fit the
 * caller's iov, so a loop in the chain ends.
 *
 * Threads: a queue belongs to one thread from activate to reset: the vmm thread, or a worker of the device's. Addresses and
 * size are frozen as soon as the guest has enabled the queue (V05). */
#pragma once

#include <linux/virtio_ring.h>
#include <sys/uio.h>

#include "../memory.h"

#define VQ_SIZE_MAX 1024u

/* What a snapshot keeps of a queue; plain. */
struct vq_state {
	uint64_t desc, avail, used; /* guest-physical */
	uint16_t size, vector;      /* vector: MSI-X, or 0xffff */
	uint16_t next_avail, next_used;
	uint16_t signalled_used; /* where the last interrupt was decided (event-idx) */
	uint8_t is_enabled, is_broken;
	uint8_t has_signalled;
	uint8_t pad[3];
};
_Static_assert(sizeof(struct vq_state) == 40, "saved as is: a change needs a new version of STATE_VIRTIO");

struct virtio_device;
struct virtqueue {
	struct vq_state s;
	struct vmm_mem *mem;
	uint16_t size_max; /* set by the device before it is offered */
	bool has_event_idx, has_indirect;
	int kick_fd;                  /* eventfd: the guest has added buffers; made by the transport */
	int call_fd;                  /* eventfd of the interrupt, or -1: the guest polls; borrowed, valid while active */
	struct virtio_device *device; /* whose it is; NULL in tests of the queue alone */
	uint64_t n_popped, n_raised;  /* requests taken, interrupts: for metrics; atomic, relaxed; the owner writes */
	/* queue.c's: the rings, in guest RAM; NULL: not enabled */
	const struct vring_desc *desc;
	const struct vring_avail *avail;
	struct vring_used *used;
};

/* One request. The first n_out vectors are the guest's words to the device, the n_in behind them its buffers to be filled. */
struct vq_chain {
	uint16_t head;
	unsigned n_out, n_in;
	uint64_t out_bytes, in_bytes; /* each at most 2^32 - 1 (2.7.5.2) */
	struct iovec *iov;            /* the caller's room; host addresses */
	unsigned iov_max;             /* at most VQ_SIZE_MAX is of use */
	uint64_t *gpa;                /* NULL, or room for iov_max guest addresses, as vhost-user and io in flight may want */
};

/* The checks of enabling: size, alignment, all three rings in RAM. 0, or -EINVAL with the queue broken. */
int vq_enable(struct virtqueue *q);
void vq_reset(struct virtqueue *q);
/* The next request: 1; 0: there is none (turn notifications on with vq_wait, then look again); -EBADMSG: broken. */
int vq_pop(struct virtqueue *q, struct vq_chain *c);
/* Hands a request back with `written` bytes in its buffers (more than in_bytes is cut). Does not interrupt. 0 or -EBADMSG. */
int vq_push(struct virtqueue *q, const struct vq_chain *c, uint64_t written);
/* The same for n requests, request i with written[i], which the guest sees all at once: a frame in several buffers. */
int vq_push_many(struct virtqueue *q, const struct vq_chain *c, const uint64_t *written, unsigned n);
/* Interrupts the guest if it wants to know of what was pushed since the last call: once per batch. */
void vq_flush(struct virtqueue *q);
/* Asks for kicks. true: there is a request already, go on popping. */
bool vq_wait(struct virtqueue *q);
/* Asks for no kicks while the owner polls; the default after activation is that kicks come. */
void vq_busy(struct virtqueue *q);
/* Gives back the last n popped requests, newest first, as if they had not been popped (nothing of them pushed yet). */
void vq_unpop(struct virtqueue *q, unsigned n);

/* Copies between a chain and a struct, at an offset into its out (in) part; short where the chain is. Bytes copied. */
size_t vq_read(const struct vq_chain *c, uint64_t offset, void *to, size_t n);
size_t vq_write(const struct vq_chain *c, uint64_t offset, const void *from, size_t n);
/* The out (in) part from offset on, at most max_bytes, as an iovec array into ret (room for n_out (n_in)): the count. */
unsigned vq_out(const struct vq_chain *c, uint64_t offset, uint64_t max_bytes, struct iovec *ret);
unsigned vq_in(const struct vq_chain *c, uint64_t offset, uint64_t max_bytes, struct iovec *ret);
