/* The story of a pull, top-down at the end of this file: reference -> credentials -> confinement -> registry -> (index ->)
 * manifest -> config -> layers -> one syncfs. Nothing here makes an image visible: that is the caller's image_record. */
#include "pull.h"

#include <sys/utsname.h>
#include <unistd.h>

#include "layers.h"
#include "platform.h"
#include "registry.h"

#define MANIFEST_MAX (4u << 20) /* what registries accept at most (distribution spec, "Pushing Manifests") */
#define CONFIG_MAX   (8u << 20)
#define INDEX_DEPTH  2 /* an index may list another */

static const char *const manifest_types[] = {
	"application/vnd.oci.image.index.v1+json",
	"application/vnd.oci.image.manifest.v1+json",
	"application/vnd.docker.distribution.manifest.list.v2+json",
	"application/vnd.docker.distribution.manifest.v2+json",
	NULL,
};

struct puller {
	const struct pull_request *q;
	struct ref ref;
	char *ref_text;
	struct platform platform;
	struct http *http;
	struct registry reg;
	struct progress progress;
	struct manifest manifest;
	char manifest_digest[DIGEST_LEN];
	struct image_config config;
};

static void puller_done(struct puller *p)
{
	ref_done(&p->ref);
	free(p->ref_text);
	manifest_done(&p->manifest);
	image_config_done(&p->config);
	registry_close(&p->reg);
	if (p->http)
		http_free(p->http);
	progress_done(&p->progress);
}

void pull_answer_done(struct pull_answer *a)
{
	free(a->ref);
	free(a->manifest_digest);
	free(a->config_digest);
	*a = (struct pull_answer){};
}

static int read_request(struct puller *p, struct err *e)
{
	int r = ref_parse(p->q->ref, NULL, &p->ref, e);

	if (r >= 0)
		r = platform_parse(p->q->platform, &p->platform, e);
	if (r < 0)
		return r;
	p->ref_text = ref_str(&p->ref);
	return p->ref_text ? 0 : err_set(e, ENOMEM, "out of memory");
}

/* ---- manifests ---- */

/* Fetches the manifest or index called name (a tag or digest). want: its digest and size from an index, or NULL. */
static int fetch_manifest(struct puller *p, const char *name, const struct descriptor *want, char **ret_text, size_t *ret_len,
			  char **ret_type, char ret_digest[DIGEST_LEN], struct err *e)
{
	_cleanup_free_ char *what = str_fmt("manifest of %s", p->ref_text), *text = NULL, *type = NULL, *claimed = NULL;
	const char *expected = want ? want->digest : p->ref.digest;
	size_t len;
	int r;

	if (!what)
		return err_set(e, ENOMEM, "out of memory");
	r = registry_get(&p->reg, "manifests", name, what, manifest_types, MANIFEST_MAX, &text, &len, &type, &claimed, e);
	if (r < 0)
		return r;
	sha256_digest_str(text, len, ret_digest);
	if (!expected && claimed && str_after(claimed, "sha256:"))
		expected = claimed;
	if (expected && !streq(expected, ret_digest))
		return err_set(e, EBADMSG, "registry %s sent another %s than asked for: wanted %s, got %s", p->ref.domain, what,
			       expected, ret_digest);
	if (want && want->size != len)
		return err_set(e, EBADMSG, "registry %s: the %s has %zu bytes, its index says %llu", p->ref.domain, what, len,
			       (unsigned long long)want->size);
	*ret_text = TAKE_PTR(text);
	*ret_len = len;
	*ret_type = TAKE_PTR(type);
	return 0;
}

static int keep_manifest(struct puller *p, const char *text, size_t len, const char *type, const char *digest, struct err *e)
{
	int r = manifest_parse(text, len, type, &p->manifest, e);

	if (r < 0)
		return err_push(e, r, "manifest of %s", p->ref_text);
	memcpy(p->manifest_digest, digest, DIGEST_LEN);
	return blob_put(p->q->rootfd, digest, text, len, e);
}

