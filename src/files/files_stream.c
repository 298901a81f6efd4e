#include "files_stream.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAGIC     "BFS1"
#define PIECE_MAX (256u << 10)
#define TEXT_MAX  4096u /* path, target, link; as many bytes of a capability would be wrong already */
#define CAPS      "security.capability"

enum { IS_DIR = 1, IS_CONTENT = 2, IS_TAR = 4 };
enum { NODE_LEN = 40, PIECE_LEN = 12, HEAD_LEN = 8 };

static void put16(uint8_t *p, uint64_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}
static void put32(uint8_t *p, uint64_t v)
{
	put16(p, v);
	put16(p + 2, v >> 16);
}
static void put64(uint8_t *p, uint64_t v)
{
	put32(p, v);
	put32(p + 4, v >> 32);
}
static uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static uint32_t get32(const uint8_t *p) { return get16(p) | (uint32_t)get16(p + 2) << 16; }
static uint64_t get64(const uint8_t *p) { return get32(p) | (uint64_t)get32(p + 4) << 32; }

static int put(int fd, const void *p, size_t n, struct err *e)
{
	int r = fd_write_full(fd, p, n);

	return r < 0 ? err_set(e, -r, "write to the other side: %s", strerror(-r)) : 0;
}

static int get(int fd, void *p, size_t n, struct err *e)
{
	ssize_t k = fd_read_full(fd, p, n);

	if (k < 0)
		return err_set(e, (int)-k, "read from the other side: %s", strerror((int)-k));
	return k == (ssize_t)n ? 0 : err_set(e, EPIPE, "the other side has ended too early");
}

/* ---- head and end ---- */

int stream_put_head(int fd, const struct stream_head *h, struct err *e)
{
	size_t len = strlen(h->base);
	uint8_t b[HEAD_LEN] = MAGIC;

	b[4] = (uint8_t)((h->is_dir ? IS_DIR : 0) | (h->is_content ? IS_CONTENT : 0) | (h->is_tar ? IS_TAR : 0));
	put16(b + 6, len);
	int r = put(fd, b, sizeof(b), e);
	return r < 0 ? r : put(fd, h->base, len, e);
}

static bool is_name(const char *s) { return *s && !strchr(s, '/') && !streq(s, ".") && !streq(s, ".."); }

/* An end where a head should be: b has its first bytes. */
static int early_end(int fd, const uint8_t b[HEAD_LEN], struct err *e)
{
	uint8_t node[NODE_LEN];
	char text[TEXT_MAX] = "";
	int r = get(fd, node + HEAD_LEN, sizeof(node) - HEAD_LEN, e);

	memcpy(node, b, HEAD_LEN);
	if (r < 0)
		return r;
	uint64_t no = get64(node + 24);
	size_t len = get16(node + 32);
	if (len >= sizeof(text))
		return err_set(e, EPROTO, "an error that is too long");
	if ((r = get(fd, text, len, e)) < 0)
		return r;
	return err_set(e, no > 0 && no < 4096 ? (int)no : EPROTO, "%s", *text ? text : "the other side has nothing to send");
}

int stream_read_head(int fd, struct stream_head *ret, struct err *e)
{
	struct stream_head h = { 0 };
	uint8_t b[HEAD_LEN];
	size_t len;
	int r = get(fd, b, sizeof(b), e);

	if (r < 0)
		return r;
	if (get32(b) == 0)
		return early_end(fd, b, e);
	len = get16(b + 6);
	if (memcmp(b, MAGIC, 4) != 0 || len > NAME_MAX)
		return err_set(e, EPROTO, "the other side speaks otherwise");
	if ((r = get(fd, h.base, len, e)) < 0)
		return r;
	h.is_dir = b[4] & IS_DIR;
	h.is_content = b[4] & IS_CONTENT;
	h.is_tar = b[4] & IS_TAR;
	bool is_named = h.is_tar ? !*h.base && !h.is_dir && !h.is_content : h.is_content ? h.is_dir : is_name(h.base);
	if (strlen(h.base) != len || !is_named)
		return err_set(e, EPROTO, "the other side names what it sends \"%.60s\"", h.base);
	*ret = h;
	return 0;
}

