/* Kernel files that are not what they should be, small memories, and what a good one finds in RAM. */
#include "tiny.h"

#define MIB (1ull << 20)

static struct vmm_mem *ram(uint64_t bytes)
{
	const struct vmm_mem_config c = { .bytes = bytes, .file_fd = -1 };
	struct vmm_mem *m = NULL;

	is_int(vmm_mem_new(&c, &m, NULL), 0);
	return m;
}

static int file_of(const void *p, size_t n)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	ok(fd >= 0);
	is_int(write(fd, p, n), n);
	return fd;
}

/* A bzImage of one sector of setup and 1000 bytes of code. */
static void make_bzimage(uint8_t f[2024])
{
	memset(f, 0, 2024);
	f[0x1f1] = 1;
	f[0x201] = 0x66;
	memcpy(f + 0x202, "HdrS", 4);
	f[0x206] = 0x0f;
	f[0x207] = 2;
	memcpy(f + 0x22c, &(uint32_t){ 0x7fffffff }, 4);
	memcpy(f + 0x230, &(uint32_t){ 2 << 20 }, 4);
	f[0x234] = 1;
	f[0x236] = 1;
	memcpy(f + 0x238, &(uint32_t){ 2047 }, 4);
	memcpy(f + 0x258, &(uint64_t){ 16 << 20 }, 8);
	memcpy(f + 0x260, &(uint32_t){ 8 << 20 }, 4);
	memset(f + 1024, 0x90, 1000);
}

static int load(struct vmm_mem *m, int fd, int initrd, const char *cmdline, struct vcpu_entry *ret, struct err *e)
{
	const struct boot_config c = { .kernel_fd = fd, .initrd_fd = initrd, .cmdline = cmdline, .rsdp = BOOT_ACPI };

	struct boot_written written;

	return boot_load(m, &c, ret, &written, e);
}

TEST(a_bzimage_is_put_where_it_wants_to_be)
{
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram(64 * MIB);
	struct vcpu_entry entry;
	uint8_t f[2024];
	const uint8_t *z;
	int initrd = file_of("ramdisk", 7);

	make_bzimage(f);
	is_int(load(m, file_of(f, sizeof(f)), initrd, "quiet", &entry, NULL), 0);
	is_int(entry.mode, VCPU_LONG64);
	is_int(entry.rip, 16 * MIB + 0x200);
	is_int(entry.rsi, BOOT_ZERO_PAGE);
	is_int(*(const uint8_t *)vmm_mem_at(m, 16 * MIB, 1), 0x90);
	is_str(vmm_mem_at(m, BOOT_CMDLINE, 6), "quiet");
	z = vmm_mem_at(m, BOOT_ZERO_PAGE, 4096);
	ok(memcmp(z + 0x202, "HdrS", 4) == 0);
	is_int(z[0x210], 0xff);
	uint32_t at = 0, size = 0;
	memcpy(&at, z + 0x218, 4);
	memcpy(&size, z + 0x21c, 4);
	is_int(at, 64 * MIB - 4096);
	is_int(size, 7);
	is_str(vmm_mem_at(m, at, 8), "ramdisk");
	is_int(z[0x1e8], 3); /* below 640 KiB, the tables, the rest */
}

TEST(a_kernel_without_room_at_its_place_goes_lower_if_it_can)
{
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram(20 * MIB);
	struct vcpu_entry entry;
	struct err e = { 0 };
	uint8_t f[2024];

	make_bzimage(f);
	is_int(load(m, file_of(f, sizeof(f)), -1, NULL, &entry, NULL), 0);
	is_int(entry.rip, 2 * MIB + 0x200);
	f[0x234] = 0;
	is_int(load(m, file_of(f, sizeof(f)), -1, NULL, &entry, &e), -ENOMEM);
	has_str(e.msg, "more memory");
}

TEST(an_elf_kernel_is_entered_at_its_entry)
{
	static const uint8_t code[] = { 0xf4, 0x90 };
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram(32 * MIB);
	struct vcpu_entry entry;

	is_int(load(m, tiny_kernel(code, sizeof(code)), -1, "", &entry, NULL), 0);
	is_int(entry.rip, TINY_ENTRY);
	is_int(entry.mode, VCPU_LONG64);
	is_int(*(const uint8_t *)vmm_mem_at(m, TINY_ENTRY, 1), 0xf4);
}

