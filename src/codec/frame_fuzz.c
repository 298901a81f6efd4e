/* Fuzz target: a stream of frames as a hostile guest or CLI would send it. What decodes must encode to the same bytes. */
#include "frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every typed reader on every frame: each has to judge the length for itself. */
static void read_payloads(const struct frame *f)
{
	enum frame_type stream;
	struct err err;
	uint32_t a, b;
	uint16_t rows, cols;
	bool oom;

	frame_get_exit(f, &a, &b, &oom);
	frame_get_resize(f, &rows, &cols);
	frame_get_u32(f, &a);
	frame_get_credit(f, &stream, &b);
	if (frame_get_error(f, &err) == 0 && err.no <= 0)
		abort(); /* an error without a number would read as success */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buf_ struct buf in = {}, out = {};
	struct frame f;

	buf_add(&in, data, size);
	while (frame_peek(&in, &f) == 1) {
		size_t whole = FRAME_HDR + (size_t)f.len;
		if (whole > in.len)
			abort();
		read_payloads(&f);
		size_t before = out.len;
		frame_put(&out, f.type, f.channel, f.payload, f.len);
		if (out.len - before != whole || memcmp(out.data + before, in.data, whole) != 0)
			abort();
		buf_consume(&in, whole);
	}
	return 0;
}
