/* memory: see memory.h. */
#include "memory_impl.h"

#include <linux/kvm.h>
#include <linux/memfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE       VMM_PAGE
#define HUGE_PAGE  VMM_HUGE_PAGE
#define WORD_PAGES 64u
#define GIB        (1ull << 30)

/* ---- making it ---- */

static int open_backing(const struct vmm_mem_config *c, struct err *e)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING | (c->pages == VMM_PAGES_HUGE ? MFD_HUGETLB | MFD_HUGE_2MB : 0);

	if (c->file_fd >= 0) {
		struct stat st;

		if (fstat(c->file_fd, &st) < 0)
			return err_set(e, errno, "memory file: %s", strerror(errno));
		if (c->file_offset && !c->is_private)
			return err_set(e, EINVAL, "memory file: shared, it begins with the guest's memory");
		if (c->file_offset % PAGE || st.st_size < 0 || (uint64_t)st.st_size < c->file_offset ||
		    (uint64_t)st.st_size - c->file_offset < c->bytes)
			return err_set(e, EINVAL, "memory file: shorter than the guest's memory, or not page-aligned");
		int copy = fcntl(c->file_fd, F_DUPFD_CLOEXEC, 0);
		return copy < 0 ? err_set(e, errno, "memory file: %s", strerror(errno)) : copy;
	}
	_cleanup_fd_ int fd = memfd_create("guest-ram", flags);
	/* Sealed against shrinking, so that no page can vanish from under a mapping of it (SIGBUS). */
	if (fd < 0 || ftruncate(fd, (off_t)c->bytes) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return err_set(e, errno, "guest memory of %llu MiB: %s", (unsigned long long)(c->bytes >> 20), strerror(errno));
	return TAKE_FD(fd);
}

/* reserves: huge pages of the administrator's pool, all of them now (ENOMEM), or one that is missing would be a SIGBUS later.
 * Aligned to 2 MiB, so that huge pages of host and guest coincide; an inaccessible page behind it, so that an overrun faults.
 * fd -1: memory that no file is behind, for which hosts give huge pages more readily than for a shared file's. */
static uint8_t *map_aligned(uint64_t bytes, int fd, uint64_t offset, bool is_private, bool reserves)
{
	int flags = MAP_FIXED | (reserves ? 0 : MAP_NORESERVE) | (is_private ? MAP_PRIVATE : MAP_SHARED) |
		    (fd < 0 ? MAP_ANONYMOUS : 0);
	size_t room = bytes + 2 * HUGE_PAGE;
	uint8_t *p = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), *start, *got;

	if (p == MAP_FAILED)
		return NULL;
	start = p + HUGE_PAGE - (uintptr_t)p % HUGE_PAGE;
	got = mmap(start, bytes, PROT_READ | PROT_WRITE, flags, fd, (off_t)offset);
	if (got == MAP_FAILED) {
		munmap(p, room);
		return NULL;
	}
	munmap(p, (size_t)(start - p));
	munmap(start + bytes + PAGE, room - (size_t)(start - p) - bytes - PAGE);
	return start;
}

static void add_region(struct vmm_mem *m, uint64_t gpa, uint64_t bytes, uint64_t offset)
{
	m->regions[m->n_regions++] = (struct vmm_mem_region){ gpa, bytes, m->host + offset, offset };
}

/* Guests that begin with 64 GiB may add memory by 2 GiB only (probe_memory_block_size in arch/x86/mm/init_64.c), so that a piece
 * has to hold such a block. */
static void add_room(struct vmm_mem *m, uint64_t bytes)
{
	uint64_t unit = m->bytes - bytes < 60 * GIB ? VMM_ROOM_UNIT : 2 * GIB;

	m->regions[VMM_REGIONS] = (struct vmm_mem_region){ (vmm_mem_top(m) + GIB - 1) / GIB * GIB, 0, m->host + m->bytes - bytes,
							   m->bytes - bytes };
	m->room_bytes = bytes;
	m->piece_bytes = (bytes / VMM_PIECES + unit - 1) / unit * unit;
}

