#include "frame.h"
#include "tap.h"

static struct frame only(const struct buf *b)
{
	struct frame f;

	ok(!b->failed);
	is_int(frame_peek(b, &f), 1);
	is_int(b->len, FRAME_HDR + f.len);
	return f;
}

TEST(a_frame_has_the_documented_bytes)
{
	static const unsigned char want[] = { 3, 0, 0, 0, FRAME_STDOUT, 0, 0x34, 0x12, 'a', 'b', 'c' };
	struct buf b = { 0 };

	frame_put(&b, FRAME_STDOUT, 0x1234, "abc", 3);
	is_int(b.len, sizeof(want));
	ok(memcmp(b.data, want, sizeof(want)) == 0);
	buf_done(&b);
}

TEST(a_frame_is_seen_only_when_whole)
{
	struct buf all = { 0 }, b = { 0 };
	struct frame f;

	frame_put(&all, FRAME_STDIN, 7, "hello", 5);
	for (size_t i = 0; i < all.len; i++) {
		is_int(frame_peek(&b, &f), 0);
		buf_add(&b, all.data + i, 1);
	}
	f = only(&b);
	is_int(f.type, FRAME_STDIN);
	is_int(f.channel, 7);
	ok(memcmp(f.payload, "hello", 5) == 0);
	buf_done(&all);
	buf_done(&b);
}

TEST(frames_behind_one_another_come_out_in_order)
{
	struct buf b = { 0 };
	struct frame f;

	frame_put(&b, FRAME_STDIN, 1, "x", 1);
	frame_put(&b, FRAME_STDIN, 1, NULL, 0);
	frame_put_u32(&b, FRAME_SIGNAL, 0, 15);
	is_int(frame_peek(&b, &f), 1);
	is_int(f.len, 1);
	buf_consume(&b, FRAME_HDR + f.len);
	is_int(frame_peek(&b, &f), 1);
	is_int(f.len, 0);
	buf_consume(&b, FRAME_HDR + f.len);
	uint32_t sig;
	f = only(&b);
	is_int(frame_get_u32(&f, &sig), 0);
	is_int(sig, 15);
	buf_done(&b);
}

TEST(strange_headers_are_protocol_errors)
{
	static const unsigned char bad[][FRAME_HDR] = {
		{ 0, 0, 0, 0, 0 },               /* type 0 */
		{ 0, 0, 0, 0, FRAME_TYPE_MAX_ }, /* a type of the future */
		{ 0, 0, 0, 0, FRAME_OK, 1 },     /* flags */
		{ 1, 0x80, 0, 0, FRAME_STDOUT }, /* FRAME_DATA_MAX + 1 */
		{ 1, 0, 0x40, 0, FRAME_OK },     /* FRAME_MAX + 1 */
		{ 0xFF, 0xFF, 0xFF, 0xFF, FRAME_EXEC },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct buf b = { 0 };
		struct frame f;
		buf_add(&b, bad[i], FRAME_HDR);
		is_int(frame_peek(&b, &f), -EPROTO);
		buf_done(&b);
	}
}

TEST(a_sender_can_not_make_a_frame_that_is_too_long)
{
	static const char data[FRAME_DATA_MAX + 1];
	struct buf b = { 0 };

	frame_put(&b, FRAME_STDOUT, 0, data, FRAME_DATA_MAX);
	ok(!b.failed);
	frame_put(&b, FRAME_STDOUT, 0, data, FRAME_DATA_MAX + 1);
	ok(b.failed);
	buf_done(&b);
}

