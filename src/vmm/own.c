/* own: what the guest will write to of its kernel's file becomes its own before it does, while it begins.
 *
 * A kernel patches all of its code and writes to all of its data as it boots. Left alone, each such page costs three faults of the
 * guest: one to read, one to write, one more to see the copy. Here most of it becomes huge pages, which are one fault for 512 pages and
 * stay cheaper for as long as the guest runs. Only the exchange of a piece stops the vCPUs, for the time that it takes to copy
 * 2 MiB.
 *
 * It ends where a device of the guest's begins to work: from then on not only vCPUs write to its memory. By then a kernel has long
 * patched itself. Called on the vmm thread. */
#include <poll.h>

#include "vmm_impl.h"

#define PIECE     VMM_MEM_PIECE
#define PART      (64u << 10) /* no smaller: a piece has as many parts as a word has bits */
#define PARTS     (PIECE / PART)
#define HUGE_FROM (PARTS / 2) /* parts of a piece that are wanted: then all of it */

/* Whether a piece of a kernel seems to be nothing but what linkers fill gaps with. */
static bool is_fill(const uint8_t *p, uint64_t n)
{
	const uint64_t look = MIN(n, 64u);

	return (p[0] == 0 || p[0] == 0xcc) && memcmp(p, p + 1, look - 1) == 0 && memcmp(p, p + n - look, look) == 0;
}

/* The parts of a piece that the guest is going to write to, a bit each. */
static uint32_t parts_of(const struct vmm *vm, uint64_t piece)
{
	uint32_t parts = 0;

	for (unsigned i = 0; i < vm->written.n; i++) {
		const struct boot_range *range = &vm->written.ranges[i];
		uint64_t end = MIN(range->end, piece + PIECE);

		for (uint64_t at = MAX(range->start, piece); at < end; at = (at / PART + 1) * PART) {
			uint64_t n = MIN(end, (at / PART + 1) * PART) - at;
			const uint8_t *p = vmm_mem_at(vm->mem, at, n);

			if (p && (range->is_freed || !is_fill(p, n)))
				parts |= 1u << (at - piece) / PART;
		}
	}
	return parts;
}

static bool has_active_device(const struct vmm *vm)
{
	for (unsigned i = 0; i < vm->n_devices; i++)
		if (vm->devices[i]->is_active)
			return true;
	return false;
}

/* All of it. 0; 1: a device is active; -errno. */
static int own_piece(struct vmm *vm, uint64_t piece)
{
	void *pages;
	int r = vmm_mem_piece_new(vm->mem, piece, &pages);

	if (r < 0)
		return r;
	vmm_pause(vm);
	if (has_active_device(vm)) {
		vmm_mem_piece_drop(pages);
		r = 1;
	} else {
		r = vmm_mem_piece_put(vm->mem, piece, pages);
		if (r < 0) /* before a vCPU sees what is there now */
			vmm_end(vm, VMM_FAILED, "guest memory at %#llx: %s", (unsigned long long)piece, strerror(-r));
	}
	vmm_resume(vm);
	return r;
}

/* Page by page, which needs no pause. */
static int own_parts(struct vmm *vm, uint64_t piece, uint32_t parts)
{
	int r = 0;

	for (unsigned i = 0; r >= 0 && i < PARTS; i++)
		if (parts >> i & 1)
			r = vmm_mem_own(vm->mem, piece + i * PART, PART);
	return r;
}

void vmm_own_written(struct vmm *vm)
{
	const uint64_t first = vm->written.kernel.start / PIECE;

	if (vm->written.n == 0)
		return;
	(void)poll(NULL, 0, 1); /* where there is one CPU, it is the guest's first */
	/* Backwards: a kernel's data, which it needs at once, is behind its code, of which it needs little before it patches it. */
	for (uint64_t n = vm->written.kernel.end / PIECE + 1; n > first; n--) {
		uint64_t piece = (n - 1) * PIECE;
		uint32_t parts = parts_of(vm, piece);
		int r = parts && vmm_mem_is_file(vm->mem, piece) ? 0 : 1;

		if (r == 0 && (unsigned)__builtin_popcount(parts) >= HUGE_FROM)
			r = own_piece(vm, piece);
		else if (r == 0)
			r = own_parts(vm, piece, parts);
		if (r < 0 ||
		    has_active_device(vm)) /* there is no memory, or it is too late: pages become the guest's own as it writes */
			return;
		pthread_mutex_lock(&vm->sync);
		vmm_calls_serve(vm);
		pthread_mutex_unlock(&vm->sync);
	}
}
