/* The schema and its version (PRAGMA user_version).
 *
 * Version 0 is a database without tables: the first opener makes them. A version below SCHEMA_VERSION is migrated by the rows of
 * `steps` from there on, each in the same transaction; a version above it is refused, because a newer Berth may keep promises
 * that this one does not know of. docs/FORMATS.md lists the versions. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "records_db.h"

/* steps[v] takes version v to v + 1. Never edited once released; a change is a new row. */
static const char *const steps[] = {
	/* 0 -> 1. chain_ids: one a line, lowest layer first. labels, options, attrs: JSON. Times: ns since the epoch. */
	"CREATE TABLE images(id TEXT PRIMARY KEY, manifest_digest TEXT NOT NULL, created TEXT, size_bytes INTEGER NOT NULL,"
	"  chain_ids TEXT NOT NULL, config_json TEXT NOT NULL, pulled_ns INTEGER NOT NULL);"
	"CREATE INDEX images_by_manifest ON images(manifest_digest);"
	"CREATE TABLE tags(ref TEXT PRIMARY KEY, image_id TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX tags_by_image ON tags(image_id);"
	"CREATE TABLE containers(id TEXT PRIMARY KEY, name TEXT UNIQUE, image_id TEXT, image_ref TEXT, isolation TEXT,"
	"  created_ns INTEGER NOT NULL, started_ns INTEGER NOT NULL, finished_ns INTEGER NOT NULL, state INTEGER NOT NULL,"
	"  exit_code INTEGER NOT NULL, oom_killed INTEGER NOT NULL, auto_remove INTEGER NOT NULL, has_tty INTEGER NOT NULL,"
	"  error TEXT, options_json TEXT, labels_json TEXT);"
	"CREATE INDEX containers_by_image ON containers(image_id);"
	"CREATE TABLE events(seq INTEGER PRIMARY KEY AUTOINCREMENT, time_ns INTEGER NOT NULL, type TEXT NOT NULL,"
	"  action TEXT NOT NULL, id TEXT NOT NULL, attrs_json TEXT);",
	/* 1 -> 2: pods. */
	"CREATE TABLE pods(id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, isolation TEXT NOT NULL, created_ns INTEGER NOT NULL,"
	"  options_json TEXT, labels_json TEXT);"
	"ALTER TABLE containers ADD COLUMN pod_id TEXT;"
	"CREATE INDEX containers_by_pod ON containers(pod_id);",
	/* 2 -> 3: saved VMs */
	"CREATE TABLE snapshots(id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, vm_id TEXT NOT NULL, vm_name TEXT NOT NULL,"
	"  image_id TEXT NOT NULL, image_ref TEXT, created_ns INTEGER NOT NULL, size_bytes INTEGER NOT NULL);"
	"CREATE INDEX snapshots_by_image ON snapshots(image_id);",
	/* 3 -> 4: of a diff, what it goes on from */
	"ALTER TABLE snapshots ADD COLUMN parent_id TEXT; CREATE INDEX snapshots_by_parent ON snapshots(parent_id);",
	/* 4 -> 5: volumes, and the containers that use them. is_own: made for that container, without a name */
	"CREATE TABLE volumes(name TEXT PRIMARY KEY, driver TEXT NOT NULL, created_ns INTEGER NOT NULL, options_json TEXT,"
	"  labels_json TEXT) WITHOUT ROWID;"
	"CREATE TABLE volume_users(container_id TEXT NOT NULL, volume TEXT NOT NULL, is_own INTEGER NOT NULL,"
	"  PRIMARY KEY(container_id, volume)) WITHOUT ROWID;"
	"CREATE INDEX volume_users_by_volume ON volume_users(volume);",
	/* 5 -> 6: containers that are started again, and are checked */
	"ALTER TABLE containers ADD COLUMN restart_count INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE containers ADD COLUMN is_stopped INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE containers ADD COLUMN health INTEGER NOT NULL DEFAULT 0;",
	/* 6 -> 7: networks, their ranges, and who is on them. Addresses: 32 hexadecimal digits. last: given by itself most lately.
	 * container_id: a container's or a pod's */
	"CREATE TABLE networks(id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, driver TEXT NOT NULL, created_ns INTEGER NOT NULL,"
	"  config_json TEXT, labels_json TEXT, last4 TEXT, last6 TEXT);"
	"CREATE TABLE network_ranges(network_id TEXT NOT NULL, first TEXT NOT NULL, last TEXT NOT NULL,"
	"  PRIMARY KEY(network_id, first)) WITHOUT ROWID;"
	"CREATE TABLE endpoints(id TEXT PRIMARY KEY, container_id TEXT NOT NULL, network_id TEXT NOT NULL, mac TEXT,"
	"  options_json TEXT, ordinal INTEGER NOT NULL, address4 TEXT, address6 TEXT, UNIQUE(network_id, address4),"
	"  UNIQUE(network_id, address6), UNIQUE(container_id, network_id));"
	"ALTER TABLE containers ADD COLUMN ports_json TEXT;",
	/* 7 -> 8: what of a pod's ports is published */
	"ALTER TABLE pods ADD COLUMN ports_json TEXT;",
};
#define LOG_BYTES      (192 << 10) /* of WAL_PAGES (db.c), and of one transaction more */
#define SCHEMA_VERSION ((int)ARRAY_SIZE(steps))

