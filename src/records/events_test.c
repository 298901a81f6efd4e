/* events: what is told of a change, to whom, and in which order. */
#include <poll.h>

#include "records_fixture.h"

TEST(events_come_back_in_order_and_old_ones_are_dropped)
{
	struct records *r = fresh();
	struct err e = { 0 };
	struct event *list = NULL;
	uint64_t last = 7;
	size_t n = 0;

	is_int(records_event_last(r, &last, &e), 0);
	is_int(last, 0);
	is_int(records_event_add(r, "container", "start", "c1", "{}", &e), 0);
	is_int(records_event_add(r, "container", "die", "c1", NULL, &e), 0);
	_cleanup_free_ char *all = told(r, 0), *second = told(r, 1);
	is_str(all, "start:c1 die:c1");
	is_str(second, "die:c1");
	is_int(records_events(r, 0, 0, 1, &list, &n, &e), 0);
	is_int(n, 1);
	events_free(list, n);
	is_int(db_run(r, "skip ahead", &e, "UPDATE sqlite_sequence SET seq=?1 WHERE name='events'", "i", (int64_t)10751), 0);
	is_int(records_event_add(r, "container", "start", "c2", NULL, &e), 0);
	_cleanup_free_ char *rest = told(r, 0);
	is_str(rest, "start:c2");
	is_int(records_event_last(r, &last, &e), 0);
	is_int(last, 10752);
	records_close(r);
}

TEST(what_happens_to_a_container_is_an_event_of_the_same_transaction)
{
	struct records *r = fresh();
	struct container_record to = { .state = CS_RUNNING, .started_ns = 5000000000 };
	struct event *list = NULL;
	struct err e = { 0 };
	size_t n = 0;

	is_int(put_container(r, "c1", "job", &e), 0);
	is_int(put_container(r, "c2", "job", &e), -EEXIST);
	is_int(records_container_state(r, "c1", &to, &e), 0);
	is_int(records_container_state(r, "c1", &(struct container_record){ .state = CS_PAUSED }, &e), 0);
	is_int(records_container_state(r, "c1", &(struct container_record){ .state = CS_CREATED }, &e), -EINVAL);
	is_int(records_container_state(r, "c1", &to, &e), 0);
	is_int(records_container_options(r, "c1", "{}", &e), 0);
	to = (struct container_record){ .state = CS_EXITED, .finished_ns = 9000000000, .exit_code = 137, .oom_killed = true };
	is_int(records_container_state(r, "c1", &to, &e), 0);
	is_int(records_container_delete(r, "c1", &e), 0);
	is_int(records_container_delete(r, "c1", &e), 0);
	_cleanup_free_ char *all = told(r, 0);
	is_str(all, "create:c1 start:c1 pause:c1 unpause:c1 update:c1 oom:c1 die:c1 destroy:c1");
	is_int(records_events(r, 6, 0, 1, &list, &n, &e), 0);
	is_int(n, 1);
	ok(strstr(list[0].attrs_json, "\"name\":\"job\""));
	ok(strstr(list[0].attrs_json, "\"exitCode\":\"137\""));
	ok(strstr(list[0].attrs_json, "\"execDuration\":\"4\""));
	events_free(list, n);
	records_close(r);
}

TEST(one_that_is_removed_as_it_ends_has_died_first)
{
	struct records *r = fresh();
	const struct container_record to = { .state = CS_EXITED, .finished_ns = 1, .exit_code = 3 };
	struct err e = { 0 };

	is_int(put_container(r, "c1", "job", &e), 0);
	is_int(records_container_delete_ended(r, "c1", &to, &e), 0);
	is_int(records_container_delete_ended(r, "c1", &to, &e), 0);
	_cleanup_free_ char *all = told(r, 0);
	is_str(all, "create:c1 die:c1 destroy:c1");
	records_close(r);
}

TEST(what_happens_to_an_image_is_an_event)
{
	struct records *r = fresh();
	struct err e = { 0 };

	put_image(r, ID_A, "docker.io/library/x:1");
	is_int(records_tag_put(r, "docker.io/library/x:2", ID_A, &e), 0);
	is_int(records_tag_put(r, "docker.io/library/x:3", ID_B, &e), -ENOENT);
	is_int(records_tag_delete(r, "docker.io/library/x:2", &e), 0);
	is_int(records_tag_delete(r, "docker.io/library/x:2", &e), 0);
	is_int(records_image_delete(r, ID_A, &e), 0);
	is_int(records_image_delete(r, ID_A, &e), 0);
	_cleanup_free_ char *all = told(r, 0);
	is_str(all, "tag:" ID_A " untag:" ID_A " untag:" ID_A " delete:" ID_A);
	records_close(r);
}

static bool is_told(int fd)
{
	char sink[4096];
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1 && read(fd, sink, sizeof(sink)) > 0;
}

TEST(who_waits_for_events_is_told_after_each_commit_and_of_nothing_else)
{
	struct records *r = fresh(), *other = opened();
	struct err e = { 0 };
	int fd = -1;

	is_int(records_events_watch(r, &fd, &e), 0);
	ok(!is_told(fd));
	is_int(records_event_add(other, "container", "start", "c1", NULL, &e), 0);
	ok(is_told(fd));
	is_int(db_begin(other, false, &e), 0);
	is_int(event_put(other, "container", "start", "c2", NULL, &e), 0);
	ok(!is_told(fd));
	db_rollback(other);
	is_int(records_image_delete(other, ID_A, &e), 0);
	ok(!is_told(fd));
	is_int(put_container(other, "c1", "job", &e), 0);
	ok(is_told(fd));
	fd_close(fd);
	records_close(other);
	records_close(r);
}

TEST(huge_labels_do_not_make_the_log_of_events_grow)
{
	struct records *r = fresh();
	_cleanup_free_ char *big = calloc(1, 20001);
	struct container_record c = { .id = (char *)(uintptr_t) "c1", .name = (char *)(uintptr_t) "job" };
	struct event *list = NULL;
	struct err e = { 0 };
	size_t n = 0;

	memset(big, 'x', 20000);
	is_int(map_set(&c.labels, "big", big), 0);
	is_int(records_container_put(r, &c, &e), 0);
	is_int(records_events(r, 0, 0, 1, &list, &n, &e), 0);
	is_int(n, 1);
	ok(strlen(list[0].attrs_json) < 100);
	events_free(list, n);
	map_done(&c.labels);
	records_close(r);
}

TAP_MAIN()
