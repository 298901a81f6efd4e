/* Theory of operation. One process downloads, hashes and writes all layers (one libcurl multi handle); each layer is unpacked
 * by a confined child that reads the compressed bytes from a pipe. The pipe is fed by splice(2) out of the growing .part file,
 * so a slow unpacker never holds up a download and no byte is copied twice; where the blob is there already the child reads
 * the file itself. A child's work becomes visible (layer_install) only when the blob's digest and the layer's diff id are
 * both right. As layers are kept apart until overlayfs stacks them, none waits for its parent but those with directories that they only
 * imply (unpack_implied.c).
 *
 * A layer's life:
 *   LAYER_BLOB  blob_step moves the download on; meanwhile feed() and look() drive the unpacker
 *   LAYER_TAIL  the blob is whole; the unpacker has yet to end
 *   LAYER_HIGH  it waits for those below; its blob's lock is given back, as two pulls could wait for each other with it
 *   LAYER_DONE  blob and layer have their names
 *
 * Called by pull.c. */
#include "layers.h"

#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

#include "layer_tmp.h"

#define PIPE_BYTES (1 << 20)
#define DRAW_MS    100

struct layer {
	enum { LAYER_BLOB, LAYER_TAIL, LAYER_HIGH, LAYER_DONE } state;
	const char *diff_id, *digest; /* not owned; digest: the blob's */
	char chain_id[DIGEST_LEN];
	enum media_compression comp;
	char what[32];     /* "layer 0123456789ab" */
	bool is_installed; /* was unpacked before */
	struct blob blob;
	unsigned generation; /* of the blob, that the unpacker reads */
	struct unpack *unpack;
	bool is_unpacked;
	struct unpack_result result;
	bool was_damaged; /* the unpacker complained while bytes were still unverified */
	bool was_replaced;
	int pipe; /* our end; -1 = the child reads the file, or has all */
	uint64_t fed;
	char *tmp; /* ROOT/tmp/NAME */
	int dirfd;
};
struct layers {
	const struct layers_opts *o;
	struct layer *v;
	size_t n;
	struct curl_waitfd *fds; /* 2 a layer + the signalfd */
	bool is_hurried;         /* a state changed in this turn: look again before sleeping */
};

/* ---- setting up ---- */

static int layer_init(struct layers *ls, size_t i, const struct descriptor *d, const char *diff_id, struct err *e)
{
	struct layer *l = &ls->v[i];

	l->diff_id = diff_id;
	l->digest = d->digest;
	l->pipe = l->dirfd = -1;
	snprintf(l->what, sizeof(l->what), "layer %.12s", digest_hex(d->digest));
	blob_init(&l->blob, ls->o->reg, ls->o->rootfd, d->digest, d->size, l->what);
	if (media_kind(d->media_type ? d->media_type : "", &l->comp) != MEDIA_LAYER)
		return err_set(e, EPROTONOSUPPORT, "%s has the media type \"%.100s\", which is no layer of a container image",
			       l->what, d->media_type ? d->media_type : "");
	layer_chain_id(i ? ls->v[i - 1].chain_id : NULL, diff_id, l->chain_id);
	snprintf(ls->o->progress->rows[i].name, sizeof(ls->o->progress->rows[i].name), "%.12s", digest_hex(d->digest));
	ls->o->progress->rows[i].total = d->size;
	return 0;
}

static void unpack_drop(struct layer *l, int rootfd)
{
	if (l->unpack)
		unpack_free(l->unpack);
	l->unpack = NULL;
	l->pipe = fd_close(l->pipe);
	if (l->tmp) {
		layer_tmp_remove(rootfd, l->tmp);
		free_ptr(&l->tmp);
	}
	l->dirfd = fd_close(l->dirfd);
	l->fed = 0;
	l->is_unpacked = false;
}

static void layers_done(struct layers *ls)
{
	for (size_t i = 0; i < ls->n; i++) {
		unpack_drop(&ls->v[i], ls->o->rootfd);
		blob_done(&ls->v[i].blob);
	}
	free(ls->v);
	free(ls->fds);
}

/* ---- unpacking ---- */

