/* `berth-transfer commit` and `import`: one more layer, and the image that it makes. The engine has written the image's config, but for
 * the layer's diff id; here both meet, and the manifest is made. Nothing has a name in the store before it is whole, and nothing is
 * recorded here: what a kill leaves is unreferenced, and collected. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive_source.h"
#include "confine.h"
#include "download.h"
#include "fetch.h"
#include "files_diff.h"
#include "files_main.h"
#include "layer_make.h"
#include "layers.h"
#include "unpack_private.h"

#define DOCUMENT_MAX (8u << 20)

static int out_of_memory(struct err *e) { return err_set(e, ENOMEM, "out of memory"); }

/* ---- where the nodes come from ---- */

static int fill_from_upper(struct tar_sink *t, void *arg, struct err *e)
{
	const struct files_options *o = arg;
	struct upper u = { .fd = FILES_ROOT_FD, .lower = FILES_LOWER_FD, .mounts = o->mounts };
	const struct walk w = upper_walk(&u);
	const int readable[] = { FILES_ROOT_FD };
	int r = unpack_confine_copier(readable, 1, -1, true, e);

	return r < 0 ? r : files_walk(&w, &t->base, e);
}

static int fill_from_guest(struct tar_sink *t, void *arg _unused_, struct err *e)
{
	return files_from_guest(STREAM_LAYER, &t->base, e);
}

static int fill_from_tar(struct tar_sink *t, void *arg _unused_, struct err *e)
{
	int r = unpack_confine_copier(NULL, 0, -1, false, e);

	return r < 0 ? r : files_untar(0, WALK_XATTRS_LAYER, &t->base, e);
}

/* ---- the documents ---- */

struct document {
	struct json_object *json, *config;
	struct manifest parent; /* no layers: there is none */
};

static void document_done(struct document *d)
{
	json_object_put(d->json);
	manifest_done(&d->parent);
}

/* {"config": {...}, "parent": "sha256:..."}: parent: the manifest whose layers are below; absent: none. */
static int read_document(int rootfd, struct document *d, struct err *e)
{
	_cleanup_free_ char *text = NULL, *manifest = NULL;
	struct json_object *parent;
	size_t len = 0;
	int r = lseek(FILES_CONFIG_FD, 0, SEEK_SET) < 0 ? -errno : fd_read_all(FILES_CONFIG_FD, DOCUMENT_MAX, &text, &len);

	if (r < 0)
		return err_set(e, -r, "read the image's config: %s", strerror(-r));
	if ((r = json_parse(text, len, "the image's config", &d->json, e)) < 0)
		return r;
	if (!json_object_object_get_ex(d->json, "config", &d->config))
		return err_set(e, EINVAL, "the image's config is missing");
	if (!json_object_object_get_ex(d->json, "parent", &parent))
		return 0;
	r = blob_get(rootfd, json_object_get_string(parent), DOCUMENT_MAX, &manifest, &len, e);
	return r < 0 ? r : manifest_parse(manifest, len, NULL, &d->parent, e);
}

/* rootfs.diff_ids gets the new one. ret_chain: of all of them. */
static int add_diff_id(struct json_object *config, const struct manifest *parent, const char *diff_id, char ret_chain[DIGEST_LEN],
		       struct err *e)
{
	struct json_object *rootfs, *ids;
	size_t n;

	if (!json_object_object_get_ex(config, "rootfs", &rootfs) || !json_object_object_get_ex(rootfs, "diff_ids", &ids) ||
	    !json_object_is_type(ids, json_type_array))
		return err_set(e, EINVAL, "the image's config has no rootfs.diff_ids");
	n = json_object_array_length(ids);
	if (n != parent->n_layers)
		return err_set(e, EBADMSG, "the image below has %zu layers, and its config %zu diff ids", parent->n_layers, n);
	for (size_t i = 0; i <= n; i++) {
		const char *id = i < n ? json_object_get_string(json_object_array_get_idx(ids, i)) : diff_id;
		char next[DIGEST_LEN];
		int r = digest_check(id ? id : "", e);
		if (r < 0)
			return r;
		layer_chain_id(i ? ret_chain : NULL, id, next);
		memcpy(ret_chain, next, sizeof(next));
	}
	return json_object_array_add(ids, json_object_new_string(diff_id)) < 0 ? out_of_memory(e) : 0;
}

static int describe(struct descriptor *d, const char *media_type, const struct item *i)
{
	*d = (struct descriptor){ .size = i->size };
	d->media_type = strdup(media_type);
	d->digest = strdup(i->digest);
	return d->media_type && d->digest ? 0 : -ENOMEM;
}

static int put_text(struct source *s, char *text, struct item *ret, struct err *e)
{
	if (!text)
		return out_of_memory(e);
	*ret = (struct item){ .data = text, .size = strlen(text), .fd = -1 };
	sha256_digest_str(text, ret->size, ret->digest);
	return item_store(s, ret, e);
}

