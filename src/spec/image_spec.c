/* Manifests and indexes: what a registry or an archive says an image consists of.
 *
 * Untrusted. Invariants of a document that a parse function returns: it is of one kind only, whatever label it came with
 * (a document with both `layers` and `manifests` reads as an image for one client and as a list for another,
 * CVE-2021-41190); every digest in it has passed digest_check, so a file may be named from it.
 *
 * Called by the transfer program and the image store. image_config.c holds the third document. */
#include "image_spec.h"

#include <stdio.h>

#include "spec_rows.h"

#define MAX_LAYERS 512 /* as many as overlayfs stacks (OVL_MAX_STACK is 500) with room; real images stay below 130 */

static const struct field platform_fields[] = {
	SPEC_ROW("architecture", FIELD_STRING, descriptor, architecture),
	SPEC_ROW("os", FIELD_STRING, descriptor, os),
	SPEC_ROW("variant", FIELD_STRING, descriptor, variant),
	{ NULL },
};
static const struct field descriptor_fields[] = {
	SPEC_ROW("mediaType", FIELD_STRING, descriptor, media_type, FIELD_REQUIRED),
	SPEC_ROW("digest", FIELD_STRING, descriptor, digest, FIELD_REQUIRED),
	SPEC_ROW("size", FIELD_U64, descriptor, size, FIELD_REQUIRED),
	SPEC_ROW("urls", FIELD_STRV, descriptor, urls, FIELD_OMIT_EMPTY),
	SPEC_ROW("annotations", FIELD_MAP, descriptor, annotations, FIELD_OMIT_EMPTY),
	{ "platform", FIELD_OBJECT, 0, FIELD_OMIT_EMPTY, platform_fields },
	{ NULL },
};
static const struct field manifest_fields[] = {
	SPEC_ROW("mediaType", FIELD_STRING, manifest, media_type),
	SPEC_ROW("config", FIELD_OBJECT, manifest, config, FIELD_REQUIRED, descriptor_fields),
	SPEC_ARRAY("layers", manifest, layers, descriptor, descriptor_fields, .flags = FIELD_REQUIRED),
	SPEC_ROW("annotations", FIELD_MAP, manifest, annotations, FIELD_OMIT_EMPTY),
	{ NULL },
};
static const struct field index_fields[] = {
	SPEC_ROW("mediaType", FIELD_STRING, image_index, media_type),
	SPEC_ARRAY("manifests", image_index, manifests, descriptor, descriptor_fields, .flags = FIELD_REQUIRED),
	{ NULL },
};

/* ---- what is wrong with a document as a whole ---- */

/* The kinds of document, and the keys that only the other kind has. */
static const struct kind {
	enum media_kind kind;
	const char *name, *list, *foreign[2], *default_type;
} kinds[] = {
	{ MEDIA_MANIFEST, "manifest", "layers", { "manifests" }, "application/vnd.oci.image.manifest.v1+json" },
	{ MEDIA_INDEX, "index", "manifests", { "layers", "config" }, "application/vnd.oci.image.index.v1+json" },
};

static int check_version(struct json_object *o, const struct kind *k, struct err *e)
{
	struct json_object *v = NULL;

	json_object_object_get_ex(o, "schemaVersion", &v);
	if (!v)
		return err_set(e, EINVAL, "%s: .schemaVersion: missing", k->name);
	if (!json_object_is_type(v, json_type_int) || json_object_get_int64(v) != 2)
		return err_push(
			e, json_expected(v, ".schemaVersion", "2 (Docker's schema 1 is not supported: push the image anew)", e),
			"%s", k->name);
	for (size_t i = 0; i < ARRAY_SIZE(k->foreign) && k->foreign[i]; i++)
		if (json_object_object_get_ex(o, k->foreign[i], NULL))
			return err_set(e, EINVAL, "%s: ambiguous: it holds .%s, which only the other kind of document has",
				       k->name, k->foreign[i]);
	return 0;
}

/* The media type without parameters ("; charset=utf-8"); caller frees; NULL on ENOMEM. */
static char *type_without_parameters(const char *content_type)
{
	size_t n = strcspn(content_type, "; \t");

	return strndup(content_type, n);
}

/* The label outside (Content-Type, or the descriptor that led here) and the one inside must name the same type, of this
 * kind. Types that are none of ours ("application/json") say nothing. Fills *media_type where the document has none. */
