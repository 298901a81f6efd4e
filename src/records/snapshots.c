/* Records of saved VMs. A record is durable, and comes after its files; it goes before them: what has a record is whole. */
#include "records_db.h"

void snapshot_record_done(struct snapshot_record *s)
{
	free(s->id);
	free(s->name);
	free(s->vm_id);
	free(s->vm_name);
	free(s->image_id);
	free(s->image_ref);
	free(s->parent_id);
	free(s->parent_name);
	*s = (struct snapshot_record){ NULL };
}

#define SNAPSHOT_COLUMNS "id, name, vm_id, vm_name, image_id, image_ref, created_ns, size_bytes, parent_id"
#define PARENT_NAME      "(SELECT p.name FROM snapshots p WHERE p.id=snapshots.parent_id)"
enum { COLUMN_CREATED = 6, COLUMN_SIZE, COLUMN_PARENT, COLUMN_PARENT_NAME, COLUMN_WHOLE };

static int from_row(sqlite3_stmt *s, struct snapshot_record *ret, struct err *e)
{
	struct snapshot_record v = { .created_ns = (uint64_t)sqlite3_column_int64(s, COLUMN_CREATED),
				     .size_bytes = (uint64_t)sqlite3_column_int64(s, COLUMN_SIZE) };
	char **const texts[COLUMN_WHOLE] = { &v.id,
					     &v.name,
					     &v.vm_id,
					     &v.vm_name,
					     &v.image_id,
					     &v.image_ref,
					     [COLUMN_PARENT] = &v.parent_id,
					     [COLUMN_PARENT_NAME] = &v.parent_name };

	for (int i = 0; i < (int)ARRAY_SIZE(texts); i++)
		if (texts[i] && db_text(s, i, texts[i]) < 0) {
			snapshot_record_done(&v);
			return err_set(e, ENOMEM, "records: out of memory");
		}
	*ret = v;
	return 0;
}

/* The name of one that the query finds for id; 0: none. */
static int find_name(struct records *r, const char *sql, const char *id, char **ret, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	int k = db_query(r, &s, e, sql, "t", id);

	if (k < 0 || (k = db_step(r, s, "look for a snapshot's relatives", e)) <= 0)
		return k;
	return db_text(s, 0, ret) < 0 ? err_set(e, ENOMEM, "records: out of memory") : 1;
}

static int check_parent(struct records *r, const char *parent_id, struct err *e)
{
	_cleanup_free_ char *name = NULL;
	int k = parent_id ? find_name(r, "SELECT name FROM snapshots WHERE id=?1", parent_id, &name, e) : 1;

	return k == 0 ? err_set(e, ENOENT, "the snapshot that it goes on from was removed meanwhile: take a whole one")
		      : MIN(k, 0);
}

int records_snapshot_put(struct records *r, const struct snapshot_record *s, struct err *e)
{
	int k = db_begin(r, true, e);

	if (k < 0)
		return k;
	k = check_parent(r, s->parent_id, e);
	if (k == 0)
		k = db_run(r, "record a snapshot", e,
			   "INSERT INTO snapshots(" SNAPSHOT_COLUMNS ") VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)", "ttttttiit", s->id,
			   s->name, s->vm_id, s->vm_name, s->image_id, s->image_ref, (int64_t)s->created_ns,
			   (int64_t)s->size_bytes, s->parent_id);
	if (k == 0)
		return db_commit(r, e);
	db_rollback(r);
	return k == -EEXIST ? err_set(e, EEXIST, "there is a snapshot %s already: remove it, or take another name", s->name) : k;
}

int records_snapshot_get(struct records *r, const char *name, struct snapshot_record *ret, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	_cleanup_free_ char *high = str_fmt("%sg", name);
	bool may_be_prefix = *name && !name[strspn(name, "0123456789abcdef")];
	struct snapshot_record v;
	int k;

	if (!high)
		return err_set(e, ENOMEM, "records: out of memory");
	/* What is named or is an id, whole, counts before what begins so. */
	k = db_query(r, &s, e,
		     "SELECT " SNAPSHOT_COLUMNS ", " PARENT_NAME ", (id=?1 OR name=?1) AS whole FROM snapshots"
		     " WHERE whole OR (?2 AND id >= ?1 AND id < ?3) ORDER BY whole DESC, id=?1 DESC LIMIT 2",
		     "tit", name, (int64_t)may_be_prefix, high);
	if (k < 0 || (k = db_step(r, s, "look a snapshot up", e)) < 0)
		return k;
	if (k == 0)
		return err_set(e, ENOENT, "no such snapshot: %s", name);
	bool is_whole = sqlite3_column_int(s, COLUMN_WHOLE);
	if ((k = from_row(s, &v, e)) < 0)
		return k;
	k = is_whole ? 0 : db_step(r, s, "look a snapshot up", e);
	if (k == 0) {
		*ret = v;
		return 0;
	}
	snapshot_record_done(&v);
	return k < 0 ? k : err_set(e, ENOTUNIQ, "snapshot id prefix %s is ambiguous: give more digits", name);
}

static int read_snapshot_row(sqlite3_stmt *s, void *ret, struct err *e) { return from_row(s, ret, e); }
static void snapshot_row_done(void *row) { snapshot_record_done(row); }
static const struct db_row snapshot_row = { sizeof(struct snapshot_record), read_snapshot_row, snapshot_row_done };

int records_snapshot_list(struct records *r, struct snapshot_record **ret, size_t *ret_n, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	void *list = NULL;
	int k = db_query(r, &s, e, "SELECT " SNAPSHOT_COLUMNS ", " PARENT_NAME " FROM snapshots ORDER BY created_ns DESC, id",
			 "");

	if (k >= 0)
		k = db_list(r, s, "list snapshots", &snapshot_row, &list, ret_n, e);
	if (k >= 0)
		*ret = list;
	return k;
}

void snapshot_records_free(struct snapshot_record *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		snapshot_record_done(&list[i]);
	free(list);
}

/* In the transaction of the deletion: a child's record that comes at the same time finds its parent, or finds it gone. */
static int check_children(struct records *r, const char *id, struct err *e)
{
	_cleanup_free_ char *name = NULL;
	int k = find_name(r, "SELECT name FROM snapshots WHERE parent_id=?1 ORDER BY created_ns DESC LIMIT 1", id, &name, e);

	return k == 1 ? err_set(e, EBUSY,
				"snapshot %s holds only what has changed since this one: remove %s first (berth snapshot rm %s)",
				name, name, name)
		      : k;
}

int records_snapshot_delete(struct records *r, const char *id, struct err *e)
{
	int k = db_begin(r, true, e);

	if (k < 0)
		return k;
	k = check_children(r, id, e);
	if (k == 0)
		k = db_run(r, "delete a snapshot's record", e, "DELETE FROM snapshots WHERE id=?1", "t", id);
	if (k == 0)
		return db_commit(r, e);
	db_rollback(r);
	return k;
}

int records_image_snapshot(struct records *r, const char *image_id, char **ret_snapshot_id, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	int k = db_query(r, &s, e, "SELECT id FROM snapshots WHERE image_id=?1 ORDER BY created_ns LIMIT 1", "t", image_id);

	if (k < 0 || (k = db_step(r, s, "look for an image's snapshots", e)) <= 0)
		return k;
	return db_text(s, 0, ret_snapshot_id) < 0 ? err_set(e, ENOMEM, "records: out of memory") : 1;
}
