/* The connection to ROOT/berth.db: opening, statements, transactions, errors.
 *
 * Opening lies on the path of `berth run`, so it does no more than it must: no schema statement when user_version is current,
 * no checkpoint when the last connection closes (SQLITE_FCNTL_PERSIST_WAL, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE: a close costs
 * 0.25-2 ms with one). The price is that the first connection reads the WAL back, which is why WAL_PAGES is small.
 * Called by every file of this folder; nobody else sees a sqlite3 handle. */
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "records_db.h"

#define BUSY_TIMEOUT_MS 10000
/* Checkpoint once the WAL holds so many pages. Reading one back costs an opener 0.7 us at most; a checkpoint costs its writer two
 * syncs, that is milliseconds on a disk, and comes about every 25th transaction. */
#define WAL_PAGES 128
#define SHM_EMPTY 3
enum { UNLOCK_NAP_MS = 1, UNLOCK_TRIES = 1000 };

/* Giving a lock back can fail: the kernel may need memory to split a range (ENOLCK), or be interrupted where the file is another
 * host's (fcntl(2)). SQLite takes an unlocking for done whatever the answer (unixShmSystemLock's callers in wal.c), so that
 * everybody else would wait for this process to end. Hence it is tried until it is done, or can't be. */
static int fcntl_that_unlocks(int fd, int cmd, ...)
{
	const struct timespec nap = { .tv_nsec = UNLOCK_NAP_MS * 1000L * 1000 };
	va_list ap;
	void *arg;
	int r;

	va_start(ap, cmd);
	arg = va_arg(ap, void *); /* a flock, or a number that fits as well */
	va_end(ap);
	for (int i = 0; (r = fcntl(fd, cmd, arg)) < 0 && i < UNLOCK_TRIES; i++) {
		if (cmd != F_SETLK || ((const struct flock *)arg)->l_type != F_UNLCK || errno == EBADF)
			break;
		nanosleep(&nap, NULL);
	}
	return r;
}

/* Whoever is the first to open a database empties the index of its log, by cutting it to three bytes (unixLockSharedMemory in
 * os_unix.c). On a full disk its pages, once given up, could not be had again, and to touch one would be a SIGBUS: so they are
 * cleared and kept. */
