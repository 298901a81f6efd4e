/* records: what the database promises to processes that run at the same time, and to those that come after a crash. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "records_db.h"
#include "tap.h"

#define ID_A "sha256:aaaa000000000000000000000000000000000000000000000000000000000001"
#define ID_B "sha256:aaaa000000000000000000000000000000000000000000000000000000000002"

static char root[64];

static void leave(void) { rm_rf(AT_FDCWD, root); }

static const char *new_root(void)
{
	leave(); /* the one before, in a test that takes two */
	snprintf(root, sizeof(root), "/tmp/records-test-XXXXXX");
	ok(mkdtemp(root));
	atexit(leave);
	return root;
}

static struct records *opened(void)
{
	struct records *r = NULL;
	struct err e = { 0 };

	if (records_open(root, &r, &e) < 0)
		TAP_FAIL("records_open: %s", e.msg);
	return r;
}

static struct records *fresh(void)
{
	new_root();
	return opened();
}

static void put_image(struct records *r, const char *id, const char *ref)
{
	char one[] = "sha256:c1", two[] = "sha256:c2", *chain[] = { one, two, NULL };
	struct image_record i = { .manifest_digest = (char *)(uintptr_t) "sha256:feed",
				  .created = (char *)(uintptr_t) "2026-01-01T00:00:00Z",
				  .size_bytes = 123456789012,
				  .chain_ids = chain,
				  .config_json = (char *)(uintptr_t) "{\"os\":\"linux\"}",
				  .pulled_ns = 77 };
	struct err e = { 0 };

	i.id = strdup(id);
	if (records_image_put(r, &i, ref, NULL, &e) < 0)
		TAP_FAIL("records_image_put: %s", e.msg);
	free(i.id);
}

static int put_container(struct records *r, const char *id, const char *name, struct err *e)
{
	struct container_record c = {
		.id = strdup(id), .name = strdup(name), .image_id = strdup(""), .created_ns = 5, .exit_code = 0
	};
	int k;

	map_set(&c.labels, "com.example.a", "1");
	map_set(&c.labels, "quote", "\"\n");
	k = records_container_put(r, &c, e);
	container_record_done(&c);
	return k;
}

TEST(image_put_then_get_by_ref_id_prefix_and_manifest_digest_gives_every_field)
{
	static const char *const names[] = { "docker.io/library/a:1", ID_A, "sha256:feed", "aaaa", "sha256:aaaa00" };
	struct records *r = fresh();

	put_image(r, ID_A, "docker.io/library/a:1");
	for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
		struct image_record i = { 0 };
		struct err e = { 0 };
		if (records_image_get(r, names[n], &i, &e) < 0)
			TAP_FAIL("%s: %s", names[n], e.msg);
		is_str(i.id, ID_A);
		is_str(i.manifest_digest, "sha256:feed");
		is_str(i.created, "2026-01-01T00:00:00Z");
		is_str(i.config_json, "{\"os\":\"linux\"}");
		is_int(strv_len(i.chain_ids), 2);
		is_str(i.chain_ids[1], "sha256:c2");
		ok(i.size_bytes == 123456789012);
		is_int(i.pulled_ns, 77);
		image_record_done(&i);
	}
	records_close(r);
}

TEST(image_get_refuses_an_ambiguous_prefix_and_says_no_such_image)
{
	struct records *r = fresh();
	struct image_record i = { 0 };
	struct err e = { 0 };

	put_image(r, ID_A, NULL);
	put_image(r, ID_B, NULL);
	is_int(records_image_get(r, "aaaa", &i, &e), -ENOTUNIQ);
	is_int(records_image_get(r, "bbbb", &i, &e), -ENOENT);
	is_str(e.msg, "no such image: bbbb");
	is_int(records_image_get(r, "%", &i, &e), -ENOENT);
	records_close(r);
}

