/* The inflater: compressed bytes in, tar bytes out, their SHA-256 on the way.
 *
 * gzip goes through isal (about twice as fast as zlib) where the build has it; GZIP_ZLIB is the second opinion that the parent asks
 * for when the first one fails. Several gzip members or zstd frames in a row are one stream, as their formats have it. What the
 * media type calls compressed but starts with no such magic is taken as plain: registries hold such layers, and the diff id
 * decides. A bomb is stopped by the ratio of bytes out to bytes in, beyond a floor that no honest small layer reaches. */
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#ifdef UNPACK_ISAL
#include <isa-l/igzip_lib.h>
#endif

#include "unpack_private.h"

#define IN_SIZE  (256u << 10)
#define OUT_SIZE (256u << 10)
#define CARRY    8 /* isal's bit buffer may hold so many bytes of what follows a member */

struct flow {
	int in, out;
	const struct unpack_limits *lim;
	uint64_t n_in, n_out;
	struct sha256_ctx sha;
	uint8_t *inbuf, *outbuf; /* inbuf has CARRY bytes in front */
	size_t len;              /* bytes of the last fill */
	bool is_eof;
};

/* Reads more; f->len = 0 at the end. */
static int fill(struct flow *f, struct err *e)
{
	ssize_t n;

	while ((n = read(f->in, f->inbuf, IN_SIZE)) < 0 && errno == EINTR)
		;
	if (n < 0)
		return err_set(e, errno, "read the layer: %s", strerror(errno));
	f->len = (size_t)n;
	f->n_in += (size_t)n;
	f->is_eof = n == 0;
	return 0;
}

static int emit(struct flow *f, const void *p, size_t n, struct err *e)
{
	f->n_out += n;
	if (f->n_out > f->lim->ratio_floor_bytes && f->n_out / f->lim->max_ratio > f->n_in)
		return err_set(e, E2BIG, "the layer inflates to more than %llu times its size (%llu bytes so far): refused",
			       (unsigned long long)f->lim->max_ratio, (unsigned long long)f->n_out);
	sha256_update(&f->sha, n, p);
	int r = fd_write_full(f->out, p, n);
	return r < 0 ? err_set(e, -r, "pass the layer on: %s", strerror(-r)) : 0;
}

static int copy_plain(struct flow *f, struct err *e)
{
	int r = 0;

	while (r == 0 && f->len > 0)
		if ((r = emit(f, f->inbuf, f->len, e)) == 0)
			r = fill(f, e);
	return r;
}

static int damaged(const char *what, struct err *e) { return err_set(e, EBADMSG, "the layer's %s", what); }

/* Behind a gzip member: another one, zeros (padding of old tapes and of some tools), or the end. 1 = another, 0 = end. */
static int next_member(struct flow *f, const uint8_t **at, size_t *left, struct err *e)
{
	bool skipped = false;
	int r;

	for (;;) {
		while (*left > 0 && **at == 0) {
			skipped = true;
			(*at)++;
			(*left)--;
		}
		if (*left > 0)
			return skipped || **at != 0x1f ? damaged("gzip stream is followed by something else", e) : 1;
		if (f->is_eof)
			return 0;
		if ((r = fill(f, e)) < 0)
			return r;
		*at = f->inbuf;
		*left = f->len;
	}
}

static int gunzip_zlib(struct flow *f, struct err *e)
{
	z_stream z = { .next_in = f->inbuf, .avail_in = (uInt)f->len };
	int k, r = 0;

	if (inflateInit2(&z, 15 + 16) != Z_OK)
		return err_set(e, ENOMEM, "zlib: out of memory");
	for (;;) {
		if (z.avail_in == 0 && !f->is_eof) {
			if ((r = fill(f, e)) < 0)
				break;
			z.next_in = f->inbuf;
			z.avail_in = (uInt)f->len;
		}
		z.next_out = f->outbuf;
		z.avail_out = OUT_SIZE;
		k = inflate(&z, Z_NO_FLUSH);
		if ((k != Z_OK && k != Z_STREAM_END && k != Z_BUF_ERROR) || (k == Z_BUF_ERROR && f->is_eof)) {
			r = damaged(k == Z_BUF_ERROR ? "gzip stream is cut short" : "gzip stream is damaged", e);
			break;
		}
		if (z.avail_out < OUT_SIZE && (r = emit(f, f->outbuf, OUT_SIZE - z.avail_out, e)) < 0)
			break;
		if (k != Z_STREAM_END)
			continue;
		const uint8_t *at = z.next_in;
		size_t left = z.avail_in;
		if ((r = next_member(f, &at, &left, e)) <= 0)
			break;
		z.next_in = f->inbuf + (at - f->inbuf);
		z.avail_in = (uInt)left;
		inflateReset(&z);
	}
	inflateEnd(&z);
	return r;
}

#ifdef UNPACK_ISAL
/* isal reads ahead into a bit buffer; what is left there behind a member goes back in front of the input. */
static void give_back(struct inflate_state *z)
{
	int n = z->read_in_length / 8;
	uint64_t bits = z->read_in >> (z->read_in_length % 8);

	for (int i = n; i-- > 0;) {
		*--z->next_in = (uint8_t)(bits >> (8 * i));
		z->avail_in++;
	}
	z->read_in = 0;
	z->read_in_length = 0;
}

