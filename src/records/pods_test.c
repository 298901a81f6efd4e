/* pods: their names, and that they outlive their containers. */
#include "records_fixture.h"

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

TEST(a_pods_addresses_come_and_go_with_it_and_its_ports_are_its_containers)
{
	struct records *r = fresh();
	struct container_record c = { .id = (char *)(uintptr_t) "c1",
				      .name = (char *)(uintptr_t) "n",
				      .pod_id = (char *)(uintptr_t) "abc1" },
				read;
	struct endpoint_request q = { .record = { .id = (char *)(uintptr_t) "e1",
						  .network_id = strdup("ab1"),
						  .mac = (char *)(uintptr_t) "02:42:00:00:00:01" } };
	struct pod_record p = { .id = (char *)(uintptr_t) "abc1",
				.name = (char *)(uintptr_t) "web",
				.isolation = (char *)(uintptr_t) "container",
				.endpoints = &q,
				.n_endpoints = 1 };
	struct endpoint_record *list = NULL;
	struct pod_record gone = { 0 };
	struct err e = { 0 };
	size_t n = 0;

	is_int(put_network(r, "ab1", "net", 0, &e), 0);
	is_int(records_pod_put(r, &p, &e), 0);
	is_int(records_container_put(r, &c, &e), 0);
	is_int(records_endpoints(r, NULL, "ab1", &list, &n, &e), 0);
	is_int((int)n, 1);
	is_str(list[0].container_name, "web");
	endpoint_records_free(list, n);
	is_int(records_network_delete(r, "ab1", &e), -EBUSY);
	has_str(e.msg, "web");
	is_int(records_pod_ports(r, "abc1", "[80]", &e), 0);
	is_int(records_container_get(r, "n", &read, &e), 0);
	is_str(read.ports_json, "[80]");
	container_record_done(&read);
	is_int(records_container_delete(r, "c1", &e), 0);
	is_int(records_pod_delete(r, "abc1", &e), 0);
	is_int(records_network_delete(r, "ab1", &e), 0);
	/* One that can't have its place is not recorded at all. */
	is_int(records_pod_put(r, &p, &e), -ENOENT);
	is_int(records_pod_get(r, "abc1", &gone, &e), -ENOENT);
	free(q.record.network_id);
	free(q.record.network_name);
	free(q.record.container_name);
	records_close(r);
}

TAP_MAIN()
