/* boot_elf: an uncompressed kernel: segments to their physical addresses. Entered by its PVH entry (a Xen note, 32-bit) where
 * it has one, else at e_entry in long mode, which in a vmlinux is the physical address of startup_64. */
#include <elf.h>

#include "boot.h"

#define PHDRS_MAX    128u
#define NOTES_MAX    (64u << 10)
#define SECTIONS_MAX 128u

static int read_notes(int fd, uint64_t size, const Elf64_Phdr *ph, struct boot_kernel *k, struct err *e)
{
	_cleanup_free_ uint8_t *notes = NULL;
	int r;

	if (k->entry_pvh || ph->p_filesz == 0 || ph->p_filesz > NOTES_MAX)
		return 0;
	notes = malloc(ph->p_filesz);
	if (!notes)
		return err_set(e, ENOMEM, "out of memory");
	r = boot_file_read(fd, size, ph->p_offset, notes, ph->p_filesz);
	if (r < 0)
		return err_set(e, -r, "kernel: damaged ELF file: notes outside of it");
	(void)vmlinux_pvh_entry(notes, ph->p_filesz, &k->entry_pvh);
	return 0;
}

static int load_segment(struct vmm_mem *m, int fd, uint64_t size, const Elf64_Phdr *ph, struct boot_kernel *k, struct err *e)
{
	int r;

	if (ph->p_memsz == 0)
		return 0;
	if (ph->p_filesz > ph->p_memsz || ph->p_offset > size || ph->p_filesz > size - ph->p_offset)
		return err_set(e, ENOEXEC, "kernel: damaged ELF file: a segment outside of it");
	if (ph->p_paddr < BOOT_KERNEL_MIN || ph->p_paddr >= VMM_HOLE_START)
		return err_set(e, ENOEXEC, "kernel: a segment at %#llx, where no kernel may be", (unsigned long long)ph->p_paddr);
	if (!vmm_mem_at(m, ph->p_paddr, ph->p_memsz))
		return err_set(e, ENOMEM, "kernel: it occupies %#llx bytes from %#llx on: give the guest more memory",
			       (unsigned long long)ph->p_memsz, (unsigned long long)ph->p_paddr);
	/* The rest up to p_memsz is zero: RAM is new. */
	r = vmm_mem_load(m, ph->p_paddr, fd, ph->p_offset, ph->p_filesz);
	if (r < 0)
		return err_set(e, -r, "kernel: %s", r == -ENODATA ? "it became shorter meanwhile" : strerror(-r));
	k->range.start = k->range.end ? MIN(k->range.start, ph->p_paddr) : ph->p_paddr;
	k->range.end = MAX(k->range.end, ph->p_paddr + ph->p_memsz);
	return 0;
}

/* ---- what will be written ---- */

static void note_written(struct boot_kernel *k, uint64_t start, uint64_t bytes, bool is_freed)
{
	if (bytes > 0 && k->written.n < BOOT_WRITTEN_MAX)
		k->written.ranges[k->written.n++] = (struct boot_range){ start, start + bytes, is_freed };
}

/* How much of the segment lies between what begins before `end`, an offset, and the next section. Linux frees it where it aligns its
 * constants (mark_rodata_ro in arch/x86/mm/init_64.c). */
static uint64_t gap_behind(uint64_t end, const Elf64_Phdr *ph, const Elf64_Shdr *sh, unsigned n)
{
	uint64_t next = ph->p_offset + ph->p_filesz;

	for (unsigned i = 0; i < n; i++)
		if (sh[i].sh_type != SHT_NULL && sh[i].sh_offset >= end)
			next = MIN(next, sh[i].sh_offset);
	return next - end;
}

/* The code in a segment that has constants as well, which only the section headers tell apart: what they say is a hint, within a
 * segment that was checked, and a file without them has none. */
static void note_code(int fd, uint64_t size, const Elf64_Ehdr *eh, const Elf64_Phdr *ph, struct boot_kernel *k)
{
	Elf64_Shdr sh[SECTIONS_MAX];

	if (eh->e_shentsize != sizeof(sh[0]) || eh->e_shnum == 0 || eh->e_shnum > SECTIONS_MAX ||
	    boot_file_read(fd, size, eh->e_shoff, sh, eh->e_shnum * sizeof(sh[0])) < 0)
		return;
	for (unsigned i = 0; i < eh->e_shnum; i++)
		if (sh[i].sh_type == SHT_PROGBITS && sh[i].sh_flags & SHF_EXECINSTR && sh[i].sh_offset >= ph->p_offset &&
		    sh[i].sh_offset - ph->p_offset < ph->p_filesz &&
		    sh[i].sh_size <= ph->p_filesz - (sh[i].sh_offset - ph->p_offset)) {
			uint64_t start = ph->p_paddr + (sh[i].sh_offset - ph->p_offset);

			note_written(k, start, sh[i].sh_size, false);
			note_written(k, start + sh[i].sh_size, gap_behind(sh[i].sh_offset + sh[i].sh_size, ph, sh, eh->e_shnum),
				     true);
		}
}

static bool is_kernel(const Elf64_Ehdr *eh)
{
	return eh->e_ident[EI_CLASS] == ELFCLASS64 && eh->e_ident[EI_DATA] == ELFDATA2LSB && eh->e_machine == EM_X86_64 &&
	       eh->e_type == ET_EXEC && eh->e_phentsize == sizeof(Elf64_Phdr) && eh->e_phnum > 0 && eh->e_phnum <= PHDRS_MAX;
}

int boot_load_elf(struct vmm_mem *m, int fd, uint64_t size, struct boot_kernel *ret, struct err *e)
{
	Elf64_Phdr ph[PHDRS_MAX];
	Elf64_Ehdr eh;
	struct boot_kernel k = { .initrd_max = VMM_HOLE_START - 1 };
	int r = boot_file_read(fd, size, 0, &eh, sizeof(eh));

	if (r < 0 || !is_kernel(&eh))
		return err_set(e, ENOEXEC, "kernel: an ELF file, but no x86-64 kernel");
	r = boot_file_read(fd, size, eh.e_phoff, ph, eh.e_phnum * sizeof(ph[0]));
	if (r < 0)
		return err_set(e, -r, "kernel: damaged ELF file: program headers outside of it");
	for (unsigned i = 0; r >= 0 && i < eh.e_phnum; i++)
		if (ph[i].p_type == PT_LOAD)
			r = load_segment(m, fd, size, &ph[i], &k, e);
		else if (ph[i].p_type == PT_NOTE)
			r = read_notes(fd, size, &ph[i], &k, e);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < eh.e_phnum; i++)
		if (ph[i].p_type == PT_LOAD && ph[i].p_flags & PF_W)
			note_written(&k, ph[i].p_paddr, ph[i].p_filesz, false);
		else if (ph[i].p_type == PT_LOAD && ph[i].p_flags & PF_X)
			note_code(fd, size, &eh, &ph[i], &k);
	k.entry64 = eh.e_entry;
	uint64_t entry = k.entry_pvh ?: k.entry64;
	if (entry < k.range.start || entry >= k.range.end)
		return err_set(e, ENOEXEC, "kernel: its entry %#llx is in none of its segments", (unsigned long long)entry);
	*ret = k;
	return 0;
}