static int choose_from_index(struct puller *p, const char *text, size_t len, const char *type, struct image_index *ret,
			     const struct descriptor **ret_choice, struct err *e)
{
	int r = image_index_parse(text, len, type, ret, e);

	if (r >= 0)
		r = platform_choose(&p->platform, ret, e);
	if (r < 0)
		return err_push(e, r, "%s", p->ref_text);
	*ret_choice = &ret->manifests[r];
	return 0;
}

static int resolve(struct puller *p, struct err *e)
{
	struct image_index index[INDEX_DEPTH] = {};
	const char *name = p->ref.digest ? p->ref.digest : p->ref.tag;
	const struct descriptor *want = NULL;
	int r = 0;

	for (size_t depth = 0; r >= 0; depth++) {
		_cleanup_free_ char *text = NULL, *type = NULL;
		char digest[DIGEST_LEN];
		enum media_compression unused;
		enum media_kind kind;
		size_t len;

		r = fetch_manifest(p, name, want, &text, &len, &type, digest, e);
		if (r < 0)
			break;
		kind = media_kind(type ? type : "", &unused);
		if (kind == MEDIA_MANIFEST) {
			r = keep_manifest(p, text, len, type, digest, e);
			break;
		}
		if (kind != MEDIA_INDEX)
			r = err_set(e, EPROTONOSUPPORT, "registry %s: %s is of type \"%.100s\", which is no container image",
				    p->ref.domain, p->ref_text, type ? type : "");
		else if (depth == INDEX_DEPTH)
			r = err_set(e, ELOOP, "%s: indexes within indexes, more than %d deep", p->ref_text, INDEX_DEPTH);
		else
			r = choose_from_index(p, text, len, type, &index[depth], &want, e);
		if (r >= 0)
			name = want->digest;
	}
	for (size_t i = 0; i < INDEX_DEPTH; i++)
		image_index_done(&index[i]);
	return r;
}

/* ---- config ---- */

static int fetch_config(struct puller *p, struct err *e)
{
	const struct descriptor *d = &p->manifest.config;
	_cleanup_(blob_done) struct blob b = { .fd = -1 };
	enum media_compression unused;
	int r = 0;

	if (media_kind(d->media_type ? d->media_type : "", &unused) != MEDIA_CONFIG)
		return err_set(e, EPROTONOSUPPORT, "%s: its config is of type \"%.100s\": this is no container image",
			       p->ref_text, d->media_type ? d->media_type : "");
	if (d->size > CONFIG_MAX)
		return err_set(e, EFBIG, "%s: its config has %llu bytes, at most %u MiB are taken", p->ref_text,
			       (unsigned long long)d->size, CONFIG_MAX >> 20);
	blob_init(&b, &p->reg, p->q->rootfd, d->digest, d->size, "the image's config");
	b.may_fetch = true;
	for (;;) {
		int wait;

		r = blob_step(&b, e);
		if (r != 0)
			break;
		wait = blob_wait_ms(&b);
		r = http_turn(p->http, NULL, 0, wait < 0 ? 1000 : wait, e);
		if (r < 0)
			break;
	}
	if (r >= 0 && b.state == BLOB_WHOLE)
		r = blob_commit(&b, e);
	return r < 0 ? r : 0;
}

static int read_config(struct puller *p, bool *ret_damaged, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = blob_get(p->q->rootfd, p->manifest.config.digest, CONFIG_MAX, &text, &len, e);

	*ret_damaged = r == -EBADMSG;
	if (r >= 0)
		r = image_config_parse(text, len, &p->config, e);
	return r < 0 ? err_push(e, r, "%s", p->ref_text) : 0;
}

