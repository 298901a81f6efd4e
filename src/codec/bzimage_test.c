#include "bzimage.h"

#include <elf.h>

#include "lz4.h"
#include "tap.h"

#define VERSION_TEXT "6.1.0-13-cloud-amd64 (debian) #1 SMP"

/* setup_sects = 1 (1024 bytes of real-mode code), version text at 0x300, payload behind the setup. */
static size_t make_bzimage(uint8_t *out, const void *payload, uint32_t len)
{
	uint32_t off = 0;

	memset(out, 0, 1024);
	out[0x1f1] = 1;
	memcpy(out + 0x202, "HdrS", 4);
	out[0x206] = 0x0f, out[0x207] = 0x02;
	out[0x20e] = 0x00, out[0x20f] = 0x01;
	memcpy(out + 0x300, VERSION_TEXT, sizeof(VERSION_TEXT));
	memcpy(out + 0x248, &off, 4);
	memcpy(out + 0x24c, &len, 4);
	memcpy(out + 1024, payload, len);
	return 1024 + len;
}

TEST(the_version_is_the_first_word_of_the_header_s_text)
{
	uint8_t k[2048];
	struct bzimage z;
	size_t n = make_bzimage(k, "payload", 7);

	is_int(bzimage_parse(k, n, &z, NULL), 0);
	is_str(z.version, "6.1.0-13-cloud-amd64");
	is_int(z.payload_len, 7);
	ok(memcmp(z.payload, "payload", 7) == 0);
}

TEST(a_version_that_could_name_another_directory_is_refused)
{
	static const char *const bad[] = { "../../etc", ".hidden", "a/b", "", "x\033[2J" };
	uint8_t k[2048];
	struct bzimage z;
	struct err e;
	size_t n = make_bzimage(k, "p", 1);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		memset(k + 0x300, 0, 64);
		memcpy(k + 0x300, bad[i], strlen(bad[i]) + 1);
		is_int(bzimage_parse(k, n, &z, &e), -ENOEXEC);
	}
}

TEST(a_file_that_is_no_kernel_is_named_as_such)
{
	uint8_t k[2048] = "#!/bin/sh\n";
	struct bzimage z;
	struct err e;

	is_int(bzimage_parse(k, sizeof(k), &z, &e), -ENOEXEC);
	has_str(e.msg, "not a Linux kernel");
	is_int(bzimage_parse(k, 3, &z, &e), -ENOEXEC);
}

TEST(a_truncated_kernel_is_refused)
{
	uint8_t k[2048];
	struct bzimage z;
	struct err e;
	size_t n = make_bzimage(k, "payload", 7);

	is_int(bzimage_parse(k, n - 1, &z, &e), -ENOEXEC);
	has_str(e.msg, "shorter");
}

/* "abc", then a match of 9 at offset 3 ("abcabcabc"), then the literals "xyz12" */
static const uint8_t block[] = { 0x02, 0x21, 0x4c, 0x18, 12,  0,   0,   0,   0x35, 'a', 'b', 'c',
				 3,    0,    0x50, 'x',  'y', 'z', '1', '2', 17,   0,   0,   0 };

TEST(a_packed_kernel_unpacks_to_its_stated_size)
{
	uint8_t k[2048], *out = NULL;
	struct bzimage z;
	size_t n = make_bzimage(k, block, sizeof(block)), len = 0;

	is_int(bzimage_parse(k, n, &z, NULL), 0);
	is_int(bzimage_unpack(&z, &out, &len), 0);
	is_int(len, 17);
	ok(memcmp(out, "abcabcabcabcxyz12", 17) == 0);
	free(out);
}

TEST(another_compression_is_told_apart_from_damage)
{
	uint8_t k[2048], gz[] = "\x1f\x8b\x08gzip....", *out = NULL;
	struct bzimage z;
	size_t n = make_bzimage(k, gz, sizeof(gz)), len = 0;

	is_int(bzimage_parse(k, n, &z, NULL), 0);
	is_int(bzimage_unpack(&z, &out, &len), -EOPNOTSUPP);
}

TEST(no_damaged_lz4_block_reads_or_writes_outside)
{
	for (size_t i = 4; i < sizeof(block) - 4; i++)
		for (int v = 0; v < 256; v++) {
			uint8_t *in = malloc(sizeof(block) - 4), *out = malloc(17);

			memcpy(in, block, sizeof(block) - 4);
			in[i] = (uint8_t)v;
			(void)!lz4_legacy_decode(in, sizeof(block) - 4, out, 17);
			free(in);
			free(out);
		}
	for (size_t n = 0; n < sizeof(block) - 4; n++) {
		uint8_t *in = malloc(n ? n : 1), out[17];

		memcpy(in, block, n);
		is_int(lz4_legacy_decode(in, n, out, 17), -EBADMSG);
		free(in);
	}
}

TEST(a_stream_of_empty_blocks_ends)
{
	uint8_t in[4 + 64 * 5] = { 0x02, 0x21, 0x4c, 0x18 }, out[8];

	for (size_t i = 0; i < 64; i++)
		in[4 + i * 5] = 1; /* a block of one byte: the token 0, no literals */
	is_int(lz4_legacy_decode(in, sizeof(in), out, sizeof(out)), -EBADMSG);
}

TEST(the_pvh_note_is_found_in_an_elf_kernel)
{
	uint8_t k[512] = { 0 };
	Elf64_Ehdr eh = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			  .e_type = ET_EXEC,
			  .e_machine = EM_X86_64,
			  .e_phoff = sizeof(eh),
			  .e_phentsize = sizeof(Elf64_Phdr),
			  .e_phnum = 1 };
	Elf64_Phdr ph = { .p_type = PT_NOTE, .p_offset = 256, .p_filesz = 44 };
	Elf64_Nhdr other = { .n_namesz = 4, .n_descsz = 6, .n_type = 6 }, pvh = { .n_namesz = 4, .n_descsz = 4, .n_type = 18 };

	memcpy(k, &eh, sizeof(eh));
	memcpy(k + sizeof(eh), &ph, sizeof(ph));
	memcpy(k + 256, &other, sizeof(other));
	memcpy(k + 268, "Xen\0linux\0\0\0", 12);
	memcpy(k + 280, &pvh, sizeof(pvh));
	memcpy(k + 292, "Xen\0\0\0\0\1", 8);
	ok(vmlinux_has_pvh(k, sizeof(k)));
	for (size_t n = 0; n < 300; n++) {
		uint8_t *p = malloc(n ? n : 1);

		memcpy(p, k, n);
		ok(!vmlinux_has_pvh(p, n));
		free(p);
	}
	k[280 + 8] = 17;
	ok(!vmlinux_has_pvh(k, sizeof(k)));
}

TAP_MAIN()
