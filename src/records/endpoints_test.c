/* endpoints: who is on which network, and that no address is two's. */
#include "records_fixture.h"

static struct records *with_network(void)
{
	struct records *r = fresh();
	struct err e = { 0 };

	is_int(put_network(r, "ab1", "net", 0, &e), 0);
	return r;
}

/* A container of that name alone, on the network ab1. */
static int put_on(struct records *r, const char *name, int *ret_host, struct err *e)
{
	_cleanup_free_ char *id = str_fmt("e%s", name);
	int k = put_container(r, name, name, e);

	return k < 0 ? k : put_endpoint(r, id, name, "ab1", 0, ret_host, e);
}

/* With 10.0.0.HOST as asked for. */
static int put_fixed(struct records *r, const char *container, int host, struct err *e)
{
	struct endpoint_request q = { .record = { .id = str_fmt("e%s", container),
						  .container_id = strdup(container),
						  .network_id = strdup("ab1"),
						  .has_address4 = true } };
	int k;

	address_of(0, host, q.record.address4);
	k = records_endpoint_put(r, &q, e);
	endpoint_record_done(&q.record);
	return k;
}

TEST(an_endpoint_is_read_back_whole_by_container_and_by_network)
{
	struct records *r = with_network();
	struct endpoint_record *list;
	struct endpoint_request q = { .record = { .id = strdup("e1"),
						  .container_id = strdup("c1"),
						  .network_id = strdup("ab2"),
						  .mac = strdup("02:42:01:02:03:04"),
						  .options_json = strdup("{\"aliases\":[\"db\"]}"),
						  .has_address6 = true,
						  .address6 = { 0xfd, [15] = 9 } } };
	struct err e = { 0 };
	size_t n;

	is_int(put_network(r, "ab2", "also", 1, &e), 0);
	is_int(put_on(r, "c1", NULL, &e), 0);
	is_int(records_endpoint_put(r, &q, &e), 0);
	is_int(q.record.ordinal, 1);
	is_int(records_endpoints(r, "c1", NULL, &list, &n, &e), 0);
	is_int(n, 2);
	is_str(list[0].network_name, "net");
	ok(list[0].has_address4 && !list[0].has_address6 && list[0].address4[15] == 2);
	is_str(list[1].id, "e1");
	is_str(list[1].network_id, "ab2");
	is_str(list[1].container_id, "c1");
	is_str(list[1].container_name, "c1");
	is_str(list[1].mac, "02:42:01:02:03:04");
	is_str(list[1].options_json, "{\"aliases\":[\"db\"]}");
	is_int(list[1].ordinal, 1);
	ok(!list[1].has_address4 && list[1].has_address6 && memcmp(list[1].address6, q.record.address6, 16) == 0);
	endpoint_records_free(list, n);
	is_int(records_endpoints(r, NULL, "ab1", &list, &n, &e), 0);
	is_int(n, 1);
	is_str(list[0].container_name, "c1");
	endpoint_records_free(list, n);
	is_int(records_endpoints(r, "c1", "ab2", &list, &n, &e), 0);
	is_int(n, 1);
	is_str(list[0].network_name, "also");
	endpoint_records_free(list, n);
	endpoint_record_done(&q.record);
	records_close(r);
}

TEST(addresses_are_given_in_turn_and_a_full_network_says_so)
{
	static const char *const names[] = { "c2", "c3", "c4", "c5", "c6" };
	struct records *r = with_network();
	struct err e = { 0 };
	int host = 0;

	for (int i = 0; i < (int)ARRAY_SIZE(names); i++) { /* .1 is the gateway's */
		is_int(put_on(r, names[i], &host, &e), 0);
		is_int(host, i + 2);
	}
	is_int(put_on(r, "late", &host, &e), -ENOSPC);
	has_str(e.msg, "no available IPv4 addresses on this network's address pools: net (ab1)");
	is_int(records_container_delete(r, "c3", &e), 0);
	is_int(records_container_delete(r, "c5", &e), 0);
	is_int(put_endpoint(r, "elate", "late", "ab1", 0, &host, &e), 0); /* around */
	is_int(host, 3);
	is_int(records_container_delete(r, "late", &e), 0);
	is_int(put_on(r, "next", &host, &e), 0); /* 3 has just become free: it rests */
	is_int(host, 5);
	records_close(r);
}