struct pvh_file {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[2];
	Elf64_Nhdr nh;
	char name[4];
	uint32_t entry, pad;
};
static struct pvh_file pvh_file(void)
{
	return (struct pvh_file){ .eh = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
					  .e_type = ET_EXEC,
					  .e_machine = EM_X86_64,
					  .e_entry = 0x200000,
					  .e_phoff = offsetof(struct pvh_file, ph),
					  .e_phentsize = sizeof(Elf64_Phdr),
					  .e_phnum = 2 },
				  .ph = { { .p_type = PT_LOAD, .p_paddr = 0x200000, .p_filesz = 128, .p_memsz = 0x10000 },
					  { .p_type = PT_NOTE, .p_offset = offsetof(struct pvh_file, nh), .p_filesz = 20 } },
				  .nh = { .n_namesz = 4, .n_descsz = 4, .n_type = 18 },
				  .name = "Xen",
				  .entry = 0x200100 };
}

TEST(a_pvh_kernel_is_entered_in_32_bits_with_its_start_info)
{
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram(32 * MIB);
	struct pvh_file f = pvh_file();
	struct vcpu_entry entry;
	const uint32_t *info;
	uint64_t cmdline;

	is_int(load(m, file_of(&f, sizeof(f)), file_of("x", 1), "a=b", &entry, NULL), 0);
	is_int(entry.mode, VCPU_PROTECTED32);
	is_int(entry.rip, 0x200100);
	is_int(entry.rbx, BOOT_PVH_INFO);
	info = vmm_mem_at(m, BOOT_PVH_INFO, 56);
	is_int(info[0], 0x336ec578);
	is_int(info[3], 1); /* modules */
	memcpy(&cmdline, info + 6, 8);
	is_str(vmm_mem_at(m, cmdline, 4), "a=b");
}

/* Two segments, and sections: code and constants in the first. */
struct sectioned_file {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[2];
	Elf64_Shdr sh[4];
	uint8_t text[1024], constants[1024], data[1024];
};
static struct sectioned_file sectioned_file(void)
{
	const size_t text = offsetof(struct sectioned_file, text), data = offsetof(struct sectioned_file, data);

	return (struct sectioned_file){
		.eh = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_entry = 0x200000,
			.e_phoff = offsetof(struct sectioned_file, ph),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 2,
			.e_shoff = offsetof(struct sectioned_file, sh),
			.e_shentsize = sizeof(Elf64_Shdr),
			.e_shnum = 4 },
		.ph = { { .p_type = PT_LOAD,
			  .p_flags = PF_R | PF_X,
			  .p_offset = text,
			  .p_paddr = 0x200000,
			  .p_filesz = 2048,
			  .p_memsz = 2048 },
			{ .p_type = PT_LOAD,
			  .p_flags = PF_R | PF_W,
			  .p_offset = data,
			  .p_paddr = 0x300000,
			  .p_filesz = 1024,
			  .p_memsz = 9000 } },
		.sh = { { .sh_type = SHT_NULL },
			{ .sh_type = SHT_PROGBITS, .sh_flags = SHF_ALLOC | SHF_EXECINSTR, .sh_offset = text, .sh_size = 1024 },
			{ .sh_type = SHT_PROGBITS, .sh_flags = SHF_ALLOC, .sh_offset = text + 1024, .sh_size = 1024 },
			{ .sh_type = SHT_PROGBITS, .sh_flags = SHF_ALLOC | SHF_WRITE, .sh_offset = data, .sh_size = 1024 } }
	};
}

static struct boot_written written_of(struct sectioned_file *f)
{
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram(32 * MIB);
	const struct boot_config c = { .kernel_fd = file_of(f, sizeof(*f)), .initrd_fd = -1, .cmdline = "" };
	struct boot_written written = { .n = 9 };
	struct vcpu_entry entry;
	struct err e = { 0 };

	if (boot_load(m, &c, &entry, &written, &e) < 0)
		TAP_FAIL("%s", e.msg);
	close(c.kernel_fd);
	return written;
}