static int ftruncate_that_keeps(int fd, off_t size)
{
	static const char zeros[4096];
	struct stat st;
	off_t at = 0;

	if (size != SHM_EMPTY || fstat(fd, &st) < 0 || st.st_size <= size)
		return ftruncate(fd, size);
	while (at < st.st_size) {
		ssize_t n = pwrite(fd, zeros, (size_t)MIN((off_t)sizeof(zeros), st.st_size - at), at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		at += n;
	}
	return 0;
}

static const struct {
	int rc, no;
	const char *hint;
} causes[] = {
	{ SQLITE_BUSY, EBUSY, "other processes have held it for more than 10 seconds; try again" },
	{ SQLITE_LOCKED, EBUSY, NULL },
	{ SQLITE_PROTOCOL, EBUSY, "too many processes open it at once; try again" },
	{ SQLITE_FULL, ENOSPC, "the disk is full" },
	{ SQLITE_CONSTRAINT, EEXIST, NULL },
	{ SQLITE_CORRUPT, EUCLEAN, "the file is damaged: move it away and pull or load the images again" },
	{ SQLITE_NOTADB, EUCLEAN, "the file is not a database: move it away and pull or load the images again" },
	{ SQLITE_READONLY, EROFS, NULL },
	{ SQLITE_NOMEM, ENOMEM, NULL },
	{ SQLITE_CANTOPEN, ENOENT, NULL },
	{ SQLITE_TOOBIG, E2BIG, NULL },
};

int db_error(struct records *r, int rc, const char *action, struct err *e)
{
	int no = EIO, sys = r->db ? sqlite3_system_errno(r->db) : 0;
	const char *text = r->db ? sqlite3_errmsg(r->db) : sqlite3_errstr(rc);

	for (size_t i = 0; i < ARRAY_SIZE(causes); i++) {
		if (causes[i].rc != (rc & 0xff))
			continue;
		no = causes[i].no;
		if (causes[i].hint)
			text = causes[i].hint;
	}
	if (sys > 0 && ((rc & 0xff) == SQLITE_CANTOPEN || (rc & 0xff) == SQLITE_IOERR)) {
		no = sys;
		text = strerror(sys);
	}
	return err_set(e, no, "%s: %s: %s", r->path, action, text);
}

/* SQLite's own handler sleeps up to 100 ms a turn; transactions here take well under a millisecond. */
static int wait_while_busy(void *arg _unused_, int turn)
{
	static const unsigned us[] = { 100, 200, 400, 800, 1500, 2500, 4000, 5000 };
	uint64_t slept_us = 0;
	struct timespec t = { 0 };

	for (int i = 0; i < turn && i < (int)ARRAY_SIZE(us); i++)
		slept_us += us[i];
	if (turn > (int)ARRAY_SIZE(us))
		slept_us += (uint64_t)(turn - (int)ARRAY_SIZE(us)) * us[ARRAY_SIZE(us) - 1];
	if (slept_us >= BUSY_TIMEOUT_MS * 1000ull)
		return 0;
	t.tv_nsec = us[MIN((size_t)turn, ARRAY_SIZE(us) - 1)] * 1000L;
	nanosleep(&t, NULL);
	return 1;
}

static int query_v(struct records *r, sqlite3_stmt **ret, struct err *e, const char *sql, const char *types, va_list ap)
{
	size_t i = 0;
	int rc = SQLITE_OK;

	while (i < RECORDS_STMTS && r->cache[i].sql && r->cache[i].sql != sql)
		i++;
	if (i == RECORDS_STMTS)
		return err_set(e, ENOBUFS, "records: more than %d statements", RECORDS_STMTS);
	if (!r->cache[i].stmt) {
		rc = sqlite3_prepare_v3(r->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &r->cache[i].stmt, NULL);
		if (rc != SQLITE_OK)
			return db_error(r, rc, "prepare", e);
		r->cache[i].sql = sql;
	}
	for (int n = 1; rc == SQLITE_OK && types[n - 1]; n++) {
		if (types[n - 1] == 't')
			rc = sqlite3_bind_text(r->cache[i].stmt, n, va_arg(ap, const char *), -1, SQLITE_STATIC);
		else
			rc = sqlite3_bind_int64(r->cache[i].stmt, n, va_arg(ap, int64_t));
	}
	if (rc != SQLITE_OK)
		return db_error(r, rc, "bind", e);
	*ret = r->cache[i].stmt;
	return 0;
}

int db_query(struct records *r, sqlite3_stmt **ret, struct err *e, const char *sql, const char *types, ...)
{
	va_list ap;

	va_start(ap, types);
	int k = query_v(r, ret, e, sql, types, ap);
	va_end(ap);
	return k;
}

int db_step(struct records *r, sqlite3_stmt *s, const char *action, struct err *e)
{
	int rc = sqlite3_step(s);

	if (rc == SQLITE_ROW)
		return 1;
	return rc == SQLITE_DONE ? 0 : db_error(r, rc, action, e);
}

int db_run(struct records *r, const char *action, struct err *e, const char *sql, const char *types, ...)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	va_list ap;

	va_start(ap, types);
	int k = query_v(r, &s, e, sql, types, ap);
	va_end(ap);
	return k < 0 ? k : db_step(r, s, action, e);
}

/* Room for one more than n. The room has been 8, 16, 32 ... so far: it is full at these numbers. */
static int grow(void **list, size_t n, size_t bytes, struct err *e)
{
	void *more;

	if (n != 0 && (n < 8 || (n & (n - 1)) != 0))
		return 0;
	more = reallocarray(*list, n ? n * 2 : 8, bytes);
	if (!more)
		return err_set(e, ENOMEM, "records: out of memory");
	*list = more;
	return 0;
}

int db_list(struct records *r, sqlite3_stmt *s, const char *action, const struct db_row *kind, void **ret, size_t *ret_n,
	    struct err *e)
{
	void *list = NULL;
	size_t n = 0;
	int k;

