/* check.c: is the database whole, and do its rows agree with each other? What rows say of files is for others to see (image/check.c,
 * engine/check.c). */
#include "records_db.h"

#define LOST_ENDPOINTS                                   \
	"network_id NOT IN (SELECT id FROM networks) OR" \
	" (container_id NOT IN (SELECT id FROM containers) AND container_id NOT IN (SELECT id FROM pods))"

static const struct {
	const char *kind, *problem;
	const char *find; /* one column: the name that is told */
	const char *mend;
} orphans[] = {
	{ "tag", "the image that it names is gone", "SELECT ref FROM tags WHERE image_id NOT IN (SELECT id FROM images)",
	  "DELETE FROM tags WHERE image_id NOT IN (SELECT id FROM images)" },
	{ "volume", "a container that is gone is said to use it",
	  "SELECT DISTINCT volume FROM volume_users WHERE container_id NOT IN (SELECT id FROM containers)",
	  "DELETE FROM volume_users WHERE container_id NOT IN (SELECT id FROM containers)" },
	{ "endpoint", "the container or the network that it belongs to is gone", "SELECT id FROM endpoints WHERE " LOST_ENDPOINTS,
	  "DELETE FROM endpoints WHERE " LOST_ENDPOINTS },
	{ "addresses", "the network that they belong to is gone",
	  "SELECT DISTINCT network_id FROM network_ranges WHERE network_id NOT IN (SELECT id FROM networks)",
	  "DELETE FROM network_ranges WHERE network_id NOT IN (SELECT id FROM networks)" },
};

typedef void (*told_fn)(const char *kind, const char *name, const char *problem, void *arg);

static int check_file(struct records *r, told_fn cb, void *arg, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	int n = 0, k = db_query(r, &s, e, "PRAGMA integrity_check", "");

	while (k >= 0 && (k = db_step(r, s, "check", e)) == 1) {
		const char *said = (const char *)sqlite3_column_text(s, 0);
		if (said && streq(said, "ok"))
			continue;
		cb("database", r->path, said ? said : "is damaged", arg);
		n++;
	}
	return k < 0 ? k : n;
}

static int check_orphans(struct records *r, size_t i, bool repair, told_fn cb, void *arg, struct err *e)
{
	_cleanup_strv_ char **names = NULL;
	int k, n;

	{
		_cleanup_stmt_ sqlite3_stmt *s = NULL;
		k = db_query(r, &s, e, orphans[i].find, "");
		while (k >= 0 && (k = db_step(r, s, "check", e)) == 1)
			if (strv_push(&names, (const char *)sqlite3_column_text(s, 0)) < 0)
				k = err_set(e, ENOMEM, "records: out of memory");
	}
	n = (int)strv_len(names);
	if (k < 0 || n == 0)
		return k;
	for (char **name = names; name && *name; name++)
		cb(orphans[i].kind, *name, orphans[i].problem, arg);
	if (!repair)
		return n;
	if ((k = db_begin(r, true, e)) < 0)
		return k;
	k = db_run(r, "delete rows that speak of nothing", e, orphans[i].mend, "");
	if (k >= 0)
		k = db_commit(r, e);
	else
		db_rollback(r);
	return k < 0 ? k : n;
}

int records_check(struct records *r, bool repair, told_fn cb, void *arg, struct err *e)
{
	int n = check_file(r, cb, arg, e);

	for (size_t i = 0; n >= 0 && i < ARRAY_SIZE(orphans); i++) {
		int k = check_orphans(r, i, repair, cb, arg, e);
		n = k < 0 ? k : n + k;
	}
	return n;
}
