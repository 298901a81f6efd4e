/* Pod records: put, get, list, delete. A pod has no state of its own: that is its containers', whose records name it. A container
 * of a pod can be recorded only while the pod is, and a pod be deleted only once it has none: both are decided inside of one
 * transaction. Pods and containers share one set of names, as podman's do. */
#include "records_db.h"

void pod_record_done(struct pod_record *p)
{
	free(p->id);
	free(p->name);
	free(p->isolation);
	free(p->options_json);
	free(p->ports_json);
	map_done(&p->labels);
	*p = (struct pod_record){ 0 };
}

#define POD_COLUMNS "id, name, isolation, created_ns, options_json, labels_json"
#define POD_READ    POD_COLUMNS ", ports_json"

static int pod_from_row(sqlite3_stmt *s, struct pod_record *ret, struct err *e)
{
	struct pod_record p = { .created_ns = (uint64_t)sqlite3_column_int64(s, 3) };
	int k = db_text(s, 0, &p.id);

	if (k == 0)
		k = db_text(s, 1, &p.name);
	if (k == 0)
		k = db_text(s, 2, &p.isolation);
	if (k == 0)
		k = db_text(s, 4, &p.options_json);
	if (k == 0)
		k = db_text(s, 6, &p.ports_json);
	k = k < 0 ? err_set(e, ENOMEM, "records: out of memory") : db_labels(s, 5, &p.labels, e);
	if (k < 0) {
		pod_record_done(&p);
		return k;
	}
	*ret = p;
	return 0;
}

static int name_taken(struct records *r, const struct pod_record *p, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;

	if (db_query(r, &s, e, "SELECT id FROM pods WHERE name=?1", "t", p->name) == 0 && db_step(r, s, "look a name up", e) == 1)
		return err_set(e, EEXIST, "the name %s is in use by pod %.12s: remove it, or take another name", p->name,
			       (const char *)sqlite3_column_text(s, 0));
	return err_set(e, EEXIST, "pod id %s is in use", p->id);
}

static int is_containers_name(struct records *r, const char *name, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	int k = db_query(r, &s, e, "SELECT id FROM containers WHERE name=?1", "t", name);

	if (k == 0)
		k = db_step(r, s, "look a name up", e);
	return k <= 0 ? k
		      : err_set(e, EEXIST, "the name %s is in use by container %.12s: take another name", name,
				(const char *)sqlite3_column_text(s, 0));
}

int records_pod_put(struct records *r, const struct pod_record *p, struct err *e)
{
	_cleanup_free_ char *labels = NULL;
	int k = p->labels.keys && labels_print(&p->labels, &labels) < 0 ? err_set(e, ENOMEM, "records: out of memory") : 0;

	if (k < 0 || (k = db_begin(r, true, e)) < 0)
		return k;
	k = is_containers_name(r, p->name, e);
	if (k == 0) {
		k = db_run(r, "record a pod", e, "INSERT INTO pods(" POD_COLUMNS ") VALUES(?1,?2,?3,?4,?5,?6)", "tttitt", p->id,
			   p->name, p->isolation, (int64_t)p->created_ns, p->options_json, labels);
		if (k == -EEXIST)
			k = name_taken(r, p, e);
	}
	if (k == 0)
		k = endpoints_put(r, p->id, p->endpoints, p->n_endpoints, e);
	if (k == 0)
		return db_commit(r, e);
	db_rollback(r);
	return k;
}

static int by_prefix(struct records *r, const char *prefix, struct pod_record *ret, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	_cleanup_free_ char *high = str_fmt("%sg", prefix);
	struct pod_record p = { 0 };

	if (!high)
		return err_set(e, ENOMEM, "records: out of memory");
	int k = db_query(r, &s, e, "SELECT " POD_READ " FROM pods WHERE id >= ?1 AND id < ?2 LIMIT 2", "tt", prefix, high);
	if (k < 0 || (k = db_step(r, s, "look a pod up", e)) < 0)
		return k;
	if (k == 0)
		return -ENOENT;
	if ((k = pod_from_row(s, &p, e)) < 0)
		return k;
	k = db_step(r, s, "look a pod up", e);
	if (k == 0) {
		*ret = p;
		return 0;
	}
	pod_record_done(&p);
	return k < 0 ? k : err_set(e, ENOTUNIQ, "pod id prefix %s is ambiguous: give more digits", prefix);
}

