/* Fuzz target: a message as whoever speaks to us may send it, and the messages that each of its fields could be. */
#include "protobuf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(struct pb_reader r, int depth)
{
	struct pb_field f;
	int x;

	while ((x = pb_next(&r, &f)) == 1) {
		_cleanup_free_ char *s = NULL;

		if (f.type != PB_BYTES)
			continue;
		s = pb_str(&f);
		if (!s || strlen(s) > f.bytes.len)
			abort();
		if (depth > 0)
			read_all(f.bytes, depth - 1);
	}
	if (x == 0 && r.len != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	read_all((struct pb_reader){ data, size }, 4);
	return 0;
}
