/* Container records: put, get, list, delete. Names are unique by the table's constraint, so of any number of processes that
 * create the same name at once exactly one wins (states.c holds the transitions). */
#include "records_db.h"

void container_record_done(struct container_record *c)
{
	free(c->id);
	free(c->name);
	free(c->image_id);
	free(c->image_ref);
	free(c->isolation);
	free(c->error);
	free(c->options_json);
	free(c->pod_id);
	free(c->pod_name);
	free(c->ports_json);
	map_done(&c->labels);
	*c = (struct container_record){ 0 };
}

#define CONTAINER_READ CONTAINER_COLUMNS ", (SELECT p.name FROM pods p WHERE p.id=containers.pod_id)" CONTAINER_LIFE
#define CONTAINER_COLUMNS                                                                                               \
	"id, name, image_id, image_ref, isolation, created_ns, started_ns, finished_ns, state, exit_code, oom_killed, " \
	"auto_remove,"                                                                                                  \
	" has_tty, error, options_json, labels_json, pod_id"
/* What it is not made with. Ports that are published are the pod's where the network is. */
#define CONTAINER_LIFE                         \
	", restart_count, is_stopped, health," \
	" coalesce(ports_json, (SELECT p.ports_json FROM pods p WHERE p.id=containers.pod_id))"

int labels_print(const struct string_map *m, char **ret)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();

	if (!o)
		return -ENOMEM;
	for (size_t i = 0; m->keys && m->keys[i]; i++) {
		struct json_object *v = json_object_new_string(m->values[i]);
		if (!v || json_object_object_add(o, m->keys[i], v) < 0) {
			json_object_put(v);
			return -ENOMEM;
		}
	}
	char *text = strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	if (!text)
		return -ENOMEM;
	*ret = text;
	return 0;
}

int db_labels(sqlite3_stmt *s, int column, struct string_map *ret, struct err *e)
{
	const char *text = (const char *)sqlite3_column_text(s, column);
	_cleanup_json_ struct json_object *o = NULL;
	int k;

	if (!text)
		return 0;
	if ((k = json_parse(text, strlen(text), "labels of a container record", &o, e)) < 0)
		return k;
	json_object_object_foreach(o, key, v)
	{
		if (map_set(ret, key, json_object_get_string(v)) < 0)
			return err_set(e, ENOMEM, "records: out of memory");
	}
	return 0;
}

static int container_from_row(sqlite3_stmt *s, struct container_record *ret, struct err *e)
{
	struct container_record c = {
		.created_ns = (uint64_t)sqlite3_column_int64(s, 5),
		.started_ns = (uint64_t)sqlite3_column_int64(s, 6),
		.finished_ns = (uint64_t)sqlite3_column_int64(s, 7),
		.state = (enum container_state)sqlite3_column_int(s, 8),
		.exit_code = sqlite3_column_int(s, 9),
		.oom_killed = sqlite3_column_int(s, 10),
		.auto_remove = sqlite3_column_int(s, 11),
		.has_tty = sqlite3_column_int(s, 12),
		.restart_count = sqlite3_column_int64(s, 18),
		.is_stopped = sqlite3_column_int(s, 19),
		.health = (enum container_health)sqlite3_column_int(s, 20),
	};
	const struct {
		int column;
		char **to;
	} texts[] = { { 0, &c.id },     { 1, &c.name },          { 2, &c.image_id }, { 3, &c.image_ref }, { 4, &c.isolation },
		      { 13, &c.error }, { 14, &c.options_json }, { 16, &c.pod_id },  { 17, &c.pod_name }, { 21, &c.ports_json } };
	int k = 0;

	for (size_t i = 0; i < ARRAY_SIZE(texts) && k == 0; i++)
		k = db_text(s, texts[i].column, texts[i].to);
	if (k < 0)
		err_set(e, ENOMEM, "records: out of memory");
	else
		k = db_labels(s, 15, &c.labels, e);
	if (k < 0) {
		container_record_done(&c);
		return k;
	}
	*ret = c;
	return 0;
}