int stream_end(int fd, int r, const struct err *why, struct err *e)
{
	uint8_t b[NODE_LEN] = { 0 };
	size_t len = r < 0 ? strlen(why->msg) : 0;

	put64(b + 24, r < 0 ? (uint64_t)(why->no ? why->no : -r) : 0);
	put16(b + 32, len);
	int k = put(fd, b, sizeof(b), e);
	return k < 0 ? k : put(fd, why->msg, len, e);
}

/* ---- writing ---- */

static int put_content(struct stream_sink *s, const struct file_node *n, struct err *e)
{
	uint8_t b[PIECE_LEN];
	const void *p;
	uint64_t off;
	size_t len;
	int r;

	while ((r = n->next(n, &p, &len, &off, e)) > 0) {
		if (len == 0)
			continue;
		put64(b, off);
		put32(b + 8, len);
		if ((r = put(s->fd, b, sizeof(b), e)) < 0 || (r = put(s->fd, p, len, e)) < 0)
			return r;
		files_progress(&s->base, len);
	}
	if (r < 0)
		return r;
	memset(b, 0, sizeof(b));
	return put(s->fd, b, sizeof(b), e);
}

static int stream_put(struct file_sink *base, const struct file_node *n, struct err *e)
{
	struct stream_sink *s = container_of(base, struct stream_sink, base);
	const struct file_xattr *caps = NULL;
	const char *texts[] = { n->path, n->target ? n->target : "", n->link ? n->link : "" };
	uint8_t b[NODE_LEN];
	int r;

	if (S_ISCHR(n->mode) || S_ISBLK(n->mode) || S_ISSOCK(n->mode)) {
		base->skipped++;
		log_warn("cp", "%s %s is not copied", S_ISSOCK(n->mode) ? "socket" : "device", n->path);
		return 0;
	}
	for (size_t i = 0; i < n->n_xattrs; i++)
		if (streq(n->xattrs[i].name, CAPS) && n->xattrs[i].len <= TEXT_MAX)
			caps = &n->xattrs[i];
	put32(b, n->mode);
	put32(b + 4, n->uid);
	put32(b + 8, n->gid);
	put32(b + 12, (uint64_t)n->mtime.tv_nsec);
	put64(b + 16, (uint64_t)n->mtime.tv_sec);
	put64(b + 24, n->size);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (strlen(texts[i]) >= TEXT_MAX)
			return err_set(e, ENAMETOOLONG, "\"%.60s...\" is too long", texts[i]);
		put16(b + 32 + 2 * i, strlen(texts[i]));
	}
	put16(b + 38, caps ? caps->len : 0);
	base->nodes++;
	r = put(s->fd, b, sizeof(b), e);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(texts); i++)
		r = put(s->fd, texts[i], strlen(texts[i]), e);
	if (r == 0 && caps)
		r = put(s->fd, caps->value, caps->len, e);
	return r < 0 || !n->next || n->link || !S_ISREG(n->mode) ? r : put_content(s, n, e);
}

void stream_sink_init(struct stream_sink *s, int fd) { *s = (struct stream_sink){ .base = { .put = stream_put }, .fd = fd }; }

/* ---- reading ---- */

struct reader {
	int fd;
	bool is_at_end;
	uint64_t end; /* of the last piece */
	uint8_t buf[PIECE_MAX];
};

static int next_piece(const struct file_node *n, const void **ret_p, size_t *ret_len, uint64_t *ret_off, struct err *e)
{
	struct reader *s = n->from;
	uint8_t b[PIECE_LEN];
	int r = s->is_at_end ? 0 : get(s->fd, b, sizeof(b), e);

	if (r < 0 || s->is_at_end)
		return r;
	uint64_t off = get64(b);
	uint32_t len = get32(b + 8);
	if (len == 0) {
		s->is_at_end = true;
		return 0;
	}
	if (len > PIECE_MAX || off < s->end || off > n->size || len > n->size - off)
		return err_set(e, EPROTO, "\"%.200s\": a piece that lies outside of it", n->path);
	if ((r = get(s->fd, s->buf, len, e)) < 0)
		return r;
	s->end = off + len;
	*ret_p = s->buf;
	*ret_len = len;
	*ret_off = off;
	return 1;
}