TEST(typed_payloads_survive_the_way_and_short_ones_are_refused)
{
	struct buf b = { 0 };
	struct frame f;
	uint32_t status, sig, bytes;
	uint16_t rows, cols;
	enum frame_type stream;
	bool oom;

	frame_put_exit(&b, 3, 137, 9, true);
	f = only(&b);
	is_int(frame_get_exit(&f, &status, &sig, &oom), 0);
	ok(status == 137 && sig == 9 && oom && f.channel == 3);
	f.len = 8;
	is_int(frame_get_exit(&f, &status, &sig, &oom), -EPROTO);
	buf_done(&b);

	frame_put_resize(&b, 0, 24, 80);
	f = only(&b);
	is_int(frame_get_resize(&f, &rows, &cols), 0);
	ok(rows == 24 && cols == 80);
	f.len = 3;
	is_int(frame_get_resize(&f, &rows, &cols), -EPROTO);
	buf_done(&b);

	frame_put_credit(&b, 2, FRAME_STDERR, 4096);
	f = only(&b);
	is_int(frame_get_credit(&f, &stream, &bytes), 0);
	ok(stream == FRAME_STDERR && bytes == 4096);
	buf_done(&b);

	frame_put_credit(&b, 2, FRAME_STDERR, FRAME_WINDOW + 1); /* more than can ever be outstanding */
	f = only(&b);
	is_int(frame_get_credit(&f, &stream, &bytes), -EPROTO);
	buf_done(&b);
	frame_put_credit(&b, 2, FRAME_EXIT, 1);
	f = only(&b);
	is_int(frame_get_credit(&f, &stream, &bytes), -EPROTO);
	buf_done(&b);
}

TEST(errors_cross_the_stream_whole)
{
	struct buf b = { 0 };
	struct err in = { 0 }, out = { 0 };

	err_set_exit(&in, 127, ENOENT, "exec \"%s\": no such program \\ in \xc3\xa9t\xc3\xa9", "x");
	frame_put_error(&b, 5, &in);
	struct frame f = only(&b);
	is_int(frame_get_error(&f, &out), 0);
	is_int(out.no, ENOENT);
	is_int(out.exit, 127);
	is_str(out.msg, in.msg);
	buf_done(&b);
}

TEST(a_message_that_is_not_utf8_still_arrives)
{
	struct buf b = { 0 };
	struct err in = { .no = EIO, .msg = "bad \xff\xfe \xed\xa0\x80 \xc0\xaf name" }, out;

	frame_put_error(&b, 0, &in);
	struct frame f = only(&b);
	is_int(frame_get_error(&f, &out), 0);
	is_str(out.msg, "bad ?? ??? ?? name");
	buf_done(&b);
}

TEST(errors_from_strangers_are_checked)
{
	static const char *const bad[] = {
		"",
		"{}",
		"[1,0,\"x\"]",
		"{\"no\":0,\"exit\":0,\"msg\":\"success?\"}",
		"{\"no\":2,\"exit\":256,\"msg\":\"\"}",
		"{\"no\":2,\"exit\":1,\"msg\":5}",
		"{\"no\":2,\"exit\":1,\"msg\":\"x\"",
		"{\"no\":2,\"exit\":1,\"msg\":\"x\"} x",
		"{\"no\":\"2\",\"exit\":1,\"msg\":\"x\"}",
		"null",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct buf b = { 0 };
		struct err out = { 0 };
		frame_put(&b, FRAME_ERROR, 0, bad[i], (uint32_t)strlen(bad[i]));
		struct frame f = only(&b);
		is_int(frame_get_error(&f, &out), -EPROTO);
		buf_done(&b);
	}
	struct buf b = { 0 };
	struct err out = { 0 };
	static const char esc[] = "{\"no\":2,\"exit\":1,\"msg\":\"\\u001b[2Jhi\"}";
	frame_put(&b, FRAME_ERROR, 0, esc, sizeof(esc) - 1);
	struct frame f = only(&b);
	is_int(frame_get_error(&f, &out), 0);
	is_str(out.msg, "?[2Jhi");
	buf_done(&b);
}

TEST(every_type_has_a_name)
{
	for (unsigned t = 1; t < FRAME_TYPE_MAX_; t++)
		ok(frame_type_name(t) && strcmp(frame_type_name(t), "?") != 0);
	is_str(frame_type_name(0), "?");
	is_str(frame_type_name(FRAME_TYPE_MAX_), "?");
}

TAP_MAIN()