static int read_version(struct records *r, int *ret, struct err *e)
{
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v2(r->db, "PRAGMA user_version", -1, &s, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(s);
	if (rc == SQLITE_ROW) {
		*ret = sqlite3_column_int(s, 0);
		sqlite3_finalize(s);
		return 0;
	}
	int k = db_error(r, rc, "read the schema version", e);
	sqlite3_finalize(s);
	return k;
}

static int apply_steps(struct records *r, int from, struct err *e)
{
	char set[48];
	int rc = SQLITE_OK;

	for (int v = from; v < SCHEMA_VERSION && rc == SQLITE_OK; v++)
		rc = sqlite3_exec(r->db, steps[v], NULL, NULL, NULL);
	snprintf(set, sizeof(set), "PRAGMA user_version=%d", SCHEMA_VERSION);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(r->db, set, NULL, NULL, NULL);
	return rc == SQLITE_OK ? 0 : db_error(r, rc, "create the tables", e);
}

/* A new file: 1 KB pages (records are small; what a transaction writes and what the next opener reads back are whole pages) and
 * the write-ahead log, which both stay with the file. */
static int prepare_file(struct records *r, struct err *e)
{
	int rc = sqlite3_exec(r->db, "PRAGMA page_size=1024; PRAGMA journal_mode=WAL", NULL, NULL, NULL);

	if (rc != SQLITE_OK)
		return db_error(r, rc, "turn on the write-ahead log", e);
	if (chmod(r->path, 0600) < 0)
		return err_set(e, errno, "chmod %s: %s", r->path, strerror(errno));
	return 0;
}

/* One process at a time makes a new database: two that turn on the write-ahead log together hold each a lock that the other one
 * waits for, until both give up. Held until *ret_fd is closed. */
static int lock_folder(const struct records *r, int *ret_fd, struct err *e)
{
	_cleanup_free_ char *dir = strndup(r->path, (size_t)(strrchr(r->path, '/') - r->path) + 1);
	_cleanup_fd_ int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int k = 0;

	if (!dir)
		return err_set(e, ENOMEM, "records: out of memory");
	while (fd >= 0 && (k = flock(fd, LOCK_EX)) < 0 && errno == EINTR)
		;
	if (fd < 0 || k < 0)
		return err_set(e, errno, "lock %s: %s", dir, strerror(errno));
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* As much of the log as there ever is between two checkpoints, so that what gives space back on a full disk can be recorded. Where it
 * can't be had, the log grows as it is needed. */
static int reserve_log(const struct records *r, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s-wal", r->path);
	_cleanup_fd_ int fd = path ? open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW) : -1;

	if (!path)
		return err_set(e, ENOMEM, "records: out of memory");
	if (fd >= 0 && fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, LOG_BYTES) < 0)
		log_debug("records", "%s: reserve: %s", path, strerror(errno));
	return 0;
}

int schema_ensure(struct records *r, struct err *e)
{
	_cleanup_fd_ int lock = -1;
	int version = 0;
	int k = read_version(r, &version, e);

	if (k == 0 && version == 0 && (k = lock_folder(r, &lock, e)) == 0)
		k = read_version(r, &version, e);
	if (k < 0)
		return k;
	if (version == SCHEMA_VERSION)
		return 0;
	if (version == 0 && (k = prepare_file(r, e)) < 0)
		return k;
	if ((k = db_begin(r, true, e)) < 0)
		return k;
	/* Again, now that we alone write: another process may have been first. */
	k = read_version(r, &version, e);
	if (k == 0 && version > SCHEMA_VERSION)
		k = err_set(e, EPROTONOSUPPORT, "%s has schema version %d; this berth knows up to %d: use the newer berth",
			    r->path, version, SCHEMA_VERSION);
	if (k == 0 && version < SCHEMA_VERSION)
		k = apply_steps(r, version, e);
	if (k == 0)
		k = reserve_log(r, e);
	if (k == 0)
		return db_commit(r, e);
	db_rollback(r);
	return k;
}
