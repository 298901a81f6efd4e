/* qcow2: see qcow2.h. */
#include "qcow2.h"

enum { VERSION_2_BYTES = 72, CLUSTER_BITS_MIN = 9, CLUSTER_BITS_MAX = 21 };
/* Incompatible features, "Header" of the specification; who does not know a bit must not open the image. */
enum { DIRTY = 1 << 0, CORRUPT = 1 << 1, DATA_FILE = 1 << 2, COMPRESSION = 1 << 3, EXTENDED_L2 = 1 << 4 };
#define KNOWN (DIRTY | CORRUPT | DATA_FILE | COMPRESSION | EXTENDED_L2)

static const uint8_t magic[4] = { 'Q', 'F', 'I', 0xfb };

static uint64_t be(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

bool qcow2_has_magic(const void *p, size_t n) { return n >= sizeof(magic) && memcmp(p, magic, sizeof(magic)) == 0; }

int qcow2_parse(const void *p, size_t n, struct qcow2_header *ret, struct err *e)
{
	const uint8_t *b = p;
	struct qcow2_header h = { 0 };
	uint64_t cluster_bits, incompatible = 0;

	if (!qcow2_has_magic(p, n))
		return err_set(e, EBADMSG, "it is no qcow2 image");
	if (n < VERSION_2_BYTES)
		return err_set(e, EBADMSG, "it ends within the header");
	h.version = (uint32_t)be(b + 4, 4);
	if (h.version != 2 && h.version != 3)
		return err_set(e, EBADMSG, "it is of version %u; 2 and 3 are known", h.version);
	if (h.version == 3 && n < QCOW2_HEADER_BYTES)
		return err_set(e, EBADMSG, "it ends within the header");
	/* Either is enough: a name without a length, or the other way round, is nothing that a sound image has. */
	h.has_backing = be(b + 8, 8) != 0 || be(b + 16, 4) != 0;
	cluster_bits = be(b + 20, 4);
	h.bytes = be(b + 24, 8);
	h.is_encrypted = be(b + 32, 4) != 0;
	if (h.version == 3)
		incompatible = be(b + 72, 8);
	h.is_corrupt = incompatible & CORRUPT;
	h.has_data_file = incompatible & DATA_FILE;
	if (cluster_bits < CLUSTER_BITS_MIN || cluster_bits > CLUSTER_BITS_MAX)
		return err_set(e, EBADMSG, "its clusters of 2^%llu bytes are none", (unsigned long long)cluster_bits);
	if (incompatible & ~(uint64_t)KNOWN)
		return err_set(e, EBADMSG, "it has features that are not known here (0x%llx)",
			       (unsigned long long)(incompatible & ~(uint64_t)KNOWN));
	if (h.version == 3 && be(b + 100, 4) < QCOW2_HEADER_BYTES)
		return err_set(e, EBADMSG, "its header says that it is too short");
	if (h.bytes > INT64_MAX)
		return err_set(e, EBADMSG, "its size is none");
	*ret = h;
	return 0;
}