TEST(what_a_kernel_will_write_is_its_code_and_its_data_but_not_its_constants)
{
	struct sectioned_file f = sectioned_file();
	struct boot_written w = written_of(&f);

	is_int(w.kernel.start, 0x200000);
	is_int(w.kernel.end, 0x300000 + 9000);
	is_int(w.n, 2);
	is_int(w.ranges[0].start, 0x200000);
	is_int(w.ranges[0].end, 0x200400);
	is_int(w.ranges[1].start, 0x300000);
	is_int(w.ranges[1].end, 0x300400);
}

TEST(what_a_kernel_frees_is_what_fills_the_room_behind_its_code)
{
	struct sectioned_file f = sectioned_file();
	struct boot_written w;

	f.sh[1].sh_size = 1000;
	w = written_of(&f);
	is_int(w.n, 3);
	is_int(w.ranges[1].start, 0x200000 + 1000);
	is_int(w.ranges[1].end, 0x200400); /* where its constants begin */
	ok(w.ranges[1].is_freed && !w.ranges[0].is_freed && !w.ranges[2].is_freed);
	f.sh[2].sh_type = SHT_NULL;
	is_int(written_of(&f).ranges[1].end, 0x200800); /* up to the segment's end */
}

TEST(V18_section_headers_that_lie_are_no_hint)
{
	static const uint64_t bad[][2] = { { 0, 1024 },
					   { UINT64_MAX, 1024 },
					   { offsetof(struct sectioned_file, text), 2049 },
					   { offsetof(struct sectioned_file, text) + 2048, 1 },
					   { offsetof(struct sectioned_file, text) + 1, UINT64_MAX } };
	struct sectioned_file f;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		f = sectioned_file();
		f.sh[1].sh_offset = bad[i][0];
		f.sh[1].sh_size = bad[i][1];
		is_int(written_of(&f).n, 1); /* the data */
	}
	f = sectioned_file();
	f.eh.e_shoff = UINT64_MAX - 100;
	is_int(written_of(&f).n, 1);
	f = sectioned_file();
	f.eh.e_shnum = 0xffff;
	is_int(written_of(&f).n, 1);
	f = sectioned_file();
	f.eh.e_shentsize = 1;
	is_int(written_of(&f).n, 1);
}

TEST(V18_elf_files_that_lie_are_refused)
{
	const struct {
		const char *what;
		size_t offset;
		uint64_t value;
		unsigned bytes;
		int r;
	} rows[] = {
		{ "32-bit", EI_CLASS, ELFCLASS32, 1, -ENOEXEC },
		{ "big endian", EI_DATA, ELFDATA2MSB, 1, -ENOEXEC },
		{ "another machine", offsetof(Elf64_Ehdr, e_machine), EM_AARCH64, 2, -ENOEXEC },
		{ "a library", offsetof(Elf64_Ehdr, e_type), ET_DYN, 2, -ENOEXEC },
		{ "no segments", offsetof(Elf64_Ehdr, e_phnum), 0, 2, -ENOEXEC },
		{ "65535 segments", offsetof(Elf64_Ehdr, e_phnum), 65535, 2, -ENOEXEC },
		{ "headers beyond the end", offsetof(Elf64_Ehdr, e_phoff), 1 << 20, 8, -ENOEXEC },
		{ "headers at 2^64", offsetof(Elf64_Ehdr, e_phoff), UINT64_MAX - 8, 8, -ENOEXEC },
		{ "segment beyond the end", offsetof(struct pvh_file, ph[0].p_offset), 1 << 20, 8, -ENOEXEC },
		{ "segment longer than the file", offsetof(struct pvh_file, ph[0].p_filesz), 0x8000, 8, -ENOEXEC },
		{ "more file than memory", offsetof(struct pvh_file, ph[0].p_memsz), 8, 8, -ENOEXEC },
		{ "segment at 0", offsetof(struct pvh_file, ph[0].p_paddr), 0, 8, -ENOEXEC },
		{ "segment on the tables", offsetof(struct pvh_file, ph[0].p_paddr), BOOT_ACPI, 8, -ENOEXEC },
		{ "segment at 2^64", offsetof(struct pvh_file, ph[0].p_paddr), UINT64_MAX - 100, 8, -ENOEXEC },
		{ "segment beyond RAM", offsetof(struct pvh_file, ph[0].p_paddr), 32 * MIB, 8, -ENOMEM },
		{ "more memory than there is", offsetof(struct pvh_file, ph[0].p_memsz), 1ull << 40, 8, -ENOMEM },
		{ "memory of 2^64", offsetof(struct pvh_file, ph[0].p_memsz), UINT64_MAX, 8, -ENOMEM },
		{ "notes beyond the end", offsetof(struct pvh_file, ph[1].p_offset), 1 << 20, 8, -ENOEXEC },
		{ "entry in no segment", offsetof(struct pvh_file, entry), 0x300000, 4, -ENOEXEC },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram(32 * MIB);
		struct pvh_file f = pvh_file();
		struct vcpu_entry entry;
		struct err e = { 0 };

		memcpy((char *)&f + rows[i].offset, &rows[i].value, rows[i].bytes);
		if (load(m, file_of(&f, sizeof(f)), -1, "", &entry, &e) != rows[i].r)
			TAP_FAIL("%s: %s", rows[i].what, e.msg);
		has_str(e.msg, "kernel");
	}
}

