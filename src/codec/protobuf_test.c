#include "protobuf.h"

#include "tap.h"

static struct pb_reader reader_of(const struct buf *b) { return (struct pb_reader){ (const uint8_t *)b->data, b->len }; }

/* protobuf.dev, "Encoding": its own examples. */
TEST(protobuf_writes_the_examples_of_its_documentation)
{
	_cleanup_buf_ struct buf b = { 0 }, inner = { 0 };

	pb_put_int(&b, 1, 150);
	is_int(b.len, 3);
	ok(memcmp(b.data, "\x08\x96\x01", 3) == 0);
	buf_done(&b);
	pb_put_str(&b, 2, "testing");
	is_int(b.len, 9);
	ok(memcmp(b.data, "\x12\x07testing", 9) == 0);
	buf_done(&b);
	pb_put_int(&inner, 1, 150);
	pb_put_message(&b, 3, &inner);
	is_int(b.len, 5);
	ok(memcmp(b.data, "\x1a\x03\x08\x96\x01", 5) == 0);
}

TEST(protobuf_writes_a_negative_int32_in_ten_bytes)
{
	_cleanup_buf_ struct buf b = { 0 };
	struct pb_reader r;
	struct pb_field f;

	pb_put_int(&b, 1, -1);
	is_int(b.len, 11);
	r = reader_of(&b);
	is_int(pb_next(&r, &f), 1);
	is_int((int32_t)f.value, -1);
	is_int(pb_next(&r, &f), 0);
}

TEST(protobuf_reads_what_it_has_written_and_passes_over_the_rest)
{
	_cleanup_buf_ struct buf b = { 0 }, inner = { 0 };
	_cleanup_free_ char *s = NULL;
	struct pb_reader r;
	struct pb_field f;

	pb_put_str(&inner, 5, "inside");
	pb_put_bool(&b, 536870911, true);
	buf_add(&b, "\x5d\x01\x02\x03\x04", 5); /* field 11, fixed32 */
	pb_put_message(&b, 7, &inner);
	pb_put_str(&b, 8, "");
	r = reader_of(&b);
	is_int(pb_next(&r, &f), 1);
	is_int(f.field, 536870911);
	is_int(f.value, 1);
	is_int(pb_next(&r, &f), 1);
	is_int(f.field, 11);
	is_int(f.value, 0x04030201);
	is_int(pb_next(&r, &f), 1);
	is_int(f.type, PB_BYTES);
	struct pb_reader deep = f.bytes;
	is_int(pb_next(&deep, &f), 1);
	s = pb_str(&f);
	is_str(s, "inside");
	is_int(pb_next(&r, &f), 1);
	is_int(f.bytes.len, 0);
	is_int(pb_next(&r, &f), 0);
}

TEST(protobuf_refuses_what_is_no_message)
{
	static const struct {
		const char *bytes;
		size_t n;
	} bad[] = {
		{ "\x08", 1 },                                             /* a key without its value */
		{ "\x08\x80", 2 },                                         /* a varint that is cut off */
		{ "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11 },    /* 65 bits */
		{ "\x12\x05tes", 5 },                                      /* shorter than it says */
		{ "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01tes", 14 }, /* 2^64 - 1 bytes */
		{ "\x0d\x01", 2 },                                         /* half a fixed32 */
		{ "\x0b", 1 },                                             /* a group */
		{ "\x00\x01", 2 },                                         /* field 0 */
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct pb_reader r = { (const uint8_t *)bad[i].bytes, bad[i].n };
		struct pb_field f;

		is_int(pb_next(&r, &f), -EPROTO);
	}
}

TAP_MAIN()
