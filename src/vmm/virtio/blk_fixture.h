/* blk_fixture: a disk and a driver of the tests' own, whose rings are in memory that no VM has. Only tests include this. */
#pragma once

#include "../vmm_impl.h"
#include "blk.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

enum {
	QUEUE_BYTES = 0x8000,
	RINGS = 0x100000, /* queue i at RINGS + i * QUEUE_BYTES: descriptors, avail at 0x4000, used at 0x5000 */
	HEADERS = 0x200000,
	STATUS = 0x210000,
	DATA = 0x400000,
	SECTORS = 2048,
	UNSET = 0x77,
};
#define RAM (64ull << 20)

struct rig {
	struct vmm_blk_plan plan;
	struct vmm_mem *mem;
	struct virtio_device *d;
	struct blk *b;
	unsigned n; /* requests offered so far, of all queues */
};

static inline int image(uint64_t bytes)
{
	int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ok(fd >= 0);
	is_int(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

static inline void *guest(struct rig *r, uint64_t gpa, uint64_t n)
{
	void *p = vmm_mem_at_write(r->mem, gpa, n);

	ok(p);
	return p;
}

static inline struct vring_desc *descs(struct rig *r, unsigned q) { return guest(r, RINGS + q * QUEUE_BYTES, 0x4000); }
static inline struct vring_avail *avail(struct rig *r, unsigned q) { return guest(r, RINGS + q * QUEUE_BYTES + 0x4000, 0x1000); }
static inline struct vring_used *used(struct rig *r, unsigned q) { return guest(r, RINGS + q * QUEUE_BYTES + 0x5000, 0x1000); }

/* As a driver does after a reset: empty rings. */
static inline void enable_queues(struct rig *r)
{
	for (unsigned i = 0; i < r->d->n_queues; i++) {
		struct virtqueue *q = &r->d->queues[i];

		memset(guest(r, RINGS + i * QUEUE_BYTES, QUEUE_BYTES), 0, QUEUE_BYTES);
		q->mem = r->mem;
		vq_reset(q);
		q->s.desc = RINGS + i * QUEUE_BYTES;
		q->s.avail = q->s.desc + 0x4000;
		q->s.used = q->s.desc + 0x5000;
		q->has_indirect = true;
		is_int(vq_enable(q), 0);
	}
}

static inline void rig_init(struct rig *r, bool is_plain)
{
	const struct vmm_mem_config c = { .bytes = RAM, .file_fd = -1 };
	struct err e = { 0 };

	is_int(vmm_mem_new(&c, &r->mem, NULL), 0);
	if (!r->plan.fd)
		r->plan.fd = image(SECTORS * SECTOR);
	if (virtio_blk_new(&r->plan, r->plan.queues, &r->d, &e) < 0)
		TAP_FAIL("%s", e.msg);
	r->b = container_of(r->d, struct blk, d);
	if (is_plain) {
		const struct ring_config plain = { .fd = r->plan.fd, .depth = BLK_REQUESTS, .is_plain = true };

		ring_free(r->b->ring);
		is_int(ring_new(&plain, &r->b->ring), 0);
		is_int(ring_fd(r->b->ring), -1);
	}
	r->d->features_acked = r->d->features;
	r->b->is_writeback = true;
	enable_queues(r);
}

static inline void rig_done(struct rig *r)
{
	is_int(r->b->n_busy, 0);
	r->d->ops->free(r->d);
	vmm_mem_free(r->mem);
	close(r->plan.fd);
	*r = (struct rig){ .plan = r->plan };
	r->plan.fd = 0;
}

/* Offers header, data and status as descriptors at[0..3). data NULL: none. The number of the request, whose status is status(). */
static inline unsigned offer(struct rig *r, unsigned queue, uint32_t type, uint64_t sector, uint64_t gpa, uint32_t n, bool is_in)
{
	const struct virtio_blk_outhdr h = { .type = type, .sector = sector };
	struct vring_avail *a = avail(r, queue);
	struct vring_desc *d = descs(r, queue);
	unsigned i = r->n++;
	uint16_t at = (uint16_t)(3 * (a->idx % 80));

	memcpy(guest(r, HEADERS + 16ull * i, sizeof(h)), &h, sizeof(h));
	*(uint8_t *)guest(r, STATUS + i, 1) = UNSET;
	d[at] = (struct vring_desc){ HEADERS + 16ull * i, sizeof(h), VRING_DESC_F_NEXT, (uint16_t)(at + (n ? 1 : 2)) };
	d[at + 1] = (struct vring_desc){ gpa, n, (uint16_t)(VRING_DESC_F_NEXT | (is_in ? VRING_DESC_F_WRITE : 0)),
					 (uint16_t)(at + 2) };
	d[at + 2] = (struct vring_desc){ STATUS + i, 1, VRING_DESC_F_WRITE, 0 };
	a->ring[a->idx % BLK_QUEUE_SIZE] = at;
	__atomic_store_n(&a->idx, (uint16_t)(a->idx + 1), __ATOMIC_RELEASE);
	return i;
}

static inline uint16_t used_idx(struct rig *r, unsigned q) { return __atomic_load_n(&used(r, q)->idx, __ATOMIC_ACQUIRE); }

static inline uint8_t status(struct rig *r, unsigned i) { return *(uint8_t *)guest(r, STATUS + i, 1); }

/* Turns until nothing is left to do but by a kick. */
static inline void settle(struct rig *r, enum blk_order order)
{
	struct pollfd p = { .fd = ring_fd(r->b->ring), .events = POLLIN };

	for (;;) {
		int64_t wait = blk_turn(r->b, order);

		if (wait < 0 && r->b->n_busy == 0)
			return;
		if (wait != 0)
			ok(poll(&p, 1, wait > 0 ? 1 : 10000) > 0 || wait > 0);
	}
}

static inline uint8_t ask(struct rig *r, uint32_t type, uint64_t sector, uint64_t gpa, uint32_t n, bool is_in)
{
	unsigned i = offer(r, 0, type, sector, gpa, n, is_in);

	settle(r, BLK_RUN);
	return status(r, i);
}
