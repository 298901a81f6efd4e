/* Frames: putting them together and taking them apart. Pure bytes; both sides of every stream use this file. */
#include <endian.h>
#include <stdio.h>

#include <json-c/json.h>

#include "frame.h"

static const char *const names[FRAME_TYPE_MAX_] = {
	[FRAME_HELLO] = "HELLO",     [FRAME_ERROR] = "ERROR",   [FRAME_OK] = "OK",           [FRAME_START] = "START",
	[FRAME_STARTED] = "STARTED", [FRAME_ATTACH] = "ATTACH", [FRAME_EXEC] = "EXEC",       [FRAME_STDIN] = "STDIN",
	[FRAME_STDOUT] = "STDOUT",   [FRAME_STDERR] = "STDERR", [FRAME_CREDIT] = "CREDIT",   [FRAME_RESIZE] = "RESIZE",
	[FRAME_SIGNAL] = "SIGNAL",   [FRAME_EXIT] = "EXIT",     [FRAME_STATS] = "STATS",     [FRAME_SHUTDOWN] = "SHUTDOWN",
	[FRAME_UPDATE] = "UPDATE",   [FRAME_PAUSE] = "PAUSE",   [FRAME_QUIESCE] = "QUIESCE", [FRAME_RELEASE] = "RELEASE",
	[FRAME_RESTORE] = "RESTORE",
};

const char *frame_type_name(unsigned type) { return type > 0 && type < FRAME_TYPE_MAX_ ? names[type] : "?"; }

static bool is_data(unsigned type) { return type == FRAME_STDIN || type == FRAME_STDOUT || type == FRAME_STDERR; }

/* Little-endian fields at any alignment. */
static void put16(uint8_t *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, sizeof(v));
}

static void put32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static uint16_t get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return le16toh(v);
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

void frame_put(struct buf *b, enum frame_type type, uint16_t channel, const void *payload, uint32_t len)
{
	uint8_t hdr[FRAME_HDR] = { 0 };

	if (len > (is_data(type) ? FRAME_DATA_MAX : FRAME_MAX)) { /* the other side would refuse it */
		b->failed = true;
		return;
	}
	put32(hdr, len);
	hdr[4] = (uint8_t)type;
	put16(hdr + 6, channel);
	buf_add(b, hdr, sizeof(hdr));
	buf_add(b, payload, len);
}

int frame_peek(const struct buf *b, struct frame *ret_f)
{
	const uint8_t *p = (const uint8_t *)b->data;

	if (b->len < FRAME_HDR)
		return 0;
	uint32_t len = get32(p);
	uint8_t type = p[4];
	if (type == 0 || type >= FRAME_TYPE_MAX_ || p[5] != 0 || len > (is_data(type) ? FRAME_DATA_MAX : FRAME_MAX))
		return -EPROTO;
	if (b->len - FRAME_HDR < len)
		return 0;
	*ret_f = (struct frame){ .len = len, .type = type, .channel = get16(p + 6), .payload = p + FRAME_HDR };
	return 1;
}

void frame_put_exit(struct buf *b, uint16_t channel, uint32_t status, uint32_t sig, bool oom)
{
	uint8_t p[9];

	put32(p, status);
	put32(p + 4, sig);
	p[8] = oom;
	frame_put(b, FRAME_EXIT, channel, p, sizeof(p));
}

int frame_get_exit(const struct frame *f, uint32_t *ret_status, uint32_t *ret_sig, bool *ret_oom)
{
	if (f->type != FRAME_EXIT || f->len != 9 || get32(f->payload) > 255 || get32(f->payload + 4) > 64 || f->payload[8] > 1)
		return -EPROTO;
	*ret_status = get32(f->payload);
	*ret_sig = get32(f->payload + 4);
	*ret_oom = f->payload[8];
	return 0;
}

void frame_put_resize(struct buf *b, uint16_t channel, uint16_t rows, uint16_t cols)
{
	uint8_t p[4];

	put16(p, rows);
	put16(p + 2, cols);
	frame_put(b, FRAME_RESIZE, channel, p, sizeof(p));
}

