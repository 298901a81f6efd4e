/* A stream becomes nodes again, each judged before the sink sees it: whoever writes it may be hostile. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "files_diff.h"
#include "files_stream.h"
#include "files_wire.h"

static uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static uint32_t get32(const uint8_t *p) { return get16(p) | (uint32_t)get16(p + 2) << 16; }
static uint64_t get64(const uint8_t *p) { return get32(p) | (uint64_t)get32(p + 4) << 32; }

static int get(int fd, void *p, size_t n, struct err *e)
{
	ssize_t k = fd_read_full(fd, p, n);

	if (k < 0)
		return err_set(e, (int)-k, "read from the other side: %s", strerror((int)-k));
	return k == (ssize_t)n ? 0 : err_set(e, EPIPE, "the other side has ended too early");
}

/* ---- the head ---- */

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

/* ---- nodes ---- */

struct reader {
	int fd;
	enum stream_kind kind;
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

static void free_xattrs(struct file_node *n)
{
	for (size_t i = 0; i < n->n_xattrs; i++) {
		free(n->xattrs[i].name);
		free(n->xattrs[i].value);
	}
	free(n->xattrs);
}

/* *room: how many bytes of attributes this node may still have. */
static int get_xattr(struct reader *s, struct file_xattr *x, size_t *room, struct err *e)
{
	const enum walk_xattrs which = s->kind == STREAM_LAYER ? WALK_XATTRS_LAYER : WALK_XATTRS_CAPABILITY;
	uint8_t b[XATTR_LEN];
	int r = get(s->fd, b, sizeof(b), e);
	size_t len = get16(b);

	if (r < 0)
		return r;
	x->len = get32(b + 2);
	if (len == 0 || len > NAME_MAX || x->len > XATTR_MAX || len + x->len > *room)
		return err_set(e, EPROTO, "the other side sends an attribute that can't be");
	*room -= len + x->len;
	x->name = calloc(1, len + 1);
	x->value = malloc(x->len + 1);
	if (!x->name || !x->value)
		return err_set(e, ENOMEM, "out of memory");
	if ((r = get(s->fd, x->name, len, e)) < 0 || (r = get(s->fd, x->value, x->len, e)) < 0)
		return r;
	if (strlen(x->name) != len || !files_xattr_is_wanted(which, x->name))
		return err_set(e, EPROTO, "the other side sends the attribute \"%.60s\", for which it was not asked", x->name);
	return 0;
}

/* free_xattrs, also on failure. */
static int get_xattrs(struct reader *s, size_t count, struct file_node *n, struct err *e)
{
	size_t room = XATTRS_LEN;
	int r = 0;

	if (count == 0)
		return 0;
	if (count > XATTRS_MAX || s->kind == STREAM_CHANGES)
		return err_set(e, EPROTO, "the other side sends attributes that can't be");
	if (!(n->xattrs = calloc(count, sizeof(*n->xattrs))))
		return err_set(e, ENOMEM, "out of memory");
	while (r == 0 && n->n_xattrs < count)
		r = get_xattr(s, &n->xattrs[n->n_xattrs++], &room, e);
	return r;
}

/* What kind of node there can be, by its mode, and that no other number of it is false. */
static bool can_be(const struct reader *s, const struct file_node *n, size_t target_len)
{
	if (s->kind == STREAM_CHANGES)
		return change_is_known(n->mode) && target_len == 0;
	switch (n->mode & S_IFMT) {
	case S_IFDIR:
		if (n->size > (s->kind == STREAM_LAYER))
			return false;
		break;
	case S_IFREG:
	case S_IFLNK:
	case S_IFIFO:
	case S_IFSOCK:
		if (n->size > INT64_MAX)
			return false;
		break;
	case S_IFCHR:
	case S_IFBLK: break;
	default: return false;
	}
	return n->uid != UINT32_MAX && n->gid != UINT32_MAX && (target_len > 0) == S_ISLNK(n->mode) &&
	       !(n->mode & ~(S_IFMT | 07777u));
}

static void read_size(struct file_node *n)
{
	uint64_t v = n->size;

	n->size = S_ISREG(n->mode) ? v : 0;
	n->is_opaque = S_ISDIR(n->mode) && v;
	if (S_ISCHR(n->mode) || S_ISBLK(n->mode))
		n->rdev = makedev((unsigned)(v >> 32), (unsigned)(v & UINT32_MAX));
}

static int take_end(struct reader *s, uint64_t no, size_t len, struct err *e)
{
	char text[TEXT_MAX] = "";
	int r = len < sizeof(text) ? get(s->fd, text, len, e) : err_set(e, EPROTO, "an error that is too long");

	if (r < 0)
		return r;
	return no ? err_set(e, no < 4096 ? (int)no : EIO, "%s", text) : 1;
}

/* 1: the end. */
static int take_node(struct reader *s, const char *as, struct file_sink *sink, struct err *e)
{
	uint8_t b[NODE_LEN];
	char target[TEXT_MAX] = "";
	_cleanup_free_ char *path = NULL, *link = NULL;
	int r = get(s->fd, b, sizeof(b), e);

	if (r < 0)
		return r;
	size_t path_len = get16(b + 32), target_len = get16(b + 34), link_len = get16(b + 36);
	_cleanup_(free_xattrs) struct file_node n = { .mode = get32(b),
						      .uid = get32(b + 4),
						      .gid = get32(b + 8),
						      .mtime = { (time_t)get64(b + 16),
								 get32(b + 12) < 1000000000 ? get32(b + 12) : 0 },
						      .size = get64(b + 24),
						      .from = s };
	if (n.mode == 0)
		return take_end(s, n.size, path_len, e);
	if (target_len >= sizeof(target) || !can_be(s, &n, target_len))
		return err_set(e, EPROTO, "the other side sends a node that can't be");
	if ((r = get_path(s, path_len, as, &path, e)) < 0 || (r = get(s->fd, target, target_len, e)) < 0 ||
	    (link_len && (r = get_path(s, link_len, as, &link, e)) < 0) || (r = get_xattrs(s, get16(b + 38), &n, e)) < 0)
		return r;
	if (strlen(target) != target_len)
		return err_set(e, EPROTO, "the other side sends a link whose target can't be");
	read_size(&n);
	n.path = path;
	n.target = S_ISLNK(n.mode) ? target : NULL;
	n.link = link;
	s->end = 0;
	s->is_at_end = link || !S_ISREG(n.mode);
	n.next = s->is_at_end ? NULL : next_piece;
	r = sink->put(sink, &n, e);
	if (r == 0 && !s->is_at_end) /* of a file that the sink has left out, or has enough of */
		r = err_set(e, EPROTO, "\"%.200s\" has more than its size", path);
	return r;
}

int files_unstream(int fd, enum stream_kind kind, const char *as, struct file_sink *sink, struct err *e)
{
	_cleanup_free_ struct reader *s = calloc(1, sizeof(*s));
	int r = s ? 0 : err_set(e, ENOMEM, "out of memory");

	if (s) {
		s->fd = fd;
		s->kind = kind;
	}
	for (unsigned n = 0; r == 0; n++)
		r = n <= STREAM_NODES_MAX ? take_node(s, as, sink, e)
					  : err_set(e, E2BIG, "the other side sends more than %u files", STREAM_NODES_MAX);
	return MIN(r, 0);
}
