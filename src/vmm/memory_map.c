/* memory_map: files that are in guest RAM from the beginning on, the kernel and its ramdisk, without reading them.
 *
 * Whole pages of the file take the place of RAM, privately: what the guest never touches is never read, what it only reads is the
 * host's one copy for all its VMs, and what it writes becomes the VM's own page. The file has to stay as it is, as that of a
 * restored VM has: one that is cut off is a fault on its missing pages, and this VM's end. Where RAM has a file of its own
 * (a memfd), or the file begins elsewhere in its page, it is read. While the VM is built. */
#include "memory_impl.h"

#include <sys/mman.h>

#define WORD 64u

/* From now on the piece of 2 MiB is, in part, a file's (memory_discard.c). */
static int note_piece(struct vmm_mem *m, uint64_t piece)
{
	uint64_t words = (m->bytes / VMM_HUGE_PAGE + WORD - 1) / WORD;

	if (!m->is_anonymous) {
		m->is_anonymous = malloc(words * sizeof(*m->is_anonymous));
		if (!m->is_anonymous)
			return -ENOMEM;
		memset(m->is_anonymous, 0xff, words * sizeof(*m->is_anonymous));
	}
	m->is_anonymous[piece / WORD] &= ~(1ull << piece % WORD);
	return 0;
}

static int place(struct vmm_mem *m, uint64_t off, uint64_t len, int fd, uint64_t offset)
{
	int flags = MAP_FIXED | MAP_PRIVATE | MAP_NORESERVE | (fd < 0 ? MAP_ANONYMOUS : 0);

	if (mmap(m->host + off, len, PROT_READ | PROT_WRITE, flags, fd, (off_t)offset) == MAP_FAILED)
		return -errno;
	vmm_mem_advise(m, m->host + off, len);
	return 0;
}

/* Whole pages, at off of RAM. */
static int map_pages(struct vmm_mem *m, uint64_t gpa, uint64_t off, int fd, uint64_t offset, uint64_t len)
{
	int r = 0;

	for (uint64_t at = off / VMM_HUGE_PAGE; r >= 0 && at * VMM_HUGE_PAGE < off + len; at++)
		r = note_piece(m, at);
	if (r < 0)
		return r;
	if (place(m, off, len, fd, offset) >= 0)
		return 0;
	/* A file system without mmap(2). What was there may be gone: RAM anew, into which the file is read. */
	r = place(m, off, len, -1, 0);
	return r < 0 ? r : vmm_mem_pread(m, gpa, fd, offset, len);
}

int vmm_mem_load(struct vmm_mem *m, uint64_t gpa, int fd, uint64_t offset, uint64_t len)
{
	uint64_t off = vmm_mem_offset(m, gpa, len), head = -gpa % VMM_PAGE, whole;
	struct stat st;
	int r;

	if (off == UINT64_MAX)
		return -EFAULT;
	if (m->fd >= 0 || m->pages == VMM_PAGES_HUGE || gpa % VMM_PAGE != offset % VMM_PAGE || len < head + VMM_PAGE)
		return vmm_mem_pread(m, gpa, fd, offset, len);
	/* mmap(2) takes pages behind the end, where there is nothing but a signal. */
	if (fstat(fd, &st) < 0)
		return -errno;
	if (offset > INT64_MAX - len || st.st_size < (off_t)(offset + len))
		return -ENODATA;
	whole = (len - head) & ~(VMM_PAGE - 1);
	vmm_mem_dirty(m, gpa, len);
	r = map_pages(m, gpa + head, off + head, fd, offset + head, whole);
	if (r >= 0 && head > 0)
		r = vmm_mem_pread(m, gpa, fd, offset, head);
	if (r >= 0 && head + whole < len)
		r = vmm_mem_pread(m, gpa + head + whole, fd, offset + head + whole, len - head - whole);
	return r;
}

