/* filelist: see filelist.h. The writer's and the reader's side of one format, side by side. */
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "filelist.h"

void file_hash_init(struct file_hash *h, bool is_sparse)
{
	sha256_init(&h->sha);
	h->is_sparse = is_sparse;
	h->is_dirty = false;
	h->block = 0;
}

static void block_done(struct file_hash *h)
{
	uint8_t le[8];

	if (!h->is_dirty)
		return;
	h->is_dirty = false;
	if (h->fill[0] == 0 && memcmp(h->fill, h->fill + 1, sizeof(h->fill) - 1) == 0)
		return;
	for (int i = 0; i < 8; i++)
		le[i] = (uint8_t)(h->block >> (8 * i));
	sha256_update(&h->sha, sizeof(le), le);
	sha256_update(&h->sha, sizeof(h->fill), h->fill);
}

void file_hash_add(struct file_hash *h, uint64_t off, const void *p, size_t n)
{
	const uint8_t *from = p;

	if (!h->is_sparse) {
		sha256_update(&h->sha, n, p);
		return;
	}
	while (n > 0) {
		uint64_t block = off - off % FILELIST_BLOCK;
		size_t at = (size_t)(off - block), take = MIN(n, FILELIST_BLOCK - at);
		if (block != h->block)
			block_done(h);
		if (!h->is_dirty) {
			memset(h->fill, 0, sizeof(h->fill));
			h->block = block;
			h->is_dirty = true;
		}
		memcpy(h->fill + at, from, take);
		off += take;
		from += take;
		n -= take;
	}
}

void file_hash_finish(struct file_hash *h, char ret_hex[65])
{
	uint8_t sum[SHA256_DIGEST_SIZE];

	if (h->is_sparse)
		block_done(h);
	sha256_digest(&h->sha, sizeof(sum), sum);
	str_hex(sum, sizeof(sum), ret_hex);
}

static void add_escaped(struct buf *b, const char *s)
{
	while (*s) {
		size_t n = strcspn(s, "\\\t\n");
		buf_add(b, s, n);
		s += n;
		if (*s)
			buf_fmt(b, "\\%03o", (unsigned char)*s++);
	}
}

void file_line_add(struct buf *b, const struct file_line *l)
{
	buf_fmt(b, "%c %o %u %u ", l->type, l->mode, l->uid, l->gid);
	if (l->type == 'c' || l->type == 'b')
		buf_fmt(b, "%u:%u", major(l->size), minor(l->size));
	else
		buf_fmt(b, "%llu", (unsigned long long)l->size);
	buf_fmt(b, " %s ", l->sha ? l->sha : "-");
	add_escaped(b, l->path);
	if (l->target) {
		buf_add(b, "\t", 1);
		add_escaped(b, l->target);
	}
	buf_add(b, "\n", 1);
}

static int unescape(char *s)
{
	char *to = s;

	for (; *s; to++) {
		if (*s != '\\') {
			*to = *s++;
			continue;
		}
		unsigned v = 0;
		for (int i = 1; i <= 3; i++) {
			if (s[i] < '0' || s[i] > '7')
				return -EBADMSG;
			v = v * 8 + (unsigned)(s[i] - '0');
		}
		if (v == 0 || v > 255)
			return -EBADMSG;
		*to = (char)v;
		s += 4;
	}
	*to = '\0';
	return 0;
}

static int number(char **at, int base, char end, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;
	char *s = *at;

	if (*s == end)
		return -EBADMSG;
	for (; *s >= '0' && *s < '0' + base; s++) {
		if (v > (max - (uint64_t)(*s - '0')) / (uint64_t)base)
			return -EBADMSG;
		v = v * (uint64_t)base + (uint64_t)(*s - '0');
	}
	if (*s != end)
		return -EBADMSG;
	*at = s + 1;
	*ret = v;
	return 0;
}

int file_line_parse(char *text, struct file_line *ret)
{
	struct file_line l = { .type = text[0] };
	uint64_t mode, uid, gid, ma, mi;
	char *at = text + 2, *tab;

	if (!text[0] || !strchr("fsdilhcbpwox", text[0]) || text[1] != ' ')
		return -EBADMSG;
	if (number(&at, 8, ' ', 07777, &mode) < 0 || number(&at, 10, ' ', UINT32_MAX, &uid) < 0 ||
	    number(&at, 10, ' ', UINT32_MAX, &gid) < 0)
		return -EBADMSG;
	if (l.type == 'c' || l.type == 'b') {
		if (number(&at, 10, ':', UINT32_MAX, &ma) < 0 || number(&at, 10, ' ', UINT32_MAX, &mi) < 0)
			return -EBADMSG;
		l.size = makedev((unsigned)ma, (unsigned)mi);
	} else if (number(&at, 10, ' ', UINT64_MAX, &l.size) < 0) {
		return -EBADMSG;
	}
	l.mode = (uint32_t)mode;
	l.uid = (uint32_t)uid;
	l.gid = (uint32_t)gid;
	if (at[0] == '-' && at[1] == ' ') {
		at += 2;
	} else {
		if (strspn(at, "0123456789abcdef") != 64 || at[64] != ' ')
			return -EBADMSG;
		l.sha = at;
		at[64] = '\0';
		at += 65;
	}
	l.path = at;
	if ((tab = strchr(at, '\t'))) {
		*tab++ = '\0';
		l.target = tab;
		if (unescape(tab) < 0)
			return -EBADMSG;
	}
	if (!*at || unescape(at) < 0)
		return -EBADMSG;
	*ret = l;
	return 0;
}
