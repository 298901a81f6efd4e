/* The story of a push, top-down at the end of this file: image of the store -> credentials -> confinement -> registry -> layers ->
 * config -> manifest. The manifest goes last and its digest is the store's: whoever pulls it finds all that it names. */
#include "push.h"

#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "download.h"
#include "progress.h"
#include "registry.h"
#include "upload.h"

#define MANIFEST_MAX (4u << 20) /* what registries accept at most (distribution spec, "Pushing Manifests") */

/* A blob on its way; the rows of layers come first. */
struct item {
	struct upload u;
	char *what;
	bool is_begun, is_done;
};
struct pusher {
	const struct push_request *q;
	struct ref ref;
	char *ref_text, *manifest_text;
	size_t manifest_len;
	struct manifest manifest;
	struct http *http;
	struct registry reg;
	struct progress progress;
	struct item *items; /* n_layers, and the config */
	size_t n_items;
};

static void pusher_done(struct pusher *p)
{
	for (size_t i = 0; i < p->n_items; i++) {
		if (p->items[i].is_begun)
			upload_done(&p->items[i].u);
		free(p->items[i].what);
	}
	free(p->items);
	ref_done(&p->ref);
	free(p->ref_text);
	free(p->manifest_text);
	manifest_done(&p->manifest);
	registry_close(&p->reg);
	if (p->http)
		http_free(p->http);
	progress_done(&p->progress);
}

void push_answer_done(struct push_answer *a)
{
	free(a->ref);
	*a = (struct push_answer){};
}

/* ---- what is pushed ---- */

static int read_request(struct pusher *p, struct err *e)
{
	int r = ref_parse(p->q->ref, NULL, &p->ref, e);

	if (r < 0)
		return r;
	if (!p->ref.tag || p->ref.digest)
		return err_set(e, EINVAL, "%s: an image is pushed by a tag; its digest follows from what it is", p->q->ref);
	p->ref_text = ref_str(&p->ref);
	return p->ref_text ? 0 : err_set(e, ENOMEM, "out of memory");
}

static int read_manifest(int rootfd, const char *digest, struct manifest *ret, char **ret_text, size_t *ret_len, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = digest_check(digest, e);

	if (r >= 0)
		r = blob_get(rootfd, digest, MANIFEST_MAX, &text, &len, e);
	if (r >= 0)
		r = manifest_parse(text, len, NULL, ret, e);
	if (r < 0)
		return err_push(e, r, "manifest %s", digest);
	if (ret_text) {
		*ret_text = TAKE_PTR(text);
		*ret_len = len;
	}
	return 0;
}

static const struct descriptor *blob_of(const struct pusher *p, size_t i)
{
	return i < p->manifest.n_layers ? &p->manifest.layers[i] : &p->manifest.config;
}

static int list_items(struct pusher *p, struct err *e)
{
	p->items = calloc(p->manifest.n_layers + 1, sizeof(*p->items));
	if (!p->items)
		return err_set(e, ENOMEM, "out of memory");
	for (; p->n_items <= p->manifest.n_layers; p->n_items++) {
		const struct descriptor *d = blob_of(p, p->n_items);

		p->items[p->n_items].what = p->n_items < p->manifest.n_layers ? str_fmt("layer %.12s", digest_hex(d->digest))
									      : strdup("the image's config");
		if (!p->items[p->n_items].what)
			return err_set(e, ENOMEM, "out of memory");
	}
	return 0;
}

/* ---- what is there already ---- */

static bool names(const struct manifest *m, const char *digest)
{
	for (size_t i = 0; i < m->n_layers; i++)
		if (streq(m->layers[i].digest, digest))
			return true;
	return streq(m->config.digest, digest);
}

/* A repository that has the blob, as far as the store knows; NULL: none. What can't be read there is no reason not to push. */
static const char *sibling_with(const struct pusher *p, const char *digest)
{
	for (size_t i = 0; i < p->q->n_siblings; i++) {
		_cleanup_(manifest_done) struct manifest m = {};

		if (read_manifest(p->q->rootfd, p->q->siblings[i].manifest_digest, &m, NULL, NULL, NULL) >= 0 &&
		    names(&m, digest))
			return p->q->siblings[i].path;
	}
	return NULL;
}

/* ---- blobs ---- */

static enum progress_phase phase_of(const struct upload *u)
{
	switch (u->state) {
	case UPLOAD_SEND: return PROGRESS_PUSHING;
	case UPLOAD_THERE: return PROGRESS_THERE;
	case UPLOAD_MOUNTED: return PROGRESS_MOUNTED;
	case UPLOAD_SENT: return PROGRESS_PUSHED;
	default: return PROGRESS_WAITING;
	}
}

static void begin_item(struct pusher *p, size_t i)
{
	const struct descriptor *d = blob_of(p, i);
	struct item *it = &p->items[i];

	upload_init(&it->u, &p->reg, p->q->rootfd, d->digest, d->size, it->what, sibling_with(p, d->digest));
	it->is_begun = true;
}

/* The same layer may stand in an image twice: the second time it is there. */
static bool is_under_way(const struct pusher *p, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (!p->items[k].is_done && streq(blob_of(p, k)->digest, blob_of(p, i)->digest))
			return true;
	return false;
}