int vmm_mem_new(const struct vmm_mem_config *config, struct vmm_mem **ret, struct err *e)
{
	struct vmm_mem_config with_room = *config;
	const struct vmm_mem_config *c = &with_room;
	_cleanup_fd_ int fd = -1;
	struct vmm_mem *m;
	uint64_t low = MIN(config->bytes, VMM_HOLE_START);

	if (c->bytes == 0 || c->bytes % HUGE_PAGE || c->bytes > VMM_MEM_MAX)
		return err_set(e, EINVAL, "guest memory: %llu bytes are not a multiple of 2 MiB within 1 TiB",
			       (unsigned long long)c->bytes);
	if (c->room_bytes % VMM_ROOM_UNIT || c->room_bytes > VMM_ROOM_MAX || (c->room_bytes && c->pages == VMM_PAGES_HUGE))
		return err_set(e, EINVAL, "guest memory: room of %llu bytes to grow into: there can't be one",
			       (unsigned long long)c->room_bytes);
	with_room.bytes += c->room_bytes;
	if (c->bytes > VMM_MEM_MAX)
		return err_set(e, EINVAL, "guest memory: %llu bytes, with the room to grow into, are more than 1 TiB",
			       (unsigned long long)c->bytes);
	if (c->file_fd >= 0 || !c->is_private || c->pages == VMM_PAGES_HUGE) {
		fd = open_backing(c, e);
		if (fd < 0)
			return fd;
	}
	m = calloc(1, sizeof(*m));
	if (!m)
		return err_set(e, ENOMEM, "out of memory");
	m->bytes = c->bytes;
	m->fd = m->fd_vm = -1;
	if (c->is_private && c->file_fd >= 0) {
		m->is_anonymous = calloc((c->bytes / HUGE_PAGE + WORD_PAGES - 1) / WORD_PAGES, sizeof(uint64_t));
		if (!m->is_anonymous) {
			free(m);
			return err_set(e, ENOMEM, "out of memory");
		}
	}
	m->host = map_aligned(c->bytes, fd, c->file_fd >= 0 ? c->file_offset : 0, c->is_private, c->pages == VMM_PAGES_HUGE);
	if (!m->host) {
		int no = errno;

		free(m->is_anonymous);
		free(m);
		return err_set(e, no, "guest memory of %llu MiB: %s%s", (unsigned long long)(c->bytes >> 20), strerror(no),
			       c->pages == VMM_PAGES_HUGE ? " (are that many huge pages reserved in vm.nr_hugepages?)" : "");
	}
	m->pages = c->pages;
	vmm_mem_advise(m, m->host, c->bytes);
	if (!c->is_private)
		m->fd = TAKE_FD(fd);
	add_region(m, 0, low, 0);
	if (config->bytes > low)
		add_region(m, VMM_HOLE_END, config->bytes - low, low);
	if (c->room_bytes) {
		add_room(m, c->room_bytes);
		(void)mprotect(m->host + config->bytes, c->room_bytes, PROT_NONE); /* only so that mistakes are found */
	}
	*ret = m;
	return 0;
}

void vmm_mem_free(struct vmm_mem *m)
{
	if (!m)
		return;
	vmm_mem_log_stop(m);
	munmap(m->host, m->bytes + PAGE);
	fd_close(m->fd);
	free(m->is_anonymous);
	free(m);
}

size_t vmm_mem_regions(const struct vmm_mem *m, const struct vmm_mem_region **ret)
{
	*ret = m->regions;
	return m->n_regions;
}

uint64_t vmm_mem_bytes(const struct vmm_mem *m) { return m->bytes; }
uint64_t vmm_mem_boot_bytes(const struct vmm_mem *m) { return m->bytes - m->room_bytes; }
uint64_t vmm_mem_used_bytes(const struct vmm_mem *m) { return vmm_mem_boot_bytes(m) + m->regions[VMM_REGIONS].bytes; }
uint64_t vmm_mem_room_bytes(const struct vmm_mem *m) { return m->room_bytes; }
const struct vmm_mem_region *vmm_mem_room(const struct vmm_mem *m) { return &m->regions[VMM_REGIONS]; }