static int gunzip_isal(struct flow *f, struct err *e)
{
	_cleanup_free_ struct inflate_state *z = malloc(sizeof(*z));
	int k, r;

	if (!z)
		return err_set(e, ENOMEM, "isal: out of memory");
	isal_inflate_init(z);
	z->crc_flag = ISAL_GZIP;
	z->next_in = f->inbuf;
	z->avail_in = (uint32_t)f->len;
	for (;;) {
		bool was_empty = z->avail_in == 0;
		if (was_empty && !f->is_eof) {
			if ((r = fill(f, e)) < 0)
				return r;
			z->next_in = f->inbuf;
			z->avail_in = (uint32_t)f->len;
		}
		z->next_out = f->outbuf;
		z->avail_out = OUT_SIZE;
		k = isal_inflate(z);
		if (k < 0)
			return damaged("gzip stream is damaged", e);
		size_t made = OUT_SIZE - z->avail_out;
		if (made && (r = emit(f, f->outbuf, made, e)) < 0)
			return r;
		if (z->block_state == ISAL_BLOCK_FINISH) {
			give_back(z);
			const uint8_t *at = z->next_in;
			size_t left = z->avail_in;
			if ((r = next_member(f, &at, &left, e)) <= 0)
				return r;
			isal_inflate_reset(z);
			z->crc_flag = ISAL_GZIP;
			z->next_in = f->inbuf + (at - f->inbuf);
			z->avail_in = (uint32_t)left;
		} else if (made == 0 && f->is_eof) {
			return damaged("gzip stream is cut short", e);
		}
	}
}
#endif

static int unzstd(struct flow *f, struct err *e)
{
	ZSTD_DStream *z = ZSTD_createDStream();
	size_t hint = 1;
	int r = z ? 0 : err_set(e, ENOMEM, "zstd: out of memory");

	while (r == 0 && f->len > 0) {
		ZSTD_inBuffer in = { .src = f->inbuf, .size = f->len };
		ZSTD_outBuffer out;
		do {
			out = (ZSTD_outBuffer){ .dst = f->outbuf, .size = OUT_SIZE };
			hint = ZSTD_decompressStream(z, &out, &in);
			if (ZSTD_isError(hint))
				r = err_set(e, EBADMSG, "the layer's zstd stream is damaged: %s", ZSTD_getErrorName(hint));
			else if (out.pos)
				r = emit(f, f->outbuf, out.pos, e);
		} while (r == 0 && (in.pos < in.size || out.pos == out.size));
		if (r == 0)
			r = fill(f, e);
	}
	if (r == 0 && hint != 0)
		r = damaged("zstd stream is cut short", e);
	ZSTD_freeDStream(z);
	return r;
}

/* What the first bytes say, where the media type says "compressed". */
static enum media_compression sniff(const uint8_t *p, size_t n)
{
	static const uint8_t gzip[] = { 0x1f, 0x8b }, zstd[] = { 0x28, 0xb5, 0x2f, 0xfd };

	if (n >= sizeof(gzip) && memcmp(p, gzip, sizeof(gzip)) == 0)
		return COMP_GZIP;
	/* Skippable frames (RFC 8878 §3.1.2) may come first: zstd:chunked writes them. */
	if (n >= 4 &&
	    (memcmp(p, zstd, sizeof(zstd)) == 0 || ((p[0] & 0xf0) == 0x50 && p[1] == 0x2a && p[2] == 0x4d && p[3] == 0x18)))
		return COMP_ZSTD;
	return COMP_NONE;
}

/* The first fill, long enough to sniff even from a pipe that drips. */
static int first_fill(struct flow *f, struct err *e)
{
	ssize_t n = fd_read_full(f->in, f->inbuf, 4);

	if (n < 0)
		return err_set(e, (int)-n, "read the layer: %s", strerror((int)-n));
	f->len = (size_t)n;
	f->n_in = (size_t)n;
	f->is_eof = n < 4;
	return 0;
}

int unpack_inflate(int in, int out, enum media_compression comp, enum unpack_gzip gzip, const struct unpack_limits *lim,
		   char ret_diff_id[DIGEST_LEN], struct err *e)
{
	_cleanup_free_ uint8_t *inbuf = malloc(CARRY + IN_SIZE), *outbuf = malloc(OUT_SIZE);
	struct flow f = { .in = in, .out = out, .lim = lim, .inbuf = inbuf + CARRY, .outbuf = outbuf };
	int r;

	if (!inbuf || !outbuf)
		return err_set(e, ENOMEM, "unpack: out of memory");
	sha256_init(&f.sha);
	if ((r = first_fill(&f, e)) < 0)
		return r;
	switch (comp == COMP_NONE ? COMP_NONE : sniff(f.inbuf, f.len)) {
	case COMP_NONE: r = copy_plain(&f, e); break;
	case COMP_GZIP:
#ifdef UNPACK_ISAL
		r = gzip == GZIP_FAST ? gunzip_isal(&f, e) : gunzip_zlib(&f, e);
#else
		(void)gzip;
		r = gunzip_zlib(&f, e);
#endif
		break;
	case COMP_ZSTD: r = unzstd(&f, e); break;
	}
	if (r == 0)
		sha256_finish_str(&f.sha, ret_diff_id);
	return r;
}