static int check_type(char **media_type, const char *content_type, const struct kind *k, struct err *e)
{
	_cleanup_free_ char *outer = NULL;

	if (content_type) {
		outer = type_without_parameters(content_type);
		if (!outer)
			return err_set(e, ENOMEM, "out of memory");
		if (media_kind(outer, NULL) == MEDIA_UNKNOWN)
			free_ptr(&outer);
	}
	if (*media_type && media_kind(*media_type, NULL) != k->kind)
		return err_set(e, EINVAL, "%s: .mediaType: \"%.100s\" is not the type of %s %s", k->name, *media_type,
			       k->kind == MEDIA_INDEX ? "an" : "a", k->name);
	if (outer && media_kind(outer, NULL) != k->kind)
		return err_set(e, EINVAL, "%s: served as \"%.100s\", which is not the type of %s %s", k->name, outer,
			       k->kind == MEDIA_INDEX ? "an" : "a", k->name);
	if (outer && *media_type && !streq(outer, *media_type))
		return err_set(e, EINVAL, "%s: .mediaType: \"%.100s\" contradicts the type it is served as, \"%.100s\"", k->name,
			       *media_type, outer);
	if (!*media_type) {
		*media_type = outer ? TAKE_PTR(outer) : strdup(k->default_type);
		if (!*media_type)
			return err_set(e, ENOMEM, "out of memory");
	}
	return 0;
}

static int check_descriptor(const struct descriptor *d, const char *where, size_t i, struct err *e)
{
	int r = digest_check(d->digest, e);

	if (r < 0)
		return err_push(e, r, "%s[%zu].digest", where, i);
	if (d->size > INT64_MAX)
		return err_set(e, EINVAL, "%s[%zu].size: %llu is too large", where, i, (unsigned long long)d->size);
	return 0;
}

static int check_descriptors(const struct descriptor *d, size_t n, const struct kind *k, struct err *e)
{
	char where[24];

	if (n > MAX_LAYERS)
		return err_set(e, E2BIG, "%s: .%s: %zu entries, at most %d are accepted", k->name, k->list, n, MAX_LAYERS);
	snprintf(where, sizeof where, ".%s", k->list);
	for (size_t i = 0; i < n; i++) {
		int r = check_descriptor(&d[i], where, i, e);
		if (r < 0)
			return err_push(e, r, "%s", k->name);
	}
	return 0;
}

/* ---- manifest ---- */

int manifest_parse(const char *text, size_t len, const char *content_type, struct manifest *ret, struct err *e)
{
	_cleanup_(manifest_done) struct manifest m = {};
	_cleanup_json_ struct json_object *o = NULL;
	const struct kind *k = &kinds[0];
	int r;

	r = json_parse(text, len, k->name, &o, e);
	if (r < 0)
		return r;
	if (!json_object_is_type(o, json_type_object))
		return json_expected(o, k->name, "an object", e);
	r = check_version(o, k, e);
	if (r < 0)
		return r;
	r = json_read(o, manifest_fields, &m, "", e);
	if (r < 0)
		return err_push(e, r, "%s", k->name);
	r = check_type(&m.media_type, content_type, k, e);
	if (r < 0)
		return r;
	r = digest_check(m.config.digest, e);
	if (r < 0)
		return err_push(e, r, "%s: .config.digest", k->name);
	r = check_descriptors(m.layers, m.n_layers, k, e);
	if (r < 0)
		return r;
	*ret = m;
	m = (struct manifest){};
	return 0;
}

void manifest_done(struct manifest *m) { json_free_fields(manifest_fields, m); }

/* ---- index ---- */

int image_index_parse(const char *text, size_t len, const char *content_type, struct image_index *ret, struct err *e)
{
	_cleanup_(image_index_done) struct image_index x = {};
	_cleanup_json_ struct json_object *o = NULL;
	const struct kind *k = &kinds[1];
	int r;

	r = json_parse(text, len, k->name, &o, e);
	if (r < 0)
		return r;
	if (!json_object_is_type(o, json_type_object))
		return json_expected(o, k->name, "an object", e);
	r = check_version(o, k, e);
	if (r < 0)
		return r;
	r = json_read(o, index_fields, &x, "", e);
	if (r < 0)
		return err_push(e, r, "%s", k->name);
	r = check_type(&x.media_type, content_type, k, e);
	if (r < 0)
		return r;
	r = check_descriptors(x.manifests, x.n_manifests, k, e);
	if (r < 0)
		return r;
	*ret = x;
	x = (struct image_index){};
	return 0;
}

void image_index_done(struct image_index *x) { json_free_fields(index_fields, x); }

/* ---- text ---- */

static char *compact_text(struct json_object *o)
{
	const char *s = o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE) : NULL;

	return s ? strdup(s) : NULL;
}

static char *versioned_text(const struct field *table, const void *obj)
{
	_cleanup_json_ struct json_object *o = json_write(table, obj);

	if (!o || json_add(o, "schemaVersion", json_object_new_int(2)) < 0)
		return NULL;
	return compact_text(o);
}

char *manifest_print(const struct manifest *m) { return versioned_text(manifest_fields, m); }

char *image_index_print(const struct image_index *x) { return versioned_text(index_fields, x); }