void vmm_mem_sparse(struct vmm_mem *m, uint64_t gpa, uint64_t len)
{
	uint64_t off = vmm_mem_offset(m, gpa, len);

	if (off != UINT64_MAX && m->pages == VMM_PAGES_THP)
		(void)madvise(m->host + off, len, MADV_NOHUGEPAGE); /* advice, as in vmm_mem_advise */
}

int vmm_mem_own(const struct vmm_mem *m, uint64_t gpa, uint64_t len)
{
	uint64_t off = vmm_mem_offset(m, gpa, len), start, end;

	if (off == UINT64_MAX)
		return -EFAULT;
	start = (off + VMM_PAGE - 1) & ~(VMM_PAGE - 1);
	end = (off + len) & ~(VMM_PAGE - 1);
	if (m->fd >= 0 || start >= end)
		return 0;
	return madvise(m->host + start, end - start, MADV_POPULATE_WRITE) < 0 ? -errno : 0;
}

/* ---- pieces ---- */

bool vmm_mem_is_file(const struct vmm_mem *m, uint64_t gpa)
{
	uint64_t off = vmm_mem_offset(m, gpa, VMM_HUGE_PAGE);

	return off != UINT64_MAX && m->is_anonymous &&
	       !(m->is_anonymous[off / VMM_HUGE_PAGE / WORD] >> off / VMM_HUGE_PAGE % WORD & 1);
}

int vmm_mem_piece_new(const struct vmm_mem *m, uint64_t gpa, void **ret)
{
	uint8_t *room, *p;
	size_t before;

	if (gpa % VMM_HUGE_PAGE || vmm_mem_offset(m, gpa, VMM_HUGE_PAGE) == UINT64_MAX)
		return -EFAULT;
	if (m->fd >= 0 || m->pages != VMM_PAGES_THP)
		return -EOPNOTSUPP;
	room = mmap(NULL, 2 * VMM_HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (room == MAP_FAILED)
		return -errno;
	before = VMM_HUGE_PAGE - (uintptr_t)room % VMM_HUGE_PAGE;
	p = room + before;
	munmap(room, before);
	if (before < VMM_HUGE_PAGE)
		munmap(p + VMM_HUGE_PAGE, VMM_HUGE_PAGE - before);
	vmm_mem_advise(m, p, VMM_HUGE_PAGE);
	if (madvise(p, VMM_HUGE_PAGE, MADV_POPULATE_WRITE) < 0) { /* now, as the guest need not wait for it */
		int no = errno;

		vmm_mem_piece_drop(p);
		return -no;
	}
	*ret = p;
	return 0;
}

/* In whole registers. memcpy(3) takes string instructions for as much, which emulated CPUs do byte by byte. */
static void copy(void *to, const void *from, size_t bytes)
{
	typedef uint64_t word __attribute__((vector_size(16), aligned(16), may_alias));
	const word *src = from;
	word *dst = to;

	for (size_t i = 0; i < bytes / sizeof(word); i += 4) {
		word a = src[i], b = src[i + 1], c = src[i + 2], d = src[i + 3];

		dst[i] = a;
		dst[i + 1] = b;
		dst[i + 2] = c;
		dst[i + 3] = d;
	}
}

int vmm_mem_piece_put(struct vmm_mem *m, uint64_t gpa, void *pages)
{
	uint64_t off = vmm_mem_offset(m, gpa, VMM_HUGE_PAGE);

	copy(pages, m->host + off, VMM_HUGE_PAGE);
	if (mremap(pages, VMM_HUGE_PAGE, VMM_HUGE_PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, m->host + off) == MAP_FAILED)
		return -errno;
	m->is_anonymous[off / VMM_HUGE_PAGE / WORD] |= 1ull << off / VMM_HUGE_PAGE % WORD;
	return 0;
}

void vmm_mem_piece_drop(void *pages) { munmap(pages, VMM_HUGE_PAGE); }