TEST(image_put_tells_which_image_lost_the_tag)
{
	char *old = NULL, **refs = NULL, **ids = NULL;
	struct records *r = fresh();
	struct image_record i = { .id = (char *)(uintptr_t)ID_B,
				  .manifest_digest = (char *)(uintptr_t) "sha256:2",
				  .config_json = (char *)(uintptr_t) "{}" };
	struct err e = { 0 };

	put_image(r, ID_A, "x:1");
	is_int(records_image_put(r, &i, "x:1", &old, &e), 0);
	is_str(old, ID_A);
	free(old);
	is_int(records_image_put(r, &i, "x:1", &old, &e), 0);
	ok(!old);
	is_int(records_tags(r, NULL, &refs, &ids, &e), 0);
	is_int(strv_len(refs), 1);
	is_str(ids[0], ID_B);
	strv_free(refs);
	strv_free(ids);
	is_int(records_image_get(r, ID_A, &i, &e), 0);
	image_record_done(&i);
	records_close(r);
}

TEST(tags_are_put_listed_and_deleted_and_go_with_their_image)
{
	char **refs = NULL;
	struct records *r = fresh();
	struct err e = { 0 };

	put_image(r, ID_A, "x:1");
	is_int(records_tag_put(r, "x:2", ID_A, &e), 0);
	is_int(records_tag_put(r, "x:3", ID_B, &e), -ENOENT);
	is_int(records_tags(r, ID_A, &refs, NULL, &e), 0);
	is_int(strv_len(refs), 2);
	strv_free(refs);
	is_int(records_tag_delete(r, "x:1", &e), 0);
	is_int(records_image_delete(r, ID_A, &e), 0);
	is_int(records_image_delete(r, ID_A, &e), 0);
	is_int(records_tags(r, NULL, &refs, NULL, &e), 0);
	is_int(strv_len(refs), 0);
	strv_free(refs);
	records_close(r);
}

TEST(container_put_then_get_by_name_id_and_prefix_gives_its_labels_back)
{
	static const char *const names[] = { "web", "abcdef0123", "abc" };
	struct records *r = fresh();
	struct err e = { 0 };

	is_int(put_container(r, "abcdef0123", "web", &e), 0);
	is_int(put_container(r, "bbbb", "abc1", &e), 0);
	for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
		struct container_record c = { 0 };
		if (records_container_get(r, names[n], &c, &e) < 0)
			TAP_FAIL("%s: %s", names[n], e.msg);
		is_str(c.id, "abcdef0123");
		is_str(map_get(&c.labels, "quote"), "\"\n");
		is_int(c.state, CS_CREATED);
		container_record_done(&c);
	}
	records_close(r);
}

TEST(container_name_in_use_is_refused_and_names_its_holder)
{
	struct records *r = fresh();
	struct err e = { 0 };

	is_int(put_container(r, "0123456789abcdef", "web", &e), 0);
	is_int(put_container(r, "f000", "web", &e), -EEXIST);
	has_str(e.msg, "the name web is in use by container 0123456789ab:");
	is_int(put_container(r, "f000", "web2", &e), 0);
	records_close(r);
}

TEST(container_of_an_image_removed_meanwhile_is_refused)
{
	struct records *r = fresh();
	struct err e = { 0 };
	struct container_record c = { .id = (char *)(uintptr_t) "c1",
				      .name = (char *)(uintptr_t) "n",
				      .image_id = (char *)(uintptr_t)ID_A };
	char *user = NULL;

	is_int(records_container_put(r, &c, &e), -ENOENT);
	has_str(e.msg, ID_A);
	put_image(r, ID_A, NULL);
	is_int(records_container_put(r, &c, &e), 0);
	is_int(records_image_user(r, ID_A, true, &user, &e), 0);
	is_int(records_image_user(r, ID_A, false, &user, &e), 1);
	is_str(user, "c1");
	free(user);
	records_close(r);
}

TEST(container_states_follow_the_table_and_every_other_step_is_refused)
{
	/* The diagram of states.c, written down a second time. */
	static const char table[6][7] = {
		[CS_CREATED] = "yy-y-y", [CS_RUNNING] = "--yy-y", [CS_PAUSED] = "-y-y-y",
		[CS_EXITED] = "-y---y",  [CS_DEAD] = "-----y",    [CS_REMOVING] = "----yy",
	};
	struct records *r = fresh();
	struct err e = { 0 };
	sqlite3_stmt *s = NULL;

	is_int(put_container(r, "c1", "web", &e), 0);
	for (int from = 0; from < 6; from++)
		for (int to = 0; to < 6; to++) {
			struct container_record c = { .state = (enum container_state)to };
			is_int(db_query(r, &s, &e, "UPDATE containers SET state=?1", "i", (int64_t)from), 0);
			is_int(db_step(r, s, "force", &e), 0);
			db_reset(&s);
			is_int(records_container_state(r, "c1", &c, &e), table[from][to] == 'y' ? 0 : -EINVAL);
		}
	is_int(records_container_state(r, "c2", &(struct container_record){ .state = CS_RUNNING }, &e), -ENOENT);
	records_close(r);
}

