/* Records of volumes, and which container uses which. A volume's record is what makes it exist: it comes before the volume's files,
 * and goes before them. That a container uses volumes is written, and forgotten, with the container's own record in one transaction,
 * which is refused where a volume is gone; a volume's deletion is refused in one transaction with the look at its users. */
#include "records_db.h"

void volume_record_done(struct volume_record *v)
{
	free(v->name);
	free(v->driver);
	map_done(&v->options);
	map_done(&v->labels);
	*v = (struct volume_record){ 0 };
}

void volume_records_free(struct volume_record *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		volume_record_done(&list[i]);
	free(list);
}

void volume_uses_free(struct volume_use *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i].name);
	free(list);
}

#define VOLUME_COLUMNS "name, driver, created_ns, options_json, labels_json"
#define VOLUME_READ    VOLUME_COLUMNS ", EXISTS(SELECT 1 FROM volume_users u WHERE u.volume=volumes.name)"

static int from_row(sqlite3_stmt *s, struct volume_record *ret, struct err *e)
{
	struct volume_record v = { .created_ns = (uint64_t)sqlite3_column_int64(s, 2), .is_used = sqlite3_column_int(s, 5) };
	int k = db_text(s, 0, &v.name);

	if (k == 0)
		k = db_text(s, 1, &v.driver);
	k = k < 0 ? err_set(e, ENOMEM, "records: out of memory") : db_labels(s, 3, &v.options, e);
	if (k == 0)
		k = db_labels(s, 4, &v.labels, e);
	if (k < 0) {
		volume_record_done(&v);
		return k;
	}
	*ret = v;
	return 0;
}

#define EVENT_ATTRS "{\"driver\":\"local\"}"

/* In a transaction. */
static int put_row(struct records *r, const struct volume_record *v, struct err *e)
{
	_cleanup_free_ char *options = NULL, *labels = NULL;
	int k;

	if (map_text(&v->options, &options) < 0 || map_text(&v->labels, &labels) < 0)
		return err_set(e, ENOMEM, "records: out of memory");
	k = db_run(r, "record a volume", e, "INSERT INTO volumes(" VOLUME_COLUMNS ") VALUES(?1,?2,?3,?4,?5)", "ttitt", v->name,
		   v->driver, (int64_t)v->created_ns, options, labels);
	if (k == -EEXIST)
		return err_set(e, EEXIST, "there is a volume %s already", v->name);
	return k < 0 ? k : event_put(r, "volume", "create", v->name, EVENT_ATTRS, e);
}

int records_volume_put(struct records *r, const struct volume_record *v, bool durable, struct err *e)
{
	int k = db_begin(r, durable, e);

	if (k < 0)
		return k;
	k = put_row(r, v, e);
	if (k == 0)
		return db_commit(r, e);
	db_rollback(r);
	return k;
}

int records_volume_get(struct records *r, const char *name, struct volume_record *ret, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	int k = db_query(r, &s, e, "SELECT " VOLUME_READ " FROM volumes WHERE name=?1", "t", name);

	if (k < 0 || (k = db_step(r, s, "look a volume up", e)) < 0)
		return k;
	return k == 1 ? from_row(s, ret, e) : err_set(e, ENOENT, "get %s: no such volume", name);
}

static int read_volume_row(sqlite3_stmt *s, void *ret, struct err *e) { return from_row(s, ret, e); }
static void volume_row_done(void *row) { volume_record_done(row); }
static const struct db_row volume_row = { sizeof(struct volume_record), read_volume_row, volume_row_done };

int records_volume_list(struct records *r, struct volume_record **ret, size_t *ret_n, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	void *list = NULL;
	int k = db_query(r, &s, e, "SELECT " VOLUME_READ " FROM volumes ORDER BY name", "");

	if (k >= 0)
		k = db_list(r, s, "list volumes", &volume_row, &list, ret_n, e);
	if (k >= 0)
		*ret = list;
	return k;
}

/* ---- who uses what ---- */