/* m becomes the new image's: its parent's layers, then this one. */
static int add_layer(struct manifest *m, const struct item *layer, const struct item *config, struct err *e)
{
	struct descriptor *more = reallocarray(m->layers, m->n_layers + 1, sizeof(*more));

	if (!more)
		return out_of_memory(e);
	m->layers = more;
	if (describe(&more[m->n_layers++], "application/vnd.oci.image.layer.v1.tar+gzip", layer) < 0)
		return out_of_memory(e);
	free(m->config.media_type);
	free(m->config.digest);
	map_done(&m->config.annotations);
	strv_free(m->config.urls);
	map_done(&m->annotations); /* they were said of the other image */
	free(m->media_type);
	m->media_type = strdup("application/vnd.oci.image.manifest.v1+json");
	return !m->media_type || describe(&m->config, "application/vnd.oci.image.config.v1+json", config) < 0 ? out_of_memory(e)
													      : 0;
}

/* Docker's media types mean the same; one manifest is written in one language. */
static int use_oci_words(struct manifest *m, struct err *e)
{
	static const char *const oci[] = { [COMP_NONE] = "application/vnd.oci.image.layer.v1.tar",
					   [COMP_GZIP] = "application/vnd.oci.image.layer.v1.tar+gzip",
					   [COMP_ZSTD] = "application/vnd.oci.image.layer.v1.tar+zstd" };

	for (size_t i = 0; i < m->n_layers; i++) {
		enum media_compression c = COMP_NONE;
		char *word;
		if (media_kind(m->layers[i].media_type ? m->layers[i].media_type : "", &c) != MEDIA_LAYER)
			continue;
		if (!(word = strdup(oci[c])))
			return out_of_memory(e);
		free(m->layers[i].media_type);
		m->layers[i].media_type = word;
	}
	return 0;
}

static int put_image(int rootfd, struct document *d, struct made_layer *l, struct json_object *answer, struct err *e)
{
	struct source s = { .rootfd = rootfd, .dirfd = -1 };
	struct item config = { .fd = -1 }, manifest = { .fd = -1 };
	char chain[DIGEST_LEN] = "";
	int r = !l->item ? out_of_memory(e) : add_diff_id(d->config, &d->parent, l->diff_id, chain, e);

	if (r == 0)
		/* An import lies on nothing, and a commit has an entry for each directory. */
		r = archive_put_layer(rootfd, l->item, COMP_GZIP, &(struct layer_place){ .diff_id = l->diff_id, .chain = chain },
				      e);
	if (r == 0)
		r = put_text(&s,
			     strdup(json_object_to_json_string_ext(d->config,
								   JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)),
			     &config, e);
	if (r == 0)
		r = use_oci_words(&d->parent, e);
	if (r == 0)
		r = add_layer(&d->parent, l->item, &config, e);
	if (r == 0)
		r = put_text(&s, manifest_print(&d->parent), &manifest, e);
	if (r == 0 && syncfs(rootfd) < 0)
		r = err_set(e, errno, "sync the store: %s", strerror(errno));
	if (r == 0) {
		json_object_object_add(answer, "manifest_digest", json_object_new_string(manifest.digest));
		json_object_object_add(answer, "image_id", json_object_new_string(config.digest));
	}
	free(config.data);
	free(manifest.data);
	return r;
}

/* --source: it becomes fd 0. */
static int make_from_address(const struct files_options *o, int rootfd, layer_fill *fill, struct made_layer *l, struct err *e)
{
	struct fetch f;
	int r = fetch_start(o->source, rootfd, &f, e);

	if (r < 0)
		return r;
	if (dup2(f.fd, 0) < 0)
		r = err_set(e, errno, "dup2: %s", strerror(errno));
	fd_close(f.fd);
	if (r == 0)
		r = layer_make(rootfd, fill, NULL, false, o->progress, l, e);
	close(0); /* whoever still writes ends with EPIPE */
	return fetch_end(&f, r, e);
}

static int make_image(const struct files_options *o, layer_fill *fill, bool is_overlay, struct json_object *answer, struct err *e)
{
	_cleanup_(made_layer_done) struct made_layer l = { 0 };
	_cleanup_(document_done) struct document d = { 0 };
	_cleanup_fd_ int lock = -1, root = archive_open_root(o->root, &lock, e);
	union {
		const struct files_options *in;
		void *out;
	} arg = { .in = o };
	int r = root < 0 ? root : read_document(root, &d, e);

	if (r < 0)
		return r;
	layers_sweep(root);
	r = o->source ? make_from_address(o, root, fill, &l, e) : layer_make(root, fill, arg.out, is_overlay, o->progress, &l, e);
	if (r == 0)
		r = confine_transfer(root, NULL, e);
	return r < 0 ? r : put_image(root, &d, &l, answer, e);
}

int commit_files(const struct files_options *o, struct json_object *answer, struct err *e)
{
	return make_image(o, o->is_stream ? fill_from_guest : fill_from_upper, true, answer, e);
}

int import_files(const struct files_options *o, struct json_object *answer, struct err *e)
{
	return make_image(o, fill_from_tar, false, answer, e);
}