TEST(container_exit_keeps_what_start_wrote_and_a_new_start_clears_the_exit)
{
	struct records *r = fresh();
	struct container_record c = { 0 };
	struct err e = { 0 };

	is_int(put_container(r, "c1", "web", &e), 0);
	is_int(records_container_state(r, "c1", &(struct container_record){ .state = CS_RUNNING, .started_ns = 10 }, &e), 0);
	is_int(records_container_state(
		       r, "c1",
		       &(struct container_record){ .state = CS_EXITED, .finished_ns = 20, .exit_code = 137, .oom_killed = true },
		       &e),
	       0);
	is_int(records_container_get(r, "c1", &c, &e), 0);
	is_int(c.started_ns, 10);
	is_int(c.finished_ns, 20);
	is_int(c.exit_code, 137);
	ok(c.oom_killed);
	container_record_done(&c);
	is_int(records_container_state(r, "c1", &(struct container_record){ .state = CS_RUNNING, .started_ns = 30 }, &e), 0);
	is_int(records_container_get(r, "c1", &c, &e), 0);
	is_int(c.exit_code, 0);
	ok(!c.oom_killed);
	is_int(c.started_ns, 30);
	container_record_done(&c);
	records_close(r);
}

static int put_diff(struct records *r, const char *id, const char *name, const char *parent, struct err *e)
{
	struct snapshot_record s = { .id = strdup(id),
				     .name = strdup(name),
				     .vm_id = strdup("vm"),
				     .vm_name = strdup("vm"),
				     .image_id = strdup("sha256:1"),
				     .parent_id = parent ? strdup(parent) : NULL,
				     .created_ns = (uint64_t)strtoull(id, NULL, 16) };
	int k = records_snapshot_put(r, &s, e);

	snapshot_record_done(&s);
	return k;
}

static int put_snapshot(struct records *r, const char *id, const char *name, struct err *e)
{
	return put_diff(r, id, name, NULL, e);
}

static int put_pod(struct records *r, const char *id, const char *name, struct err *e)
{
	struct pod_record p = { .id = strdup(id),
				.name = strdup(name),
				.isolation = strdup("container"),
				.created_ns = 7,
				.options_json = strdup("{}") };
	int k;

	map_set(&p.labels, "tier", "web");
	k = records_pod_put(r, &p, e);
	pod_record_done(&p);
	return k;
}

TEST(pods_and_containers_share_one_set_of_names)
{
	struct records *r = fresh();
	struct pod_record p = { 0 };
	struct err e = { 0 };

	is_int(put_pod(r, "abc1", "web", &e), 0);
	is_int(put_pod(r, "abc2", "web", &e), -EEXIST);
	has_str(e.msg, "the name web is in use by pod abc1");
	is_int(put_container(r, "c1", "web", &e), -EEXIST);
	has_str(e.msg, "the name web is in use by pod abc1");
	is_int(put_container(r, "c1", "job", &e), 0);
	is_int(put_pod(r, "abc2", "job", &e), -EEXIST);
	has_str(e.msg, "the name job is in use by container c1");
	is_int(put_pod(r, "abc2", "db", &e), 0);
	is_int(records_pod_get(r, "abc", &p, &e), -ENOTUNIQ);
	is_int(records_pod_get(r, "abc1", &p, &e), 0);
	is_str(p.name, "web");
	is_str(p.isolation, "container");
	is_int(p.created_ns, 7);
	is_str(map_get(&p.labels, "tier"), "web");
	pod_record_done(&p);
	is_int(records_pod_get(r, "none", &p, &e), -ENOENT);
	records_close(r);
}