int records_pod_get(struct records *r, const char *name, struct pod_record *ret, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	int k = db_query(r, &s, e, "SELECT " POD_READ " FROM pods WHERE id=?1 OR name=?1 ORDER BY id=?1 DESC LIMIT 1", "t", name);

	if (k < 0 || (k = db_step(r, s, "look a pod up", e)) < 0)
		return k;
	if (k == 1)
		return pod_from_row(s, ret, e);
	k = *name && name[strspn(name, "0123456789abcdef")] == '\0' ? by_prefix(r, name, ret, e) : -ENOENT;
	return k == -ENOENT ? err_set(e, ENOENT, "no such pod: %s", name) : k;
}

int records_pod_ports(struct records *r, const char *id, const char *ports_json, struct err *e)
{
	return db_run(r, "record a pod's ports", e, "UPDATE pods SET ports_json=?2 WHERE id=?1", "tt", id, ports_json);
}

static int read_pod_row(sqlite3_stmt *s, void *ret, struct err *e) { return pod_from_row(s, ret, e); }
static void pod_row_done(void *row) { pod_record_done(row); }
static const struct db_row pod_row = { sizeof(struct pod_record), read_pod_row, pod_row_done };

int records_pod_list(struct records *r, struct pod_record **ret, size_t *ret_n, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	void *list = NULL;
	int k = db_query(r, &s, e, "SELECT " POD_READ " FROM pods ORDER BY created_ns DESC, id", "");

	if (k >= 0)
		k = db_list(r, s, "list pods", &pod_row, &list, ret_n, e);
	if (k >= 0)
		*ret = list;
	return k;
}

int pod_is_known(struct records *r, const char *pod_id, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	int k;

	if (!pod_id)
		return 0;
	k = db_query(r, &s, e, "SELECT 1 FROM pods WHERE id=?1", "t", pod_id);
	if (k < 0 || (k = db_step(r, s, "look a pod up", e)) < 0)
		return k;
	return k == 1 ? 0 : err_set(e, ENOENT, "no such pod: %.12s (it was removed meanwhile)", pod_id);
}

int is_pods_name(struct records *r, const char *name, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	int k = name ? db_query(r, &s, e, "SELECT id FROM pods WHERE name=?1", "t", name) : 0;

	if (name && k == 0)
		k = db_step(r, s, "look a name up", e);
	return k <= 0 ? k
		      : err_set(e, EEXIST, "the name %s is in use by pod %.12s: take another name", name,
				(const char *)sqlite3_column_text(s, 0));
}

static int has_containers(struct records *r, const char *id, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	int k = db_query(r, &s, e, "SELECT name FROM containers WHERE pod_id=?1 LIMIT 1", "t", id);

	if (k == 0)
		k = db_step(r, s, "look for a pod's containers", e);
	return k <= 0 ? k : err_set(e, EBUSY, "pod %.12s still has container %s", id, (const char *)sqlite3_column_text(s, 0));
}

int records_pod_delete(struct records *r, const char *id, struct err *e)
{
	int k = db_begin(r, true, e);

	if (k < 0)
		return k;
	k = has_containers(r, id, e);
	if (k == 0)
		k = endpoints_delete(r, id, e);
	if (k == 0)
		k = db_run(r, "delete a pod's record", e, "DELETE FROM pods WHERE id=?1", "t", id);
	if (k == 0)
		return db_commit(r, e);
	db_rollback(r);
	return k;
}
