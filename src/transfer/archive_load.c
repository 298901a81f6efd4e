/* archive_load: every image of an archive or layout goes into the store, checked as a pulled one is: each blob against the digest
 * that names it, each layer against its diff id, manifest against config. Docker's older archives name layers by path and have no
 * manifest: there one is made, with the layers as they lie in the archive. */
#include "image_archive.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "archive_source.h"
#include "layer_tmp.h"
#include "layers.h"
#include "platform.h"

#define REF_NAME "org.opencontainers.image.ref.name"
#define CONTAINERD_NAME \
	"io.containerd.image.name" /* Docker and containerd: the whole reference, where REF_NAME is the tag alone */
#define NESTING_MAX 3

struct load {
	struct source src;
	struct platform platform;
	const struct unpack_limits *lim;
	struct loaded out;
};

void loaded_done(struct loaded *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->images[i].manifest_digest);
		strv_free(l->images[i].refs);
	}
	free(l->images);
	*l = (struct loaded){ 0 };
}

static int out_of_memory(struct err *e) { return err_set(e, ENOMEM, "load: out of memory"); }

/* Notes a loaded image; name (any spelling, may be NULL) becomes one of its refs. */
static int note(struct load *l, const char *digest, const char *name, struct err *e)
{
	_cleanup_(ref_done) struct ref ref = { 0 };
	_cleanup_free_ char *text = NULL;
	struct loaded_image *i = NULL;
	struct err why = { 0 };

	for (size_t n = 0; n < l->out.n && !i; n++)
		if (streq(l->out.images[n].manifest_digest, digest))
			i = &l->out.images[n];
	if (!i) {
		struct loaded_image *more = reallocarray(l->out.images, l->out.n + 1, sizeof(*more));
		if (!more)
			return out_of_memory(e);
		l->out.images = more;
		i = &more[l->out.n];
		*i = (struct loaded_image){ .manifest_digest = strdup(digest) };
		if (!i->manifest_digest)
			return out_of_memory(e);
		l->out.n++;
	}
	if (!name)
		return 0;
	if (ref_parse(name, NULL, &ref, &why) < 0) {
		log_info("load", "%s stays without a name: %s", digest, why.msg);
		return 0;
	}
	if (!(text = ref_str(&ref)))
		return out_of_memory(e);
	for (char **have = i->refs; have && *have; have++)
		if (streq(*have, text))
			return 0;
	return strv_push(&i->refs, text) < 0 ? out_of_memory(e) : 0;
}

/* ---- layers ---- */