TEST(a_pod_goes_after_its_containers_and_no_container_comes_after_its_pod)
{
	struct records *r = fresh();
	struct container_record c = { .id = (char *)(uintptr_t) "c1",
				      .name = (char *)(uintptr_t) "n",
				      .pod_id = (char *)(uintptr_t) "abc1" },
				read;
	struct pod_record *list = NULL;
	struct err e = { 0 };
	size_t n = 0;

	is_int(records_container_put(r, &c, &e), -ENOENT);
	has_str(e.msg, "no such pod: abc1");
	is_int(put_pod(r, "abc1", "web", &e), 0);
	is_int(records_container_put(r, &c, &e), 0);
	is_int(records_container_get(r, "n", &read, &e), 0);
	is_str(read.pod_id, "abc1");
	is_str(read.pod_name, "web");
	container_record_done(&read);
	is_int(records_pod_delete(r, "abc1", &e), -EBUSY);
	has_str(e.msg, "still has container n");
	is_int(records_container_delete(r, "c1", &e), 0);
	is_int(records_pod_delete(r, "abc1", &e), 0);
	is_int(records_pod_delete(r, "abc1", &e), 0);
	is_int(records_pod_list(r, &list, &n, &e), 0);
	is_int(n, 0);
	free(list);
	records_close(r);
}

