/* Writing the log.
 *
 * Theory: bytes of a stream gather in `part` until a newline or until LOG_CHUNK bytes are there; then they become one record
 * in `batch`. A batch is written with one write() per call of log_file_add, earlier when it is large or when the file has to be
 * rotated: so a record is never split over two files, and a file never grows beyond max_bytes (but for a single record that is
 * larger). Memory is bounded: two parts of LOG_CHUNK, and a batch of BATCH_MAX plus one record.
 *
 * Rotation renames path -> path.1 -> path.2 ...; readers that hold the old file open go on reading it, and find their place by
 * its inode (logs.c). The one writer is the monitor. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log_file.h"

#define BATCH_MAX (64u << 10)

struct log_file {
	char *path;
	int fd;
	uint64_t size, max_bytes;
	uint32_t files;
	struct buf part[2], batch;
	bool told;
};

/* A crash may have left half a record at the end: a newline makes it a line of its own, which readers skip. */
static int mend_tail(struct log_file *l)
{
	char last;

	if (l->size == 0 || pread(l->fd, &last, 1, (off_t)l->size - 1) != 1 || last == '\n')
		return 0;
	int r = fd_write_full(l->fd, "\n", 1);
	if (r == 0)
		l->size++;
	return r;
}

static int open_current(struct log_file *l)
{
	struct stat st;

	l->fd = open(l->path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (l->fd < 0 || fstat(l->fd, &st) < 0)
		return -errno;
	l->size = (uint64_t)st.st_size;
	return mend_tail(l);
}

int log_file_open(const char *path, uint64_t max_bytes, uint32_t files, struct log_file **ret, struct err *e)
{
	_cleanup_(log_file_close_ptr) struct log_file *l = calloc(1, sizeof(*l));

	if (!l)
		return err_set(e, ENOMEM, "log %s: out of memory", path);
	l->fd = -1;
	l->max_bytes = max_bytes;
	l->files = MAX(files, 1u);
	l->path = strdup(path);
	int r = l->path ? open_current(l) : -ENOMEM;
	if (r < 0)
		return err_set(e, -r, "log %s: %s", path, strerror(-r));
	*ret = TAKE_PTR(l);
	return 0;
}

void log_file_close(struct log_file *l)
{
	if (!l)
		return;
	fd_close(l->fd);
	buf_done(&l->part[0]);
	buf_done(&l->part[1]);
	buf_done(&l->batch);
	free(l->path);
	free(l);
}

static void tell(struct log_file *l, const char *what, int error)
{
	if (!l->told)
		log_warn("log", "%s %s: %s; output is lost from the log until it works again", what, l->path, strerror(error));
	l->told = true;
}

static void write_batch(struct log_file *l)
{
	if (l->batch.failed) {
		tell(l, "gather lines for", ENOMEM);
	} else if (l->batch.len) {
		int r = fd_write_full(l->fd, l->batch.data, l->batch.len);
		struct stat st;
		if (r < 0)
			tell(l, "write", -r);
		else
			l->told = false;
		/* A write that failed half-way has written something. */
		l->size = r == 0 ? l->size + l->batch.len : fstat(l->fd, &st) == 0 ? (uint64_t)st.st_size : l->size;
		if (r < 0 && (r = mend_tail(l)) < 0)
			log_debug("log", "%s: end the torn line: %s", l->path, strerror(-r));
	}
	l->batch.len = 0;
	l->batch.failed = false;
}

static void rotate(struct log_file *l)
{
	int r = 0;

	for (uint32_t i = l->files - 1; i >= 1 && r == 0; i--) {
		_cleanup_free_ char *from = i > 1 ? str_fmt("%s.%u", l->path, i - 1) : strdup(l->path);
		_cleanup_free_ char *to = str_fmt("%s.%u", l->path, i);
		if (!from || !to)
			r = -ENOMEM;
		else if (rename(from, to) < 0 && errno != ENOENT)
			r = -errno;
	}
	if (r == 0 && l->files == 1 && unlink(l->path) < 0 && errno != ENOENT)
		r = -errno;
	if (r == 0) {
		int old = l->fd;
		r = open_current(l);
		if (r == 0) {
			fd_close(old);
			return;
		}
		fd_close(l->fd);
		l->fd = old;
	}
	/* The cap holds even when the disk doesn't let us rename: what was logged goes, what comes is kept. */
	tell(l, "rotate", -r);
	if (ftruncate(l->fd, 0) == 0)
		l->size = 0;
}

/* The JSON string's body. What is not UTF-8 becomes U+FFFD, as docker's logger has it. */
static void add_escaped(struct buf *b, const char *p, size_t n)
{
	size_t plain = 0;

	for (size_t i = 0; i < n;) {
		unsigned char c = (unsigned char)p[i];
		int len = c < 0x80 ? 1 : utf8_len(p + i, n - i);
		if (len >= 1 && c >= 0x20 && c != '"' && c != '\\') {
			i += (size_t)len;
			continue;
		}
		buf_add(b, p + plain, i - plain);
		if (len < 1)
			buf_str(b, "\\ufffd");
		else if (c == '"' || c == '\\')
			buf_fmt(b, "\\%c", c);
		else if (c == '\n')
			buf_str(b, "\\n");
		else if (c == '\r')
			buf_str(b, "\\r");
		else if (c == '\t')
			buf_str(b, "\\t");
		else
			buf_fmt(b, "\\u%04x", (unsigned)c);
		plain = ++i;
	}
	buf_add(b, p + plain, n - plain);
}

static void add_record(struct log_file *l, int stream, const char *p, size_t n, const char *stamp)
{
	struct buf *b = &l->batch;
	size_t start = b->len;

	buf_str(b, "{\"log\":\"");
	add_escaped(b, p, n);
	buf_fmt(b, "\",\"stream\":\"%s\",\"time\":\"%s\"}\n", stream == 2 ? "stderr" : "stdout", stamp);
	if (b->failed || !l->max_bytes || l->size + b->len <= l->max_bytes || l->size + start == 0) {
		if (b->len >= BATCH_MAX)
			write_batch(l);
		return;
	}
	/* This record is too much for the file: what came before it belongs to the old one, it to the next. */
	struct buf last = { 0 };
	buf_add(&last, b->data + start, b->len - start);
	b->len = start;
	write_batch(l);
	rotate(l);
	buf_add(&l->batch, last.data, last.len);
	l->batch.failed |= last.failed;
	buf_done(&last);
}

/* Where to cut a line that is too long: not inside a character. */
static size_t chunk_end(const char *p, size_t n)
{
	for (size_t back = 1; back <= 3 && back < n; back++) {
		unsigned char c = (unsigned char)p[n - back];
		if (c >= 0xC0)
			return utf8_len(p + n - back, back) < 0 ? n - back : n;
		if (c < 0x80)
			break;
	}
	return n;
}

void log_file_add(struct log_file *l, int stream, const char *p, size_t n)
{
	struct buf *part = &l->part[stream == 2];
	char stamp[RFC3339_LEN];

	clock_rfc3339(clock_real_ns(), stamp);
	while (n > 0) {
		const char *nl = memchr(p, '\n', MIN(n, (size_t)LOG_CHUNK - part->len));
		size_t take = nl ? (size_t)(nl - p) + 1 : MIN(n, (size_t)LOG_CHUNK - part->len);
		if (nl && part->len == 0) { /* the usual case: no copy */
			add_record(l, stream, p, take, stamp);
		} else {
			buf_add(part, p, take);
			if (part->failed) {
				tell(l, "gather lines for", ENOMEM);
				buf_done(part);
			} else if (nl || part->len == LOG_CHUNK) {
				size_t end = nl ? part->len : chunk_end(part->data, part->len);
				add_record(l, stream, part->data, end, stamp);
				buf_consume(part, end);
			}
		}
		p += take;
		n -= take;
	}
	write_batch(l);
}

void log_file_end(struct log_file *l, int stream)
{
	struct buf *part = &l->part[stream == 2];
	char stamp[RFC3339_LEN];

	if (part->len)
		add_record(l, stream, part->data, part->len, clock_rfc3339(clock_real_ns(), stamp));
	part->len = 0;
	write_batch(l);
}
