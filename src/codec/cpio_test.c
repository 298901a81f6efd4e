#include "cpio.h"

#include <sys/stat.h>

#include "tap.h"

/* Field number i (0 = ino) of the header at p. */
static unsigned long field(const char *p, int i)
{
	char digits[9] = { 0 };

	memcpy(digits, p + 6 + i * 8, 8);
	return strtoul(digits, NULL, 16);
}

TEST(a_cpio_archive_walks_from_header_to_header_and_ends_with_the_trailer)
{
	static const struct {
		const char *name;
		uint32_t mode;
		const char *data;
	} in[] = { { "m", S_IFDIR | 0755, "" },
		   { "m/list", S_IFREG | 0644, "a.ko\n" },
		   { "init", S_IFREG | 0755, "\177ELF1234567" },
		   { "odd", S_IFREG | 0600, "x" },
		   { "TRAILER!!!", 0, "" } };
	struct cpio c = { 0 };
	size_t off = 0;

	for (size_t i = 0; i + 1 < ARRAY_SIZE(in); i++)
		cpio_add(&c, in[i].name, in[i].mode, in[i].data, strlen(in[i].data));
	is_int(cpio_finish(&c), 0);
	for (size_t i = 0; i < ARRAY_SIZE(in); i++) {
		const char *h = c.out.data + off;
		size_t name = field(h, 11), size = field(h, 6);

		is_int(off % 4, 0);
		ok(off + 110 <= c.out.len);
		ok(memcmp(h, "070701", 6) == 0);
		is_int(field(h, 1), in[i].mode);
		is_int(name, strlen(in[i].name) + 1);
		is_str(h + 110, in[i].name);
		is_int(size, strlen(in[i].data));
		off += (110 + name + 3) & ~3ul;
		ok(memcmp(c.out.data + off, in[i].data, size) == 0);
		off += (size + 3) & ~3ul;
	}
	is_int(off, c.out.len);
	buf_done(&c.out);
}

TEST(inode_numbers_differ_so_that_nothing_reads_as_a_hard_link)
{
	struct cpio c = { 0 };

	cpio_add(&c, "a", S_IFREG | 0644, "1", 1);
	cpio_add(&c, "b", S_IFREG | 0644, "2", 1);
	ok(field(c.out.data, 0) != field(c.out.data + 116, 0));
	is_int(memcmp(c.out.data + 116, "070701", 6), 0);
	buf_done(&c.out);
}

TAP_MAIN()
