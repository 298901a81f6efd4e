#include "kmod.h"

#include <elf.h>

#include "tap.h"

#define INFO "license=GPL\0\0\0depends=virtio,virtio-ring\0name=virtio_blk\0vermagic=6.1 SMP \0"

/* A minimal relocatable object: header, .modinfo, .shstrtab, three section headers. */
static size_t make_ko(uint8_t *out, const char *info, size_t info_len)
{
	static const char names[] = "\0.shstrtab\0.modinfo";
	size_t data = sizeof(Elf64_Ehdr), strs = data + info_len, shs = strs + sizeof(names);
	Elf64_Ehdr eh = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			  .e_type = ET_REL,
			  .e_machine = EM_X86_64,
			  .e_shoff = shs,
			  .e_shentsize = sizeof(Elf64_Shdr),
			  .e_shnum = 3,
			  .e_shstrndx = 1 };
	Elf64_Shdr sh[3] = { { 0 },
			     { .sh_name = 1, .sh_type = SHT_STRTAB, .sh_offset = strs, .sh_size = sizeof(names) },
			     { .sh_name = 11, .sh_type = SHT_PROGBITS, .sh_offset = data, .sh_size = info_len } };

	memcpy(out, &eh, sizeof(eh));
	memcpy(out + data, info, info_len);
	memcpy(out + strs, names, sizeof(names));
	memcpy(out + shs, sh, sizeof(sh));
	return shs + sizeof(sh);
}

TEST(fields_of_modinfo_are_found_across_padding)
{
	uint8_t ko[1024];
	size_t n = make_ko(ko, INFO, sizeof(INFO));
	_cleanup_free_ char *v = NULL, *w = NULL;

	is_int(kmod_info(ko, n, "name", &v), 0);
	is_str(v, "virtio_blk");
	is_int(kmod_info(ko, n, "vermagic", &w), 0);
	is_str(w, "6.1 SMP ");
	is_int(kmod_info(ko, n, "alias", &w), -ENOENT);
	is_int(kmod_info(ko, n, "nam", &w), -ENOENT);
}

TEST(dependencies_come_with_underscores)
{
	uint8_t ko[1024];
	size_t n = make_ko(ko, INFO, sizeof(INFO));
	_cleanup_strv_ char **d = NULL;

	is_int(kmod_depends(ko, n, &d), 0);
	is_int(strv_len(d), 2);
	is_str(d[0], "virtio");
	is_str(d[1], "virtio_ring");
}

TEST(a_module_without_dependencies_has_none)
{
	uint8_t ko[1024];
	char **d = (char **)ko;
	size_t n = make_ko(ko, "depends=\0", 9);

	is_int(kmod_depends(ko, n, &d), 0);
	ok(d == NULL);
}

TEST(a_signature_is_cut_off_and_a_false_length_is_not_believed)
{
	static const char mark[] = "~Module signature appended~\n";
	uint8_t m[200] = { 0 };
	size_t end = 100 + 40 + 12 + 28;

	m[100 + 40 + 11] = 40;
	memcpy(m + 152, mark, 28);
	is_int(kmod_unsigned_len(m, end), 100);
	is_int(kmod_unsigned_len(m, 100), 100);
	m[100 + 40 + 8] = 0xff;
	is_int(kmod_unsigned_len(m, end), end);
}

TEST(no_cut_or_flipped_byte_reads_outside_of_the_file)
{
	uint8_t ko[1024];
	size_t n = make_ko(ko, INFO, sizeof(INFO));

	for (size_t len = 0; len < n; len++) { /* malloc'd at its exact size, so that ASan sees a read beyond it */
		uint8_t *p = malloc(len ? len : 1);
		char **d = NULL;

		memcpy(p, ko, len);
		if (kmod_depends(p, len, &d) == 0)
			strv_free(d);
		free(p);
	}
	for (size_t i = 0; i < n; i++)
		for (int v = 0; v < 256; v += 51) {
			uint8_t *p = malloc(n);
			char **d = NULL;

			memcpy(p, ko, n);
			p[i] = (uint8_t)v;
			if (kmod_depends(p, n, &d) == 0)
				strv_free(d);
			free(p);
		}
	ok(n > 0);
}

TAP_MAIN()