static int unpack_into(struct load *l, struct item *i, enum media_compression comp, const struct layer_place *p, const char *tmp,
		       int dirfd, struct err *e)
{
	struct unpack_result res = { 0 };
	_cleanup_fd_ int fd = -1;
	int r;

	if (i->fd >= 0)
		fd = fcntl(i->fd, F_DUPFD_CLOEXEC, 3);
	else if ((fd = memfd_create("layer", MFD_CLOEXEC)) >= 0 && (r = fd_write_full(fd, i->data, i->size)) < 0)
		return err_set(e, -r, "layer %s: %s", i->digest, strerror(-r));
	if (fd < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_set(e, errno, "layer %s: %s", i->digest, strerror(errno));
	if ((r = layer_unpack(fd, comp, dirfd, p->diff_id, l->lim, NULL, NULL, &res, e)) < 0)
		return err_push(e, r, "layer %.12s", digest_hex(i->digest));
	const struct layer_info info = { .diff_id = p->diff_id,
					 .chain_id = p->chain,
					 .blob = i->digest,
					 .size_bytes = res.size_bytes,
					 .files = res.files,
					 .has_implied = res.has_implied,
					 .below = p->below,
					 .n_below = p->n_below };
	return layer_install(l->src.rootfd, tmp, &info, e);
}

static int load_layer(struct load *l, struct item *i, enum media_compression comp, const struct layer_place *p, struct err *e)
{
	_cleanup_free_ char *tmp = NULL;
	_cleanup_fd_ int dirfd = -1;
	int r = layer_is_installed(l->src.rootfd, p->chain);

	if (r < 0)
		return err_set(e, -r, "layer %s: %s", p->chain, strerror(-r));
	if (r == 0) {
		if ((r = layer_tmp_new_locked(l->src.rootfd, &tmp, &dirfd, e)) < 0)
			return r;
		if ((r = unpack_into(l, i, comp, p, tmp, dirfd, e)) < 0) {
			layer_tmp_remove(l->src.rootfd, tmp);
			return r;
		}
	}
	return item_store(&l->src, i, e);
}

int archive_put_layer(int rootfd, struct item *i, enum media_compression comp, const struct layer_place *p, struct err *e)
{
	struct load l = { .src = { .rootfd = rootfd, .dirfd = -1 }, .lim = &unpack_limits_default };

	return load_layer(&l, i, comp, p, e);
}

/* ---- images with a manifest ---- */

/* layers: the items in the manifest's order. */
static int load_parts(struct load *l, const struct manifest *m, struct item *manifest, struct item *config, struct item **layers,
		      struct err *e)
{
	_cleanup_(image_config_done) struct image_config c = { 0 };
	_cleanup_free_ char(*chains)[DIGEST_LEN] = NULL;
	_cleanup_free_ const char **below = NULL; /* of a layer: the last so many */
	const char *text = NULL;

	if (!config)
		return err_set(e, EINVAL, "load: no config");
	int r = item_text(config, &text, e);

	if (r == 0 && (r = image_config_parse(text, config->size, &c, e)) < 0)
		err_push(e, r, "config %s", config->digest);
	if (r < 0)
		return r;
	if (strv_len(c.diff_ids) != m->n_layers)
		return err_set(e, EBADMSG, "the manifest lists %zu layers, its config %zu diff ids", m->n_layers,
			       strv_len(c.diff_ids));
	if (!(chains = calloc(m->n_layers + 1, sizeof(*chains))) || !(below = calloc(m->n_layers + 1, sizeof(*below))))
		return out_of_memory(e);
	for (size_t i = 0; c.diff_ids && c.diff_ids[i]; i++) {
		enum media_compression comp = COMP_NONE;
		if (media_kind(m->layers[i].media_type ? m->layers[i].media_type : "", &comp) != MEDIA_LAYER)
			return err_set(e, EPROTONOSUPPORT,
				       "layer %s has the media type \"%.100s\", which is no layer of a container image",
				       m->layers[i].digest, m->layers[i].media_type ? m->layers[i].media_type : "");
		if (!layers[i] || layers[i]->size != m->layers[i].size)
			return err_set(e, EBADMSG, "layer %s has %llu bytes, its manifest says %llu", m->layers[i].digest,
				       (unsigned long long)(layers[i] ? layers[i]->size : 0),
				       (unsigned long long)m->layers[i].size);
		layer_chain_id(i ? chains[i - 1] : NULL, c.diff_ids[i], chains[i]);
		below[m->n_layers - i] = chains[i];
		const struct layer_place p = {
			.diff_id = c.diff_ids[i], .chain = chains[i], .below = below + m->n_layers - i + 1, .n_below = i
		};
		if ((r = load_layer(l, layers[i], comp, &p, e)) < 0)
			return r;
	}
	if ((r = item_store(&l->src, config, e)) < 0)
		return r;
	return item_store(&l->src, manifest, e);
}

static int load_manifest(struct load *l, struct item *manifest, struct err *e)
{
	_cleanup_(manifest_done) struct manifest m = { 0 };
	_cleanup_free_ struct item **layers = NULL;
	struct item *config = NULL;
	const char *text = NULL;
	int r = item_text(manifest, &text, e);

	if (r == 0)
		r = manifest_parse(text, manifest->size, NULL, &m, e);
	if (r == 0)
		r = source_blob(&l->src, m.config.digest, &config, e);
	if (r == 0 && !(layers = calloc(m.n_layers + 1, sizeof(struct item *))))
		r = out_of_memory(e);
	for (size_t i = 0; r == 0 && i < m.n_layers; i++)
		r = source_blob(&l->src, m.layers[i].digest, &layers[i], e);
	if (r == 0)
		r = load_parts(l, &m, manifest, config, layers, e);
	return r < 0 ? err_push(e, r, "image %.19s", manifest->digest) : 0;
}

/* One entry of an index: a manifest, or an index of platforms below it. */
static int load_descriptor(struct load *l, const struct descriptor *d, const char *name, int nesting, struct err *e)
{
	_cleanup_(image_index_done) struct image_index x = { 0 };
	enum media_kind kind = media_kind(d->media_type ? d->media_type : "", NULL);
	struct item *i = NULL;
	const char *text = NULL;
	int r;

	if (kind != MEDIA_MANIFEST && kind != MEDIA_INDEX) {
		log_info("load", "%s is no image: left out (%.100s)", d->digest, d->media_type ? d->media_type : "no media type");
		return 0;
	}
	if ((r = source_blob(&l->src, d->digest, &i, e)) < 0)
		return r;
	if (kind == MEDIA_MANIFEST) {
		r = load_manifest(l, i, e);
		return r < 0 ? r : note(l, d->digest, name, e);
	}
	if (nesting >= NESTING_MAX)
		return err_set(e, EBADMSG, "index %s: indexes nested more than %d deep", d->digest, NESTING_MAX);
	if ((r = item_text(i, &text, e)) < 0 || (r = image_index_parse(text, i->size, NULL, &x, e)) < 0)
		return r;
	if ((r = platform_choose(&l->platform, &x, e)) < 0)
		return err_push(e, r, "%s", name ? name : d->digest);
	return load_descriptor(l, &x.manifests[r], name, nesting + 1, e);
}

static int load_layout(struct load *l, struct item *index, struct err *e)
{
	_cleanup_(image_index_done) struct image_index x = { 0 };
	const char *text = NULL;
	int r = item_text(index, &text, e);

	if (r == 0 && (r = image_index_parse(text, index->size, NULL, &x, e)) < 0)
		err_push(e, r, "index.json");
	for (size_t i = 0; r == 0 && i < x.n_manifests; i++) {
		const struct descriptor *d = &x.manifests[i];
		const char *whole = map_get(&d->annotations, CONTAINERD_NAME);
		r = load_descriptor(l, d, whole ? whole : map_get(&d->annotations, REF_NAME), 0, e);
	}
	return r;
}

/* ---- docker-archive ---- */

struct docker_image {
	char *config, **repo_tags, **layers;
};
static const struct field docker_fields[] = { { "Config", FIELD_STRING, offsetof(struct docker_image, config), FIELD_REQUIRED },
					      { "RepoTags", FIELD_STRV, offsetof(struct docker_image, repo_tags) },
					      { "Layers", FIELD_STRV, offsetof(struct docker_image, layers) },
					      { 0 } };

static int named_item(struct load *l, const char *raw, struct item **ret, struct err *e)
{
	char path[UNPACK_PATH_MAX];
	int r = unpack_path_clean(raw, l->lim->max_depth, path, e);

	if (r == 0)
		r = source_find(&l->src, path, ret, e);
	return r < 0 || *ret ? r : err_set(e, ENOENT, "manifest.json names \"%.100s\", which is not in the archive", raw);
}

static const char *layer_media_type(const struct item *i)
{
	uint8_t magic[4] = { 0 };

	if (i->data)
		memcpy(magic, i->data, MIN(i->size, sizeof(magic)));
	else if (pread(i->fd, magic, sizeof(magic), 0) < 0)
		magic[0] = 0;
	if (magic[0] == 0x1f && magic[1] == 0x8b)
		return "application/vnd.oci.image.layer.v1.tar+gzip";
	if (magic[0] == 0x28 && magic[1] == 0xb5 && magic[2] == 0x2f && magic[3] == 0xfd)
		return "application/vnd.oci.image.layer.v1.tar+zstd";
	return "application/vnd.oci.image.layer.v1.tar";
}

static int describe(const struct item *i, const char *media_type, struct descriptor *d)
{
	d->media_type = strdup(media_type);
	d->digest = strdup(i->digest);
	d->size = i->size;
	return d->media_type && d->digest ? 0 : -ENOMEM;
}

/* A manifest for what has none. */
static int make_manifest(struct load *l, const struct docker_image *d, struct manifest *m, struct item **ret_config,
			 struct item **layers, struct err *e)
{
	size_t n = strv_len(d->layers);
	int r = named_item(l, d->config, ret_config, e);

	if (r < 0)
		return r;
	m->media_type = strdup("application/vnd.oci.image.manifest.v1+json");
	m->layers = calloc(n + 1, sizeof(*m->layers));
	if (!m->media_type || !m->layers || describe(*ret_config, "application/vnd.oci.image.config.v1+json", &m->config) < 0)
		return out_of_memory(e);
	for (size_t i = 0; d->layers && d->layers[i]; i++) {
		if ((r = named_item(l, d->layers[i], &layers[i], e)) < 0)
			return r;
		m->n_layers = i + 1;
		if (describe(layers[i], layer_media_type(layers[i]), &m->layers[i]) < 0)
			return out_of_memory(e);
	}
	return 0;
}

static int load_docker_image(struct load *l, const struct docker_image *d, struct err *e)
{
	_cleanup_(manifest_done) struct manifest m = { 0 };
	_cleanup_free_ struct item **layers = calloc(strv_len(d->layers) + 1, sizeof(struct item *));
	struct item *config = NULL, manifest = { .fd = -1 };
	int r = layers ? make_manifest(l, d, &m, &config, layers, e) : out_of_memory(e);

	if (r < 0)
		return r;
	_cleanup_free_ char *text = manifest_print(&m);
	if (!text)
		return out_of_memory(e);
	manifest.data = text;
	manifest.size = strlen(text);
	sha256_digest_str(text, manifest.size, manifest.digest);
	if ((r = load_parts(l, &m, &manifest, config, layers, e)) < 0)
		return r;
	if ((r = note(l, manifest.digest, NULL, e)) < 0)
		return r;
	for (char **tag = d->repo_tags; r == 0 && tag && *tag; tag++)
		r = note(l, manifest.digest, *tag, e);
	return r;
}

static int load_docker(struct load *l, struct item *list, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	const char *text = NULL;
	int r = item_text(list, &text, e);

	if (r == 0)
		r = json_parse(text, list->size, "manifest.json", &o, e);
	if (r == 0 && !json_object_is_type(o, json_type_array))
		r = err_set(e, EBADMSG, "manifest.json: expected a list of images");
	for (size_t i = 0; r == 0 && i < json_object_array_length(o); i++) {
		struct docker_image d = { 0 };
		_cleanup_free_ char *path = str_fmt("manifest.json[%zu]", i);
		r = path ? json_read(json_object_array_get_idx(o, i), docker_fields, &d, path, e) : out_of_memory(e);
		if (r == 0)
			r = load_docker_image(l, &d, e);
		json_free_fields(docker_fields, &d);
	}
	return r;
}

/* ---- the deed ---- */

static int load_all(struct load *l, struct err *e)
{
	struct item *index = NULL, *docker = NULL;
	int r = source_find(&l->src, "index.json", &index, e);

	/* Newer Dockers write both; the layout says more. */
	if (r == 0 && index)
		r = load_layout(l, index, e);
	else if (r == 0 && (r = source_find(&l->src, "manifest.json", &docker, e)) == 0)
		r = docker ? load_docker(l, docker, e)
			   : err_set(e, EINVAL,
				     "no images in it: neither index.json (OCI layout) nor manifest.json (docker save) is there");
	if (r == 0 && l->out.n == 0)
		r = err_set(e, ENOENT, "there are no images in it");
	/* One for all: blobs and layers are on disk before anybody records them (F10). */
	if (r == 0 && syncfs(l->src.rootfd) < 0)
		r = err_set(e, errno, "sync the store: %s", strerror(errno));
	return r;
}

int archive_load(int rootfd, int in, const char *platform, const struct unpack_limits *lim, struct loaded *ret, struct err *e)
{
	struct load l = { .lim = lim ? lim : &unpack_limits_default };
	struct rlimit files;
	int r = platform_parse(platform, &l.platform, e);

	if (r < 0)
		return r;
	/* One descriptor for each large item. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	layers_sweep(rootfd);
	r = source_open(&l.src, rootfd, in, l.lim, e);
	if (r == 0)
		r = load_all(&l, e);
	source_done(&l.src);
	if (r < 0) {
		loaded_done(&l.out);
		return r;
	}
	*ret = l.out;
	return 0;
}
