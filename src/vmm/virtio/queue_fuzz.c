/* Fuzz target: a driver that writes what it likes. The input is the guest's low memory (rings, tables and data alike), the
 * places of the rings, and a few words of what the device does in between. Every buffer handed out must be in RAM. */
#include "queue.h"

#define RAM      (2ull << 20)
#define TURNS    64
#define IOVS     32u
#define HEAD_LEN 16u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct vmm_mem *m, const struct vq_chain *c)
{
	const uint8_t *base = vmm_mem_at(m, 0, RAM);
	uint64_t in = 0, out = 0;

	for (unsigned i = 0; i < c->n_out + c->n_in; i++) {
		const uint8_t *p = c->iov[i].iov_base;

		if (p < base || p >= base + RAM || c->iov[i].iov_len > (size_t)(base + RAM - p))
			abort();
		*(i < c->n_out ? &out : &in) += c->iov[i].iov_len;
	}
	if (in != c->in_bytes || out != c->out_bytes || in > UINT32_MAX || out > UINT32_MAX || c->n_out + c->n_in > IOVS)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct vmm_mem *mem;
	const struct vmm_mem_config config = { .bytes = RAM, .file_fd = -1, .pages = VMM_PAGES_SMALL };
	struct virtqueue q = { .size_max = 256 };
	struct iovec iov[IOVS], part[IOVS];
	struct vq_chain c = { .iov = iov, .iov_max = IOVS };
	uint8_t scratch[64];

	if (size < HEAD_LEN || size > 1 << 16 || (!mem && vmm_mem_new(&config, &mem, NULL) < 0))
		return 0;
	if (vmm_mem_zero(mem, 0, 1 << 17) < 0 || vmm_mem_write(mem, 0, data + HEAD_LEN, size - HEAD_LEN) < 0)
		abort();
	vq_reset(&q);
	q.mem = mem;
	q.s.size = (uint16_t)(1u << data[0] % 9);
	q.s.desc = (uint64_t)(data[1] | data[2] << 8) * 16;
	q.s.avail = (uint64_t)(data[3] | data[4] << 8) * 2;
	q.s.used = (uint64_t)(data[5] | data[6] << 8) * 4;
	q.s.next_avail = (uint16_t)(data[7] | data[8] << 8);
	q.has_indirect = data[9] & 1;
	q.has_event_idx = data[9] & 2;
	if (vq_enable(&q) < 0)
		return 0;
	for (int i = 0; i < TURNS; i++) {
		int r = vq_pop(&q, &c);

		if (r < 0)
			break;
		if (r == 0) {
			if (!vq_wait(&q))
				break;
			continue;
		}
		check(mem, &c);
		(void)vq_read(&c, data[10], scratch, sizeof(scratch));
		(void)vq_write(&c, data[11], scratch, sizeof(scratch));
		if (vq_out(&c, data[12], data[13], part) > c.n_out || vq_in(&c, data[12], UINT64_MAX, part) > c.n_in)
			abort();
		if (data[14] & 1)
			vq_busy(&q);
		if (vq_push(&q, &c, (uint64_t)data[15] << 8) < 0)
			break;
		vq_flush(&q);
	}
	return 0;
}