TEST(V18_bzimages_that_lie_are_refused)
{
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram(32 * MIB);
	struct vcpu_entry entry;
	uint8_t f[2024];

	make_bzimage(f);
	f[0x202] = 'h';
	is_int(load(m, file_of(f, sizeof(f)), -1, "", &entry, NULL), -ENOEXEC);
	make_bzimage(f);
	f[0x236] = 0; /* 32-bit only */
	is_int(load(m, file_of(f, sizeof(f)), -1, "", &entry, NULL), -ENOEXEC);
	make_bzimage(f);
	f[0x206] = 0x0b;
	is_int(load(m, file_of(f, sizeof(f)), -1, "", &entry, NULL), -ENOEXEC);
	make_bzimage(f);
	f[0x1f1] = 200; /* ends in its setup */
	is_int(load(m, file_of(f, sizeof(f)), -1, "", &entry, NULL), -ENOEXEC);
	make_bzimage(f);
	memset(f + 0x260, 0xff, 4);
	is_int(load(m, file_of(f, sizeof(f)), -1, "", &entry, NULL), -ENOMEM);
	make_bzimage(f);
	memset(f + 0x258, 0xff, 8); /* wants to be at the end of addresses: goes elsewhere */
	is_int(load(m, file_of(f, sizeof(f)), -1, "", &entry, NULL), 0);
	memset(f + 0x230, 0xff, 4); /* with an alignment that leaves no place */
	is_int(load(m, file_of(f, sizeof(f)), -1, "", &entry, NULL), -ENOMEM);
	for (size_t n = 0; n < 700; n += 7) { /* cut short anywhere in its header */
		make_bzimage(f);
		is_int(load(m, n ? file_of(f, n) : memfd_create("empty", 0), -1, "", &entry, NULL), -ENOEXEC);
	}
}

TEST(V18_command_lines_and_ramdisks_that_do_not_fit_are_refused)
{
	_cleanup_(vmm_mem_free_ptr) struct vmm_mem *m = ram(32 * MIB);
	struct vcpu_entry entry;
	struct err e = { 0 };
	static char line[BOOT_CMDLINE_MAX + 1];
	uint8_t f[2024];
	int big = memfd_create("big", 0), p[2];

	make_bzimage(f);
	memset(line, 'a', 2048); /* this kernel takes 2047 */
	is_int(load(m, file_of(f, sizeof(f)), -1, line, &entry, &e), -E2BIG);
	has_str(e.msg, "2047");
	memset(line, 'a', sizeof(line) - 1);
	static const uint8_t code[] = { 0xf4 };
	is_int(load(m, tiny_kernel(code, 1), -1, line, &entry, NULL), -E2BIG);
	is_int(ftruncate(big, 31 * (off_t)MIB), 0);
	is_int(load(m, file_of(f, sizeof(f)), big, "", &entry, &e), -ENOMEM);
	has_str(e.msg, "31 MiB");
	is_int(ftruncate(big, INT64_MAX), 0);
	is_int(load(m, file_of(f, sizeof(f)), big, "", &entry, NULL), -ENOMEM);
	is_int(pipe(p), 0);
	is_int(load(m, file_of(f, sizeof(f)), p[0], "", &entry, NULL), -ENOEXEC);
	is_int(load(m, p[0], -1, "", &entry, NULL), -ENOEXEC);
	is_int(load(m, -1, -1, "", &entry, NULL), -EBADF);
}

TAP_MAIN()
