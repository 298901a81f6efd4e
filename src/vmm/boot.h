/* boot: what is in guest RAM before the first instruction, and where. Fixed places, all below 1 MiB:
 *
 *   0x00500  GDT            0x06000  hvm_start_info, module list, memory map (PVH)   0x07000  zero page (64-bit protocol)
 *   0x09000  page tables: 1 GiB identity-mapped by 2 MiB pages                       0x20000  command line, up to 64 KiB
 *   0xe0000  ACPI tables, RSDP first (where kernels look even when nobody tells them)
 *   0xff000  the machine's generation (generation.h), reserved as the tables are
 *
 * The kernel is at the address that it asks for, the initial ramdisk as high as it may be. A kernel is a file from a stranger:
 * every offset and size in it is checked against the file and against RAM; fuzzed (boot_fuzz.c). */
#pragma once

#include "memory.h"
#include "vcpu.h"

enum {
	BOOT_GDT = 0x500,
	BOOT_PVH_INFO = 0x6000,
	BOOT_ZERO_PAGE = 0x7000,
	BOOT_PAGE_TABLES = 0x9000,
	BOOT_CMDLINE = 0x20000,
	BOOT_CMDLINE_MAX = 0x10000,
	BOOT_LOW_END = 0x9fc00, /* the last KiB below 640 KiB is an EBDA by tradition */
	BOOT_ACPI = 0xe0000,
	BOOT_ACPI_MAX = 0x1f000,
	BOOT_GENERATION = BOOT_ACPI + BOOT_ACPI_MAX,
	BOOT_RESERVED = 0x20000, /* from BOOT_ACPI on: the tables and that */
	BOOT_KERNEL_MIN = 0x100000,
};

/* What a kernel will write to of what was mapped from its file: its data, and its code, which it patches as it begins. A hint, as page
 * faults of a guest are dear: see vmm_mem_own. */
#define BOOT_WRITTEN_MAX 8u
struct boot_range {
	uint64_t start, end;
	bool is_freed; /* nothing that the kernel uses as it is: memory that it gives away as it ends its boot */
};
struct boot_written {
	struct boot_range kernel; /* all of it, what is not in the file included */
	struct boot_range ranges[BOOT_WRITTEN_MAX];
	unsigned n;
};

struct boot_config {
	int kernel_fd, initrd_fd; /* initrd_fd -1: none */
	const char *cmdline;
	uint64_t rsdp; /* 0: no ACPI tables */
};
/* Loads the kernel, its ramdisk and its boot information; *ret_entry is where the first vCPU begins. Errors say what is wrong
 * with the file, or how much memory the kernel wants. */
int boot_load(struct vmm_mem *m, const struct boot_config *c, struct vcpu_entry *ret_entry, struct boot_written *ret_written,
	      struct err *e);

/* ---- between the boot_*.c files ---- */
struct boot_memmap_entry {
	uint64_t gpa, bytes;
	uint32_t type; /* 1 RAM, 2 reserved: e820 and PVH agree */
};
#define BOOT_MEMMAP_MAX 8
size_t boot_memmap(const struct vmm_mem *m, struct boot_memmap_entry ret[BOOT_MEMMAP_MAX]);
/* Where the kernel was put and is to be entered. */
struct boot_kernel {
	struct boot_range range; /* what it occupies until it knows its memory map, bss included */
	uint64_t entry64;        /* 0: none */
	uint64_t entry_pvh;      /* 0: none */
	uint64_t initrd_max;     /* the highest address that the ramdisk may occupy */
	uint32_t cmdline_max;    /* without the NUL; 0: not said */
	struct boot_written written;
	bool has_setup_header; /* bzImage: setup_header is to be copied into the zero page */
	uint8_t setup_header[0x290 - 0x1f1];
};
int boot_load_elf(struct vmm_mem *m, int fd, uint64_t size, struct boot_kernel *ret, struct err *e);
int boot_load_bzimage(struct vmm_mem *m, int fd, uint64_t size, struct boot_kernel *ret, struct err *e);
int boot_file_read(int fd, uint64_t size, uint64_t offset, void *p, size_t n); /* 0; -ENOEXEC: beyond its end; -errno */
