/* Downloading blobs. Called by layers.c (many at once) and pull.c (the config). The state diagram is in download.h. */
#include "download.h"

#include <sys/file.h>
#include <unistd.h>

#define REHASH_STEP (8u << 20) /* bytes hashed per step: a few ms */

static void part_name(const struct blob *b, char ret[128]) { snprintf(ret, 128, "tmp/sha256-%s.part", digest_hex(b->digest)); }

static void blob_name(const char *digest, char ret[128]) { snprintf(ret, 128, "oci/blobs/sha256/%s", digest_hex(digest)); }

void blob_init(struct blob *b, struct registry *reg, int rootfd, const char *digest, uint64_t size, const char *what)
{
	*b = (struct blob){ .reg = reg, .rootfd = rootfd, .digest = digest, .size = size, .what = what, .fd = -1 };
}

void blob_done(struct blob *b)
{
	char name[128];

	exchange_done(&b->x);
	if (b->state == BLOB_FETCH && b->len == 0 && b->fd >= 0) { /* nothing came: nothing to resume */
		part_name(b, name);
		if (unlinkat(b->rootfd, name, 0) < 0)
			log_debug("pull", "remove ROOT/%s: %s", name, strerror(errno));
	}
	EVP_MD_CTX_free(b->hash);
	b->hash = NULL;
	b->fd = fd_close(b->fd);
}

/* ---- finding and locking ---- */

/* 1: the finished blob is there (opened); 0: not. One of the wrong size is damaged and removed. */
static int open_present(struct blob *b, struct err *e)
{
	char name[128];
	struct stat st;
	_cleanup_fd_ int fd = -1;

	blob_name(b->digest, name);
	fd = openat(b->rootfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, errno, "open blob %s: %s", b->digest, strerror(errno));
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != b->size) {
		if (unlinkat(b->rootfd, name, 0) < 0)
			return err_set(e, errno, "remove the damaged blob %s: %s", b->digest, strerror(errno));
		return 0;
	}
	fd_close(b->fd);
	b->fd = TAKE_FD(fd);
	b->len = b->size;
	b->state = BLOB_PRESENT;
	return 1;
}

