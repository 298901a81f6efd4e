/* boot: see boot.h: the parts around the kernel: which loader, the ramdisk, the command line, the memory map, and the boot
 * information of the two protocols. */
#include "boot.h"

#include <elf.h>
#include <unistd.h>

#define PAGE       4096ull
#define IDENTITY   (1ull << 30) /* what the page tables map */
#define INITRD_MAX (1ull << 31)

int boot_file_read(int fd, uint64_t size, uint64_t offset, void *p, size_t n)
{
	uint8_t *to = p;

	if (offset > size || n > size - offset)
		return -ENOEXEC;
	while (n > 0) {
		ssize_t got = pread(fd, to, n, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -ENOEXEC;
		to += got;
		offset += (uint64_t)got;
		n -= (size_t)got;
	}
	return 0;
}

static int file_size(int fd, const char *what, uint64_t *ret, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set(e, errno, "%s: %s", what, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size <= 0)
		return err_set(e, ENOEXEC, "%s: not a file with anything in it", what);
	*ret = (uint64_t)st.st_size;
	return 0;
}

static int load_kernel(struct vmm_mem *m, int fd, struct boot_kernel *ret, struct err *e)
{
	uint64_t size = 0;
	uint8_t magic[SELFMAG];
	int r = file_size(fd, "kernel", &size, e);

	if (r < 0)
		return r;
	r = boot_file_read(fd, size, 0, magic, sizeof(magic));
	if (r < 0)
		return err_set(e, -r, "kernel: not a Linux kernel (too short)");
	return memcmp(magic, ELFMAG, SELFMAG) == 0 ? boot_load_elf(m, fd, size, ret, e) : boot_load_bzimage(m, fd, size, ret, e);
}

/* As high as may be, so that it is out of the kernel's way while that unpacks and moves itself. */
static int load_initrd(struct vmm_mem *m, int fd, const struct boot_kernel *k, struct boot_range *ret, struct err *e)
{
	const struct vmm_mem_region *regions;
	uint64_t size = 0, top;
	int r;

	*ret = (struct boot_range){ 0 };
	if (fd < 0)
		return 0;
	r = file_size(fd, "initial ramdisk", &size, e);
	if (r < 0)
		return r;
	(void)vmm_mem_regions(m, &regions);
	top = MIN(regions[0].bytes, k->initrd_max + 1);
	if (size > INITRD_MAX || size > top || ((top - size) & ~(PAGE - 1)) < k->range.end)
		return err_set(e, ENOMEM,
			       "the guest's memory has no room for the kernel and an initial ramdisk of %llu MiB: give it more",
			       (unsigned long long)((size + (1 << 20) - 1) >> 20));
	ret->start = (top - size) & ~(PAGE - 1);
	ret->end = ret->start + size;
	r = vmm_mem_load(m, ret->start, fd, 0, size);
	return r < 0 ? err_set(e, -r, "initial ramdisk: %s", r == -ENODATA ? "it became shorter meanwhile" : strerror(-r)) : 0;
}

static int put_cmdline(struct vmm_mem *m, const char *cmdline, const struct boot_kernel *k, struct err *e)
{
	size_t n = strlen(cmdline), max = BOOT_CMDLINE_MAX - 1;

	if (k->cmdline_max)
		max = MIN(max, (size_t)k->cmdline_max);
	if (n > max)
		return err_set(e, E2BIG, "kernel command line: %zu bytes, and this kernel takes %zu", n, max);
	return vmm_mem_write(m, BOOT_CMDLINE, cmdline, n + 1);
}

size_t boot_memmap(const struct vmm_mem *m, struct boot_memmap_entry ret[BOOT_MEMMAP_MAX])
{
	const struct vmm_mem_region *r;
	size_t n = vmm_mem_regions(m, &r), k = 0;

	ret[k++] = (struct boot_memmap_entry){ 0, BOOT_LOW_END, 1 };
	ret[k++] = (struct boot_memmap_entry){ BOOT_ACPI, BOOT_RESERVED, 2 };
	ret[k++] = (struct boot_memmap_entry){ BOOT_KERNEL_MIN, r[0].bytes - BOOT_KERNEL_MIN, 1 };
	for (size_t i = 1; i < n; i++)
		ret[k++] = (struct boot_memmap_entry){ r[i].gpa, r[i].bytes, 1 };
	return k;
}

/* ---- the CPU's tables ---- */

static int put_gdt(struct vmm_mem *m, bool is_long)
{
	/* Selectors 0x10 and 0x18; SDM vol. 3, 3.4.5: flat, ring 0; L (bit 53) makes code 64-bit. */
	const uint64_t gdt[4] = { 0, 0, is_long ? 0x00af9b000000ffffull : 0x00cf9b000000ffffull, 0x00cf93000000ffffull };

	return vmm_mem_write(m, BOOT_GDT, gdt, sizeof(gdt));
}

static int put_page_tables(struct vmm_mem *m)
{
	enum { PRESENT = 1, WRITABLE = 2, LARGE = 0x80 };
	uint64_t *p = vmm_mem_at_write(m, BOOT_PAGE_TABLES, 3 * PAGE);

	if (!p)
		return -EFAULT;
	memset(p, 0, 3 * PAGE);
	p[0] = (BOOT_PAGE_TABLES + PAGE) | PRESENT | WRITABLE;
	p[512] = (BOOT_PAGE_TABLES + 2 * PAGE) | PRESENT | WRITABLE;
	for (uint64_t i = 0; i < 512; i++)
		p[1024 + i] = i << 21 | PRESENT | WRITABLE | LARGE;
	return 0;
}

/* ---- PVH: xen/include/public/arch-x86/hvm/start_info.h ---- */

struct pvh_info {
	uint32_t magic, version, flags, n_modules;
	uint64_t modules, cmdline, rsdp, memmap;
	uint32_t n_memmap, reserved;
};
struct pvh_module {
	uint64_t gpa, bytes, cmdline, reserved;
};
struct pvh_memmap {
	uint64_t gpa, bytes;
	uint32_t type, reserved;
};

static int put_pvh(struct vmm_mem *m, const struct boot_config *c, const struct boot_range *initrd)
{
	enum { MAGIC = 0x336ec578 };
	struct {
		struct pvh_info info;
		struct pvh_module module;
		struct pvh_memmap map[BOOT_MEMMAP_MAX];
	} p = { .info = { .magic = MAGIC,
			  .version = 1,
			  .n_modules = initrd->end ? 1 : 0,
			  .modules = BOOT_PVH_INFO + sizeof(p.info),
			  .cmdline = BOOT_CMDLINE,
			  .rsdp = c->rsdp,
			  .memmap = BOOT_PVH_INFO + sizeof(p.info) + sizeof(p.module) },
		.module = { .gpa = initrd->start, .bytes = initrd->end - initrd->start } };
	struct boot_memmap_entry map[BOOT_MEMMAP_MAX];

	p.info.n_memmap = (uint32_t)boot_memmap(m, map);
	for (uint32_t i = 0; i < p.info.n_memmap; i++)
		p.map[i] = (struct pvh_memmap){ map[i].gpa, map[i].bytes, map[i].type, 0 };
	return vmm_mem_write(m, BOOT_PVH_INFO, &p, sizeof(p));
}

/* ---- the 64-bit boot protocol: Documentation/arch/x86/boot.rst and zero-page.rst ---- */

static void put16(uint8_t *p, uint16_t v) { memcpy(p, &v, sizeof(v)); }
static void put32(uint8_t *p, uint32_t v) { memcpy(p, &v, sizeof(v)); }
static void put64(uint8_t *p, uint64_t v) { memcpy(p, &v, sizeof(v)); }

static int put_zero_page(struct vmm_mem *m, const struct boot_config *c, const struct boot_kernel *k,
			 const struct boot_range *initrd)
{
	enum {
		ACPI_RSDP_ADDR = 0x70,
		E820_ENTRIES = 0x1e8,
		SETUP_HEADER = 0x1f1,
		BOOT_FLAG = 0x1fe,
		HEADER = 0x202,
		TYPE_OF_LOADER = 0x210,
		RAMDISK_IMAGE = 0x218,
		RAMDISK_SIZE = 0x21c,
		CMD_LINE_PTR = 0x228,
		KERNEL_ALIGNMENT = 0x230,
		E820_TABLE = 0x2d0,
		E820_ENTRY = 20,
	};
	struct boot_memmap_entry map[BOOT_MEMMAP_MAX];
	size_t n = boot_memmap(m, map);
	uint8_t *z = vmm_mem_at_write(m, BOOT_ZERO_PAGE, PAGE);

	if (!z)
		return -EFAULT;
	memset(z, 0, PAGE);
	if (k->has_setup_header) {
		memcpy(z + SETUP_HEADER, k->setup_header, sizeof(k->setup_header));
	} else { /* an ELF kernel has none; what every kernel looks for */
		put16(z + BOOT_FLAG, 0xaa55);
		memcpy(z + HEADER, "HdrS", 4);
		put32(z + KERNEL_ALIGNMENT, 0x1000000);
	}
	z[TYPE_OF_LOADER] = 0xff;
	put32(z + RAMDISK_IMAGE, (uint32_t)initrd->start);
	put32(z + RAMDISK_SIZE, (uint32_t)(initrd->end - initrd->start));
	put32(z + CMD_LINE_PTR, BOOT_CMDLINE);
	put64(z + ACPI_RSDP_ADDR, c->rsdp);
	z[E820_ENTRIES] = (uint8_t)n;
	for (size_t i = 0; i < n; i++) {
		put64(z + E820_TABLE + i * E820_ENTRY, map[i].gpa);
		put64(z + E820_TABLE + i * E820_ENTRY + 8, map[i].bytes);
		put32(z + E820_TABLE + i * E820_ENTRY + 16, map[i].type);
	}
	return 0;
}

int boot_load(struct vmm_mem *m, const struct boot_config *c, struct vcpu_entry *ret_entry, struct boot_written *ret_written,
	      struct err *e)
{
	struct boot_kernel k = { .entry64 = 0 };
	struct boot_range initrd;
	struct vcpu_entry entry = { .gdt = BOOT_GDT };
	int r = load_kernel(m, c->kernel_fd, &k, e);

	if (r >= 0)
		r = load_initrd(m, c->initrd_fd, &k, &initrd, e);
	if (r >= 0)
		r = put_cmdline(m, c->cmdline ?: "", &k, e);
	if (r < 0)
		return r;
	if (k.entry_pvh) {
		entry.mode = VCPU_PROTECTED32;
		entry.rip = k.entry_pvh;
		entry.rbx = BOOT_PVH_INFO;
		r = put_pvh(m, c, &initrd);
	} else {
		if (k.range.end > IDENTITY)
			return err_set(e, ENOEXEC, "kernel: it wants to be above 1 GiB");
		entry.mode = VCPU_LONG64;
		entry.rip = k.entry64;
		entry.rsi = BOOT_ZERO_PAGE;
		entry.cr3 = BOOT_PAGE_TABLES;
		r = put_zero_page(m, c, &k, &initrd);
		if (r >= 0)
			r = put_page_tables(m);
	}
	if (r >= 0)
		r = put_gdt(m, entry.mode == VCPU_LONG64);
	if (r < 0)
		return err_set(e, -r, "boot information: %s", strerror(-r));
	*ret_entry = entry;
	*ret_written = k.written;
	ret_written->kernel = k.range;
	return 0;
}
