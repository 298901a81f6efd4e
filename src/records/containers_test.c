/* containers: rows, names, states, and what of them outlives a start. */
#include "records_fixture.h"

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

TEST(what_is_started_again_counts_and_keeps_how_it_ended)
{
	struct records *r = fresh();
	const struct container_record running = { .state = CS_RUNNING, .started_ns = 1, .health = HEALTH_STARTING },
				      again = { .state = CS_RESTARTING, .finished_ns = 2, .exit_code = 3 },
				      ended = { .state = CS_EXITED, .finished_ns = 9, .exit_code = 9, .is_stopped = true };
	struct container_record c = { 0 };
	struct err e = { 0 };

	is_int(put_container(r, "c1", "job", &e), 0);
	is_int(records_container_state(r, "c1", &again, &e), -EINVAL); /* it has not run */
	for (int i = 0; i < 2; i++) {
		is_int(records_container_state(r, "c1", &running, &e), 0);
		is_int(records_container_state(r, "c1", &again, &e), 0);
	}
	is_int(records_container_state(r, "c1", &ended, &e), 0);
	is_int(records_container_get(r, "c1", &c, &e), 0);
	is_int(c.restart_count, 2);
	is_int(c.exit_code, 3);
	is_int(c.finished_ns, 2);
	is_int(c.health, HEALTH_STARTING);
	ok(c.is_stopped);
	container_record_done(&c);
	_cleanup_free_ char *all = told(r, 0);
	is_str(all, "create:c1 start:c1 die:c1 start:c1 die:c1");
	is_int(records_container_state(r, "c1", &running, &e), 0); /* by hand: it counts anew */
	is_int(records_container_get(r, "c1", &c, &e), 0);
	is_int(c.restart_count, 0);
	ok(!c.is_stopped);
	container_record_done(&c);
	records_close(r);
}

TEST(a_list_with_a_row_that_cannot_be_read_is_an_error_and_leaves_nothing)
{
	struct records *r = fresh();
	struct container_record *list = NULL;
	struct err e = { 0 };
	char id[8], name[8];
	size_t n = 7;

	for (unsigned i = 0; i < 20; i++) {
		snprintf(id, sizeof(id), "c%02u", i); /* listed in this order: all are of the same time */
		snprintf(name, sizeof(name), "n%u", i);
		is_int(put_container(r, id, name, &e), 0);
	}
	is_int(db_run(r, "damage", &e, "UPDATE containers SET labels_json='{' WHERE id='c18'", ""), 0);
	ok(records_container_list(r, true, &list, &n, &e) < 0);
	ok(e.no && !list);
	is_int(n, 7);
	is_int(db_run(r, "mend", &e, "UPDATE containers SET labels_json='{}' WHERE id='c18'", ""), 0);
	is_int(records_container_list(r, true, &list, &n, &e), 0);
	is_int(n, 20);
	is_str(list[19].id, "c19");
	for (size_t i = 0; i < n; i++)
		container_record_done(&list[i]);
	free(list);
	records_close(r);
}

TAP_MAIN()
