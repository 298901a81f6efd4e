/* upload: see upload.h. Called by push.c. */
#include "upload.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec.h"
#include "reg_url.h"

void upload_init(struct upload *u, struct registry *reg, int rootfd, const char *digest, uint64_t size, const char *what,
		 const char *mount_from)
{
	*u = (struct upload){
		.reg = reg, .rootfd = rootfd, .digest = digest, .size = size, .what = what, .mount_from = mount_from, .fd = -1
	};
	retry_start(&u->retry, clock_mono_us(), reg->stall_ms);
}

void upload_done(struct upload *u)
{
	exchange_done(&u->x);
	EVP_MD_CTX_free(u->hash);
	u->hash = NULL;
	u->fd = fd_close(u->fd);
	free_ptr(&u->location);
}

/* ---- the blob ---- */

static int open_blob(struct upload *u, struct err *e)
{
	char path[96];
	struct stat st;

	if (u->fd >= 0)
		return 0;
	snprintf(path, sizeof(path), "oci/blobs/sha256/%s", digest_hex(u->digest));
	u->fd = openat(u->rootfd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (u->fd < 0 || fstat(u->fd, &st) < 0)
		return err_set(e, errno, "blob %s is not in the store: %s", u->digest, strerror(errno));
	if ((uint64_t)st.st_size != u->size)
		return err_set(e, EBADMSG, "blob %s is damaged in the store: it has %llu bytes of %llu; pull the image again",
			       u->digest, (unsigned long long)st.st_size, (unsigned long long)u->size);
	return 0;
}

/* Hashed once, in order; what is read again after a rewind was hashed before. */
static ssize_t read_blob(void *arg, void *p, size_t n, uint64_t at)
{
	struct upload *u = arg;
	ssize_t got = pread(u->fd, p, n, (off_t)at);

	if (got < 0)
		return -errno;
	if (got == 0 && n > 0)
		return -ENODATA; /* it became shorter */
	if (at <= u->hashed && at + (uint64_t)got > u->hashed) {
		size_t known = (size_t)(u->hashed - at);

		if (EVP_DigestUpdate(u->hash, (const char *)p + known, (size_t)got - known) != 1)
			return -ENOMEM;
		u->hashed = at + (uint64_t)got;
	}
	return got;
}

/* Once all has been read. */
static int check_hash(struct upload *u, struct err *e)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	char hex[2 * EVP_MAX_MD_SIZE + 1];
	unsigned n = 0;

	if (u->hashed < u->size)
		return 0;
	if (EVP_DigestFinal_ex(u->hash, sum, &n) != 1 || EVP_DigestInit_ex(u->hash, EVP_sha256(), NULL) != 1)
		return err_set(e, ENOMEM, "sha256: out of memory");
	u->hashed = 0;
	for (unsigned i = 0; i < n; i++)
		snprintf(hex + (size_t)2 * i, 3, "%02x", sum[i]);
	return streq(hex, digest_hex(u->digest))
		       ? 0
		       : err_set(e, EBADMSG,
				 "blob %s is damaged in the store: its bytes hash to sha256:%s; pull the "
				 "image again",
				 u->digest, hex);
}

/* ---- requests ---- */

static int ask(struct upload *u, enum http_method method, char *url, struct err *e)
{
	exchange_done(&u->x);
	u->x = (struct exchange){ .reg = u->reg, .url = url, .what = u->what, .method = method };
	return url ? exchange_start(&u->x, e) : err_set(e, ENOMEM, "out of memory");
}

static int begin(struct upload *u, struct err *e)
{
	struct registry *g = u->reg;

	u->state = UPLOAD_BEGIN;
	return ask(u, HTTP_POST,
		   u->mount_from ? str_fmt("%s/v2/%s/blobs/uploads/?mount=%s&from=%s", g->base, g->path, u->digest, u->mount_from)
				 : str_fmt("%s/v2/%s/blobs/uploads/", g->base, g->path),
		   e);
}

static int take_location(struct upload *u, struct err *e)
{
	_cleanup_free_ char *whole = NULL;
	int r;

	if (!u->x.req.location)
		return err_set(e, EPROTO, "registry %s names no place to send %s to", u->reg->domain, u->what);
	r = url_join(u->x.req.url, u->x.req.location, &whole, e);
	if (r < 0)
		return err_push(e, r, "registry %s", u->reg->domain);
	free(u->location);
	u->location = str_fmt("%s%cdigest=sha256%%3A%s", whole, strchr(whole, '?') ? '&' : '?', digest_hex(u->digest));
	return u->location ? 0 : err_set(e, ENOMEM, "out of memory");
}

