/* Fuzz target: a driver of persistent memory that writes what it likes. The input is a head (which memory, ring), and then guest memory
 * from 0 on. A file that is read-only stays as it is: a request whose answer would be in its window is none. */
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pmem.h"

#include "fake.h"

#define WINDOW (1ull << 32)
enum { HEAD_LEN = 8, TURNS = 4, FILE_BYTES = 2 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vmm_pmem_plan plan = { .fd = memfd_create("pmem", MFD_CLOEXEC), .is_writable = size && data[0] & 1 };
	struct virtqueue *q;
	const uint8_t *window;
	struct stat st;
	struct fake f;

	if (size < HEAD_LEN || size > 1 << 17) {
		fd_close(plan.fd);
		return 0;
	}
	fake_init(&f);
	if (plan.fd < 0 || ftruncate(plan.fd, FILE_BYTES) < 0 || virtio_pmem_new(&plan, &f.d, NULL) < 0)
		abort();
	f.d->mem = f.vm.mem;
	if (f.d->ops->place(f.d, WINDOW, NULL) < 0 || vmm_mem_write(f.vm.mem, 0, data + HEAD_LEN, size - HEAD_LEN) < 0)
		abort();
	/* Its worker is what this is. */
	q = &f.d->queues[0];
	vq_reset(q);
	q->mem = f.vm.mem;
	q->device = f.d;
	q->has_event_idx = data[0] & 2;
	q->has_indirect = data[0] & 4;
	f.d->vm = &f.vm;
	q->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	q->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fake_misplace(q, data[1], data[2], data[3], data[4]);
	for (unsigned i = 0; i < TURNS; i++)
		(void)pmem_turn(f.d);
	if (fstat(plan.fd, &st) < 0 || st.st_size != FILE_BYTES)
		abort();
	window = vmm_mem_at(f.vm.mem, WINDOW, FILE_BYTES);
	if (!plan.is_writable && (window[0] || memcmp(window, window + 1, FILE_BYTES - 1) != 0))
		abort();
	fake_done(&f);
	close(plan.fd);
	return 0;
}
