/* check_images: which image needs which blobs and layers, and whether all of that is there. Called by store_check. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "check_private.h"

/* ---- what there is ---- */

static int read_names(struct check *c, struct checked_image *i, struct err *e)
{
	_cleanup_strv_ char **refs = NULL, **ids = NULL;
	int r = records_tags(c->s->records, i->rec.id, &refs, &ids, e);

	for (char **ref = refs; r >= 0 && ref && *ref; ref++) {
		_cleanup_(ref_done) struct ref parsed = { 0 };
		char *familiar = ref_parse(*ref, NULL, &parsed, NULL) >= 0 ? ref_familiar(&parsed) : strdup(*ref);
		if (strv_push_take(&i->names, familiar) < 0)
			return err_set(e, ENOMEM, "check: out of memory");
	}
	if (r >= 0 && !i->names && strv_push(&i->names, i->rec.id) < 0)
		return err_set(e, ENOMEM, "check: out of memory");
	return MIN(r, 0);
}

/* A damaged one is told of as a blob. */
static int read_manifest(struct check *c, struct checked_image *i, struct err *ret)
{
	_cleanup_free_ char *text = NULL;
	struct err e = { 0 };
	size_t len;

	int r = blob_read(c->s->rootfd, i->rec.manifest_digest, &text, &len, &e);

	if (r >= 0)
		r = manifest_parse(text, len, NULL, &i->manifest, &e);
	i->has_manifest = r >= 0;
	if (r >= 0 || r == -ENOENT || blob_is_damage(r))
		return 0;
	*ret = e;
	return r;
}

static int find_only(struct check *c, struct err *e)
{
	_cleanup_(image_done) struct image wanted = { 0 };
	int r = image_find(c->s, c->o->image, &wanted, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < c->n_images; i++)
		if (streq0(c->images[i].rec.id, wanted.id))
			c->only = c->images[i].rec.id;
	return c->only ? 0 : err_set(e, ENOENT, "no such image: %s", c->o->image);
}

int check_images_read(struct check *c, struct err *e)
{
	struct image_record *list = NULL;
	size_t n = 0;
	int r = records_image_list(c->s->records, &list, &n, e);

	if (r >= 0 && !(c->images = calloc(n + 1, sizeof(*c->images))))
		r = err_set(e, ENOMEM, "check: out of memory");
	for (size_t i = 0; i < n; i++) {
		if (r < 0) {
			image_record_done(&list[i]);
			continue;
		}
		c->images[c->n_images].rec = list[i];
		r = read_names(c, &c->images[c->n_images], e);
		if (r >= 0)
			r = read_manifest(c, &c->images[c->n_images], e);
		c->n_images++;
	}
	free(list);
	return r >= 0 && c->o->image ? find_only(c, e) : r;
}

void check_images_done(struct check *c)
{
	for (size_t i = 0; i < c->n_images; i++) {
		image_record_done(&c->images[i].rec);
		strv_free(c->images[i].names);
		manifest_done(&c->images[i].manifest);
	}
	free(c->images);
}

/* ---- who needs it ---- */

static bool needs_blob(const struct checked_image *i, const char *digest)
{
	if (streq(i->rec.manifest_digest, digest))
		return true;
	if (streq(i->rec.id, digest)) /* its config, also where the manifest can't be read */
		return true;
	for (size_t l = 0; i->has_manifest && l < i->manifest.n_layers; l++)
		if (streq(i->manifest.layers[l].digest, digest))
			return true;
	return i->has_manifest && streq(i->manifest.config.digest, digest);
}

static bool needs_layer(const struct checked_image *i, const char *chain)
{
	for (char **id = i->rec.chain_ids; id && *id; id++)
		if (streq(*id, chain))
			return true;
	return false;
}

static char **users(const struct check *c, const char *digest, bool (*needs)(const struct checked_image *, const char *))
{
	char **v = NULL;

	for (size_t i = 0; i < c->n_images; i++)
		for (char **name = needs(&c->images[i], digest) ? c->images[i].names : NULL; name && *name; name++)
			if (strv_push(&v, *name) < 0)
				return v; /* fewer names are told */
	return v;
}

char **check_blob_users(const struct check *c, const char *digest) { return users(c, digest, needs_blob); }
char **check_layer_users(const struct check *c, const char *chain_id) { return users(c, chain_id, needs_layer); }

static bool wants(const struct check *c, const char *digest, bool (*needs)(const struct checked_image *, const char *))
{
	for (size_t i = 0; i < c->n_images; i++)
		if ((!c->only || c->only == c->images[i].rec.id) && needs(&c->images[i], digest))
			return true;
	return !c->only;
}

bool check_wants_blob(const struct check *c, const char *digest) { return wants(c, digest, needs_blob); }
bool check_wants_layer(const struct check *c, const char *chain_id) { return wants(c, chain_id, needs_layer); }

/* ---- disks of guests ---- */

/* A disk is named by the uppermost of its layers. */
int check_drop_disks(const struct check *c, const char *chain_id, struct err *e)
{
	char path[100];

	for (size_t i = 0; i < c->n_images; i++) {
		bool is_above = false;
		for (char **id = c->images[i].rec.chain_ids; id && *id; id++) {
			is_above |= streq(*id, chain_id);
			snprintf(path, sizeof(path), "erofs/%s.erofs", digest_hex(*id));
			if (is_above && unlinkat(c->s->rootfd, path, 0) < 0 && errno != ENOENT)
				return err_set(e, errno, "remove %s/%s: %s", c->s->root, path, strerror(errno));
		}
	}
	return 0;
}

/* ---- records ---- */

static bool is_there(const struct check *c, const char *folder, const char *digest)
{
	char path[BLOB_PATH_LEN + 24];

	snprintf(path, sizeof(path), "%s/%s", folder, digest_hex(digest));
	return faccessat(c->s->rootfd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Of what several images need only the first one tells. */
static void look_for(struct check *c, const char *kind, const char *folder, const char *digest, char **needed_by)
{
	if (is_there(c, folder, digest) || check_is_told(c, kind, digest)) {
		strv_free(needed_by);
		return;
	}
	check_begin(c, kind, digest, needed_by);
	c->n--;
	check_report(c, "is missing");
}

static void look_for_blob(struct check *c, const char *digest)
{
	look_for(c, "blob", "oci/blobs/sha256", digest, check_blob_users(c, digest));
}

static void check_image(struct check *c, size_t at)
{
	const struct checked_image *i = &c->images[at];
	char **names = NULL, sum[DIGEST_LEN];
	size_t n = strv_len(i->names);

	for (size_t k = 0; k < n && strv_push(&names, i->names[k]) >= 0; k++)
		;
	check_begin(c, "image", i->names[0], names);
	sha256_digest_str(i->rec.config_json ? i->rec.config_json : "", i->rec.config_json ? strlen(i->rec.config_json) : 0, sum);
	if (!streq(sum, i->rec.id))
		check_report(c, "its recorded config has changed");
	look_for_blob(c, i->rec.manifest_digest);
	if (i->has_manifest)
		look_for_blob(c, i->manifest.config.digest);
	for (size_t l = 0; i->has_manifest && l < i->manifest.n_layers; l++)
		look_for_blob(c, i->manifest.layers[l].digest);
	for (char **id = i->rec.chain_ids; id && *id; id++)
		look_for(c, "layer", "layers", *id, check_layer_users(c, *id));
}

void check_images(struct check *c)
{
	for (size_t i = 0; i < c->n_images; i++)
		if (!c->only || c->only == c->images[i].rec.id)
			check_image(c, i);
}