/* In one piece: every registry takes that (distribution spec, "POST then PUT"). */
static int send_blob(struct upload *u, struct err *e)
{
	int r = open_blob(u, e);

	if (r < 0)
		return r;
	if (!u->hash && (!(u->hash = EVP_MD_CTX_new()) || EVP_DigestInit_ex(u->hash, EVP_sha256(), NULL) != 1))
		return err_set(e, ENOMEM, "out of memory");
	u->source = (struct http_source){ .bytes = u->size, .read = read_blob, .arg = u };
	u->state = UPLOAD_SEND;
	exchange_done(&u->x);
	u->x = (struct exchange){ .reg = u->reg,
				  .url = strdup(u->location),
				  .what = u->what,
				  .method = HTTP_PUT,
				  .source = &u->source,
				  .sent_type = "application/octet-stream",
				  .is_once = true };
	return u->x.url ? exchange_start(&u->x, e) : err_set(e, ENOMEM, "out of memory");
}

/* A bad moment while it was sent: r and e say which. */
static int retreat(struct upload *u, int r, struct err *e)
{
	uint64_t now = clock_mono_us(), delay;
	uint32_t random = 0;
	int k = check_hash(u, e);

	if (k < 0)
		return k;
	if (upload_sent_bytes(u) >= RETRY_PROGRESS_BYTES)
		retry_progressed(&u->retry, now);
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		random = (uint32_t)now;
	if (!u->x.may_try_anew || !retry_next(&u->retry, RETRY_BACKOFF, now, random, u->x.try_after_s, &delay))
		return r;
	log_debug("registry", "%s: %s; again in %llu ms", u->what, e ? e->msg : "", (unsigned long long)delay);
	if (e)
		*e = (struct err){};
	u->wait_until_us = now + delay * 1000;
	u->state = UPLOAD_PAUSE;
	exchange_done(&u->x);
	return 0;
}

/* ---- what was answered ---- */

static int asked(struct upload *u, int r, struct err *e)
{
	if (r > 0) {
		u->state = UPLOAD_THERE;
		return 1;
	}
	/* Whoever may push need not be allowed to look: what is not granted either way is said of the next request. */
	if (r != -ENOENT && r != -EACCES)
		return r;
	if (e)
		*e = (struct err){};
	return begin(u, e);
}

static int begun(struct upload *u, int r, struct err *e)
{
	if (r < 0)
		return r;
	if (u->x.req.status == 201) {
		u->state = UPLOAD_MOUNTED;
		return 1;
	}
	r = take_location(u, e);
	return r < 0 ? r : send_blob(u, e);
}

static int sent(struct upload *u, int r, struct err *e)
{
	if (r < 0)
		return retreat(u, r, e);
	r = check_hash(u, e);
	if (r < 0)
		return r;
	u->state = UPLOAD_SENT;
	return 1;
}

int upload_step(struct upload *u, struct err *e)
{
	int r;

	if (u->state >= UPLOAD_THERE)
		return 1;
	if (u->state == UPLOAD_PAUSE)
		return clock_mono_us() >= u->wait_until_us ? begin(u, e) : 0;
	if (u->x.state == EXCHANGE_IDLE)
		return ask(u, HTTP_HEAD, registry_url(u->reg, "blobs", u->digest), e);
	r = exchange_step(&u->x, e);
	if (r == 0)
		return 0;
	switch (u->state) {
	case UPLOAD_ASK: return asked(u, r, e);
	case UPLOAD_BEGIN: return begun(u, r, e);
	default: return sent(u, r, e);
	}
}

int upload_wait_ms(const struct upload *u)
{
	uint64_t now = clock_mono_us();

	if (u->state == UPLOAD_PAUSE)
		return u->wait_until_us <= now ? 0 : (int)MIN((u->wait_until_us - now) / 1000 + 1, (uint64_t)INT32_MAX);
	return exchange_wait_ms(&u->x);
}

uint64_t upload_sent_bytes(const struct upload *u)
{
	return u->state == UPLOAD_SEND ? u->x.req.sent : u->state >= UPLOAD_THERE ? u->size : 0;
}
