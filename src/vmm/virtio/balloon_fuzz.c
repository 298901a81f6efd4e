/* Fuzz target: a driver of the balloon that writes what it likes. The input is a head (features, rings, what happens in which order),
 * and then guest memory from 0 on: rings, tables, page numbers and statistics alike. Nothing beyond RAM may be given back, nothing
 * may be changed but what was named to something else than zero, and no buffer may be in hand twice. */
#include "balloon.h"

#include "fake.h"

enum { QUEUES = 4, STEPS = 16, HEAD_LEN = 32, FILLED = 0x300000, FILLED_END = 0x400000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void start(struct fake *f, const uint8_t *head)
{
	f->d->config[12] = head[1]; /* what free pages are filled with */
	if (fake_start(f, head[0] & f->d->features, false) < 0)
		abort();
	for (unsigned i = 0; i < QUEUES; i++) {
		struct virtqueue *q = &f->d->queues[i];

		q->has_event_idx = head[3] >> i & 1;
		q->has_indirect = !(head[3] >> i & 16);
		fake_misplace(q, head[4 + i], head[9], head[10], head[11]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct vmm_balloon_plan plan = { .reports = true, .deflates_on_oom = true };
	struct balloon_report r;
	struct fake f;

	if (size < HEAD_LEN || size > 1 << 17)
		return 0;
	fake_init(&f);
	if (virtio_balloon_new(&plan, &f.d, NULL) < 0)
		abort();
	memset(fake_at(&f, FILLED, FILLED_END - FILLED), 0x55, FILLED_END - FILLED);
	if (vmm_mem_write(f.vm.mem, 0, data + HEAD_LEN, size - HEAD_LEN) < 0)
		abort();
	start(&f, data);
	for (unsigned i = 0; i < STEPS; i++) {
		uint8_t what = data[HEAD_LEN - STEPS + i];
		unsigned q = what & 3;

		switch (what >> 2 & 3) {
		case 0:
		case 1:
			if (f.d->queues[q].desc && !f.d->queues[q].s.is_broken)
				f.d->ops->kick(f.d, q);
			break;
		case 2:
			f.d->ops->quiesce(f.d);
			f.d->ops->resume(f.d);
			break;
		default: balloon_set_target(f.d, (uint64_t)what << 16); break;
		}
		balloon_report(f.d, &r);
		if (r.target_bytes > FAKE_RAM || r.target_bytes % 4096 || r.returned_bytes % 4096)
			abort();
	}
	/* Rings are below the pages that were filled, so whatever is there now was given back whole, or is as it was. */
	for (uint64_t gpa = FILLED; gpa < FILLED_END; gpa += 4096) {
		const uint8_t *p = vmm_mem_at(f.vm.mem, gpa, 4096);

		if (p[0] != 0 && p[0] != 0x55)
			abort();
		if (memcmp(p, p + 1, 4095) != 0)
			abort();
	}
	fake_done(&f);
	return 0;
}