uint64_t vmm_mem_top(const struct vmm_mem *m)
{
	const struct vmm_mem_region *last = &m->regions[m->n_regions - 1], *room = vmm_mem_room(m);

	return m->room_bytes ? room->gpa + m->room_bytes : MAX(last->gpa + last->bytes, VMM_HOLE_END);
}
int vmm_mem_fd(const struct vmm_mem *m) { return m->fd; }

/* ---- the gate ---- */

/* The offset of [gpa, gpa + len) in the mapping; UINT64_MAX: not all RAM. No sum here can wrap. */
uint64_t vmm_mem_offset(const struct vmm_mem *m, uint64_t gpa, uint64_t len)
{
	for (size_t i = 0; i <= VMM_REGIONS; i++) {
		const struct vmm_mem_region *r = &m->regions[i];
		uint64_t bytes = __atomic_load_n(&r->bytes, __ATOMIC_ACQUIRE);

		if (gpa >= r->gpa && gpa - r->gpa < bytes)
			return len <= bytes - (gpa - r->gpa) ? r->file_offset + (gpa - r->gpa) : UINT64_MAX;
	}
	return UINT64_MAX;
}

bool vmm_mem_is_ram(const struct vmm_mem *m, uint64_t gpa, uint64_t len) { return vmm_mem_offset(m, gpa, len) != UINT64_MAX; }

static void *window_at(const struct vmm_mem *m, uint64_t gpa, uint64_t len, bool is_write)
{
	for (size_t i = 0; i < m->n_windows; i++) {
		const struct vmm_mem_window *w = &m->windows[i];

		if (gpa >= w->gpa && gpa - w->gpa < w->bytes)
			return len <= w->bytes - (gpa - w->gpa) && !(is_write && w->is_read_only)
				       ? (uint8_t *)w->host + (gpa - w->gpa)
				       : NULL;
	}
	return NULL;
}

const void *vmm_mem_at(const struct vmm_mem *m, uint64_t gpa, uint64_t len)
{
	uint64_t off = vmm_mem_offset(m, gpa, len);

	return off == UINT64_MAX ? window_at(m, gpa, len, false) : m->host + off;
}

void *vmm_mem_at_fill(const struct vmm_mem *m, uint64_t gpa, uint64_t len)
{
	uint64_t off = vmm_mem_offset(m, gpa, len);

	return off == UINT64_MAX ? window_at(m, gpa, len, true) : m->host + off;
}

void *vmm_mem_at_write(struct vmm_mem *m, uint64_t gpa, uint64_t len)
{
	uint64_t off = vmm_mem_offset(m, gpa, len);

	if (off == UINT64_MAX)
		return window_at(m, gpa, len, true);
	vmm_mem_dirty(m, gpa, len);
	return m->host + off;
}

int vmm_mem_read(const struct vmm_mem *m, uint64_t gpa, void *to, size_t len)
{
	const void *p = vmm_mem_at(m, gpa, len);

	if (!p)
		return -EFAULT;
	memcpy(to, p, len);
	return 0;
}

int vmm_mem_write(struct vmm_mem *m, uint64_t gpa, const void *from, size_t len)
{
	void *p = vmm_mem_at_write(m, gpa, len);

	if (!p)
		return -EFAULT;
	memcpy(p, from, len);
	return 0;
}

int vmm_mem_zero(struct vmm_mem *m, uint64_t gpa, uint64_t len)
{
	void *p = vmm_mem_at_write(m, gpa, len);

	if (!p)
		return -EFAULT;
	memset(p, 0, len);
	return 0;
}

int vmm_mem_pread(struct vmm_mem *m, uint64_t gpa, int fd, uint64_t offset, uint64_t len)
{
	uint8_t *p = vmm_mem_at_write(m, gpa, len);

	if (!p)
		return -EFAULT;
	if (offset > INT64_MAX || len > INT64_MAX - offset)
		return -ENODATA;
	while (len > 0) {
		ssize_t n = pread(fd, p, MIN(len, 1ull << 30), (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		p += n;
		offset += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

/* ---- KVM and the dirty log ---- */

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
