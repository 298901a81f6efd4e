/* Image and tag records. An image is known by the digest of its config ("sha256:..."), as docker knows it; a tag is the
 * canonical text of a reference. Every write here is durable: what it speaks of was synced before (image.h), and what is deleted
 * after it must not come back as a record without files. */
#include "records_db.h"

void image_record_done(struct image_record *r)
{
	free(r->id);
	free(r->manifest_digest);
	free(r->created);
	strv_free(r->chain_ids);
	free(r->config_json);
	*r = (struct image_record){ 0 };
}

#define IMAGE_COLUMNS "id, manifest_digest, created, size_bytes, chain_ids, config_json, pulled_ns"

static int image_from_row(sqlite3_stmt *s, struct image_record *ret, struct err *e)
{
	struct image_record i = { .size_bytes = (uint64_t)sqlite3_column_int64(s, 3),
				  .pulled_ns = (uint64_t)sqlite3_column_int64(s, 6) };

	if (db_text(s, 0, &i.id) < 0 || db_text(s, 1, &i.manifest_digest) < 0 || db_text(s, 2, &i.created) < 0 ||
	    db_lines(s, 4, &i.chain_ids) < 0 || db_text(s, 5, &i.config_json) < 0) {
		image_record_done(&i);
		return err_set(e, ENOMEM, "records: out of memory");
	}
	*ret = i;
	return 0;
}

static int tag_holder(struct records *r, const char *ref, char **ret_id, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	int k = db_query(r, &s, e, "SELECT image_id FROM tags WHERE ref=?1", "t", ref);

	*ret_id = NULL;
	if (k < 0 || (k = db_step(r, s, "look a tag up", e)) <= 0)
		return k;
	return db_text(s, 0, ret_id) < 0 ? err_set(e, ENOMEM, "records: out of memory") : 0;
}

static int put_tag(struct records *r, const char *ref, const char *id, struct err *e)
{
	return db_run(r, "tag", e, "INSERT INTO tags(ref, image_id) VALUES(?1, ?2) ON CONFLICT(ref) DO UPDATE SET image_id=?2",
		      "tt", ref, id);
}

int records_image_put(struct records *r, const struct image_record *i, const char *ref, char **ret_old_id, struct err *e)
{
	_cleanup_buf_ struct buf chain = { 0 };
	_cleanup_free_ char *old = NULL;

	for (size_t n = 0; i->chain_ids && i->chain_ids[n]; n++)
		buf_fmt(&chain, "%s%s", n ? "\n" : "", i->chain_ids[n]);
	if (chain.failed)
		return err_set(e, ENOMEM, "records: out of memory");
	int k = db_begin(r, true, e);
	if (k < 0)
		return k;
	k = db_run(r, "record an image", e,
		   "INSERT INTO images(" IMAGE_COLUMNS ") VALUES(?1,?2,?3,?4,?5,?6,?7) ON CONFLICT(id) DO UPDATE SET"
		   " manifest_digest=?2, size_bytes=?4, chain_ids=?5, config_json=?6, pulled_ns=?7",
		   "tttitti", i->id, i->manifest_digest, i->created, (int64_t)i->size_bytes, chain.data ? chain.data : "",
		   i->config_json, (int64_t)i->pulled_ns);
	if (k == 0 && ref)
		k = tag_holder(r, ref, &old, e);
	if (k == 0 && ref)
		k = put_tag(r, ref, i->id, e);
	if (k == 0)
		k = db_commit(r, e);
	if (k < 0) {
		db_rollback(r);
		return k;
	}
	if (ret_old_id)
		*ret_old_id = old && !streq(old, i->id) ? TAKE_PTR(old) : NULL;
	return 0;
}

static bool is_hex(const char *s) { return *s && s[strspn(s, "0123456789abcdef")] == '\0'; }

static int image_by_prefix(struct records *r, const char *hex, struct image_record *ret, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	_cleanup_free_ char *low = str_fmt("sha256:%s", hex), *high = str_fmt("sha256:%sg", hex);
	struct image_record i = { 0 };

	if (!low || !high)
		return err_set(e, ENOMEM, "records: out of memory");
	int k = db_query(r, &s, e, "SELECT " IMAGE_COLUMNS " FROM images WHERE id >= ?1 AND id < ?2 LIMIT 2", "tt", low, high);
	if (k < 0 || (k = db_step(r, s, "look an image up", e)) < 0)
		return k;
	if (k == 0)
		return -ENOENT;
	if ((k = image_from_row(s, &i, e)) < 0)
		return k;
	k = db_step(r, s, "look an image up", e);
	if (k == 0) {
		*ret = i;
		return 0;
	}
	image_record_done(&i);
	return k < 0 ? k : err_set(e, ENOTUNIQ, "image id prefix %s is ambiguous: give more digits", hex);
}

int records_image_get(struct records *r, const char *name, struct image_record *ret, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	const char *hex = str_after(name, "sha256:");
	int k = db_query(r, &s, e,
			 "SELECT " IMAGE_COLUMNS " FROM images WHERE id = coalesce((SELECT image_id FROM tags WHERE ref=?1),"
			 " (SELECT id FROM images WHERE id=?1), (SELECT id FROM images WHERE manifest_digest=?1))",
			 "t", name);

	if (k < 0 || (k = db_step(r, s, "look an image up", e)) < 0)
		return k;
	if (k == 1)
		return image_from_row(s, ret, e);
	if (!hex)
		hex = name;
	k = is_hex(hex) && strlen(hex) <= 64 ? image_by_prefix(r, hex, ret, e) : -ENOENT;
	return k == -ENOENT ? err_set(e, ENOENT, "no such image: %s", name) : k;
}

