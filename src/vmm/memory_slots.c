/* memory_slots: guest RAM as KVM knows it: a slot for each region, for each window, and for each piece that the room has become memory by;
 * and the log of what was written, of which KVM keeps the guest's part by slots. See memory.h. */
#include "memory_impl.h"

#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define PAGE       VMM_PAGE
#define HUGE_PAGE  VMM_HUGE_PAGE
#define WORD_PAGES 64u

/* ---- slots ---- */

/* Of the room, from `at` to `end`, piece by piece, and else a region: what of it is a slot. Its number. */
static uint32_t piece_at(const struct vmm_mem *m, uint64_t at, uint64_t end, struct vmm_mem_region *ret)
{
	const struct vmm_mem_region *room = vmm_mem_room(m);

	*ret = (struct vmm_mem_region){ room->gpa + at, MIN(m->piece_bytes, end - at), (uint8_t *)room->host + at,
					room->file_offset + at };
	return VMM_SLOT_FIRST_ROOM + (uint32_t)(at / m->piece_bytes);
}

/* The i-th slot of RAM: its number, *ret; -1: there are no more. */
static int slot_at(const struct vmm_mem *m, size_t i, struct vmm_mem_region *ret)
{
	const struct vmm_mem_region *room = vmm_mem_room(m);

	if (i < m->n_regions) {
		*ret = m->regions[i];
		return (int)i;
	}
	i -= m->n_regions;
	return i * m->piece_bytes < room->bytes ? (int)piece_at(m, i * m->piece_bytes, room->bytes, ret) : -1;
}

static int set_slot(const struct vmm_mem *m, uint32_t number, const struct vmm_mem_region *r, uint32_t flags)
{
	struct kvm_userspace_memory_region slot = { .slot = number,
						    .flags = flags,
						    .guest_phys_addr = r->gpa,
						    .memory_size = r->bytes,
						    .userspace_addr = (uintptr_t)r->host };

	return ioctl(m->fd_vm, KVM_SET_USER_MEMORY_REGION, &slot) < 0 ? -errno : 0;
}

static int set_slots(const struct vmm_mem *m, uint32_t flags)
{
	struct vmm_mem_region r;
	int number, k = 0;

	for (size_t i = 0; k >= 0 && (number = slot_at(m, i, &r)) >= 0; i++)
		k = set_slot(m, (uint32_t)number, &r, flags);
	return k;
}

/* A piece is whole or none, so that its slot never changes: KVM forgets a slot's translations and log when it does. */
int vmm_mem_grow(struct vmm_mem *m, uint64_t bytes, struct err *e)
{
	struct vmm_mem_region *room = &m->regions[VMM_REGIONS], piece;
	uint32_t flags = atomic_load(&m->log) ? KVM_MEM_LOG_DIRTY_PAGES : 0;
	int r = 0;

	if (bytes > m->room_bytes)
		return err_set(e, ENOSPC, "guest memory: no room for %llu bytes more", (unsigned long long)bytes);
	while (r >= 0 && room->bytes < bytes) {
		uint32_t number = piece_at(m, room->bytes, m->room_bytes, &piece);

		if (mprotect(piece.host, piece.bytes, PROT_READ | PROT_WRITE) < 0)
			return err_set(e, errno, "guest memory of %llu MiB more: %s", (unsigned long long)(piece.bytes >> 20),
				       strerror(errno));
		r = m->fd_vm >= 0 ? set_slot(m, number, &piece, flags) : 0;
		if (r >= 0)
			__atomic_store_n(&room->bytes, room->bytes + piece.bytes, __ATOMIC_RELEASE);
	}
	return r < 0 ? err_set(e, -r, "KVM refuses more memory for the guest: %s", strerror(-r)) : 0;
}

int vmm_mem_attach(struct vmm_mem *m, int fd_vm, struct err *e)
{
	int r;

	m->fd_vm = fd_vm;
	r = set_slots(m, 0);
	return r < 0 ? err_set(e, -r, "KVM refuses the guest's memory: %s", strerror(-r)) : 0;
}

static bool may_be_window(const struct vmm_mem *m, const struct vmm_mem_window *w)
{
	if (w->bytes == 0 || w->gpa % HUGE_PAGE || w->bytes % HUGE_PAGE || (uintptr_t)w->host % HUGE_PAGE)
		return false;
	if (w->gpa < vmm_mem_top(m) || w->gpa >= VMM_WINDOW_END || w->bytes > VMM_WINDOW_END - w->gpa)
		return false;
	for (size_t i = 0; i < m->n_windows; i++)
		if (w->gpa < m->windows[i].gpa + m->windows[i].bytes && m->windows[i].gpa < w->gpa + w->bytes)
			return false;
	return true;
}

