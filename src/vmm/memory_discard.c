/* memory_discard: guest RAM back to the host, for the balloon and for memory that is unplugged. vmm thread.
 *
 * Memory that no file is behind is dropped, and reads as zero. Shared RAM is a memfd, of which a hole is punched: every mapping
 * of it reads zero there. Of a private mapping of a file (a restored VM) what the guest has written is dropped, and the snapshot's page is seen again; the file is never changed. Where zero
 * is promised, 2 MiB at a time are mapped anew as memory of our own, once: such a piece is remembered, and dropping its pages
 * makes zeroes from then on. So it is where a kernel was put by mapping its file (memory_map.c). Each may cost the process two more mappings, of which the kernel allows 65530 (vm.max_map_count):
 * hence the limit, beyond which pages stay as they are. */
#include "memory_impl.h"

#include <sys/mman.h>

#define WORD          64u
#define ANONYMOUS_MAX (16u << 10)

void vmm_mem_advise(const struct vmm_mem *m, void *p, uint64_t len)
{
	/* Advice only: a host without transparent huge pages in shared memory answers EINVAL, and all works. */
	if (m->pages != VMM_PAGES_HUGE)
		(void)madvise(p, len, m->pages == VMM_PAGES_THP ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	(void)madvise(p, len, MADV_DONTDUMP); /* a crash of ours does not write the guest's secrets to a core file */
}

static int drop(struct vmm_mem *m, uint64_t off, uint64_t len)
{
	return madvise(m->host + off, len, MADV_DONTNEED) < 0 ? -errno : 0;
}

/* fallocate(2) of hugetlbfs clears the parts of huge pages that it can't free. */
static int punch(struct vmm_mem *m, uint64_t off, uint64_t len)
{
	return fallocate(m->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len) < 0 ? -errno : 0;
}

static int check(const struct vmm_mem *m, uint64_t gpa, uint64_t len, uint64_t *ret_off)
{
	*ret_off = vmm_mem_offset(m, gpa, len);
	if (m->pages == VMM_PAGES_HUGE && *ret_off != UINT64_MAX)
		return -EOPNOTSUPP; /* what was reserved and given away might be gone when it is wanted again */
	if (*ret_off == UINT64_MAX)
		return -EFAULT;
	return *ret_off % VMM_PAGE || len % VMM_PAGE ? -EINVAL : 0;
}

int vmm_mem_discard(struct vmm_mem *m, uint64_t gpa, uint64_t len)
{
	uint64_t off;
	int r = check(m, gpa, len, &off);

	if (r < 0 || len == 0)
		return r;
	vmm_mem_dirty(m, gpa, len);
	return m->fd >= 0 ? punch(m, off, len) : drop(m, off, len);
}

/* MAP_FIXED puts the new pages there in one step: a vCPU that touches them meanwhile finds the old or the new ones. */
static int make_anonymous(struct vmm_mem *m, uint64_t off)
{
	void *p = mmap(m->host + off, VMM_HUGE_PAGE, PROT_READ | PROT_WRITE,
		       MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	vmm_mem_advise(m, p, VMM_HUGE_PAGE);
	m->is_anonymous[off / VMM_HUGE_PAGE / WORD] |= 1ull << off / VMM_HUGE_PAGE % WORD;
	m->n_anonymous++;
	return 0;
}

/* [off, off + len) is within one piece of 2 MiB. */
static int zero_in_piece(struct vmm_mem *m, uint64_t off, uint64_t len)
{
	uint64_t piece = off / VMM_HUGE_PAGE;

	if (m->is_anonymous[piece / WORD] >> piece % WORD & 1)
		return drop(m, off, len);
	return len == VMM_HUGE_PAGE && m->n_anonymous < ANONYMOUS_MAX ? make_anonymous(m, off) : 0;
}

int vmm_mem_discard_to_zero(struct vmm_mem *m, uint64_t gpa, uint64_t len)
{
	uint64_t off;
	int r = check(m, gpa, len, &off);

	if (r < 0 || len == 0)
		return r;
	vmm_mem_dirty(m, gpa, len);
	if (m->fd >= 0)
		return punch(m, off, len);
	if (!m->is_anonymous)
		return drop(m, off, len);
	while (r >= 0 && len > 0) {
		uint64_t n = MIN(len, VMM_HUGE_PAGE - off % VMM_HUGE_PAGE);

		r = zero_in_piece(m, off, n);
		off += n;
		len -= n;
	}
	return r;
}
