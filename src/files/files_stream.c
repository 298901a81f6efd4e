/* Nodes become a stream: see files_stream.h. */
#include "files_stream.h"

#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "files_wire.h"

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
static int put(int fd, const void *p, size_t n, struct err *e)
{
	int r = fd_write_full(fd, p, n);

	return r < 0 ? err_set(e, -r, "write to the other side: %s", strerror(-r)) : 0;
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

/* What else is to be said of a node by a number. */
static uint64_t size_of(const struct file_node *n)
{
	if (S_ISCHR(n->mode) || S_ISBLK(n->mode))
		return (uint64_t)major(n->rdev) << 32 | minor(n->rdev);
	return S_ISDIR(n->mode) ? n->is_opaque : n->size;
}

static int put_xattr(struct stream_sink *s, const struct file_xattr *x, struct err *e)
{
	size_t len = strlen(x->name);
	uint8_t b[XATTR_LEN];
	int r;

	put16(b, len);
	put32(b + 2, x->len);
	r = put(s->fd, b, sizeof(b), e);
	if (r == 0)
		r = put(s->fd, x->name, len, e);
	return r < 0 ? r : put(s->fd, x->value, x->len, e);
}

static int check_xattrs(const struct file_node *n, struct err *e)
{
	size_t sum = 0;

	for (size_t i = 0; i < n->n_xattrs; i++)
		sum += strlen(n->xattrs[i].name) + n->xattrs[i].len;
	return n->n_xattrs > XATTRS_MAX || sum > XATTRS_LEN
		       ? err_set(e, E2BIG, "\"%.200s\" has more than %u attributes, or %u bytes of them", n->path, XATTRS_MAX,
				 XATTRS_LEN)
		       : 0;
}

static bool is_device(const struct file_node *n) { return S_ISCHR(n->mode) || S_ISBLK(n->mode) || S_ISSOCK(n->mode); }

static int stream_put(struct file_sink *base, const struct file_node *n, struct err *e)
{
	struct stream_sink *s = container_of(base, struct stream_sink, base);
	const char *texts[] = { n->path, n->target ? n->target : "", n->link ? n->link : "" };
	uint8_t b[NODE_LEN];
	int r;

	if (s->leaves_devices_out && is_device(n)) {
		base->skipped++;
		log_warn("cp", "%s %s is not copied", S_ISSOCK(n->mode) ? "socket" : "device", n->path);
		return 0;
	}
	if ((r = check_xattrs(n, e)) < 0)
		return r;
	put32(b, n->mode);
	put32(b + 4, n->uid);
	put32(b + 8, n->gid);
	put32(b + 12, (uint64_t)n->mtime.tv_nsec);
	put64(b + 16, (uint64_t)n->mtime.tv_sec);
	put64(b + 24, size_of(n));
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (strlen(texts[i]) >= TEXT_MAX)
			return err_set(e, ENAMETOOLONG, "\"%.60s...\" is too long", texts[i]);
		put16(b + 32 + 2 * i, strlen(texts[i]));
	}
	put16(b + 38, n->n_xattrs);
	base->nodes++;
	r = put(s->fd, b, sizeof(b), e);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(texts); i++)
		r = put(s->fd, texts[i], strlen(texts[i]), e);
	for (size_t i = 0; r == 0 && i < n->n_xattrs; i++)
		r = put_xattr(s, &n->xattrs[i], e);
	return r < 0 || !n->next || n->link || !S_ISREG(n->mode) ? r : put_content(s, n, e);
}

void stream_sink_init(struct stream_sink *s, int fd) { *s = (struct stream_sink){ .base = { .put = stream_put }, .fd = fd }; }