static int unpack_begin(struct layers *ls, struct layer *l, struct err *e)
{
	_cleanup_fd_ int in = -1, out = -1;
	int p[2], r;

	r = layer_tmp_new_locked(ls->o->rootfd, &l->tmp, &l->dirfd, e);
	if (r < 0)
		return r;
	l->generation = l->blob.generation;
	l->fed = 0;
	if (l->blob.state == BLOB_WHOLE || l->blob.state == BLOB_PRESENT) {
		if (lseek(l->blob.fd, 0, SEEK_SET) < 0)
			return err_set(e, errno, "%s: %s", l->what, strerror(errno));
		return unpack_start(l->blob.fd, l->comp, l->dirfd, l->diff_id, ls->o->limits, &l->unpack, e);
	}
	if (pipe2(p, O_CLOEXEC) < 0)
		return err_set(e, errno, "pipe: %s", strerror(errno));
	in = p[0];
	out = p[1];
	/* A larger pipe only saves wake-ups; pipe-max-size may forbid it. */
	if (fcntl(out, F_SETPIPE_SZ, PIPE_BYTES) < 0)
		log_debug("pull", "pipe stays small: %s", strerror(errno));
	r = fd_nonblock(out, true);
	if (r < 0)
		return err_set(e, -r, "pipe: %s", strerror(-r));
	r = unpack_start(in, l->comp, l->dirfd, l->diff_id, ls->o->limits, &l->unpack, e);
	if (r >= 0)
		l->pipe = TAKE_FD(out);
	return r;
}

/* Gives the unpacker what has arrived, and EOF once the blob is verified: it never sees the end of an unverified blob. */
static int feed(struct layer *l, struct err *e)
{
	while (l->pipe >= 0 && l->fed < l->blob.len) {
		off_t at = (off_t)l->fed;
		size_t n = (size_t)MIN(l->blob.len - l->fed, (uint64_t)PIPE_BYTES);
		ssize_t k = splice(l->blob.fd, &at, l->pipe, NULL, n, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0 && errno == EAGAIN)
			return 0;
		if (k < 0 && errno == EPIPE) { /* it has ended; unpack_step says why */
			l->pipe = fd_close(l->pipe);
			return 0;
		}
		if (k <= 0)
			return err_set(e, k < 0 ? errno : EIO, "%s: pass it to the unpacker: %s", l->what,
				       k < 0 ? strerror(errno) : "the file shrank");
		l->fed += (uint64_t)k;
	}
	if (l->pipe >= 0 && l->state == LAYER_TAIL && l->fed == l->blob.len)
		l->pipe = fd_close(l->pipe);
	return 0;
}

/* The unpacker failed. Only its verdict on verified bytes counts: while they are unverified it is asked again once they are
 * not, and bytes that lay here before are fetched anew. */
static int unpack_failed(struct layers *ls, struct layer *l, int r, struct err *e)
{
	unpack_drop(l, ls->o->rootfd);
	if (r == -EBADMSG && l->state == LAYER_BLOB) {
		l->was_damaged = true;
		return 0;
	}
	if (r == -EBADMSG && l->blob.state == BLOB_PRESENT && !l->was_replaced) {
		log_debug("pull", "%s: the blob here is damaged: %s", l->what, e->msg);
		l->was_replaced = true;
		l->state = LAYER_BLOB;
		return blob_replace(&l->blob, e);
	}
	if (r == -EBADMSG || r == -E2BIG)
		blob_discard(&l->blob);
	return err_push(e, r, "%s", l->what);
}

static int look(struct layers *ls, struct layer *l, struct err *e)
{
	struct err why = {};
	int r;

	if (!l->unpack)
		return 0;
	r = unpack_step(l->unpack, &l->result, &why);
	if (r == 0)
		return 0;
	if (r < 0) {
		r = unpack_failed(ls, l, r, &why);
		if (r < 0)
			*e = why;
		return r;
	}
	unpack_free(l->unpack);
	l->unpack = NULL;
	l->pipe = fd_close(l->pipe);
	l->is_unpacked = ls->is_hurried = true;
	return 0;
}

/* ---- a layer's step ---- */