TEST(a_pool_to_the_last_of_all_addresses_ends_there)
{
	struct records *r = with_network();
	struct endpoint_request q = { .record = { .id = strdup("e1"), .container_id = strdup("c1"), .network_id = strdup("ab1") },
				      .has_pool6 = true };
	struct err e = { 0 };

	memset(q.pool6.first, 0xff, 16);
	memset(q.pool6.last, 0xff, 16);
	is_int(put_container(r, "c1", "c1", &e), 0);
	is_int(put_container(r, "c2", "c2", &e), 0);
	is_int(records_endpoint_put(r, &q, &e), 0);
	ok(q.record.has_address6 && !q.record.has_address4);
	endpoint_record_done(&q.record);
	q.record = (struct endpoint_record){ .id = strdup("e2"), .container_id = strdup("c2"), .network_id = strdup("ab1") };
	is_int(records_endpoint_put(r, &q, &e), -ENOSPC);
	has_str(e.msg, "no available IPv6 addresses");
	endpoint_record_done(&q.record);
	records_close(r);
}

TEST(an_address_that_is_asked_for_is_given_once)
{
	struct records *r = with_network();
	struct err e = { 0 };
	int host = 0;

	is_int(put_container(r, "c1", "web", &e), 0);
	is_int(put_container(r, "c2", "c2", &e), 0);
	is_int(put_fixed(r, "c1", 3, &e), 0);
	is_int(put_fixed(r, "c2", 3, &e), -EADDRINUSE);
	has_str(e.msg, "Address already in use: web has it on network net");
	is_int(put_fixed(r, "c2", 4, &e), 0);
	is_int(put_on(r, "c3", &host, &e), 0);
	is_int(host, 2);
	is_int(put_on(r, "c4", &host, &e), 0); /* what is taken is passed over */
	is_int(host, 5);
	records_close(r);
}

TEST(an_endpoint_is_refused_twice_and_where_network_or_container_is_gone)
{
	struct records *r = with_network();
	struct err e = { 0 };

	is_int(put_on(r, "c1", NULL, &e), 0);
	is_int(put_endpoint(r, "again", "c1", "ab1", 0, NULL, &e), -EEXIST);
	has_str(e.msg, "endpoint with name c1 already exists in network net");
	is_int(put_endpoint(r, "e2", "c1", "ffff", 0, NULL, &e), -ENOENT);
	has_str(e.msg, "network ffff not found");
	is_int(put_endpoint(r, "e2", "c2", "ab1", 0, NULL, &e), -ENOENT);
	has_str(e.msg, "no such container: c2");
	is_int(records_endpoint_delete(r, "ab1", "c1", &e), 0);
	is_int(records_endpoint_delete(r, "ab1", "c1", &e), -ENOENT);
	has_str(e.msg, "container c1 is not connected to network ab1");
	records_close(r);
}

TEST(a_container_comes_and_goes_with_its_endpoints_or_not_at_all)
{
	struct records *r = with_network();
	struct endpoint_request q[2] = { { .record = { .id = strdup("e1"), .network_id = strdup("ab1") }, .has_pool4 = true },
					 { .record = { .id = strdup("e2"), .network_id = strdup("ab2") } } };
	struct container_record c = { .id = strdup("c1"), .name = strdup("web"), .endpoints = q, .n_endpoints = 2 }, got;
	struct endpoint_record *list;
	struct err e = { 0 };
	size_t n;

	address_of(0, 2, q[0].pool4.first);
	address_of(0, 6, q[0].pool4.last);
	is_int(records_container_put(r, &c, &e), -ENOENT);
	is_int(records_container_get(r, "web", &got, &e), -ENOENT);
	is_int(records_endpoints(r, "c1", NULL, &list, &n, &e), 0);
	is_int(n, 0);
	q[0].record.has_address4 = false;
	is_int(put_network(r, "ab2", "also", 1, &e), 0);
	is_int(records_container_put(r, &c, &e), 0);
	is_int(q[0].record.address4[15], 2);
	is_int(q[1].record.ordinal, 1);
	is_int(records_endpoints(r, "c1", NULL, &list, &n, &e), 0);
	is_int(n, 2);
	endpoint_records_free(list, n);
	is_int(records_container_delete(r, "c1", &e), 0);
	is_int(records_endpoints(r, NULL, "ab1", &list, &n, &e), 0);
	is_int(n, 0);
	for (size_t i = 0; i < ARRAY_SIZE(q); i++)
		endpoint_record_done(&q[i].record);
	container_record_done(&c);
	records_close(r);
}

TEST(an_ordinal_is_the_lowest_that_is_free)
{
	struct records *r = with_network();
	struct endpoint_record *list;
	struct err e = { 0 };
	size_t n;

	is_int(put_on(r, "c1", NULL, &e), 0);
	is_int(put_network(r, "ab2", "b", 1, &e), 0);
	is_int(put_network(r, "ab3", "c", 2, &e), 0);
	is_int(put_endpoint(r, "e2", "c1", "ab2", 1, NULL, &e), 0);
	is_int(records_endpoint_delete(r, "ab1", "c1", &e), 0);
	is_int(put_endpoint(r, "e3", "c1", "ab3", 2, NULL, &e), 0);
	is_int(records_endpoints(r, "c1", NULL, &list, &n, &e), 0);
	is_int(n, 2);
	is_str(list[0].id, "e3");
	is_int(list[0].ordinal, 0);
	is_int(list[1].ordinal, 1);
	endpoint_records_free(list, n);
	records_close(r);
}