/* 1: fd is the .part that the name leads to, locked by us; 0: somebody else's, or gone meanwhile. */
static int lock_part(struct blob *b, struct err *e)
{
	char name[128];
	struct stat mine, named;
	_cleanup_fd_ int fd = -1;

	part_name(b, name);
	fd = openat(b->rootfd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(e, errno, "make ROOT/%s: %s", name, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? 0 : err_set(e, errno, "lock ROOT/%s: %s", name, strerror(errno));
	if (fstat(fd, &mine) < 0 || fstatat(b->rootfd, name, &named, AT_SYMLINK_NOFOLLOW) < 0 || mine.st_ino != named.st_ino)
		return 0; /* its owner finished and renamed it before we had the lock */
	fd_close(b->fd);
	b->fd = TAKE_FD(fd);
	b->part_len = (uint64_t)mine.st_size;
	return 1;
}

/* From what the .part holds: nothing hashed yet. */
static int begin_anew(struct blob *b, struct err *e)
{
	if (!b->hash)
		b->hash = EVP_MD_CTX_new();
	if (!b->hash || EVP_DigestInit_ex(b->hash, EVP_sha256(), NULL) != 1)
		return err_set(e, ENOMEM, "out of memory");
	if (b->part_len > b->size) {
		if (ftruncate(b->fd, 0) < 0)
			return err_set(e, errno, "truncate the download of %s: %s", b->what, strerror(errno));
		b->part_len = 0;
	}
	b->len = 0;
	b->skip = 0;
	b->has_old_bytes = b->part_len > 0;
	b->state = BLOB_REHASH;
	return 0;
}

static int step_new(struct blob *b, struct err *e)
{
	uint64_t now = clock_mono_us();
	int r;

	if (now < b->lock_next_us)
		return 0;
	b->lock_next_us = now + BLOB_LOCK_MS * 1000;
	r = open_present(b, e);
	if (r != 0)
		return r;
	r = lock_part(b, e);
	if (r <= 0)
		return r;
	/* Between the look and the lock another process may have finished. */
	r = open_present(b, e);
	if (r > 0) {
		char name[128];

		part_name(b, name);
		if (unlinkat(b->rootfd, name, 0) < 0)
			log_debug("pull", "remove ROOT/%s: %s", name, strerror(errno));
		return r;
	}
	return r < 0 ? r : begin_anew(b, e);
}

/* ---- bytes ---- */

static int step_rehash(struct blob *b, struct err *e)
{
	_cleanup_free_ char *chunk = NULL;
	size_t want = MIN(b->part_len - b->len, (uint64_t)REHASH_STEP);
	ssize_t n;

	if (want == 0) {
		b->state = BLOB_FETCH;
		return 0;
	}
	chunk = malloc(want);
	if (!chunk)
		return err_set(e, ENOMEM, "out of memory");
	n = pread(b->fd, chunk, want, (off_t)b->len);
	if (n <= 0)
		return err_set(e, n < 0 ? errno : EIO, "read the download of %s: %s", b->what,
			       n < 0 ? strerror(errno) : "it shrank");
	if (EVP_DigestUpdate(b->hash, chunk, (size_t)n) != 1)
		return err_set(e, EIO, "hash %s: OpenSSL fails", b->what);
	b->len += (uint64_t)n;
	return 0;
}

static int on_begin(struct http_req *q, void *arg)
{
	struct blob *b = arg;
	uint64_t from = 0;

	if (q->status == 206) {
		if (q->content_range_from < 0 || (uint64_t)q->content_range_from > b->len)
			return err_set(&b->sink_err, EPROTO, "%s: the registry answers with another range than asked for",
				       b->what);
		from = (uint64_t)q->content_range_from;
	}
	b->skip = b->len - from; /* an answer from the start repeats what is there */
	if (q->content_length >= 0 && from + (uint64_t)q->content_length != b->size)
		return err_set(&b->sink_err, EBADMSG, "%s: the registry offers %llu bytes, its manifest says %llu", b->what,
			       (unsigned long long)(from + (uint64_t)q->content_length), (unsigned long long)b->size);
	return 0;
}

static int on_body(const void *p, size_t n, void *arg)
{
	struct blob *b = arg;
	size_t skip = MIN(b->skip, (uint64_t)n);
	const char *bytes = p;
	int r;

	b->skip -= skip;
	bytes += skip;
	n -= skip;
	if (n == 0)
		return 0;
	if (n > b->size - b->len)
		return err_set(&b->sink_err, EBADMSG, "%s: the registry sends more than the %llu bytes its manifest says",
			       b->what, (unsigned long long)b->size);
	for (size_t done = 0; done < n;) {
		ssize_t k = pwrite(b->fd, bytes + done, n - done, (off_t)(b->len + done));

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0) {
			r = -errno;
			/* What of this piece came to rest is not hashed: a later rehash reads what the file holds. */
			return err_set(&b->sink_err, -r, "write %s: %s", b->what, strerror(-r));
		}
		done += (size_t)k;
	}
	if (EVP_DigestUpdate(b->hash, bytes, n) != 1)
		return err_set(&b->sink_err, EIO, "hash %s: OpenSSL fails", b->what);
	b->len += n;
	return 0;
}

static uint64_t offset(void *arg)
{
	const struct blob *b = arg;

	return b->len;
}

/* All bytes are here: do they hash to the digest? 1, 0 = begun anew, or -errno. */
static int judge_bytes(struct blob *b, struct err *e)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	char hex[65];
	unsigned n;

	exchange_done(&b->x);
	if (EVP_DigestFinal_ex(b->hash, sum, &n) != 1 || n != 32)
		return err_set(e, EIO, "hash %s: OpenSSL fails", b->what);
	if (streq(str_hex(sum, n, hex), digest_hex(b->digest))) {
		b->state = BLOB_WHOLE;
		return 1;
	}
	if (ftruncate(b->fd, 0) < 0)
		return err_set(e, errno, "truncate the download of %s: %s", b->what, strerror(errno));
	if (!b->has_old_bytes || b->is_fresh_try) {
		blob_discard(b);
		return err_set(e, EBADMSG,
			       "registry %s sent other bytes for %s than its manifest names: wanted %s, got sha256:%s",
			       b->reg->domain, b->what, b->digest, hex);
	}
	log_debug("pull", "%s: what an earlier try left is damaged, from the start again", b->what);
	b->is_fresh_try = true;
	b->generation++;
	b->part_len = 0;
	return begin_anew(b, e);
}