static int name_taken(struct records *r, const struct container_record *c, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;

	if (c->name && db_query(r, &s, e, "SELECT id FROM containers WHERE name=?1", "t", c->name) == 0 &&
	    db_step(r, s, "look a name up", e) == 1)
		return err_set(e, EEXIST, "the name %s is in use by container %.12s: remove or rename it, or take another name",
			       c->name, (const char *)sqlite3_column_text(s, 0));
	return err_set(e, EEXIST, "container id %s is in use", c->id);
}

/* An image deleted between being found and being used must not get a container: its layers may be gone the next moment. */
static int image_is_known(struct records *r, const char *image_id, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;

	if (!image_id || !str_after(image_id, "sha256:"))
		return 0; /* a machine's disk, not an image */
	int k = db_query(r, &s, e, "SELECT 1 FROM images WHERE id=?1", "t", image_id);
	if (k < 0 || (k = db_step(r, s, "look an image up", e)) < 0)
		return k;
	return k == 1 ? 0 : err_set(e, ENOENT, "no such image: %s (it was removed meanwhile)", image_id);
}

int records_container_put(struct records *r, const struct container_record *c, struct err *e)
{
	_cleanup_free_ char *labels = NULL;
	int k;

	if (c->labels.keys && labels_print(&c->labels, &labels) < 0)
		return err_set(e, ENOMEM, "records: out of memory");
	if ((k = db_begin(r, !c->auto_remove, e)) < 0)
		return k;
	if ((k = image_is_known(r, c->image_id, e)) == 0 && (k = pod_is_known(r, c->pod_id, e)) == 0 &&
	    (k = is_pods_name(r, c->name, e)) == 0) {
		k = db_run(r, "record a container", e,
			   "INSERT INTO containers(" CONTAINER_COLUMNS
			   ") VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17)",
			   "tttttiiiiiiiitttt", c->id, c->name, c->image_id, c->image_ref, c->isolation, (int64_t)c->created_ns,
			   (int64_t)c->started_ns, (int64_t)c->finished_ns, (int64_t)c->state, (int64_t)c->exit_code,
			   (int64_t)c->oom_killed, (int64_t)c->auto_remove, (int64_t)c->has_tty, c->error, c->options_json,
			   labels, c->pod_id);
		if (k == -EEXIST)
			k = name_taken(r, c, e);
	}
	if (k == 0)
		k = volume_uses_put(r, c, e);
	if (k == 0)
		k = endpoints_put(r, c->id, c->endpoints, c->n_endpoints, e);
	if (k == 0)
		k = container_event(r, c->id, "create", NULL, e);
	if (k == 0)
		return db_commit(r, e);
	db_rollback(r);
	return k;
}

static int by_prefix(struct records *r, const char *prefix, struct container_record *ret, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	_cleanup_free_ char *high = str_fmt("%sg", prefix);
	struct container_record c = { 0 };

	if (!high)
		return err_set(e, ENOMEM, "records: out of memory");
	int k = db_query(r, &s, e, "SELECT " CONTAINER_READ " FROM containers WHERE id >= ?1 AND id < ?2 LIMIT 2", "tt", prefix,
			 high);
	if (k < 0 || (k = db_step(r, s, "look a container up", e)) < 0)
		return k;
	if (k == 0)
		return -ENOENT;
	if ((k = container_from_row(s, &c, e)) < 0)
		return k;
	k = db_step(r, s, "look a container up", e);
	if (k == 0) {
		*ret = c;
		return 0;
	}
	container_record_done(&c);
	return k < 0 ? k : err_set(e, ENOTUNIQ, "container id prefix %s is ambiguous: give more digits", prefix);
}

int records_container_get(struct records *r, const char *name, struct container_record *ret, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;

	name += name[0] == '/' && name[1]; /* as inspect prints it (docker's) */
	int k = db_query(r, &s, e, "SELECT " CONTAINER_READ " FROM containers WHERE id=?1 OR name=?1 ORDER BY id=?1 DESC LIMIT 1",
			 "t", name);

	if (k < 0 || (k = db_step(r, s, "look a container up", e)) < 0)
		return k;
	if (k == 1)
		return container_from_row(s, ret, e);
	k = *name && name[strspn(name, "0123456789abcdef")] == '\0' ? by_prefix(r, name, ret, e) : -ENOENT;
	return k == -ENOENT ? err_set(e, ENOENT, "no such container: %s", name) : k;
}

