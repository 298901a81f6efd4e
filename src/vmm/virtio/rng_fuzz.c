/* Fuzz target: a driver of the random numbers that writes what it likes. The input is a head (limit, ring), and then guest memory from
 * 0 on, a ring and buffers alike. Nothing may be given beyond the buffers and the limit, and memory that is in no buffer stays. */
#include "fake.h"

enum { HEAD_LEN = 8, RATE = 5000, KICKS = 4, BEHIND = 0x20000, BEHIND_END = 0x30000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vmm_rng_plan plan = { .bytes_per_second = size && data[0] & 1 ? RATE : 0 };
	const uint8_t *behind;
	struct virtqueue *q;
	struct fake f;

	if (size < HEAD_LEN || size > BEHIND)
		return 0;
	fake_init(&f);
	if (virtio_rng_new(&plan, &f.d, NULL) < 0 || fake_start(&f, 0, false) < 0)
		abort();
	if (vmm_mem_write(f.vm.mem, 0, data + HEAD_LEN, size - HEAD_LEN) < 0)
		abort();
	q = &f.d->queues[0];
	q->has_event_idx = data[0] & 2;
	q->has_indirect = data[0] & 4;
	fake_misplace(q, data[1], data[2], data[3], data[4]);
	for (unsigned i = 0; i < KICKS && q->desc && !q->s.is_broken; i++) {
		f.d->ops->kick(f.d, 0);
		fake_turn(&f, 0);
	}
	/* The limit is one of bytes a second, whatever the buffers are; a kick may come a second after the one before. */
	behind = vmm_mem_at(f.vm.mem, BEHIND, BEHIND_END - BEHIND);
	for (uint32_t n = 0, i = 0; plan.bytes_per_second && i < BEHIND_END - BEHIND; i++) {
		n += behind[i] != 0;
		if (n > RATE * KICKS)
			abort();
	}
	fake_done(&f);
	return 0;
}
