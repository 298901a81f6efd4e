/* Private to records: the connection, its prepared statements, and how SQLite's results become -errno. */
#pragma once

#include <sqlite3.h>

#include "records.h"

#define RECORDS_STMTS 96 /* distinct statements of this library; db_query refuses more, a unit test would show it */

struct records {
	sqlite3 *db;
	char *path;
	char *events_path; /* events.c */
	bool is_durable;   /* synchronous=FULL at present */
	bool has_events;   /* the open transaction has recorded some */
	struct {
		const char *sql; /* compared as a pointer: statements are string literals */
		sqlite3_stmt *stmt;
	} cache[RECORDS_STMTS];
};

/* Fills e from r's last SQLite error: "records: ACTION: ...". Returns -errno; a busy database is -EBUSY, a full disk -ENOSPC,
 * a damaged file -EUCLEAN, a violated constraint -EEXIST. */
int db_error(struct records *r, int rc, const char *action, struct err *e);
/* A statement ready to step: prepared once per connection, reset, its parameters bound from types: 't' const char * (NULL = SQL
 * NULL), 'i' int64_t. The texts must live until db_reset. */
int db_query(struct records *r, sqlite3_stmt **ret, struct err *e, const char *sql, const char *types, ...);
int db_step(struct records *r, sqlite3_stmt *s, const char *action, struct err *e); /* 1 a row, 0 the end, or -errno */
static inline void db_reset(sqlite3_stmt **s)
{
	if (*s)
		sqlite3_reset(*s);
}
#define _cleanup_stmt_ _cleanup_(db_reset)
/* For statements without rows: query, one step, reset. */
int db_run(struct records *r, const char *action, struct err *e, const char *sql, const char *types, ...);
/* How a row becomes a struct of so many bytes; done frees what one holds. */
struct db_row {
	size_t bytes;
	int (*read)(sqlite3_stmt *s, void *ret, struct err *e); /* 0 or -errno; ret untouched on failure */
	void (*done)(void *row);
};
/* All rows that s has still to give: *ret is an array of *ret_n, NULL for none; on failure nothing is left. */
int db_list(struct records *r, sqlite3_stmt *s, const char *action, const struct db_row *kind, void **ret, size_t *ret_n,
	    struct err *e);
/* Copies of a text column; NULL for SQL NULL. 0 or -ENOMEM. */
int db_text(sqlite3_stmt *s, int column, char **ret);
int db_lines(sqlite3_stmt *s, int column, char ***ret); /* newline-separated -> strv; NULL when empty */

/* A write transaction. durable: the commit is on stable storage when db_commit returns (images: their files are whole by then);
 * otherwise it survives a crash of the program but a power cut may take back the last few: what --rm leaves nothing of, and how what runs fares. */
int db_begin(struct records *r, bool durable, struct err *e);
int db_commit(struct records *r, struct err *e);
void db_rollback(struct records *r); /* nothing without a transaction */

/* states.c, inside of a transaction: the events of an end. 0 also where there is no such container. */
int container_died(struct records *r, const char *id, const struct container_record *to, struct err *e);

/* containers.c: labels as the JSON that a column keeps. */
int labels_print(const struct string_map *m, char **ret); /* -ENOMEM */
int db_labels(sqlite3_stmt *s, int column, struct string_map *ret, struct err *e);
/* The same, and NULL for none. */
static inline int map_text(const struct string_map *m, char **ret) { return m->keys && m->keys[0] ? labels_print(m, ret) : 0; }
/* pods.c, inside of a container's transaction: -ENOENT where there is no such pod; -EEXIST where a pod has the name. NULL is fine. */
int pod_is_known(struct records *r, const char *pod_id, struct err *e);
int is_pods_name(struct records *r, const char *name, struct err *e);

/* events.c, inside of a transaction: records_event_add and records_container_event. */
int event_put(struct records *r, const char *type, const char *action, const char *id, const char *attrs_json, struct err *e);
int container_event(struct records *r, const char *id, const char *action, const char *extra_json, struct err *e);
void events_touch(const struct records *r); /* there are new ones */

/* volumes.c, inside of a container's transaction: -ENOENT where there is no such volume. */
int volume_uses_put(struct records *r, const struct container_record *c, struct err *e);
int volume_uses_delete(struct records *r, const char *container_id, struct err *e);

#define ADDRESS_HEX 33 /* a column's text of an address, and its end */

/* endpoints.c, inside of a container's or pod's transaction. */
int endpoints_put(struct records *r, const char *container_id, struct endpoint_request *list, size_t n, struct err *e);
int endpoints_delete(struct records *r, const char *container_id, struct err *e);
/* The events of a container's networks: "connect" as it starts, "disconnect" as it ends. */
int endpoints_event(struct records *r, const char *container_id, const char *action, struct err *e);

/* schema.c: makes, migrates or refuses by user_version. */
int schema_ensure(struct records *r, struct err *e);