static int become(struct records *r, enum container_state state)
{
	const struct container_record to = { .state = state, .started_ns = 1, .finished_ns = 2 };
	struct err e = { 0 };

	return records_container_state(r, "c1", &to, &e);
}

TEST(a_container_connects_as_it_starts_and_disconnects_as_it_ends)
{
	struct records *r = with_network();
	struct event *list;
	struct err e = { 0 };
	uint64_t before = 0;
	size_t n;

	is_int(put_on(r, "c1", NULL, &e), 0);
	is_int(records_event_last(r, &before, &e), 0);
	is_int(become(r, CS_RUNNING), 0);
	is_int(become(r, CS_PAUSED), 0);
	is_int(become(r, CS_RUNNING), 0);
	is_int(records_endpoint_delete(r, "ab1", "c1", &e), 0);
	is_int(put_endpoint(r, "e1", "c1", "ab1", 0, NULL, &e), 0);
	is_int(become(r, CS_EXITED), 0);
	_cleanup_free_ char *all = told(r, before);
	is_str(all, "connect:ab1 start:c1 pause:c1 unpause:c1 disconnect:ab1 connect:ab1 die:c1 disconnect:ab1");
	is_int(records_events(r, before, 0, 1, &list, &n, &e), 0);
	is_int(n, 1);
	is_str(list[0].type, "network");
	is_str(list[0].attrs_json, "{\"container\":\"c1\",\"name\":\"net\",\"type\":\"bridge\"}");
	events_free(list, n);
	records_close(r);
}

TEST(ports_are_noted_while_a_container_runs_and_gone_when_it_has_ended)
{
	static const enum container_state ends[] = { CS_EXITED, CS_RESTARTING };
	struct records *r = with_network();
	struct container_record c;
	struct err e = { 0 };

	is_int(put_on(r, "c1", NULL, &e), 0);
	is_int(records_container_ports(r, "gone", "[]", &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		is_int(records_container_ports(r, "c1", "[80]", &e), 0);
		is_int(become(r, CS_RUNNING), 0);
		is_int(records_container_get(r, "c1", &c, &e), 0);
		is_str(c.ports_json, "[80]");
		container_record_done(&c);
		is_int(become(r, ends[i]), 0);
		is_int(records_container_get(r, "c1", &c, &e), 0);
		ok(!c.ports_json);
		container_record_done(&c);
	}
	records_close(r);
}

static void note_one(const char *kind, const char *name, const char *problem _unused_, void *arg)
{
	buf_fmt(arg, "%s:%s ", kind, name);
}

TEST(a_check_finds_endpoints_and_addresses_that_belong_to_nobody)
{
	_cleanup_buf_ struct buf told_of = { 0 };
	struct records *r = with_network();
	struct err e = { 0 };

	is_int(put_on(r, "c1", NULL, &e), 0);
	is_int(put_pod(r, "d1", "pod", &e), 0);
	is_int(put_endpoint(r, "epod", "d1", "ab1", 0, NULL, &e), 0);
	is_int(records_check(r, false, note_one, &told_of, &e), 0);
	is_int(sqlite3_exec(r->db, "DELETE FROM containers", NULL, NULL, NULL), SQLITE_OK);
	is_int(records_check(r, false, note_one, &told_of, &e), 1);
	is_str(told_of.data, "endpoint:ec1 ");
	is_int(sqlite3_exec(r->db, "DELETE FROM networks", NULL, NULL, NULL), SQLITE_OK);
	is_int(records_check(r, true, note_one, &told_of, &e), 3);
	has_str(told_of.data, "endpoint:epod addresses:ab1");
	is_int(records_check(r, false, note_one, &told_of, &e), 0);
	records_close(r);
}

TEST(a_damaged_address_is_told_and_no_other_one_is_made_of_it)
{
	struct records *r = with_network();
	struct endpoint_record *list;
	struct err e = { 0 };
	size_t n;

	is_int(put_on(r, "c1", NULL, &e), 0);
	is_int(sqlite3_exec(r->db, "UPDATE endpoints SET address4='10.0.0.2'", NULL, NULL, NULL), SQLITE_OK);
	is_int(records_endpoints(r, "c1", NULL, &list, &n, &e), -EUCLEAN);
	has_str(e.msg, "\"10.0.0.2\" is no address");
	records_close(r);
}

TAP_MAIN()
