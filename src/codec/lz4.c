/* lz4: see lz4.h; the block format is lz4's doc/lz4_Block_format.md. Every copy is checked against both ends. */
#include "lz4.h"

#define LEGACY_BLOCK (8u << 20)

static uint32_t le32(const uint8_t *p) { return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24; }

/* A length that its 4 bits could not hold goes on in bytes until one is not 255. */
static int more_length(const uint8_t **in, const uint8_t *end, size_t *len)
{
	uint8_t b;

	do {
		if (*in == end || *len > LEGACY_BLOCK)
			return -EBADMSG;
		b = *(*in)++;
		*len += b;
	} while (b == 255);
	return 0;
}

/* One block; *ret_len is what it unpacked to, at most room. Matches reach back within the block only. */
static int block_decode(const uint8_t *in, size_t n, uint8_t *out, size_t room, size_t *ret_len)
{
	const uint8_t *end = in + n;
	size_t done = 0;

	while (in < end) {
		uint8_t token = *in++;
		size_t literals = token >> 4, match = token & 15, offset;

		if (literals == 15 && more_length(&in, end, &literals) < 0)
			return -EBADMSG;
		if (literals > (size_t)(end - in) || literals > room - done)
			return -EBADMSG;
		memcpy(out + done, in, literals);
		in += literals;
		done += literals;
		if (in == end) { /* the last sequence has no match */
			*ret_len = done;
			return 0;
		}
		if (end - in < 2)
			return -EBADMSG;
		offset = in[0] | (size_t)in[1] << 8;
		in += 2;
		if (match == 15 && more_length(&in, end, &match) < 0)
			return -EBADMSG;
		match += 4;
		if (offset == 0 || offset > done || match > room - done)
			return -EBADMSG;
		for (size_t i = 0; i < match; i++, done++) /* may overlap itself: that is how runs are written */
			out[done] = out[done - offset];
	}
	return -EBADMSG;
}

int lz4_legacy_decode(const uint8_t *in, size_t n, uint8_t *out, size_t out_len)
{
	size_t done = 0;

	if (n < 4 || le32(in) != LZ4_LEGACY_MAGIC)
		return -EBADMSG;
	in += 4;
	n -= 4;
	while (done < out_len) {
		size_t len, got = 0;

		if (n < 4)
			return -EBADMSG;
		len = le32(in);
		in += 4;
		n -= 4;
		if (len > n || block_decode(in, len, out + done, MIN(out_len - done, (size_t)LEGACY_BLOCK), &got) < 0)
			return -EBADMSG;
		if (got == 0) /* no progress: would never end on a stream of empty blocks */
			return -EBADMSG;
		in += len;
		n -= len;
		done += got;
	}
	return 0;
}
