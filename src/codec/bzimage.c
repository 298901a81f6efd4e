/* bzimage: see bzimage.h. Offsets and names are those of the boot protocol's table "The Real-Mode Kernel Header". */
#include "bzimage.h"

#include <ctype.h>
#include <elf.h>

#include "lz4.h"

enum {
	SETUP_SECTS = 0x1f1,
	HEADER = 0x202,
	VERSION = 0x206,
	KERNEL_VERSION = 0x20e,
	PAYLOAD_OFFSET = 0x248,
	PAYLOAD_LENGTH = 0x24c,
	HEADER_END = 0x250,
};
#define UNPACKED_MAX             (256u << 20)
#define XEN_ELFNOTE_PHYS32_ENTRY 18 /* xen/include/public/elfnote.h; QEMU and others take it as the PVH entry */

static uint32_t le16(const uint8_t *p) { return p[0] | (uint32_t)p[1] << 8; }
static uint32_t le32(const uint8_t *p) { return le16(p) | le16(p + 2) << 16; }

int bzimage_parse(const void *p, size_t n, struct bzimage *ret, struct err *e)
{
	const uint8_t *b = p;
	struct bzimage z = { .payload = NULL };
	size_t setup, off, len = 0;

	if (n < HEADER_END || memcmp(b + HEADER, "HdrS", 4) != 0)
		return err_set(e, ENOEXEC, "not a Linux kernel for x86 (no bzImage header)");
	setup = ((b[SETUP_SECTS] ? b[SETUP_SECTS] : 4) + 1u) * 512;
	off = le16(b + KERNEL_VERSION) + 0x200u;
	if (setup > n || le16(b + KERNEL_VERSION) == 0 || off >= setup)
		return err_set(e, ENOEXEC, "damaged kernel: its header points outside of the file");
	for (; off + len < setup && b[off + len] && b[off + len] != ' ' && len < sizeof(z.version) - 1; len++)
		if (!isalnum(b[off + len]) && !strchr("._+~-", b[off + len]))
			return err_set(e, ENOEXEC, "damaged kernel: its version holds a strange character");
	if (len == 0 || b[off] == '.' || off + len >= setup)
		return err_set(e, ENOEXEC, "damaged kernel: it names no version");
	memcpy(z.version, b + off, len);
	if (le16(b + VERSION) >= 0x208) {
		uint64_t start = (uint64_t)setup + le32(b + PAYLOAD_OFFSET), size = le32(b + PAYLOAD_LENGTH);

		if (start > n || size > n - start)
			return err_set(e, ENOEXEC, "damaged kernel: it is shorter than its header says");
		z.payload = b + start;
		z.payload_len = size;
	}
	*ret = z;
	return 0;
}

int bzimage_unpack(const struct bzimage *b, uint8_t **ret, size_t *ret_len)
{
	_cleanup_free_ uint8_t *out = NULL;
	uint32_t len;
	int r;

	if (!b->payload || b->payload_len < 8 || le32(b->payload) != LZ4_LEGACY_MAGIC)
		return -EOPNOTSUPP;
	len = le32(b->payload + b->payload_len - 4); /* the kernel's build appends the unpacked size */
	if (len == 0 || len > UNPACKED_MAX)
		return -EBADMSG;
	out = malloc(len);
	if (!out)
		return -ENOMEM;
	r = lz4_legacy_decode(b->payload, b->payload_len - 4, out, len);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(out);
	*ret_len = len;
	return 0;
}

bool vmlinux_pvh_entry(const void *notes, size_t n, uint64_t *ret_entry)
{
	const uint8_t *p = notes;

	while (n >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr nh;
		uint64_t name, size, entry = 0;

		memcpy(&nh, p, sizeof(nh));
		name = ((uint64_t)nh.n_namesz + 3) & ~3ull; /* ELF gABI, "Note Section" */
		size = sizeof(nh) + name + (((uint64_t)nh.n_descsz + 3) & ~3ull);
		if (size > n)
			return false;
		if (nh.n_type == XEN_ELFNOTE_PHYS32_ENTRY && nh.n_namesz == 4 && memcmp(p + sizeof(nh), "Xen", 4) == 0 &&
		    (nh.n_descsz == 4 || nh.n_descsz == 8)) {
			memcpy(&entry, p + sizeof(nh) + name, nh.n_descsz);
			*ret_entry = entry;
			return true;
		}
		p += size;
		n -= size;
	}
	return false;
}

bool vmlinux_has_pvh(const void *p, size_t n)
{
	Elf64_Ehdr eh;
	uint64_t entry;

	if (n < sizeof(eh))
		return false;
	memcpy(&eh, p, sizeof(eh));
	if (memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0 || eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_machine != EM_X86_64 ||
	    eh.e_phentsize != sizeof(Elf64_Phdr) || eh.e_phoff > n)
		return false;
	for (unsigned i = 0; i < eh.e_phnum; i++) {
		Elf64_Phdr ph;
		uint64_t off = eh.e_phoff + (uint64_t)i * sizeof(ph);

		if (off > n || sizeof(ph) > n - off)
			return false;
		memcpy(&ph, (const char *)p + off, sizeof(ph));
		if (ph.p_type == PT_NOTE && ph.p_offset <= n && ph.p_filesz <= n - ph.p_offset &&
		    vmlinux_pvh_entry((const uint8_t *)p + ph.p_offset, ph.p_filesz, &entry))
			return true;
	}
	return false;
}

bool is_elf(const void *p, size_t n) { return n >= SELFMAG && memcmp(p, ELFMAG, SELFMAG) == 0; }

int vmlinux_check(const void *p, size_t n, struct err *e)
{
	Elf64_Ehdr eh = { 0 };

	memcpy(&eh, p, MIN(n, sizeof(eh)));
	if (!is_elf(p, n) || n < sizeof(eh) || eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_machine != EM_X86_64 ||
	    eh.e_type != ET_EXEC || eh.e_phentsize != sizeof(Elf64_Phdr) || eh.e_phnum == 0)
		return err_set(e, ENOEXEC, "an ELF file, but not a Linux kernel for x86-64");
	for (unsigned i = 0; i < eh.e_phnum; i++) {
		Elf64_Phdr ph;
		uint64_t at = (uint64_t)i * sizeof(ph);

		if (eh.e_phoff > n || n - eh.e_phoff < at + sizeof(ph))
			return err_set(e, ENOEXEC, "damaged kernel: it ends in its headers");
		memcpy(&ph, (const char *)p + eh.e_phoff + at, sizeof(ph));
		if (ph.p_type == PT_LOAD && (ph.p_offset > n || ph.p_filesz > n - ph.p_offset))
			return err_set(e, ENOEXEC, "damaged kernel: it is shorter than its headers say");
	}
	if (!vmlinux_has_pvh(p, n))
		return err_set(e, ENOEXEC, "an ELF kernel without a PVH entry: build it with CONFIG_PVH=y, or give its bzImage");
	return 0;
}