/* One step of each; the number that are not done, or -errno. */
static int step_all(struct pusher *p, int *wait_ms, struct err *e)
{
	unsigned flying = 0, left = 0;

	for (size_t i = 0; i < p->n_items; i++)
		flying += p->items[i].is_begun && !p->items[i].is_done;
	for (size_t i = 0; i < p->n_items; i++) {
		struct item *it = &p->items[i];
		int r, wait;

		if (it->is_done)
			continue;
		left++;
		if (!it->is_begun && (flying >= p->q->max_uploads || is_under_way(p, i)))
			continue;
		if (!it->is_begun) {
			begin_item(p, i);
			flying++;
		}
		r = upload_step(&it->u, e);
		if (i < p->manifest.n_layers)
			progress_set(&p->progress, i, phase_of(&it->u), upload_sent_bytes(&it->u));
		if (r < 0)
			return r;
		if (r > 0) {
			it->is_done = true;
			upload_done(&it->u);
			left--;
			*wait_ms = 0; /* who waited for its place goes on */
			continue;
		}
		wait = upload_wait_ms(&it->u);
		if (wait >= 0 && wait < *wait_ms)
			*wait_ms = wait;
	}
	return (int)left;
}

static int turn(struct pusher *p, int wait_ms, struct err *e)
{
	struct curl_waitfd signals = { .fd = p->q->signalfd, .events = CURL_WAIT_POLLIN };
	struct signalfd_siginfo si;
	int r = http_turn(p->http, &signals, p->q->signalfd >= 0, wait_ms, e);

	if (r >= 0 && p->q->signalfd >= 0 && signals.revents && read(p->q->signalfd, &si, sizeof(si)) == sizeof(si))
		return err_set(e, EINTR, "the push was stopped by a signal; what has been sent is kept by the registry");
	return r;
}

static int push_blobs(struct pusher *p, struct err *e)
{
	for (;;) {
		int wait = 1000, r = step_all(p, &wait, e);

		progress_draw(&p->progress, false);
		if (r <= 0)
			return r;
		r = turn(p, wait, e);
		if (r < 0)
			return r;
	}
}

/* ---- the manifest ---- */

static ssize_t read_text(void *arg, void *to, size_t n, uint64_t at)
{
	const struct pusher *p = arg;

	memcpy(to, p->manifest_text + at, n);
	return (ssize_t)n;
}

static int push_manifest(struct pusher *p, struct err *e)
{
	_cleanup_free_ char *what = str_fmt("the manifest of %s", p->ref_text);
	const struct http_source source = { p->manifest_len, read_text, p };
	_cleanup_(exchange_done) struct exchange x = { .reg = &p->reg,
						       .url = registry_url(&p->reg, "manifests", p->ref.tag),
						       .what = what,
						       .method = HTTP_PUT,
						       .source = &source,
						       .sent_type = p->manifest.media_type
									    ? p->manifest.media_type
									    : "application/vnd.oci.image.manifest.v1+json" };
	int r;

	if (!what || !x.url)
		return err_set(e, ENOMEM, "out of memory");
	r = exchange_start(&x, e);
	while (r == 0) {
		int wait = exchange_wait_ms(&x);

		r = turn(p, wait < 0 ? 1000 : wait, e);
		if (r == 0)
			r = exchange_step(&x, e);
	}
	if (r < 0)
		return r;
	if (x.req.digest && !streq(x.req.digest, p->q->manifest_digest))
		return err_set(e, EBADMSG, "registry %s took %s for another one: sent %s, and it says %s", p->ref.domain,
			       p->ref_text, p->q->manifest_digest, x.req.digest);
	return 0;
}

/* ---- all of it ---- */

static int show_layers(struct pusher *p, struct err *e)
{
	if (progress_init(&p->progress, STDERR_FILENO, p->q->is_quiet, p->manifest.n_layers) < 0)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < p->manifest.n_layers; i++) {
		snprintf(p->progress.rows[i].name, sizeof(p->progress.rows[i].name), "%s",
			 digest_hex(p->manifest.layers[i].digest));
		p->progress.rows[i].total = p->manifest.layers[i].size;
	}
	return 0;
}

int push(const struct push_request *q, struct push_answer *ret, struct err *e)
{
	_cleanup_(pusher_done) struct pusher p = { .q = q };
	int r = read_request(&p, e);

	if (r >= 0)
		r = read_manifest(q->rootfd, q->manifest_digest, &p.manifest, &p.manifest_text, &p.manifest_len, e);
	if (r >= 0)
		r = list_items(&p, e);
	if (r >= 0)
		r = show_layers(&p, e);
	if (r >= 0)
		r = registry_connect(&q->access, p.ref.domain, p.ref.path, true, NULL, &p.reg, &p.http, e);
	if (r >= 0)
		r = push_blobs(&p, e);
	progress_draw(&p.progress, true);
	if (r >= 0)
		r = push_manifest(&p, e);
	if (r < 0)
		return r;
	ret->ref = TAKE_PTR(p.ref_text);
	ret->bytes = p.manifest_len;
	return 0;
}