TEST(a_database_of_version_1_is_taken_over_with_what_it_holds)
{
	struct records *r = fresh();
	struct container_record c = { 0 };
	struct err e = { 0 };

	is_int(put_container(r, "c1", "job", &e), 0);
	/* As the version before had it. */
	is_int(sqlite3_exec(r->db,
			    "DROP TABLE pods; DROP INDEX containers_by_pod; ALTER TABLE containers DROP COLUMN pod_id;"
			    "DROP TABLE snapshots; PRAGMA user_version=1",
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
	is_int(sqlite3_exec(r->db, "DROP TABLE snapshots; PRAGMA user_version=2", NULL, NULL, NULL), SQLITE_OK);
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
			    "DROP INDEX snapshots_by_parent; ALTER TABLE snapshots DROP COLUMN parent_id; PRAGMA user_version=3",
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

static int count_event(const struct event *v, void *arg)
{
	uint64_t *last = arg;

	ok(v->seq > *last);
	*last = v->seq;
	return 0;
}

TEST(events_come_back_in_order_and_old_ones_are_dropped)
{
	struct records *r = fresh();
	struct err e = { 0 };
	uint64_t last = 0;
	sqlite3_stmt *s = NULL;

	is_int(records_event_add(r, "container", "start", "c1", "{}", &e), 0);
	is_int(records_event_add(r, "container", "die", "c1", NULL, &e), 0);
	is_int(records_events(r, 0, 0, count_event, &last, &e), 0);
	is_int(last, 2);
	is_int(db_run(r, "skip ahead", &e, "UPDATE sqlite_sequence SET seq=?1 WHERE name='events'", "i", (int64_t)10751), 0);
	is_int(records_event_add(r, "container", "start", "c2", NULL, &e), 0);
	is_int(db_query(r, &s, &e, "SELECT count(*) FROM events", ""), 0);
	is_int(db_step(r, s, "count", &e), 1);
	is_int(sqlite3_column_int(s, 0), 1);
	db_reset(&s);
	records_close(r);
}

/* Forks n children; each waits for the pipe to close, so that they start together. Returns how many exited with 0. */
static int race(int n, int (*fn)(int i))
{
	int gate[2], won = 0, st;
	char c;

	ok(pipe(gate) == 0);
	for (int i = 0; i < n; i++) {
		pid_t pid = fork();
		ok(pid >= 0);
		if (pid == 0) {
			close(gate[1]);
			if (read(gate[0], &c, 1) != 0)
				_exit(9);
			_exit(fn(i));
		}
	}
	close(gate[0]);
	close(gate[1]);
	for (int i = 0; i < n; i++) {
		ok(wait(&st) > 0);
		ok(WIFEXITED(st));
		if (WEXITSTATUS(st) > 1)
			TAP_FAIL("a process failed with %d", WEXITSTATUS(st));
		won += WEXITSTATUS(st) == 0;
	}
	return won;
}

static int take_names(int i)
{
	struct records *r = NULL;
	struct err e = { 0 };
	char id[16], name[16];
	int won = 0;

	if (records_open(root, &r, &e) < 0) {
		printf("# open: %s\n", e.msg);
		fflush(stdout);
		return 3;
	}
	for (int n = 0; n < 20; n++) {
		snprintf(id, sizeof(id), "%08x%02x", (unsigned)i, (unsigned)n);
		snprintf(name, sizeof(name), "n%d", n);
		int k = put_container(r, id, name, &e);
		if (k < 0 && k != -EEXIST) {
			printf("# put: %s\n", e.msg);
			fflush(stdout);
			return 4;
		}
		won += k == 0;
	}
	printf("# process %d won %d of 20\n", i, won);
	fflush(stdout);
	records_close(r);
	return 0;
}

TEST(eight_processes_that_open_a_new_database_and_put_the_same_names_leave_one_winner_each)
{
	struct container_record *list = NULL;
	struct err e = { 0 };
	size_t n = 0;

	new_root();
	is_int(race(8, take_names), 8);
	struct records *r = opened();
	is_int(records_container_list(r, true, &list, &n, &e), 0);
	is_int(n, 20);
	for (size_t i = 0; i < n; i++)
		container_record_done(&list[i]);
	free(list);
	records_close(r);
}

TEST(a_process_killed_in_the_middle_of_transactions_leaves_a_whole_database)
{
	struct container_record c = { 0 };
	struct err e = { 0 };
	int st;

	records_close(fresh());
	for (int round = 0; round < 12; round++) {
		pid_t pid = fork();
		ok(pid >= 0);
		if (pid == 0) {
			struct records *r = opened();
			for (int n = 0;; n++) {
				char id[24];
				snprintf(id, sizeof(id), "%08x%08x", (unsigned)round, (unsigned)n);
				if (db_begin(r, false, &e) < 0)
					_exit(2);
				/* Two rows a transaction: a torn one would show as an odd count. */
				db_run(r, "a", &e, "INSERT INTO tags VALUES(?1, 'a')", "t", id);
				id[0] = 'x';
				db_run(r, "b", &e, "INSERT INTO tags VALUES(?1, 'b')", "t", id);
				if (db_commit(r, &e) < 0)
					_exit(3);
			}
		}
		nanosleep(&(struct timespec){ .tv_nsec = 3000000 + round * 1700000 }, NULL);
		ok(kill(pid, SIGKILL) == 0);
		ok(waitpid(pid, &st, 0) == pid);
		ok(WIFSIGNALED(st));
	}
	struct records *r = opened();
	sqlite3_stmt *s = NULL;
	is_int(db_query(r, &s, &e, "PRAGMA integrity_check", ""), 0);
	is_int(db_step(r, s, "check", &e), 1);
	is_str((const char *)sqlite3_column_text(s, 0), "ok");
	db_reset(&s);
	is_int(db_query(r, &s, &e, "SELECT count(*), count(*) % 2 FROM tags", ""), 0);
	is_int(db_step(r, s, "count", &e), 1);
	ok(sqlite3_column_int(s, 0) > 0);
	is_int(sqlite3_column_int(s, 1), 0);
	db_reset(&s);
	is_int(put_container(r, "c1", "web", &e), 0);
	is_int(records_container_get(r, "web", &c, &e), 0);
	container_record_done(&c);
	records_close(r);
}

TEST(snapshots_are_found_by_name_id_and_prefix_and_names_are_unique)
{
	struct records *r = fresh();
	struct snapshot_record got, *list;
	struct err e = { 0 };
	char *user = NULL;
	size_t n;

	is_int(put_snapshot(r, "aaaa1", "first", &e), 0);
	is_int(put_snapshot(r, "aaaa2", "aaaa1x", &e), 0);
	is_int(put_snapshot(r, "bbbb", "first", &e), -EEXIST);
	has_str(e.msg, "there is a snapshot first already");
	is_int(records_snapshot_get(r, "first", &got, &e), 0);
	is_str(got.id, "aaaa1");
	snapshot_record_done(&got);
	is_int(records_snapshot_get(r, "aaaa2", &got, &e), 0);
	is_str(got.name, "aaaa1x");
	snapshot_record_done(&got);
	is_int(records_snapshot_get(r, "aaaa1", &got, &e), 0); /* whole before prefix */
	is_str(got.name, "first");
	snapshot_record_done(&got);
	is_int(records_snapshot_get(r, "aaaa", &got, &e), -ENOTUNIQ);
	is_int(records_snapshot_get(r, "aaab", &got, &e), -ENOENT);
	has_str(e.msg, "no such snapshot: aaab");
	is_int(records_snapshot_list(r, &list, &n, &e), 0);
	is_int((int)n, 2);
	is_str(list[0].id, "aaaa2"); /* newest first */
	snapshot_records_free(list, n);
	is_int(records_image_snapshot(r, "sha256:1", &user, &e), 1);
	is_str(user, "aaaa1");
	free(user);
	is_int(records_snapshot_delete(r, "aaaa1", &e), 0);
	is_int(records_snapshot_delete(r, "aaaa1", &e), 0);
	is_int(records_snapshot_get(r, "first", &got, &e), -ENOENT);
	records_close(r);
}

TEST(a_snapshot_that_others_need_stays_until_they_are_gone)
{
	struct records *r = fresh();
	struct snapshot_record got, *list;
	struct err e = { 0 };
	size_t n;

	is_int(put_snapshot(r, "a1", "whole", &e), 0);
	is_int(put_diff(r, "a2", "monday", "a1", &e), 0);
	is_int(put_diff(r, "a3", "tuesday", "a2", &e), 0);
	is_int(put_diff(r, "a4", "lost", "beef", &e), -ENOENT);
	has_str(e.msg, "was removed meanwhile");
	is_int(records_snapshot_get(r, "tuesday", &got, &e), 0);
	is_str(got.parent_id, "a2");
	is_str(got.parent_name, "monday");
	snapshot_record_done(&got);
	is_int(records_snapshot_list(r, &list, &n, &e), 0);
	is_int((int)n, 3);
	is_str(list[1].parent_name, "whole");
	ok(!list[2].parent_id);
	snapshot_records_free(list, n);
	is_int(records_snapshot_delete(r, "a1", &e), -EBUSY);
	has_str(e.msg, "remove monday first (berth snapshot rm monday)");
	is_int(records_snapshot_delete(r, "a2", &e), -EBUSY);
	for (const char *const *id = (const char *const[]){ "a3", "a2", "a1", NULL }; *id; id++)
		is_int(records_snapshot_delete(r, *id, &e), 0);
	is_int(records_snapshot_get(r, "whole", &got, &e), -ENOENT);
	records_close(r);
}

TEST(open_refuses_a_newer_schema_and_a_file_that_is_no_database)
{
	struct records *r = fresh(), *again = NULL;
	struct err e = { 0 };
	char path[96];

	is_int(sqlite3_exec(r->db, "PRAGMA user_version=99", NULL, NULL, NULL), SQLITE_OK);
	records_close(r);
	is_int(records_open(root, &again, &e), -EPROTONOSUPPORT);
	has_str(e.msg, "schema version 99");
	new_root();
	snprintf(path, sizeof(path), "%s/berth.db", root);
	FILE *f = fopen(path, "we");
	ok(f);
	for (int i = 0; i < 400; i++)
		fputs("this is not a database\n", f);
	fclose(f);
	is_int(records_open(root, &again, &e), -EUCLEAN);
	has_str(e.msg, "berth.db");
}

TEST(open_and_close_of_a_current_database_write_nothing_and_its_file_is_private)
{
	struct stat st;
	char path[96];

	records_close(fresh());
	snprintf(path, sizeof(path), "%s/berth.db", root);
	ok(stat(path, &st) == 0);
	is_int(st.st_mode & 07777, 0600);
	snprintf(path, sizeof(path), "%s/berth.db-wal", root);
	ok(stat(path, &st) == 0);
	off_t before = st.st_size;
	/* Opened, asked, closed: nothing was written to the log, and it was not checkpointed away. */
	struct records *r = opened();
	struct image_record i = { 0 };
	struct err e = { 0 };
	is_int(records_image_get(r, "none", &i, &e), -ENOENT);
	records_close(r);
	ok(stat(path, &st) == 0);
	is_int(st.st_size, before);
}

TAP_MAIN()
