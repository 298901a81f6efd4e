/* records: what the database promises to processes that run at the same time, and to those that come after a crash. */
#include <signal.h>
#include <sys/stat.h>
#include <time.h>

#include "records_fixture.h"

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
		int said[2];
		char byte;

		ok(pipe2(said, O_CLOEXEC) == 0);
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
				if (n == 0 && write(said[1], "x", 1) != 1)
					_exit(4);
			}
		}
		close(said[1]);
		if (round % 2) /* every other one is let come so far, however busy the machine is */
			is_int(read(said[0], &byte, 1), 1);
		close(said[0]);
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
