/* networks: rows, whose addresses are nobody else's. */
#include "records_fixture.h"

TEST(a_network_is_put_once_and_read_back_whole_by_name_id_or_prefix)
{
	static const char *const names[] = { "net", "abcdef0123", "abc" };
	struct records *r = fresh();
	struct network_record n, *list;
	struct err e = { 0 };
	size_t count;

	is_int(put_network(r, "abcdef0123", "net", 0, &e), 0);
	is_int(put_network(r, "abdd", "net", 1, &e), -EEXIST);
	has_str(e.msg, "network with name net already exists");
	is_int(put_network(r, "abdd", "also", 1, &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		is_int(records_network_get(r, names[i], &n, &e), 0);
		is_str(n.id, "abcdef0123");
		is_str(n.name, "net");
		is_str(n.driver, "bridge");
		is_str(n.config_json, "{}");
		is_str(map_get(&n.labels, "site"), "a");
		is_int(n.created_ns, 11);
		is_int(n.n_endpoints, 0);
		network_record_done(&n);
	}
	is_int(records_network_get(r, "ab", &n, &e), -ENOTUNIQ);
	is_int(records_network_get(r, "ne", &n, &e), -ENOENT);
	has_str(e.msg, "network ne not found");
	is_int(records_network_list(r, &list, &count, &e), 0);
	is_int(count, 2);
	is_str(list[0].name, "also");
	is_str(list[1].name, "net");
	network_records_free(list, count);
	records_close(r);
}

TEST(a_network_is_refused_where_another_one_has_its_addresses_and_nothing_of_it_stays)
{
	struct records *r = fresh();
	struct network_record n = { .id = (char *)(uintptr_t) "ab2",
				    .name = (char *)(uintptr_t) "wide",
				    .driver = (char *)(uintptr_t) "bridge" };
	struct net_range ranges[2];
	struct err e = { 0 };

	is_int(put_network(r, "ab1", "net", 1, &e), 0);
	address_of(0, 0, ranges[0].first);
	address_of(0, 7, ranges[0].last);
	address_of(1, 7, ranges[1].first);
	address_of(1, 8, ranges[1].last);
	is_int(records_network_put(r, &n, ranges, 2, &e), -EADDRINUSE);
	has_str(e.msg, "network net has some of these addresses");
	is_int(records_network_get(r, "wide", &n, &e), -ENOENT);
	address_of(1, 8, ranges[1].first);
	is_int(records_network_put(r, &n, ranges, 2, &e), 0);
	is_int(records_network_delete(r, "ab1", &e), 0);
	is_int(put_network(r, "ab1", "net", 0, &e), -EADDRINUSE);
	is_int(put_network(r, "ab1", "net", 2, &e), 0);
	records_close(r);
}

TEST(a_network_goes_only_while_nobody_is_on_it)
{
	struct records *r = fresh();
	struct network_record n;
	struct err e = { 0 };

	is_int(put_network(r, "ab1", "net", 0, &e), 0);
	is_int(put_container(r, "c1", "web", &e), 0);
	is_int(put_pod(r, "d1", "pod", &e), 0);
	is_int(put_endpoint(r, "e1", "c1", "ab1", 0, NULL, &e), 0);
	is_int(put_endpoint(r, "e2", "d1", "ab1", 0, NULL, &e), 0);
	is_int(records_network_get(r, "net", &n, &e), 0);
	is_int(n.n_endpoints, 2);
	network_record_done(&n);
	is_int(records_network_delete(r, "ab1", &e), -EBUSY);
	has_str(e.msg, "network net has active endpoints (name:\"pod\" id:\"d1\", name:\"web\" id:\"c1\")");
	is_int(records_container_delete(r, "c1", &e), 0);
	is_int(records_pod_delete(r, "d1", &e), 0);
	is_int(records_network_delete(r, "ab1", &e), 0);
	is_int(records_network_delete(r, "ab1", &e), 0);
	is_int(records_network_get(r, "net", &n, &e), -ENOENT);
	records_close(r);
}

TEST(what_happens_to_a_network_is_told_with_its_name_and_driver)
{
	struct records *r = fresh();
	struct event *list;
	struct err e = { 0 };
	size_t n;

	is_int(put_network(r, "ab1", "net", 0, &e), 0);
	is_int(records_network_delete(r, "ab1", &e), 0);
	is_int(records_events(r, 0, 0, 10, &list, &n, &e), 0);
	is_int(n, 2);
	is_str(list[0].type, "network");
	is_str(list[0].action, "create");
	is_str(list[0].id, "ab1");
	is_str(list[0].attrs_json, "{\"name\":\"net\",\"type\":\"bridge\"}");
	is_str(list[1].action, "destroy");
	is_str(list[1].attrs_json, list[0].attrs_json);
	events_free(list, n);
	records_close(r);
}

TAP_MAIN()