	while ((k = db_step(r, s, action, e)) == 1) {
		k = grow(&list, n, kind->bytes, e);
		if (k == 0)
			k = kind->read(s, (char *)list + n * kind->bytes, e);
		if (k < 0)
			break;
		n++;
	}
	if (k < 0) {
		for (size_t i = 0; i < n; i++)
			kind->done((char *)list + i * kind->bytes);
		free(list);
		return k;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

int db_text(sqlite3_stmt *s, int column, char **ret)
{
	const unsigned char *t = sqlite3_column_text(s, column);
	char *copy = NULL;

	if (t && !(copy = strdup((const char *)t)))
		return -ENOMEM;
	*ret = copy;
	return 0;
}

int db_lines(sqlite3_stmt *s, int column, char ***ret)
{
	const unsigned char *t = sqlite3_column_text(s, column);
	char **v = NULL;

	if (t && *t && !(v = strv_split((const char *)t, '\n')))
		return -ENOMEM;
	*ret = v;
	return 0;
}

int db_begin(struct records *r, bool durable, struct err *e)
{
	int rc = SQLITE_OK;

	if (durable != r->is_durable)
		rc = sqlite3_exec(r->db, durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", NULL, NULL, NULL);
	if (rc == SQLITE_OK) {
		r->is_durable = durable;
		rc = sqlite3_exec(r->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	}
	return rc == SQLITE_OK ? 0 : db_error(r, rc, "begin", e);
}

/* A commit whose sync has failed lies in the log all the same, and whoever opens the database next would take it for one. Another one in
 * its place, of a page as it is, breaks the chain of checksums. Should that fail too, the disk takes nothing any more. */
static void forget_commit(struct records *r)
{
	int rc = sqlite3_exec(r->db, "PRAGMA synchronous=NORMAL; BEGIN IMMEDIATE; PRAGMA application_id=0; COMMIT", NULL, NULL,
			      NULL);

	r->is_durable = false;
	if (rc != SQLITE_OK)
		log_warn("records", "%s: what could not be recorded may be there after all: %s", r->path, sqlite3_errmsg(r->db));
	if (!sqlite3_get_autocommit(r->db))
		sqlite3_exec(r->db, "ROLLBACK", NULL, NULL, NULL);
}

int db_commit(struct records *r, struct err *e)
{
	int rc = sqlite3_exec(r->db, "COMMIT", NULL, NULL, NULL);

	if (rc == SQLITE_OK) {
		if (r->has_events)
			events_touch(r);
		r->has_events = false;
		return 0;
	}
	int k = db_error(r, rc, "commit", e);
	db_rollback(r);
	if ((rc & 0xff) == SQLITE_IOERR)
		forget_commit(r);
	return k;
}

void db_rollback(struct records *r)
{
	r->has_events = false;
	if (!sqlite3_get_autocommit(r->db))
		sqlite3_exec(r->db, "ROLLBACK", NULL, NULL, NULL);
}

int records_open(const char *root, struct records **ret, struct err *e)
{
	_cleanup_(records_close_ptr) struct records *r = calloc(1, sizeof(*r));
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
	int rc, on = 1;

	if (!r || !(r->path = str_fmt("%s/berth.db", root)) || !(r->events_path = str_fmt("%s/berth.db-events", root)))
		return err_set(e, ENOMEM, "records: out of memory");
	rc = vfs->xSetSystemCall(vfs, "fcntl", (sqlite3_syscall_ptr)fcntl_that_unlocks);
	if (rc == SQLITE_OK)
		rc = vfs->xSetSystemCall(vfs, "ftruncate", (sqlite3_syscall_ptr)ftruncate_that_keeps);
	if (rc != SQLITE_OK)
		return db_error(r, rc, "set up locks", e);
	/* NOMUTEX: a connection belongs to one thread. */
	rc = sqlite3_open_v2(r->path, &r->db,
			     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
				     SQLITE_OPEN_EXRESCODE,
			     NULL);
	if (rc != SQLITE_OK)
		return db_error(r, rc, "open", e);
	sqlite3_busy_handler(r->db, wait_while_busy, NULL);
	sqlite3_db_config(r->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_db_config(r->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_file_control(r->db, "main", SQLITE_FCNTL_PERSIST_WAL, &on);
	sqlite3_wal_autocheckpoint(r->db, WAL_PAGES);
	int k = schema_ensure(r, e);
	if (k < 0)
		return k;
	r->is_durable = false;
	rc = sqlite3_exec(r->db, "PRAGMA synchronous=NORMAL", NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		return db_error(r, rc, "synchronous", e);
	*ret = TAKE_PTR(r);
	return 0;
}

void records_close(struct records *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < RECORDS_STMTS; i++)
		sqlite3_finalize(r->cache[i].stmt);
	sqlite3_close(r->db);
	free(r->path);
	free(r->events_path);
	free(r);
}