static int install(struct layers *ls, struct layer *l, struct err *e)
{
	size_t below = (size_t)(l - ls->v);
	_cleanup_free_ const char **chains = calloc(below + 1, sizeof(*chains));
	const struct layer_info info = { .diff_id = l->diff_id,
					 .chain_id = l->chain_id,
					 .blob = l->digest,
					 .size_bytes = l->result.size_bytes,
					 .files = l->result.files,
					 .has_implied = l->result.has_implied,
					 .below = chains,
					 .n_below = below };

	if (!chains)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < below; i++)
		chains[i] = ls->v[below - 1 - i].chain_id;
	int r = layer_install(ls->o->rootfd, l->tmp, &info, e);
	if (r >= 0)
		free_ptr(&l->tmp);
	return r;
}

static bool is_grounded(const struct layers *ls, const struct layer *l)
{
	for (const struct layer *k = ls->v; k < l; k++)
		if (k->state != LAYER_DONE)
			return false;
	return true;
}

static int finish(struct layers *ls, struct layer *l, struct err *e)
{
	bool waits = l->is_unpacked && l->result.has_implied && !is_grounded(ls, l);
	int r = l->state == LAYER_TAIL && l->blob.state == BLOB_WHOLE ? blob_commit(&l->blob, e) : 0;

	if (r >= 0 && l->is_unpacked && !waits)
		r = install(ls, l, e);
	if (r < 0)
		return r;
	if (l->state == LAYER_TAIL)
		blob_done(&l->blob); /* frees the lock: who waited for it finds blob and, if it need not wait, layer */
	ls->is_hurried = ls->is_hurried || !waits;
	l->state = waits ? LAYER_HIGH : LAYER_DONE;
	if (!waits)
		l->dirfd = fd_close(l->dirfd);
	return 0;
}

static int step(struct layers *ls, struct layer *l, struct err *e)
{
	int r;

	if (l->state == LAYER_DONE)
		return 0;
	if (l->state == LAYER_HIGH)
		return is_grounded(ls, l) ? finish(ls, l, e) : 0;
	if (l->state == LAYER_BLOB) {
		r = blob_step(&l->blob, e);
		if (r < 0)
			return r;
		if (l->generation != l->blob.generation) { /* other bytes than the unpacker saw */
			unpack_drop(l, ls->o->rootfd);
			l->generation = l->blob.generation;
			l->was_damaged = false;
		}
		if (r == 1) {
			l->state = LAYER_TAIL;
			ls->is_hurried = true;
			r = layer_is_installed(ls->o->rootfd, l->chain_id); /* maybe meanwhile, by another process */
			if (r < 0)
				return err_set(e, -r, "%s: look for it in the store: %s", l->what, strerror(-r));
			l->is_installed = r;
		}
	}
	r = feed(l, e);
	if (r >= 0)
		r = look(ls, l, e);
	if (r >= 0 && l->state == LAYER_TAIL && (l->is_unpacked || l->is_installed))
		r = finish(ls, l, e);
	return r;
}

/* ---- all layers ---- */

/* Gives out download and unpack slots, lowest layer first. */
static int schedule(struct layers *ls, struct err *e)
{
	unsigned downloads = 0, unpacks = 0;
	int r;

	for (size_t i = 0; i < ls->n; i++) {
		struct layer *l = &ls->v[i];

		downloads += l->blob.may_fetch && l->state == LAYER_BLOB && l->blob.state == BLOB_FETCH;
		unpacks += l->unpack != NULL;
	}
	for (size_t i = 0; i < ls->n; i++) {
		struct layer *l = &ls->v[i];
		bool has_bytes =
			l->state == LAYER_TAIL || (l->state == LAYER_BLOB && l->blob.state == BLOB_FETCH && l->blob.may_fetch);

		if (l->state == LAYER_BLOB && l->blob.state == BLOB_FETCH && !l->blob.may_fetch &&
		    downloads < ls->o->max_downloads) {
			l->blob.may_fetch = ls->is_hurried = true;
			downloads++;
		}
		if (has_bytes && !l->unpack && !l->is_unpacked && !l->is_installed && unpacks < ls->o->max_unpacks &&
		    !(l->was_damaged && l->state == LAYER_BLOB)) {
			r = unpack_begin(ls, l, e);
			if (r < 0)
				return err_push(e, r, "%s", l->what);
			ls->is_hurried = true;
			unpacks++;
		}
	}
	return 0;
}