/* No "..", ".", empty component or slash at either end. */
static bool is_clean(const char *path)
{
	unsigned depth = 0;

	for (const char *at = path; *at;) {
		size_t n = strcspn(at, "/");
		if (n == 0 || n > NAME_MAX || (n == 1 && at[0] == '.') || (n == 2 && at[0] == '.' && at[1] == '.') ||
		    ++depth > FILES_DEPTH_MAX)
			return false;
		at += n;
		if (*at == '/' && !at[1])
			return false;
		at += *at == '/';
	}
	return true;
}

/* path of len bytes follows; *ret: beneath `as`. Caller frees. */
static int get_path(struct reader *s, size_t len, const char *as, char **ret, struct err *e)
{
	char text[TEXT_MAX];

	if (len >= sizeof(text))
		return err_set(e, EPROTO, "a path that is too long");
	int r = get(s->fd, text, len, e);
	if (r < 0)
		return r;
	text[len] = '\0';
	if (strlen(text) != len || !is_clean(text))
		return err_set(e, EPROTO, "the other side sends the path \"%.200s\"", text);
	*ret = str_fmt("%s%s%s", as, *as && *text ? "/" : "", text);
	return *ret ? 0 : err_set(e, ENOMEM, "out of memory");
}

/* 1: the end. */
static int take_node(struct reader *s, const char *as, struct file_sink *sink, struct err *e)
{
	uint8_t b[NODE_LEN], caps[TEXT_MAX];
	char target[TEXT_MAX] = "", name[] = CAPS;
	_cleanup_free_ char *path = NULL, *link = NULL;
	int r = get(s->fd, b, sizeof(b), e);

	if (r < 0)
		return r;
	size_t path_len = get16(b + 32), target_len = get16(b + 34), link_len = get16(b + 36), caps_len = get16(b + 38);
	struct file_node n = { .mode = get32(b),
			       .uid = get32(b + 4),
			       .gid = get32(b + 8),
			       .mtime = { (time_t)get64(b + 16), get32(b + 12) < 1000000000 ? get32(b + 12) : 0 },
			       .size = get64(b + 24),
			       .from = s };
	if (n.mode == 0) {
		if (path_len >= sizeof(target) || (r = get(s->fd, target, path_len, e)) < 0)
			return r < 0 ? r : err_set(e, EPROTO, "an error that is too long");
		return n.size ? err_set(e, n.size < 4096 ? (int)n.size : EIO, "%s", target) : 1;
	}
	if (n.uid == UINT32_MAX || n.gid == UINT32_MAX || n.size > INT64_MAX || target_len >= sizeof(target) ||
	    caps_len > sizeof(caps) || (target_len > 0) != S_ISLNK(n.mode) || (n.mode & ~(S_IFMT | 07777u)))
		return err_set(e, EPROTO, "the other side sends a node that can't be");
	if ((r = get_path(s, path_len, as, &path, e)) < 0 || (r = get(s->fd, target, target_len, e)) < 0 ||
	    (link_len && (r = get_path(s, link_len, as, &link, e)) < 0) || (r = get(s->fd, caps, caps_len, e)) < 0)
		return r;
	struct file_xattr xattr = { .name = name, .value = caps, .len = caps_len };
	n.path = path;
	n.target = S_ISLNK(n.mode) ? target : NULL;
	n.link = link;
	n.xattrs = caps_len ? &xattr : NULL;
	n.n_xattrs = caps_len > 0;
	s->end = 0;
	s->is_at_end = link || !S_ISREG(n.mode);
	n.next = s->is_at_end ? NULL : next_piece;
	r = sink->put(sink, &n, e);
	if (r == 0 && !s->is_at_end) /* of a file that the sink has left out, or has enough of */
		r = err_set(e, EPROTO, "\"%.200s\" has more than its size", path);
	return r;
}

int files_unstream(int fd, const char *as, struct file_sink *sink, struct err *e)
{
	_cleanup_free_ struct reader *s = calloc(1, sizeof(*s));
	int r = s ? 0 : err_set(e, ENOMEM, "out of memory");

	if (s)
		s->fd = fd;
	while (r == 0)
		r = take_node(s, as, sink, e);
	return MIN(r, 0);
}