static int step_fetch(struct blob *b, struct err *e)
{
	int r;

	if (b->len == b->size)
		return judge_bytes(b, e);
	if (b->x.state == EXCHANGE_IDLE) {
		if (!b->may_fetch)
			return 0;
		b->x = (struct exchange){
			.reg = b->reg, .what = b->what, .offset = offset, .begin = on_begin, .body = on_body, .arg = b
		};
		b->x.url = registry_url(b->reg, "blobs", b->digest);
		if (!b->x.url)
			return err_set(e, ENOMEM, "out of memory");
		return exchange_start(&b->x, e);
	}
	r = exchange_step(&b->x, e);
	if (r < 0 && b->sink_err.no) {
		*e = b->sink_err;
		if (r == -EBADMSG || r == -ENOSPC || r == -EDQUOT)
			blob_discard(b);
		return r;
	}
	if (r <= 0)
		return r;
	if (b->len < b->size) /* an answer without a length that ended early; the next pull resumes */
		return err_set(e, EIO, "%s: the registry sent %llu bytes, its manifest says %llu", b->what,
			       (unsigned long long)b->len, (unsigned long long)b->size);
	return judge_bytes(b, e);
}

int blob_step(struct blob *b, struct err *e)
{
	switch (b->state) {
	case BLOB_NEW: return step_new(b, e);
	case BLOB_REHASH: return step_rehash(b, e);
	case BLOB_FETCH: return step_fetch(b, e);
	case BLOB_WHOLE:
	case BLOB_PRESENT: break;
	}
	return 1;
}

int blob_wait_ms(const struct blob *b)
{
	switch (b->state) {
	case BLOB_NEW: return BLOB_LOCK_MS;
	case BLOB_REHASH: return 0;
	case BLOB_FETCH:
		if (b->len == b->size)
			return 0;
		if (b->x.state == EXCHANGE_IDLE)
			return b->may_fetch ? 0 : -1;
		return exchange_wait_ms(&b->x);
	case BLOB_WHOLE:
	case BLOB_PRESENT: break;
	}
	return -1;
}

int blob_commit(struct blob *b, struct err *e)
{
	char from[128], to[128];

	part_name(b, from);
	blob_name(b->digest, to);
	if (fchmod(b->fd, 0644) < 0 || renameat(b->rootfd, from, b->rootfd, to) < 0)
		return err_set(e, errno, "put blob %s in place: %s", b->digest, strerror(errno));
	b->state = BLOB_PRESENT;
	return 0;
}

int blob_replace(struct blob *b, struct err *e)
{
	char name[128];

	blob_name(b->digest, name);
	if (unlinkat(b->rootfd, name, 0) < 0 && errno != ENOENT)
		return err_set(e, errno, "remove the damaged blob %s: %s", b->digest, strerror(errno));
	b->fd = fd_close(b->fd);
	b->len = 0;
	b->generation++;
	b->lock_next_us = 0;
	b->state = BLOB_NEW;
	return 0;
}

void blob_discard(struct blob *b)
{
	char name[128];

	if (b->state == BLOB_NEW || b->state == BLOB_PRESENT)
		return;
	part_name(b, name);
	if (unlinkat(b->rootfd, name, 0) < 0 && errno != ENOENT)
		log_debug("pull", "remove ROOT/%s: %s", name, strerror(errno));
	blob_done(b);
	b->len = 0;
	b->lock_next_us = 0;
	b->state = BLOB_NEW;
}
