/* Fuzz target: the header of a disk image as somebody hands it over. */
#include "qcow2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qcow2_header h;
	struct err e = { 0 };

	if (qcow2_parse(data, size, &h, &e) < 0) {
		if (!e.no || !e.msg[0])
			abort();
		return 0;
	}
	/* What passes as harmless names no other file, in whatever version. */
	if (!qcow2_has_magic(data, size) || (h.version != 2 && h.version != 3) || h.bytes > INT64_MAX)
		abort();
	if (!h.has_backing && (memcmp(data + 8, "\0\0\0\0\0\0\0\0\0\0\0", 12) != 0))
		abort();
	return 0;
}
