/* memory: see memory.h. */
#include "memory_impl.h"

#include <linux/memfd.h>
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
