/* A driver that does what it likes, to a disk of 64 KiB. The input is the guest's low memory, with rings, tables, headers and data
 * alike, and the places of the rings; kicks go to the queues in turn. Nothing may be touched but RAM and the disk, and nothing
 * may be left in hand. */
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "blk.h"

#define RAM (2ull << 20)
enum { QUEUES = 2, TURNS = 16, HEAD_LEN = 20, DISK = 64 << 10 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void settle(struct blk *b, enum blk_order order)
{
	struct pollfd p = { .fd = ring_fd(b->ring), .events = POLLIN };

	for (int i = 0; i < TURNS; i++) {
		int64_t wait = blk_turn(b, order);

		if (b->n_busy > 0 && wait < 0 && poll(&p, 1, 10000) != 1)
			abort();
	}
}

static struct virtio_device *disk(void)
{
	static struct virtio_device *d;
	struct vmm_blk_plan plan = { .queues = QUEUES };

	if (d)
		return d;
	plan.fd = memfd_create("disk", MFD_CLOEXEC);
	if (plan.fd < 0 || ftruncate(plan.fd, DISK) < 0 || virtio_blk_new(&plan, 1, &d, NULL) < 0)
		abort();
	return d;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct vmm_mem *mem;
	const struct vmm_mem_config config = { .bytes = RAM, .file_fd = -1, .pages = VMM_PAGES_SMALL };
	struct virtio_device *d = disk();
	struct blk *b = container_of(d, struct blk, d);

	if (size < HEAD_LEN || size > 1 << 16 || (!mem && vmm_mem_new(&config, &mem, NULL) < 0))
		return 0;
	if (vmm_mem_zero(mem, 0, 1 << 17) < 0 || vmm_mem_write(mem, 0, data + HEAD_LEN, size - HEAD_LEN) < 0)
		abort();
	d->features_acked = data[9] & 4 ? 0 : d->features;
	b->is_writeback = data[9] & 8;
	for (unsigned i = 0; i < QUEUES; i++) {
		const uint8_t *h = data + 10 * i;
		struct virtqueue *q = &d->queues[i];

		vq_reset(q);
		q->mem = mem;
		q->s.size = (uint16_t)(1u << h[0] % 9);
		q->s.desc = (uint64_t)(h[1] | h[2] << 8) * 16;
		q->s.avail = (uint64_t)(h[3] | h[4] << 8) * 2;
		q->s.used = (uint64_t)(h[5] | h[6] << 8) * 4;
		q->s.next_avail = (uint16_t)(h[7] | h[8] << 8);
		q->has_indirect = h[9] & 1;
		q->has_event_idx = h[9] & 2;
		(void)vq_enable(q);
	}
	(void)blk_turn(b, BLK_RUN);
	settle(b, data[19] & 4 ? BLK_DROP : BLK_RUN);
	settle(b, BLK_DRAIN);
	if (b->n_busy != 0)
		abort();
	b->broken = 0;
	return 0;
}
