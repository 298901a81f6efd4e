/* protobuf: the wire format of Protocol Buffers (protobuf.dev, "Encoding"), as far as CRIU's messages use it: varints, and bytes with
 * their length. No schema: who writes and reads knows the numbers. */
#pragma once

#include "base.h"

enum { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };

/* Appended to b, whose `failed` tells whether there was memory. Negative int32 are written as the 64 bits that they are. */
void pb_put_int(struct buf *b, uint32_t field, int64_t v);
void pb_put_bool(struct buf *b, uint32_t field, bool v);
void pb_put_str(struct buf *b, uint32_t field, const char *s);
void pb_put_message(struct buf *b, uint32_t field, const struct buf *message);

/* What is left of a message to read; borrows. */
struct pb_reader {
	const uint8_t *data;
	size_t len;
};
struct pb_field {
	uint32_t field, type;
	uint64_t value;         /* of PB_VARINT, PB_FIXED64, PB_FIXED32 */
	struct pb_reader bytes; /* of PB_BYTES, to read on where it is a message */
};
/* 1 and the next field, 0 at the end, -EPROTO where the bytes are no message. */
int pb_next(struct pb_reader *r, struct pb_field *ret);
/* PB_BYTES as a string, malloc'd; what follows a NUL in it is left out. NULL on ENOMEM. */
char *pb_str(const struct pb_field *f);
