/* boot_bzimage: a compressed kernel, which unpacks itself. Documentation/arch/x86/boot.rst: "The Real-Mode Kernel Header" and
 * "64-bit Boot Protocol". The 16-bit part of the file is not used. */
#include "boot.h"

enum {
	SETUP_SECTS = 0x1f1,
	JUMP_LEN = 0x201,
	HEADER = 0x202,
	VERSION = 0x206,
	INITRD_ADDR_MAX = 0x22c,
	KERNEL_ALIGNMENT = 0x230,
	RELOCATABLE = 0x234,
	XLOADFLAGS = 0x236,
	CMDLINE_SIZE = 0x238,
	PREF_ADDRESS = 0x258,
	INIT_SIZE = 0x260,
	HEADER_MAX = 0x290,

	PROTOCOL_64 = 0x20c, /* the first with xloadflags */
	XLF_KERNEL_64 = 1,
	ENTRY_64 = 0x200,
};

static uint16_t le16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static uint32_t le32(const uint8_t *p) { return le16(p) | (uint32_t)le16(p + 2) << 16; }
static uint64_t le64(const uint8_t *p) { return le32(p) | (uint64_t)le32(p + 4) << 32; }

/* Where there is room for `room` bytes: the address that spares the kernel moving itself, or any aligned one. 0: nowhere. */
static uint64_t choose_address(const struct vmm_mem *m, const uint8_t *h, uint64_t room)
{
	uint64_t at = le64(h + PREF_ADDRESS), align = MAX(le32(h + KERNEL_ALIGNMENT), 4096u);

	if (at >= BOOT_KERNEL_MIN && vmm_mem_at(m, at, room))
		return at;
	at = (BOOT_KERNEL_MIN + align - 1) / align * align;
	return h[RELOCATABLE] && vmm_mem_at(m, at, room) ? at : 0;
}

int boot_load_bzimage(struct vmm_mem *m, int fd, uint64_t size, struct boot_kernel *ret, struct err *e)
{
	uint8_t h[HEADER_MAX];
	uint64_t setup, length, room, at;
	struct boot_kernel k = { .has_setup_header = true };
	int r = boot_file_read(fd, size, 0, h, sizeof(h));

	if (r < 0 || memcmp(h + HEADER, "HdrS", 4) != 0)
		return err_set(e, ENOEXEC, "kernel: neither an ELF kernel nor a bzImage");
	if (le16(h + VERSION) < PROTOCOL_64 || !(le16(h + XLOADFLAGS) & XLF_KERNEL_64))
		return err_set(e, ENOEXEC, "kernel: no 64-bit kernel of Linux 3.8 or later");
	setup = ((h[SETUP_SECTS] ? h[SETUP_SECTS] : 4) + 1u) * 512u;
	if (setup >= size)
		return err_set(e, ENOEXEC, "kernel: damaged bzImage: it ends in its header");
	length = size - setup;
	room = MAX(length, (uint64_t)le32(h + INIT_SIZE));
	at = choose_address(m, h, room);
	if (!at)
		return err_set(e, ENOMEM, "kernel: it wants %llu MiB to unpack itself: give the guest more memory",
			       (unsigned long long)((room + (1 << 20) - 1) >> 20));
	r = vmm_mem_pread(m, at, fd, setup, length);
	if (r < 0)
		return err_set(e, -r, "kernel: %s", r == -ENODATA ? "it became shorter meanwhile" : strerror(-r));
	k.range = (struct boot_range){ at, at + room };
	k.entry64 = at + ENTRY_64;
	k.initrd_max = le32(h + INITRD_ADDR_MAX);
	k.cmdline_max = le32(h + CMDLINE_SIZE);
	/* As much of the header as this protocol version has; the rest stays zero. */
	memcpy(k.setup_header, h + SETUP_SECTS, MIN((size_t)HEADER + h[JUMP_LEN], sizeof(h)) - SETUP_SECTS);
	*ret = k;
	return 0;
}
