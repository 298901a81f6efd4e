/* upgrade: a database of each earlier version is taken over with what it holds. */
#include "records_fixture.h"

#define WITHOUT_VOLUMES "DROP TABLE volumes; DROP TABLE volume_users;" /* as versions below 5 have it */
/* Takes back what version 8 has added, 7, and 6. */
#define BEFORE_8 "ALTER TABLE pods DROP COLUMN ports_json;"
#define BEFORE_7                                                                \
	BEFORE_8                                                                \
	"DROP TABLE networks; DROP TABLE network_ranges; DROP TABLE endpoints;" \
	"ALTER TABLE containers DROP COLUMN ports_json;"
#define BEFORE_6                                                                                       \
	BEFORE_7                                                                                       \
	"ALTER TABLE containers DROP COLUMN restart_count; ALTER TABLE containers DROP COLUMN health;" \
	"ALTER TABLE containers DROP COLUMN is_stopped;"

TEST(a_database_of_version_1_is_taken_over_with_what_it_holds)
{
	struct records *r = fresh();
	struct container_record c = { 0 };
	struct err e = { 0 };

	is_int(put_container(r, "c1", "job", &e), 0);
	/* As the version before had it. */
	is_int(sqlite3_exec(r->db,
			    BEFORE_6 "DROP TABLE pods; DROP INDEX containers_by_pod; ALTER TABLE containers DROP COLUMN pod_id;"
				     "DROP TABLE snapshots;" WITHOUT_VOLUMES "PRAGMA user_version=1",
			    NULL, NULL, NULL),
	       SQLITE_OK);
	records_close(r);
	r = opened();
	is_int(records_container_get(r, "job", &c, &e), 0);
	ok(!c.pod_id);
	container_record_done(&c);
	is_int(put_pod(r, "abc1", "web", &e), 0);
	is_int(put_snapshot(r, "5a", "saved", &e), 0);
	records_close(r);
}

TEST(a_database_of_version_2_is_taken_over_with_what_it_holds)
{
	struct records *r = fresh();
	struct pod_record p = { 0 };
	struct err e = { 0 };

	is_int(put_pod(r, "abc1", "web", &e), 0);
	is_int(sqlite3_exec(r->db, BEFORE_6 "DROP TABLE snapshots;" WITHOUT_VOLUMES "PRAGMA user_version=2", NULL, NULL, NULL),
	       SQLITE_OK);
	records_close(r);
	r = opened();
	is_int(records_pod_get(r, "web", &p, &e), 0);
	pod_record_done(&p);
	is_int(put_snapshot(r, "5a", "saved", &e), 0);
	records_close(r);
}

TEST(a_database_of_version_3_is_taken_over_with_what_it_holds)
{
	struct records *r = fresh();
	struct snapshot_record s = { NULL };
	struct err e = { 0 };

	is_int(put_snapshot(r, "5a", "saved", &e), 0);
	is_int(sqlite3_exec(r->db,
			    BEFORE_6
			    "DROP INDEX snapshots_by_parent; ALTER TABLE snapshots DROP COLUMN parent_id;" WITHOUT_VOLUMES
			    "PRAGMA user_version=3",
			    NULL, NULL, NULL),
	       SQLITE_OK);
	records_close(r);
	r = opened();
	is_int(records_snapshot_get(r, "saved", &s, &e), 0);
	ok(!s.parent_id && !s.parent_name);
	snapshot_record_done(&s);
	is_int(put_diff(r, "5b", "more", "5a", &e), 0);
	records_close(r);
}

TEST(a_database_of_version_4_is_taken_over_with_what_it_holds)
{
	struct records *r = fresh();
	struct container_record c = { 0 };
	struct err e = { 0 };

	is_int(put_container(r, "c1", "job", &e), 0);
	is_int(sqlite3_exec(r->db, BEFORE_6 WITHOUT_VOLUMES "PRAGMA user_version=4", NULL, NULL, NULL), SQLITE_OK);
	records_close(r);
	r = opened();
	is_int(records_container_get(r, "job", &c, &e), 0);
	container_record_done(&c);
	is_int(put_volume(r, "data", &e), 0);
	records_close(r);
}

TEST(a_database_of_version_5_is_taken_over_with_what_it_holds)
{
	struct records *r = fresh();
	struct container_record c = { 0 };
	struct err e = { 0 };

	is_int(put_container(r, "c1", "job", &e), 0);
	is_int(sqlite3_exec(r->db, BEFORE_6 "PRAGMA user_version=5", NULL, NULL, NULL), SQLITE_OK);
	records_close(r);
	r = opened();
	is_int(records_container_get(r, "job", &c, &e), 0);
	is_int(c.restart_count, 0);
	is_int(c.health, HEALTH_NONE);
	ok(!c.is_stopped);
	container_record_done(&c);
	records_close(r);
}

TEST(a_database_of_version_6_is_taken_over_with_what_it_holds)
{
	struct records *r = fresh();
	struct container_record c = { 0 };
	struct err e = { 0 };

	is_int(put_container(r, "c1", "job", &e), 0);
	is_int(sqlite3_exec(r->db, BEFORE_7 "PRAGMA user_version=6", NULL, NULL, NULL), SQLITE_OK);
	records_close(r);
	r = opened();
	is_int(records_container_get(r, "job", &c, &e), 0);
	ok(!c.ports_json);
	container_record_done(&c);
	is_int(put_network(r, "ab1", "net", 0, &e), 0);
	is_int(put_endpoint(r, "e1", "c1", "ab1", 0, NULL, &e), 0);
	records_close(r);
}

TEST(a_database_of_version_7_is_taken_over_with_what_it_holds)
{
	struct records *r = fresh();
	struct pod_record p = { 0 };
	struct err e = { 0 };

	is_int(put_pod(r, "abc1", "web", &e), 0);
	is_int(sqlite3_exec(r->db, BEFORE_8 "PRAGMA user_version=7", NULL, NULL, NULL), SQLITE_OK);
	records_close(r);
	r = opened();
	is_int(records_pod_get(r, "web", &p, &e), 0);
	ok(!p.ports_json);
	pod_record_done(&p);
	is_int(records_pod_ports(r, "abc1", "[]", &e), 0);
	records_close(r);
}

TAP_MAIN()
