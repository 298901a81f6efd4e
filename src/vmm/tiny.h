/* tiny: hand-assembled 64-bit kernels for tests, as an ELF file in memory; and a VM of one. Only tests include this file. */
#pragma once

#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tap.h"
#include "vmm_impl.h"

#define TINY_ENTRY 0x100000u

__attribute__((unused)) static int tiny_kernel(const void *code, size_t n)
{
	struct {
		Elf64_Ehdr eh;
		Elf64_Phdr ph;
	} f = { .eh = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_version = EV_CURRENT,
			.e_entry = TINY_ENTRY,
			.e_phoff = sizeof(Elf64_Ehdr),
			.e_ehsize = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 1 },
		.ph = { .p_type = PT_LOAD, .p_offset = sizeof(f), .p_paddr = TINY_ENTRY, .p_filesz = n, .p_memsz = n + 4096 } };
	int fd = memfd_create("kernel", MFD_CLOEXEC);

	ok(fd >= 0);
	is_int(write(fd, &f, sizeof(f)), sizeof(f));
	is_int(write(fd, code, n), n);
	return fd;
}

/* A VM of the plan; the test is skipped where there is no KVM. */
__attribute__((unused)) static struct vmm *tiny_vm(const struct vmm_plan *plan)
{
	struct vmm *vm = NULL;
	struct err e = { 0 };
	int r = vmm_new(plan, &vm, &e);

	if (r == -ENODEV)
		skip("no KVM here");
	if (r < 0)
		TAP_FAIL("%s", e.msg);
	return vm;
}
