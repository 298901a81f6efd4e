#include "qcow2.h"

#include "tap.h"

/* As `qemu-img create -f qcow2 a 64M` makes it (7.2), with what a test changes. */
struct image {
	uint8_t b[QCOW2_HEADER_BYTES];
};

static struct image image(void)
{
	struct image i = { { 'Q', 'F', 'I', 0xfb, 0, 0, 0, 3 } };

	i.b[23] = 16;   /* cluster_bits */
	i.b[28] = 4;    /* size: 64 MiB, big-endian */
	i.b[99] = 4;    /* refcount_order */
	i.b[103] = 104; /* header_length */
	return i;
}

TEST(a_plain_image_is_read)
{
	struct image i = image();
	struct qcow2_header h;
	struct err e = { 0 };

	if (qcow2_parse(i.b, sizeof(i.b), &h, &e) < 0)
		TAP_FAIL("%s", e.msg);
	is_int(h.version, 3);
	is_int(h.bytes, 64 << 20);
	ok(!h.has_backing && !h.has_data_file && !h.is_encrypted && !h.is_corrupt);
	i.b[7] = 2; /* version 2 has none of the fields behind byte 72 */
	is_int(qcow2_parse(i.b, 72, &h, &e), 0);
	is_int(h.version, 2);
}

TEST(what_would_make_qemu_open_another_file_is_seen)
{
	static const struct {
		unsigned at;
		uint8_t value;
		bool backing, data_file, encrypted, corrupt;
	} rows[] = {
		{ 14, 1, true, false, false, false },                                          /* backing_file_offset */
		{ 8, 0x80, true, false, false, false }, { 19, 5, true, false, false, false },  /* its size alone */
		{ 79, 4, false, true, false, false },                                          /* incompatible bit 2 */
		{ 35, 2, false, false, true, false },                                          /* LUKS */
		{ 79, 2, false, false, false, true },   { 79, 1, false, false, false, false }, /* dirty: QEMU repairs it */
		{ 79, 16, false, false, false, false },
	};

	for (size_t k = 0; k < ARRAY_SIZE(rows); k++) {
		struct image i = image();
		struct qcow2_header h = { 0 };
		struct err e = { 0 };

		i.b[rows[k].at] = rows[k].value;
		if (qcow2_parse(i.b, sizeof(i.b), &h, &e) < 0)
			TAP_FAIL("row %zu: %s", k, e.msg);
		ok(h.has_backing == rows[k].backing && h.has_data_file == rows[k].data_file &&
		   h.is_encrypted == rows[k].encrypted && h.is_corrupt == rows[k].corrupt);
	}
}

TEST(a_damaged_header_is_refused_with_what_is_wrong)
{
	static const struct {
		unsigned at;
		uint8_t value;
		size_t n;
		const char *why;
	} rows[] = {
		{ 0, 'q', QCOW2_HEADER_BYTES, "no qcow2 image" },
		{ 0, 'Q', 71, "ends within the header" },
		{ 0, 'Q', 103, "ends within the header" },
		{ 7, 1, QCOW2_HEADER_BYTES, "version 1" },
		{ 4, 9, QCOW2_HEADER_BYTES, "version 150994947" },
		{ 23, 8, QCOW2_HEADER_BYTES, "clusters of 2^8" },
		{ 23, 22, QCOW2_HEADER_BYTES, "clusters of 2^22" },
		{ 72, 0x80, QCOW2_HEADER_BYTES, "0x8000000000000000" },
		{ 79, 32, QCOW2_HEADER_BYTES, "not known here (0x20)" },
		{ 103, 72, QCOW2_HEADER_BYTES, "too short" },
		{ 24, 0x80, QCOW2_HEADER_BYTES, "its size" },
	};

	for (size_t k = 0; k < ARRAY_SIZE(rows); k++) {
		struct image i = image();
		struct qcow2_header h;
		struct err e = { 0 };

		i.b[rows[k].at] = rows[k].value;
		is_int(qcow2_parse(i.b, rows[k].n, &h, &e), -EBADMSG);
		has_str(e.msg, rows[k].why);
	}
}

TEST(the_magic_is_known_in_any_version_and_length)
{
	struct image i = image();

	i.b[7] = 1;
	ok(qcow2_has_magic(i.b, 4) && !qcow2_has_magic(i.b, 3) && !qcow2_has_magic("QFI", 4));
}

TAP_MAIN()
