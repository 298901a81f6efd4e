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

TAP_MAIN()
