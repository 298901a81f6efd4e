/* Fuzz target: a driver of the memory that grows, which asks for what it likes. The input is a head (rings, what happens in which order),
 * and then guest memory from 0 on: rings and requests alike. It never has more than was asked for while it got it, nothing outside of
 * the room is given away by what it unplugs, and the config tells what the device knows. */
#include <linux/virtio_mem.h>

#include "mem.h"

#include "fake.h"

#define ROOM (256ull << 20)
enum { STEPS = 16, HEAD_LEN = 32, FILLED = 0x300000, FILLED_END = 0x400000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void start(struct fake *f, const uint8_t *head)
{
	struct virtqueue *q = &f->d->queues[0];

	if (fake_start(f, 0, false) < 0)
		abort();
	q->has_event_idx = head[0] & 1;
	q->has_indirect = head[0] >> 1 & 1;
	q->s.size = (uint16_t)(1u << (head[1] & 6));
	q->s.desc = (head[1] >> 3) * 0x400ull;
	q->s.avail = q->s.desc + (head[2] & 7) * 0x100ull;
	q->s.used = q->s.desc + (head[3] & 7) * 0x100ull;
	q->s.next_avail = head[4];
	(void)vq_enable(q);
}

static void check(struct fake *f, uint64_t most)
{
	struct virtio_mem_config c;
	struct mem_report r;

	memcpy(&c, f->d->config, sizeof(c));
	mem_report(f->d, &r);
	if (r.plugged_bytes > most || c.plugged_size != r.plugged_bytes || c.requested_size != r.requested_bytes ||
	    c.usable_region_size < r.requested_bytes || c.region_size != ROOM)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t most = 0;
	struct fake f;

	if (size < HEAD_LEN || size > 1 << 17)
		return 0;
	fake_init_room(&f, ROOM);
	if (virtio_mem_new(f.vm.mem, &f.d, NULL) < 0)
		abort();
	f.d->mem = f.vm.mem;
	memset(fake_at(&f, FILLED, FILLED_END - FILLED), 0x55, FILLED_END - FILLED);
	if (vmm_mem_write(f.vm.mem, 0, data + HEAD_LEN, size - HEAD_LEN) < 0)
		abort();
	start(&f, data);
	for (unsigned i = 0; i < STEPS; i++) {
		uint8_t what = data[HEAD_LEN - STEPS + i];

		if (what & 3) {
			if (f.d->queues[0].desc && !f.d->queues[0].s.is_broken)
				f.d->ops->kick(f.d, 0);
		} else {
			if (mem_request(f.d, (uint64_t)(what >> 2) << 22, NULL) < 0)
				abort();
			most = MAX(most, (uint64_t)(what >> 2) << 22);
		}
		check(&f, most);
	}
	for (uint64_t gpa = FILLED; gpa < FILLED_END; gpa += 4096) {
		const uint8_t *p = vmm_mem_at(f.vm.mem, gpa, 4096);

		if (p[0] == 0 &&
		    memcmp(p, p + 1, 4095) == 0) /* answers may have been written there, but nothing was given away */
			abort();
	}
	fake_done(&f);
	return 0;
}
