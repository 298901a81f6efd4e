/* Events: an append-only log of what happened, numbered without gaps being reused; readers ask for what came after a number. */
#include "records_db.h"

#define EVENTS_KEPT 10000 /* older ones are dropped, so that the file stays bounded */
#define EVENTS_TRIM 512   /* look for old ones each so many */

int records_event_add(struct records *r, const char *type, const char *action, const char *id, const char *attrs_json,
		      struct err *e)
{
	int k = db_begin(r, false, e);

	if (k < 0)
		return k;
	k = db_run(r, "record an event", e, "INSERT INTO events(time_ns, type, action, id, attrs_json) VALUES(?1,?2,?3,?4,?5)",
		   "itttt", (int64_t)clock_real_ns(), type, action, id, attrs_json);
	int64_t seq = sqlite3_last_insert_rowid(r->db);
	if (k == 0 && seq % EVENTS_TRIM == 0)
		k = db_run(r, "drop old events", e, "DELETE FROM events WHERE seq <= ?1", "i", seq - EVENTS_KEPT);
	if (k == 0)
		return db_commit(r, e);
	db_rollback(r);
	return k;
}

void event_done(struct event *v)
{
	free(v->type);
	free(v->action);
	free(v->id);
	free(v->attrs_json);
	*v = (struct event){ 0 };
}

int records_events(struct records *r, uint64_t after_seq, uint64_t since_ns, int (*cb)(const struct event *, void *), void *arg,
		   struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	int k = db_query(
		r, &s, e,
		"SELECT seq, time_ns, type, action, id, attrs_json FROM events WHERE seq > ?1 AND time_ns >= ?2 ORDER BY seq",
		"ii", (int64_t)after_seq, (int64_t)since_ns);

	while (k >= 0 && (k = db_step(r, s, "read events", e)) == 1) {
		struct event v = { .seq = (uint64_t)sqlite3_column_int64(s, 0), .time_ns = (uint64_t)sqlite3_column_int64(s, 1) };
		if (db_text(s, 2, &v.type) < 0 || db_text(s, 3, &v.action) < 0 || db_text(s, 4, &v.id) < 0 ||
		    db_text(s, 5, &v.attrs_json) < 0)
			k = err_set(e, ENOMEM, "records: out of memory");
		else
			k = cb(&v, arg);
		event_done(&v);
	}
	return k;
}
