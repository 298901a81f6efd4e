/* MADV_DONTNEED (madvise(2)) takes pages out of the process. Those of a private mapping that were never written come back from their
 * file; the stack's below its pointer hold nothing. */
#include "idle.h"

#include <elf.h>
#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>

#include "util.h"

#define PAGE       4096u
#define STACK_KEPT (2 * PAGE)   /* below this function's frame: those of what it calls */
#define STACK_SPAN (256u << 10) /* so far down; the kernel maps nothing else within 1 MiB of a stack (stack_guard_gap) */

static void drop(uintptr_t from, uintptr_t to)
{
	from = (from + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
	to &= ~(uintptr_t)(PAGE - 1);
	if (from < to)
		(void)madvise((void *)from, to - from, MADV_DONTNEED); /* ENOMEM: the part that is mapped is dropped */
}

struct ranges {
	struct {
		uintptr_t from, to;
	} v[8];
	size_t n;
};

static int add_program(struct dl_phdr_info *info, size_t size _unused_, void *arg)
{
	struct ranges *r = arg;

	for (ElfW(Half) i = 0; i < info->dlpi_phnum && r->n < ARRAY_SIZE(r->v); i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		if (p->p_type != PT_LOAD || p->p_flags & PF_W)
			continue;
		r->v[r->n].from = info->dlpi_addr + p->p_vaddr;
		r->v[r->n++].to = info->dlpi_addr + p->p_vaddr + p->p_filesz;
	}
	return 0;
}

void idle_give_back(void)
{
	struct ranges program = { .n = 0 };

	(void)malloc_trim(0);
	dl_iterate_phdr(add_program, &program);
#ifndef __SANITIZE_ADDRESS__ /* which keeps books of the stack */
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	drop(here - STACK_SPAN, here - STACK_KEPT);
#endif
	for (size_t i = 0; i < program.n;
	     i++) /* the last: what runs now comes back at once, and the kernel brings its neighbours with it */
		drop(program.v[i].from, program.v[i].to);
}