static int check_config(struct puller *p, struct err *e)
{
	const struct image_config *c = &p->config;

	if (strv_len(c->diff_ids) != p->manifest.n_layers)
		return err_set(e, EBADMSG, "%s: its config names %zu layers, its manifest %zu", p->ref_text,
			       strv_len(c->diff_ids), p->manifest.n_layers);
	if (c->os && c->architecture && !(streq(c->os, p->platform.os) && streq(c->architecture, p->platform.arch))) {
		if (p->q->platform)
			return err_set(e, ENOENT, "%s is for %s/%s, not for %s", p->ref_text, c->os, c->architecture,
				       p->q->platform);
		progress_say(&p->progress, "warning: %s is for %s/%s, this host is %s/%s", p->ref_text, c->os, c->architecture,
			     p->platform.os, p->platform.arch);
	}
	return 0;
}

static int config(struct puller *p, struct err *e)
{
	bool is_damaged;
	int r = fetch_config(p, e);

	if (r >= 0)
		r = read_config(p, &is_damaged, e);
	else
		return r;
	if (r < 0 && is_damaged) { /* it lay here before and has rotted: once more from the registry */
		char name[128];

		snprintf(name, sizeof(name), "oci/blobs/sha256/%s", digest_hex(p->manifest.config.digest));
		*e = (struct err){};
		if (unlinkat(p->q->rootfd, name, 0) < 0)
			return err_set(e, errno, "remove the damaged blob %s: %s", p->manifest.config.digest, strerror(errno));
		r = fetch_config(p, e);
		if (r >= 0)
			r = read_config(p, &is_damaged, e);
	}
	return r < 0 ? r : check_config(p, e);
}

/* ---- the rest ---- */

static int layers(struct puller *p, struct err *e)
{
	const struct layers_opts o = { .reg = &p->reg,
				       .rootfd = p->q->rootfd,
				       .signalfd = p->q->signalfd,
				       .max_downloads = p->q->max_downloads,
				       .max_unpacks = p->q->max_unpacks,
				       .limits = &unpack_limits_default,
				       .progress = &p->progress };
	int r;

	progress_done(&p->progress);
	r = progress_init(&p->progress, STDERR_FILENO, p->q->is_quiet, p->manifest.n_layers);
	if (r < 0)
		return err_set(e, ENOMEM, "out of memory");
	r = layers_fetch(&o, p->manifest.layers, p->config.diff_ids, p->manifest.n_layers, e);
	progress_draw(&p->progress, true);
	return r;
}

static int answer(struct puller *p, struct pull_answer *ret, struct err *e)
{
	_cleanup_(pull_answer_done) struct pull_answer a = {};

	a.ref = strdup(p->ref_text);
	a.manifest_digest = strdup(p->manifest_digest);
	a.config_digest = strdup(p->manifest.config.digest);
	if (!a.ref || !a.manifest_digest || !a.config_digest)
		return err_set(e, ENOMEM, "out of memory");
	*ret = a;
	a = (struct pull_answer){};
	return 0;
}

int pull(const struct pull_request *q, struct pull_answer *ret, struct err *e)
{
	_cleanup_(puller_done) struct puller p = { .q = q };
	int r = read_request(&p, e);

	if (r >= 0 && progress_init(&p.progress, STDERR_FILENO, q->is_quiet, 0) < 0)
		r = err_set(e, ENOMEM, "out of memory");
	if (r >= 0)
		r = blob_dirs_make(q->rootfd, e);
	if (r < 0)
		return r;
	layers_sweep(q->rootfd);
	r = registry_connect(&q->access, p.ref.domain, p.ref.path, false, NULL, &p.reg, &p.http, e);
	if (r >= 0)
		r = resolve(&p, e);
	if (r >= 0)
		r = config(&p, e);
	if (r >= 0)
		r = layers(&p, e);
	/* An acknowledged pull is durable: everything above is on the disk before anyone hears of it. */
	if (r >= 0 && syncfs(q->rootfd) < 0)
		r = err_set(e, errno, "write the image to the disk: %s", strerror(errno));
	if (r >= 0)
		r = answer(&p, ret, e);
	return r;
}
