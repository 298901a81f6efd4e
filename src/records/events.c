/* Events: a log of what happened, numbered without gaps. What happens to a container or an image is written by the transaction that
 * makes it so (container_event, event_put inside of others), so none is missed and none is told that did not happen.
 *
 * Bounded: the newest EVENTS_KEPT stay, and labels longer than LABELS_MAX are left out, so that the file can't grow.
 *
 * Followers wait for ROOT/berth.db-events, an empty file that only they make (records_events_watch): each commit with an event
 * in it touches that file, which inotify tells. The write-ahead log would not do: it is written before the commit is
 * to be seen by others, so that who is woken by it may find nothing and sleep on. */
#include <sys/inotify.h>
#include <sys/stat.h>

#include "records_db.h"

#define EVENTS_KEPT 10000 /* older ones are dropped */
#define EVENTS_TRIM 512   /* look for old ones each so many */
#define TO_STR_(x)  #x
#define TO_STR(x)   TO_STR_(x)
#define LABELS_MAX  16384

void events_touch(const struct records *r)
{
	/* Nobody follows where there is no file. Nothing else can be done about a failure: followers look now and then by themselves. */
	if (utimensat(AT_FDCWD, r->events_path, NULL, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
		log_debug("records", "%s: %s", r->events_path, strerror(errno));
}

/* After each INSERT. */
static int trim(struct records *r, struct err *e)
{
	int64_t seq = sqlite3_last_insert_rowid(r->db);

	if (sqlite3_changes(r->db) == 0)
		return 0;
	r->has_events = true;
	return seq % EVENTS_TRIM ? 0
				 : db_run(r, "drop old events", e, "DELETE FROM events WHERE seq <= ?1", "i", seq - EVENTS_KEPT);
}

int event_put(struct records *r, const char *type, const char *action, const char *id, const char *attrs_json, struct err *e)
{
	int k = db_run(r, "record an event", e,
		       "INSERT INTO events(time_ns, type, action, id, attrs_json) VALUES(?1,?2,?3,?4,?5)", "itttt",
		       (int64_t)clock_real_ns(), type, action, id, attrs_json);

	return k < 0 ? k : trim(r, e);
}

int container_event(struct records *r, const char *id, const char *action, const char *extra_json, struct err *e)
{
	int k = db_run(r, "record an event", e,
		       "INSERT INTO events(time_ns, type, action, id, attrs_json) SELECT ?1, 'container', ?2, id,"
		       " json_patch(json_patch(CASE WHEN length(coalesce(labels_json, '')) BETWEEN 2 AND " TO_STR(
			       LABELS_MAX) " THEN labels_json"
					   " ELSE '{}' END, json_object('image', coalesce(image_ref, image_id, ''), 'name', "
					   "coalesce(name, ''))), coalesce(?3, '{}'))"
					   " FROM containers WHERE id=?4",
		       "ittt", (int64_t)clock_real_ns(), action, extra_json, id);

	return k < 0 ? k : trim(r, e);
}

int records_event_add(struct records *r, const char *type, const char *action, const char *id, const char *attrs_json,
		      struct err *e)
{
	int k = db_begin(r, false, e);

	if (k < 0)
		return k;
	k = event_put(r, type, action, id, attrs_json, e);
	if (k == 0)
		return db_commit(r, e);
	db_rollback(r);
	return k;
}

int records_container_event(struct records *r, const char *id, const char *action, const char *extra_json, struct err *e)
{
	int k = db_begin(r, false, e);

	if (k < 0)
		return k;
	k = container_event(r, id, action, extra_json, e);
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

void events_free(struct event *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		event_done(&list[i]);
	free(list);
}

int records_events(struct records *r, uint64_t after_seq, uint64_t since_ns, size_t max, struct event **ret, size_t *ret_n,
		   struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	struct event *list = calloc(max, sizeof(*list));
	size_t n = 0;
	int k = list ? 0 : err_set(e, ENOMEM, "records: out of memory");

	if (k == 0)
		k = db_query(
			r, &s, e,
			"SELECT seq, time_ns, type, action, id, attrs_json FROM events WHERE seq > ?1 AND time_ns >= ?2 ORDER BY "
			"seq LIMIT ?3",
			"iii", (int64_t)after_seq, (int64_t)since_ns, (int64_t)max);
	while (k >= 0 && (k = db_step(r, s, "read events", e)) == 1) {
		struct event *v = &list[n++];
		v->seq = (uint64_t)sqlite3_column_int64(s, 0);
		v->time_ns = (uint64_t)sqlite3_column_int64(s, 1);
		if (db_text(s, 2, &v->type) < 0 || db_text(s, 3, &v->action) < 0 || db_text(s, 4, &v->id) < 0 ||
		    db_text(s, 5, &v->attrs_json) < 0)
			k = err_set(e, ENOMEM, "records: out of memory");
	}
	if (k < 0) {
		events_free(list, n);
		return k;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

int records_event_last(struct records *r, uint64_t *ret_seq, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	int k = db_query(r, &s, e, "SELECT seq FROM sqlite_sequence WHERE name='events'", "");

	if (k == 0)
		k = db_step(r, s, "read events", e);
	if (k < 0)
		return k;
	*ret_seq = k == 1 ? (uint64_t)sqlite3_column_int64(s, 0) : 0;
	return 0;
}

int records_events_watch(struct records *r, int *ret_fd, struct err *e)
{
	_cleanup_fd_ int file = open(r->events_path, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	_cleanup_fd_ int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (file < 0)
		return err_set(e, errno, "%s: %s", r->events_path, strerror(errno));
	if (fd < 0 || inotify_add_watch(fd, r->events_path, IN_ATTRIB | IN_DELETE_SELF) < 0)
		return err_set(e, errno, "watch %s: %s", r->events_path,
			       errno == ENOSPC || errno == EMFILE
				       ? "no inotify watch is left; raise fs.inotify.max_user_watches or max_user_instances"
				       : strerror(errno));
	*ret_fd = TAKE_FD(fd);
	return 0;
}
