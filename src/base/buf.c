/* The growable buffer. Consuming moves the rest to the front: buffers here are short queues and documents. */
#include <stdio.h>

#include "str.h"

/* Room for n more bytes and the NUL. */
static bool reserve(struct buf *b, size_t n)
{
	size_t need;

	if (b->failed)
		return false;
	if (__builtin_add_overflow(b->len, n, &need) || __builtin_add_overflow(need, 1, &need))
		goto fail;
	if (need <= b->cap)
		return true;
	size_t cap = MAX(need, b->cap < SIZE_MAX / 2 ? b->cap * 2 : need);
	cap = MAX(cap, (size_t)64);
	char *bigger = realloc(b->data, cap);
	if (!bigger)
		goto fail;
	b->data = bigger;
	b->cap = cap;
	return true;
fail:
	b->failed = true;
	return false;
}

char *buf_room(struct buf *b, size_t n) { return reserve(b, n) ? b->data + b->len : NULL; }

void buf_add(struct buf *b, const void *p, size_t n)
{
	if (!reserve(b, n))
		return;
	if (n)
		memcpy(b->data + b->len, p, n);
	b->len += n;
	b->data[b->len] = '\0';
}

void buf_str(struct buf *b, const char *s) { buf_add(b, s, strlen(s)); }

void buf_fmt(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->failed = true;
		return;
	}
	if (!reserve(b, (size_t)n))
		return;
	va_start(ap, fmt);
	vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

void buf_consume(struct buf *b, size_t n)
{
	if (!b->data || n == 0)
		return;
	n = MIN(n, b->len);
	memmove(b->data, b->data + n, b->len - n + 1);
	b->len -= n;
}

void buf_done(struct buf *b)
{
	free(b->data);
	*b = (struct buf){ 0 };
}

char *buf_take(struct buf *b)
{
	if (!b->failed)
		buf_add(b, "", 0); /* an empty buffer gives "", not NULL */
	char *s = b->failed ? NULL : b->data;
	if (!s)
		free(b->data);
	*b = (struct buf){ 0 };
	return s;
}