static int read_container_row(sqlite3_stmt *s, void *ret, struct err *e) { return container_from_row(s, ret, e); }
static void container_row_done(void *row) { container_record_done(row); }
static const struct db_row container_row = { sizeof(struct container_record), read_container_row, container_row_done };

int records_container_list(struct records *r, bool all, struct container_record **ret, size_t *ret_n, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	void *list = NULL;
	int k = db_query(r, &s, e,
			 "SELECT " CONTAINER_READ
			 " FROM containers WHERE ?1 OR state IN (?2, ?3, ?4) ORDER BY created_ns DESC, id",
			 "iiii", (int64_t)all, (int64_t)CS_RUNNING, (int64_t)CS_PAUSED, (int64_t)CS_RESTARTING);

	if (k >= 0)
		k = db_list(r, s, "list containers", &container_row, &list, ret_n, e);
	if (k >= 0)
		*ret = list;
	return k;
}

static int delete (struct records *r, const char *id, struct err *e)
{
	int k = container_event(r, id, "destroy", NULL, e);

	return k < 0 ? k : db_run(r, "delete a container's record", e, "DELETE FROM containers WHERE id=?1", "t", id);
}

int records_container_delete(struct records *r, const char *id, struct err *e)
{
	return records_container_delete_ended(r, id, NULL, e);
}

/* What --rm takes away costs no sync: should a power cut take that back, the next command sees that it has ended. */
static int is_kept(struct records *r, const char *id, bool *ret, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	int k = db_query(r, &s, e, "SELECT 1 FROM containers WHERE id=?1 AND (state=?2 OR NOT auto_remove)", "ti", id,
			 (int64_t)CS_REMOVING);

	if (k < 0 || (k = db_step(r, s, "look a container up", e)) < 0)
		return k;
	*ret = k == 1;
	return 0;
}

int records_container_delete_ended(struct records *r, const char *id, const struct container_record *to, struct err *e)
{
	bool durable = true;
	int k = is_kept(r, id, &durable, e);

	if (k < 0 || (k = db_begin(r, durable, e)) < 0)
		return k;
	if (to)
		k = container_died(r, id, to, e);
	if (k == 0)
		k = delete (r, id, e);
	if (k == 0)
		k = volume_uses_delete(r, id, e);
	if (k == 0)
		k = endpoints_delete(r, id, e);
	if (k == 0)
		return db_commit(r, e);
	db_rollback(r);
	return k;
}

int records_container_rename(struct records *r, const char *id, const char *old_name, const char *new_name, struct err *e)
{
	_cleanup_json_ struct json_object *extra = json_object_new_object();
	_cleanup_free_ char *old = str_fmt("/%s", old_name);
	union {
		const char *in;
		char *out;
	} name = { .in = new_name };
	const struct container_record taken = { .name = name.out };
	int k = !old || json_add(extra, "oldName", json_object_new_string(old)) < 0 ? err_set(e, ENOMEM, "records: out of memory")
										    : db_begin(r, true, e);

	if (k < 0)
		return k;
	k = is_pods_name(r, new_name, e);
	if (k == 0) {
		k = db_run(r, "rename a container", e, "UPDATE containers SET name=?1 WHERE id=?2", "tt", new_name, id);
		if (k == -EEXIST)
			k = name_taken(r, &taken, e);
		else if (k == 0 && sqlite3_changes(r->db) == 0)
			k = err_set(e, ENOENT, "no such container: %.12s", id);
	}
	if (k == 0)
		k = container_event(r, id, "rename", json_object_to_json_string_ext(extra, JSON_C_TO_STRING_PLAIN), e);
	if (k == 0)
		return db_commit(r, e);
	db_rollback(r);
	return k;
}
