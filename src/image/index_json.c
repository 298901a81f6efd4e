/* ROOT/oci/index.json: what skopeo, umoci and other tools see of the store. It follows from the records alone and is written anew
 * whenever they change; a lost or stale one is repaired by the next change. One writer at a time: flock on ROOT/oci. */
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store_private.h"

#define REF_NAME "org.opencontainers.image.ref.name" /* image spec 1.1, annotations */

/* Size and media type come from the blob itself; an image whose manifest can't be read is left out, not fatal (F12). */
static int describe(struct store *s, const struct image_record *rec, struct descriptor *d)
{
	_cleanup_(manifest_done) struct manifest m = { 0 };
	_cleanup_free_ char *text = NULL;
	struct err e = { 0 };
	size_t len;

	if (blob_read(s->rootfd, rec->manifest_digest, &text, &len, &e) < 0 || manifest_parse(text, len, NULL, &m, &e) < 0) {
		log_debug("store", "left out of index.json: %s", e.msg);
		return 0;
	}
	d->media_type = m.media_type ? TAKE_PTR(m.media_type) : strdup("application/vnd.oci.image.manifest.v1+json");
	d->digest = strdup(rec->manifest_digest);
	d->size = len;
	return d->media_type && d->digest ? 1 : -ENOMEM;
}

static int add(struct image_index *x, const struct descriptor *like, const char *tag)
{
	struct descriptor *more = reallocarray(x->manifests, x->n_manifests + 1, sizeof(*more)), d = { .size = like->size };

	if (!more)
		return -ENOMEM;
	x->manifests = more;
	d.media_type = strdup(like->media_type);
	d.digest = strdup(like->digest);
	int r = d.media_type && d.digest ? 0 : -ENOMEM;
	if (r == 0 && tag)
		r = map_set(&d.annotations, REF_NAME, tag);
	x->manifests[x->n_manifests++] = d; /* owned by x from here on, whole or not */
	return r;
}

static int add_image(struct store *s, const struct image_record *rec, char *const *refs, char *const *ids, struct image_index *x)
{
	struct descriptor d = { 0 };
	bool is_tagged = false;
	int r = describe(s, rec, &d), k = r < 0 ? r : 0;

	for (size_t i = 0; r == 1 && k == 0 && refs && refs[i]; i++)
		if (streq(ids[i], rec->id)) {
			is_tagged = true;
			k = add(x, &d, refs[i]);
		}
	if (r == 1 && k == 0 && !is_tagged)
		k = add(x, &d, NULL);
	free(d.media_type);
	free(d.digest);
	return k;
}

static int build(struct store *s, struct image_index *x, struct err *e)
{
	_cleanup_strv_ char **refs = NULL, **ids = NULL;
	struct image_record *list = NULL;
	size_t n = 0;
	int r = records_tags(s->records, NULL, &refs, &ids, e);

	if (r == 0)
		r = records_image_list(s->records, &list, &n, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		if (r == 0 && (r = add_image(s, &list[i], refs, ids, x)) < 0)
			err_set(e, -r, "write index.json: %s", strerror(-r));
		image_record_done(&list[i]);
	}
	free(list);
	return r;
}

int index_json_write(struct store *s, struct err *e)
{
	_cleanup_(image_index_done) struct image_index x = { 0 };
	_cleanup_free_ char *text = NULL;
	_cleanup_fd_ int oci = openat(s->rootfd, "oci", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (oci < 0 || flock(oci, LOCK_EX) < 0)
		return err_set(e, errno, "lock %s/oci: %s", s->root, strerror(errno));
	if (!(x.media_type = strdup("application/vnd.oci.image.index.v1+json")))
		return err_set(e, ENOMEM, "write index.json: out of memory");
	if ((r = build(s, &x, e)) < 0)
		return r;
	if (!(text = image_index_print(&x)))
		return err_set(e, ENOMEM, "write index.json: out of memory");
	r = file_replace(oci, "index.json", text, strlen(text), 0600, true);
	return r < 0 ? err_set(e, -r, "write %s/oci/index.json: %s", s->root, strerror(-r)) : 0;
}