static int read_image_row(sqlite3_stmt *s, void *ret, struct err *e) { return image_from_row(s, ret, e); }
static void image_row_done(void *row) { image_record_done(row); }
static const struct db_row image_row = { sizeof(struct image_record), read_image_row, image_row_done };

int records_image_list(struct records *r, struct image_record **ret, size_t *ret_n, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	void *list = NULL;
	int k = db_query(r, &s, e, "SELECT " IMAGE_COLUMNS " FROM images ORDER BY created DESC, id", "");

	if (k >= 0)
		k = db_list(r, s, "list images", &image_row, &list, ret_n, e);
	if (k >= 0)
		*ret = list;
	return k;
}

int records_tags(struct records *r, const char *image_id, char ***ret_refs, char ***ret_ids, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	_cleanup_strv_ char **refs = NULL, **ids = NULL;
	int k = db_query(r, &s, e, "SELECT ref, image_id FROM tags WHERE ?1 IS NULL OR image_id=?1 ORDER BY ref", "t", image_id);

	while (k >= 0 && (k = db_step(r, s, "list tags", e)) == 1) {
		if (strv_push(&refs, (const char *)sqlite3_column_text(s, 0)) < 0 ||
		    strv_push(&ids, (const char *)sqlite3_column_text(s, 1)) < 0)
			k = err_set(e, ENOMEM, "records: out of memory");
	}
	if (k < 0)
		return k;
	*ret_refs = TAKE_PTR(refs);
	if (ret_ids)
		*ret_ids = TAKE_PTR(ids);
	return 0;
}

/* The event of a name (NULL: of the image by its id). */
static int note(struct records *r, const char *action, const char *id, const char *ref, struct err *e)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	_cleanup_free_ char *name = NULL;
	struct ref parsed;

	if (ref && ref_parse(ref, NULL, &parsed, NULL) >= 0) {
		name = ref_familiar(&parsed);
		ref_done(&parsed);
	}
	if (json_add(o, "name", json_object_new_string(name ? name : id)) < 0)
		return err_set(e, ENOMEM, "records: out of memory");
	return event_put(r, "image", action, id,
			 json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE), e);
}

int records_tag_put(struct records *r, const char *ref, const char *image_id, struct err *e)
{
	int k = db_begin(r, true, e);

	if (k < 0)
		return k;
	k = db_run(r, "tag", e,
		   "INSERT INTO tags(ref, image_id) SELECT ?1, id FROM images WHERE id=?2 ON CONFLICT(ref) DO UPDATE SET "
		   "image_id=?2",
		   "tt", ref, image_id);
	if (k == 0 && sqlite3_changes(r->db) == 0)
		k = err_set(e, ENOENT, "no such image: %s", image_id);
	if (k == 0)
		k = note(r, "tag", image_id, ref, e);
	if (k == 0)
		return db_commit(r, e);
	db_rollback(r);
	return k;
}

int records_tag_delete(struct records *r, const char *ref, struct err *e)
{
	_cleanup_free_ char *holder = NULL;
	int k = db_begin(r, true, e);

	if (k < 0)
		return k;
	k = tag_holder(r, ref, &holder, e);
	if (k == 0 && holder)
		k = note(r, "untag", holder, ref, e);
	if (k == 0)
		k = db_run(r, "untag", e, "DELETE FROM tags WHERE ref=?1", "t", ref);
	if (k == 0)
		return db_commit(r, e);
	db_rollback(r);
	return k;
}

static int delete_image(struct records *r, const char *id, struct err *e)
{
	_cleanup_strv_ char **refs = NULL;
	int k = records_tags(r, id, &refs, NULL, e);

	for (char **ref = refs; k == 0 && ref && *ref; ref++)
		k = note(r, "untag", id, *ref, e);
	if (k == 0)
		k = db_run(r, "delete an image's tags", e, "DELETE FROM tags WHERE image_id=?1", "t", id);
	if (k == 0)
		k = db_run(r, "delete an image", e, "DELETE FROM images WHERE id=?1", "t", id);
	return k == 0 && sqlite3_changes(r->db) > 0 ? note(r, "delete", id, NULL, e) : k;
}

int records_image_delete(struct records *r, const char *id, struct err *e)
{
	int k = db_begin(r, true, e);

	if (k < 0)
		return k;
	k = delete_image(r, id, e);
	if (k == 0)
		return db_commit(r, e);
	db_rollback(r);
	return k;
}

int records_image_user(struct records *r, const char *image_id, bool running_only, char **ret_container_id, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	int k = db_query(
		r, &s, e,
		"SELECT id FROM containers WHERE image_id=?1 AND (?2=0 OR state IN (?3, ?4, ?5)) ORDER BY created_ns LIMIT 1",
		"tiiii", image_id, (int64_t)running_only, (int64_t)CS_RUNNING, (int64_t)CS_PAUSED, (int64_t)CS_RESTARTING);

	if (k < 0 || (k = db_step(r, s, "look for an image's containers", e)) <= 0)
		return k;
	return db_text(s, 0, ret_container_id) < 0 ? err_set(e, ENOMEM, "records: out of memory") : 1;
}
