/* protobuf: see protobuf.h. */
#include "protobuf.h"

enum { VARINT_MAX = 10, TYPE_BITS = 3 };

static void put_varint(struct buf *b, uint64_t v)
{
	uint8_t bytes[VARINT_MAX];
	size_t n = 0;

	do {
		bytes[n++] = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
		v >>= 7;
	} while (v);
	buf_add(b, bytes, n);
}

static void put_key(struct buf *b, uint32_t field, uint32_t type) { put_varint(b, ((uint64_t)field << TYPE_BITS) | type); }

void pb_put_int(struct buf *b, uint32_t field, int64_t v)
{
	put_key(b, field, PB_VARINT);
	put_varint(b, (uint64_t)v);
}

void pb_put_bool(struct buf *b, uint32_t field, bool v) { pb_put_int(b, field, v); }

static void put_bytes(struct buf *b, uint32_t field, const void *p, size_t n)
{
	put_key(b, field, PB_BYTES);
	put_varint(b, n);
	buf_add(b, p, n);
}

void pb_put_str(struct buf *b, uint32_t field, const char *s) { put_bytes(b, field, s, strlen(s)); }

void pb_put_message(struct buf *b, uint32_t field, const struct buf *message)
{
	put_bytes(b, field, message->data ? message->data : "", message->len);
	b->failed = b->failed || message->failed;
}

/* ---- reading ---- */

static int take(struct pb_reader *r, size_t n, const uint8_t **ret)
{
	if (n > r->len)
		return -EPROTO;
	*ret = r->data;
	r->data += n;
	r->len -= n;
	return 0;
}

static int read_varint(struct pb_reader *r, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < VARINT_MAX; i++) {
		const uint8_t *at;

		/* The tenth byte has room for one bit. */
		if (take(r, 1, &at) < 0 || (i == VARINT_MAX - 1 && *at > 1))
			return -EPROTO;
		v |= (uint64_t)(*at & 0x7f) << (7 * i);
		if (!(*at & 0x80)) {
			*ret = v;
			return 0;
		}
	}
	return -EPROTO;
}

static int read_fixed(struct pb_reader *r, size_t n, uint64_t *ret)
{
	const uint8_t *at;
	uint64_t v = 0;

	if (take(r, n, &at) < 0)
		return -EPROTO;
	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)at[i] << (8 * i);
	*ret = v;
	return 0;
}

static int read_bytes(struct pb_reader *r, struct pb_reader *ret)
{
	uint64_t n;

	if (read_varint(r, &n) < 0 || n > r->len)
		return -EPROTO;
	ret->len = (size_t)n;
	return take(r, ret->len, &ret->data);
}

int pb_next(struct pb_reader *r, struct pb_field *ret)
{
	struct pb_field f = { 0 };
	uint64_t key;
	int x;

	if (r->len == 0)
		return 0;
	/* Field numbers have 29 bits, and 0 is none. */
	if (read_varint(r, &key) < 0 || key >> 32 || key >> TYPE_BITS == 0)
		return -EPROTO;
	f.field = (uint32_t)(key >> TYPE_BITS);
	f.type = (uint32_t)(key & ((1u << TYPE_BITS) - 1));
	if (f.type == PB_VARINT)
		x = read_varint(r, &f.value);
	else if (f.type == PB_BYTES)
		x = read_bytes(r, &f.bytes);
	else if (f.type == PB_FIXED64 || f.type == PB_FIXED32)
		x = read_fixed(r, f.type == PB_FIXED64 ? 8 : 4, &f.value);
	else
		x = -EPROTO; /* groups, which nobody writes any more */
	if (x < 0)
		return x;
	*ret = f;
	return 1;
}

char *pb_str(const struct pb_field *f) { return strndup(f->bytes.data ? (const char *)f->bytes.data : "", f->bytes.len); }