int vmm_mem_add_window(struct vmm_mem *m, const struct vmm_mem_window *w, struct err *e)
{
	struct kvm_userspace_memory_region slot = { .slot = VMM_SLOT_FIRST_FREE + (uint32_t)m->n_windows,
						    .flags = w->is_read_only ? KVM_MEM_READONLY : 0,
						    .guest_phys_addr = w->gpa,
						    .memory_size = w->bytes,
						    .userspace_addr = (uintptr_t)w->host };

	if (m->n_windows == VMM_WINDOWS_MAX || !may_be_window(m, w))
		return err_set(e, EINVAL, "a window of %#llx bytes at %#llx: there can't be one", (unsigned long long)w->bytes,
			       (unsigned long long)w->gpa);
	if (m->fd_vm >= 0 && ioctl(m->fd_vm, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
		return err_set(e, errno, "KVM refuses a window of %#llx bytes: %s", (unsigned long long)w->bytes,
			       strerror(errno));
	m->windows[m->n_windows++] = *w;
	return 0;
}

/* ---- the log ---- */

size_t vmm_mem_log_words(const struct vmm_mem *m) { return (m->bytes / PAGE + WORD_PAGES - 1) / WORD_PAGES; }

int vmm_mem_log_start(struct vmm_mem *m, struct err *e)
{
	_Atomic(uint64_t) *log = calloc(vmm_mem_log_words(m), sizeof(*log));
	int r = log ? 0 : -ENOMEM;

	if (r >= 0 && m->fd_vm >= 0)
		r = set_slots(m, KVM_MEM_LOG_DIRTY_PAGES);
	if (r < 0) {
		free(log);
		return err_set(e, -r, "log of written pages: %s", strerror(-r));
	}
	free(atomic_exchange(&m->log, log));
	return 0;
}

void vmm_mem_log_stop(struct vmm_mem *m)
{
	_Atomic(uint64_t) *log = atomic_exchange(&m->log, NULL);

	if (!log)
		return;
	if (m->fd_vm >= 0)
		(void)set_slots(m, 0);
	free(log);
}

int vmm_mem_log_collect(struct vmm_mem *m, uint64_t *bitmap, struct err *e)
{
	_Atomic(uint64_t) *log = atomic_load(&m->log);
	struct vmm_mem_region r;
	int number;

	if (!log)
		return err_set(e, EINVAL, "log of written pages: it was not started");
	/* A region begins at a multiple of 64 pages of the file, so KVM's bitmap of a slot is a part of ours. */
	for (size_t i = 0; m->fd_vm >= 0 && (number = slot_at(m, i, &r)) >= 0; i++) {
		size_t words = (r.bytes / PAGE + WORD_PAGES - 1) / WORD_PAGES, first = r.file_offset / PAGE / WORD_PAGES;
		_cleanup_free_ uint64_t *part = calloc(words, sizeof(uint64_t));
		struct kvm_dirty_log ask = { .slot = (uint32_t)number, .dirty_bitmap = part };

		if (!part)
			return err_set(e, ENOMEM, "out of memory");
		if (ioctl(m->fd_vm, KVM_GET_DIRTY_LOG, &ask) < 0)
			return err_set(e, errno, "KVM's log of written pages: %s", strerror(errno));
		for (size_t w = 0; w < words; w++)
			bitmap[first + w] |= part[w];
	}
	for (size_t w = 0; w < vmm_mem_log_words(m); w++)
		bitmap[w] |= atomic_exchange(&log[w], 0);
	return 0;
}

static void dirty_file(_Atomic(uint64_t) *log, uint64_t off, uint64_t len)
{
	for (uint64_t page = off / PAGE; page <= (off + len - 1) / PAGE; page++)
		atomic_fetch_or(&log[page / WORD_PAGES], 1ull << page % WORD_PAGES);
}

void vmm_mem_dirty(struct vmm_mem *m, uint64_t gpa, uint64_t len)
{
	_Atomic(uint64_t) *log = atomic_load_explicit(&m->log, memory_order_relaxed);
	uint64_t off;

	if (!log || len == 0)
		return;
	off = vmm_mem_offset(m, gpa, len);
	if (off != UINT64_MAX)
		dirty_file(log, off, len);
}

void vmm_mem_dirty_host(struct vmm_mem *m, const void *p, uint64_t len)
{
	_Atomic(uint64_t) *log = atomic_load_explicit(&m->log, memory_order_relaxed);
	uint64_t off = (uint64_t)((const uint8_t *)p - m->host);

	if (log && len > 0 && off < m->bytes && len <= m->bytes - off)
		dirty_file(log, off, len);
}
