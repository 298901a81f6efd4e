/* Images: found for a run, recorded after a pull or load, tagged. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store_private.h"

#define PREFIX_MIN 3 /* fewer digits of an id are rather a typing error */

void image_done(struct image *i)
{
	free(i->id);
	free(i->manifest_digest);
	strv_free(i->chain_ids);
	image_config_done(&i->config);
	*i = (struct image){ 0 };
}

static int find_record(struct store *s, const char *name, struct image_record *ret, struct err *e)
{
	_cleanup_(ref_done) struct ref ref = { 0 };
	const char *hex = str_after(name, "sha256:");
	struct err ignored = { 0 };
	int r, is_ref;

	if (hex)
		return records_image_get(s->records, name, ret, e);
	bool is_hex = strlen(name) >= PREFIX_MIN && strlen(name) <= 64 && name[strspn(name, "0123456789abcdef")] == '\0';
	/* 64 hex digits are no reference by the grammar; any other hex word could be a tag, and tags come first, as with docker. */
	if ((is_ref = ref_parse(name, NULL, &ref, is_hex ? &ignored : e)) < 0 && !is_hex)
		return is_ref;
	if (is_ref >= 0) {
		_cleanup_free_ char *text = ref_str(&ref);
		if (!text)
			return err_set(e, ENOMEM, "store: out of memory");
		r = records_image_get(s->records, text, ret, e);
		if (r == -ENOENT && ref.digest)
			r = records_image_get(s->records, ref.digest, ret, e);
		if (r != -ENOENT)
			return r;
	}
	r = is_hex ? records_image_get(s->records, name, ret, e) : -ENOENT;
	return r == -ENOENT ? err_set(e, ENOENT, "no such image: %s", name) : r;
}

int image_find(struct store *s, const char *name, struct image *ret, struct err *e)
{
	_cleanup_(image_record_done) struct image_record rec = { 0 };
	struct image i = { 0 };
	int r = find_record(s, name, &rec, e);

	if (r < 0)
		return r;
	if (!rec.config_json)
		return err_set(e, ENODATA, "image %s has no config in its record: pull it again", name);
	if ((r = image_config_parse(rec.config_json, strlen(rec.config_json), &i.config, e)) < 0)
		return err_push(e, r, "image %s", name);
	i.id = TAKE_PTR(rec.id);
	i.manifest_digest = TAKE_PTR(rec.manifest_digest);
	i.chain_ids = TAKE_PTR(rec.chain_ids);
	i.size_bytes = rec.size_bytes;
	*ret = i;
	return 0;
}

int image_layer_dirs(struct store *s, const struct image *i, char ***ret, struct err *e)
{
	_cleanup_strv_ char **v = NULL;

	for (size_t n = strv_len(i->chain_ids); n-- > 0;) {
		char *dir = str_fmt("%s/layers/%s/diff", s->root, digest_hex(i->chain_ids[n]));
		if (strv_push_take(&v, dir) < 0)
			return err_set(e, ENOMEM, "store: out of memory");
		if (faccessat(AT_FDCWD, dir, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			return err_set(e, errno, "layer %s %s", i->chain_ids[n],
				       errno == ENOENT ? "is missing" : strerror(errno));
	}
	*ret = TAKE_PTR(v);
	return 0;
}

/* From its info.json. */
int image_layer_size(struct store *s, const char *chain, uint64_t *ret, struct err *e)
{
	static const struct field fields[] = { { "size_bytes", FIELD_U64, 0, FIELD_REQUIRED }, { 0 } };
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_free_ char *text = NULL;
	char path[96];
	size_t len;

	snprintf(path, sizeof(path), "layers/%s/info.json", digest_hex(chain));
	int r = file_read(s->rootfd, path, 1 << 16, &text, &len);
	if (r < 0)
		return err_set(e, -r, "layer %s is not unpacked: %s/%s: %s", chain, s->root, path, strerror(-r));
	if ((r = json_parse(text, len, path, &o, e)) < 0)
		return r;
	return json_read(o, fields, ret, "", e);
}

static int add_layers(struct store *s, const struct image_config *c, struct image_record *rec, struct err *e)
{
	char chain[DIGEST_LEN], next[DIGEST_LEN];
	uint64_t size = 0;
	int r;

	for (size_t i = 0; c->diff_ids && c->diff_ids[i]; i++) {
		if (chain_id(i ? chain : NULL, c->diff_ids[i], next) < 0)
			return err_set(e, EINVAL, "diff id %s is not a digest", c->diff_ids[i]);
		memcpy(chain, next, sizeof(chain));
		if ((r = image_layer_size(s, chain, &size, e)) < 0)
			return r;
		rec->size_bytes += size;
		if (strv_push(&rec->chain_ids, chain) < 0)
			return err_set(e, ENOMEM, "store: out of memory");
	}
	return 0;
}

static int record_from_blobs(struct store *s, const char *manifest_digest, struct image_record *rec, struct err *e)
{
	_cleanup_(manifest_done) struct manifest m = { 0 };
	_cleanup_(image_config_done) struct image_config c = { 0 };
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r;

	if ((r = blob_read(s->rootfd, manifest_digest, &text, &len, e)) < 0)
		return r;
	if ((r = manifest_parse(text, len, NULL, &m, e)) < 0)
		return err_push(e, r, "manifest %s", manifest_digest);
	if ((r = blob_read(s->rootfd, m.config.digest, &rec->config_json, &len, e)) < 0)
		return r;
	if ((r = image_config_parse(rec->config_json, len, &c, e)) < 0)
		return err_push(e, r, "config %s", m.config.digest);
	if (strv_len(c.diff_ids) != m.n_layers)
		return err_set(e, EBADMSG, "manifest %s lists %zu layers, its config %zu diff ids", manifest_digest, m.n_layers,
			       strv_len(c.diff_ids));
	if (!rec->config_json || strlen(rec->config_json) != len)
		return err_set(e, EBADMSG, "config %s holds a NUL byte", m.config.digest);
	if (!(rec->id = strdup(m.config.digest)) || !(rec->manifest_digest = strdup(manifest_digest)))
		return err_set(e, ENOMEM, "store: out of memory");
	if (c.created && !(rec->created = strdup(c.created)))
		return err_set(e, ENOMEM, "store: out of memory");
	rec->pulled_ns = clock_real_ns();
	return add_layers(s, &c, rec, e);
}

int image_record(struct store *s, const char *manifest_digest, const struct ref *ref, char **ret_old_id, struct err *e)
{
	_cleanup_(image_record_done) struct image_record rec = { 0 };
	_cleanup_free_ char *name = NULL;
	int r;

	if (ref && !(name = ref_str(ref)))
		return err_set(e, ENOMEM, "store: out of memory");
	if ((r = record_from_blobs(s, manifest_digest, &rec, e)) < 0)
		return r;
	if ((r = records_image_put(s->records, &rec, name, ret_old_id, e)) < 0)
		return r;
	return index_json_write(s, e);
}

int image_tag(struct store *s, const char *name, const struct ref *ref, struct err *e)
{
	_cleanup_(image_record_done) struct image_record rec = { 0 };
	_cleanup_free_ char *text = ref_str(ref);
	int r;

	if (!text)
		return err_set(e, ENOMEM, "store: out of memory");
	if (ref->digest)
		return err_set(e, EINVAL, "%s: a tag can't hold a digest", text);
	if ((r = find_record(s, name, &rec, e)) < 0)
		return r;
	if ((r = records_tag_put(s->records, text, rec.id, e)) < 0)
		return r;
	return index_json_write(s, e);
}