int records_volume_users(struct records *r, const char *name, char ***ret_ids, char ***ret_names, struct err *e)
{
	_cleanup_strv_ char **ids = NULL, **names = NULL;
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	int k = db_query(r, &s, e,
			 "SELECT u.container_id, c.name FROM volume_users u LEFT JOIN containers c ON c.id=u.container_id"
			 " WHERE u.volume=?1 ORDER BY c.created_ns, u.container_id",
			 "t", name);

	while (k >= 0 && (k = db_step(r, s, "look for a volume's users", e)) == 1) {
		const char *container = (const char *)sqlite3_column_text(s, 1);
		if (strv_push(&ids, (const char *)sqlite3_column_text(s, 0)) < 0 ||
		    strv_push(&names, container ? container : "") < 0)
			k = err_set(e, ENOMEM, "records: out of memory");
	}
	if (k < 0)
		return k;
	*ret_ids = TAKE_PTR(ids);
	*ret_names = TAKE_PTR(names);
	return 0;
}

static int read_use_row(sqlite3_stmt *s, void *ret, struct err *e)
{
	struct volume_use u = { .is_own = sqlite3_column_int(s, 1) };

	if (db_text(s, 0, &u.name) < 0)
		return err_set(e, ENOMEM, "records: out of memory");
	*(struct volume_use *)ret = u;
	return 0;
}
static void use_row_done(void *row) { free(((struct volume_use *)row)->name); }
static const struct db_row use_row = { sizeof(struct volume_use), read_use_row, use_row_done };

int records_container_volumes(struct records *r, const char *id, struct volume_use **ret, size_t *ret_n, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	void *list = NULL;
	int k = db_query(r, &s, e, "SELECT volume, is_own FROM volume_users WHERE container_id=?1 ORDER BY volume", "t", id);

	if (k >= 0)
		k = db_list(r, s, "look for a container's volumes", &use_row, &list, ret_n, e);
	if (k >= 0)
		*ret = list;
	return k;
}

int volume_uses_put(struct records *r, const struct container_record *c, struct err *e)
{
	for (size_t i = 0; i < c->n_volumes; i++) {
		const struct volume_use *u = &c->volumes[i];
		int k = u->made ? put_row(r, u->made, e) : 0;
		if (k < 0)
			return k;
		k = db_run(
			r, "record a volume's user", e,
			"INSERT INTO volume_users(container_id, volume, is_own) SELECT ?1, name, ?3 FROM volumes WHERE name=?2",
			"tti", c->id, u->name, (int64_t)u->is_own);
		if (k == 0 && sqlite3_changes(r->db) == 0)
			k = err_set(e, ENOENT, "no such volume: %s (it was removed meanwhile)", u->name);
		if (k < 0)
			return k;
	}
	return 0;
}

int volume_uses_delete(struct records *r, const char *container_id, struct err *e)
{
	return db_run(r, "forget a container's volumes", e, "DELETE FROM volume_users WHERE container_id=?1", "t", container_id);
}

/* ---- deletion ---- */

/* "[web (3f2a...), db (...)]", as docker has it with ids alone. */
static int check_unused(struct records *r, const char *name, const char *except_id, struct err *e)
{
	_cleanup_strv_ char **ids = NULL, **names = NULL;
	_cleanup_buf_ struct buf list = { 0 };
	int k = records_volume_users(r, name, &ids, &names, e);

	for (size_t i = 0; k == 0 && ids && ids[i]; i++)
		if (!except_id || !streq(ids[i], except_id))
			buf_fmt(&list, "%s%s%s%.12s%s", list.len ? ", " : "", names[i], *names[i] ? " (" : "", ids[i],
				*names[i] ? ")" : "");
	if (k < 0 || (!list.len && !list.failed))
		return k;
	return err_set(e, EBUSY, "remove %s: volume is in use - [%s]", name, list.data ? list.data : "...");
}

int records_volume_delete(struct records *r, const char *name, const char *except_id, struct err *e)
{
	int k = db_begin(r, !except_id, e);

	if (k < 0)
		return k;
	k = check_unused(r, name, except_id, e);
	if (k == 0)
		k = db_run(r, "forget a volume's users", e, "DELETE FROM volume_users WHERE volume=?1", "t", name);
	if (k == 0)
		k = db_run(r, "delete a volume's record", e, "DELETE FROM volumes WHERE name=?1", "t", name);
	if (k == 0 && sqlite3_changes(r->db) > 0)
		k = event_put(r, "volume", "destroy", name, EVENT_ATTRS, e);
	if (k == 0)
		return db_commit(r, e);
	db_rollback(r);
	return k;
}