int frame_get_resize(const struct frame *f, uint16_t *ret_rows, uint16_t *ret_cols)
{
	if (f->type != FRAME_RESIZE || f->len != 4)
		return -EPROTO;
	*ret_rows = get16(f->payload);
	*ret_cols = get16(f->payload + 2);
	return 0;
}

void frame_put_u32(struct buf *b, enum frame_type type, uint16_t channel, uint32_t v)
{
	uint8_t p[4];

	put32(p, v);
	frame_put(b, type, channel, p, sizeof(p));
}

int frame_get_u32(const struct frame *f, uint32_t *ret)
{
	if (f->len != 4)
		return -EPROTO;
	*ret = get32(f->payload);
	return 0;
}

void frame_put_credit(struct buf *b, uint16_t channel, enum frame_type stream, uint32_t bytes)
{
	uint8_t p[8] = { (uint8_t)stream };

	put32(p + 4, bytes);
	frame_put(b, FRAME_CREDIT, channel, p, sizeof(p));
}

int frame_get_credit(const struct frame *f, enum frame_type *ret_stream, uint32_t *ret_bytes)
{
	if (f->type != FRAME_CREDIT || f->len != 8 || !is_data(f->payload[0]) || f->payload[1] || f->payload[2] || f->payload[3])
		return -EPROTO;
	if (get32(f->payload + 4) > FRAME_WINDOW)
		return -EPROTO;
	*ret_stream = f->payload[0];
	*ret_bytes = get32(f->payload + 4);
	return 0;
}

/* The message as a JSON string. err_set has replaced control bytes; what is not UTF-8 becomes '?', since the other side
 * reads strictly. */
static void add_string(struct buf *b, const char *s)
{
	buf_str(b, "\"");
	while (*s) {
		int len = utf8_len(s, strlen(s));
		if (len < 1 || (unsigned char)*s < 0x20 || *s == 0x7F)
			buf_str(b, "?");
		else if (*s == '"' || *s == '\\')
			buf_fmt(b, "\\%c", *s);
		else
			buf_add(b, s, (size_t)len);
		s += len > 1 ? len : 1;
	}
	buf_str(b, "\"");
}

void frame_put_error(struct buf *b, uint16_t channel, const struct err *err)
{
	_cleanup_buf_ struct buf json = { 0 };

	buf_fmt(&json, "{\"no\":%d,\"exit\":%d,\"msg\":", err->no, err->exit);
	add_string(&json, err->msg);
	buf_str(&json, "}");
	if (json.failed)
		b->failed = true;
	else
		frame_put(b, FRAME_ERROR, channel, json.data, (uint32_t)json.len);
}

static int get_int(struct json_object *o, const char *key, int max, int *ret)
{
	struct json_object *v;

	if (!json_object_object_get_ex(o, key, &v) || !json_object_is_type(v, json_type_int))
		return -EPROTO;
	int64_t n = json_object_get_int64(v);
	if (n < 0 || n > max)
		return -EPROTO;
	*ret = (int)n;
	return 0;
}

int frame_get_error(const struct frame *f, struct err *ret)
{
	enum { DEPTH = 2, ERRNO_MAX = 4095, TEXT_MAX = 8192 };
	struct json_object *msg;
	int no, exit_status, r = -EPROTO;

	if (f->type != FRAME_ERROR || f->len > TEXT_MAX)
		return -EPROTO;
	struct json_tokener *tok = json_tokener_new_ex(DEPTH);
	if (!tok)
		return -ENOMEM;
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	struct json_object *o = json_tokener_parse_ex(tok, (const char *)f->payload, (int)f->len);
	if (json_tokener_get_error(tok) == json_tokener_success && json_tokener_get_parse_end(tok) == f->len &&
	    json_object_is_type(o, json_type_object) && get_int(o, "no", ERRNO_MAX, &no) == 0 && no > 0 &&
	    get_int(o, "exit", 255, &exit_status) == 0 && json_object_object_get_ex(o, "msg", &msg) &&
	    json_object_is_type(msg, json_type_string)) {
		/* Through err_set: what a guest says must not drive the terminal. */
		err_set_exit(ret, exit_status, no, "%s", json_object_get_string(msg));
		r = 0;
	}
	json_object_put(o);
	json_tokener_free(tok);
	return r;
}