static void show(struct layers *ls)
{
	for (size_t i = 0; i < ls->n; i++) {
		struct layer *l = &ls->v[i];
		enum progress_phase phase = PROGRESS_WAITING;

		if (l->state == LAYER_DONE)
			phase = l->is_installed && !l->is_unpacked ? PROGRESS_EXISTS : PROGRESS_DONE;
		else if (l->state == LAYER_TAIL || l->state == LAYER_HIGH)
			phase = PROGRESS_UNPACKING;
		else if (l->blob.state == BLOB_FETCH && l->blob.may_fetch)
			phase = PROGRESS_DOWNLOADING;
		else if (l->blob.state == BLOB_NEW && l->blob.lock_next_us)
			phase = PROGRESS_LOCKED;
		progress_set(ls->o->progress, i, phase, l->state >= LAYER_HIGH ? l->blob.size : l->blob.len);
	}
	progress_draw(ls->o->progress, false);
}

static int wait_for_news(struct layers *ls, struct err *e)
{
	int timeout = ls->is_hurried ? 0 : DRAW_MS;
	unsigned n = 0;

	if (ls->o->signalfd >= 0)
		ls->fds[n++] = (struct curl_waitfd){ .fd = ls->o->signalfd, .events = CURL_WAIT_POLLIN };
	for (size_t i = 0; i < ls->n; i++) {
		struct layer *l = &ls->v[i];
		int wait;

		if (l->state == LAYER_DONE)
			continue;
		wait = l->state == LAYER_BLOB ? blob_wait_ms(&l->blob) : -1;
		if (wait >= 0)
			timeout = MIN(timeout, wait);
		if (l->unpack)
			ls->fds[n++] = (struct curl_waitfd){ .fd = unpack_pollfd(l->unpack), .events = CURL_WAIT_POLLIN };
		if (l->pipe >= 0 && l->fed < l->blob.len)
			ls->fds[n++] = (struct curl_waitfd){ .fd = l->pipe, .events = CURL_WAIT_POLLOUT };
	}
	return http_turn(ls->o->reg->http, ls->fds, n, timeout, e);
}

static bool is_stopped(const struct layers *ls)
{
	struct pollfd p = { .fd = ls->o->signalfd, .events = POLLIN };

	return ls->o->signalfd >= 0 && poll(&p, 1, 0) > 0;
}

static int run(struct layers *ls, struct err *e)
{
	for (;;) {
		bool is_done = true;
		int r;

		ls->is_hurried = false;
		r = schedule(ls, e);
		for (size_t i = 0; i < ls->n && r >= 0; i++) {
			r = step(ls, &ls->v[i], e);
			is_done = is_done && ls->v[i].state == LAYER_DONE;
		}
		if (r < 0)
			return r;
		show(ls);
		if (is_done)
			return 0;
		r = wait_for_news(ls, e);
		if (r < 0)
			return r;
		if (is_stopped(ls))
			return err_set(e, EINTR, "interrupted; the next pull goes on from here");
	}
}

int layers_fetch(const struct layers_opts *o, const struct descriptor *descs, char *const *diff_ids, size_t n, struct err *e)
{
	_cleanup_(layers_done) struct layers ls = { .o = o, .n = n };
	int r = 0;

	ls.v = calloc(n + 1, sizeof(*ls.v));
	ls.fds = calloc(2 * n + 1, sizeof(*ls.fds));
	if (!ls.v || !ls.fds) {
		ls.n = 0;
		return err_set(e, ENOMEM, "out of memory");
	}
	for (size_t i = 0; i < n; i++)
		ls.v[i].pipe = ls.v[i].dirfd = ls.v[i].blob.fd = -1;
	for (size_t i = 0; i < n && r >= 0; i++) {
		r = layer_init(&ls, i, &descs[i], diff_ids[i], e);
		if (r >= 0)
			r = ls.v[i].is_installed = layer_is_installed(o->rootfd, ls.v[i].chain_id);
		if (r < 0 && !e->no)
			err_set(e, -r, "%s: look for it in the store: %s", ls.v[i].what, strerror(-r));
	}
	return r < 0 ? r : run(&ls, e);
}
