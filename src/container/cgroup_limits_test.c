/* Which file gets which words for each property of linux.resources, on v1 and on v2: against directories of plain files, so
 * that every controller can be tested on every host. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cgroup_impl.h"
#include "tap.h"

static struct err E;

/* A directory with the named files, all empty, as the one place of a cgroup. */
struct fake {
	char dir[32];
	struct cgroup cg;
	struct spec_resources r;
};

static void fake_open(struct fake *f, bool is_v2, const char *files, const char *json)
{
	_cleanup_json_ struct json_object *o = NULL;
	_cleanup_strv_ char **names = strv_split(files, ' ');
	int fd;

	E = (struct err){ 0 };
	*f = (struct fake){ 0 };
	snprintf(f->dir, sizeof f->dir, "/tmp/berth-test.XXXXXX");
	ok(mkdtemp(f->dir));
	fd = open(f->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; names[i]; i++)
		if (*names[i]) {
			int x = openat(fd, names[i], O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
			ok(x >= 0);
			close(x);
		}
	f->cg = (struct cgroup){ .n_places = 1, .path = f->dir };
	f->cg.places[0] = (struct cgroup_place){ .dir = f->dir, .fd = fd, .is_v2 = is_v2, .ctrls = UINT32_MAX };
	if (json_parse(json, strlen(json), "test", &o, &E) < 0 || spec_resources_parse(o, &f->r, &E) < 0)
		TAP_FAIL("%s: %s", json, E.msg);
}

static void fake_set(struct fake *f, const char *file, const char *text)
{
	ok(file_replace(f->cg.places[0].fd, file, text, strlen(text), 0600, false) == 0);
}

static void fake_close(struct fake *f)
{
	close(f->cg.places[0].fd);
	is_int(rm_rf(AT_FDCWD, f->dir), 0);
	spec_resources_done(&f->r);
}

#define V1(json, file, text)                  \
	{                                     \
		false, json, file, file, text \
	}
#define V2(json, file, text)                 \
	{                                    \
		true, json, file, file, text \
	}

TEST(every_property_becomes_its_file_and_words)
{
	static const struct {
		bool is_v2;
		const char *json, *files, *file, *text;
	} rows[] = {
		V1("{\"memory\":{\"limit\":1048576}}", "memory.limit_in_bytes", "1048576"),
		V2("{\"memory\":{\"limit\":1048576}}", "memory.max", "1048576"),
		V1("{\"memory\":{\"limit\":-1}}", "memory.limit_in_bytes", "-1"),
		V2("{\"memory\":{\"limit\":-1}}", "memory.max", "max"),
		V1("{\"memory\":{\"reservation\":4096}}", "memory.soft_limit_in_bytes", "4096"),
		V2("{\"memory\":{\"reservation\":4096}}", "memory.low", "4096"),
		V1("{\"memory\":{\"swap\":-1}}", "memory.memsw.limit_in_bytes", "-1"),
		V2("{\"memory\":{\"swap\":-1}}", "memory.swap.max", "max"),
		V1("{\"memory\":{\"kernel\":4096}}", "memory.kmem.limit_in_bytes", "4096"),
		V1("{\"memory\":{\"kernelTCP\":4096}}", "memory.kmem.tcp.limit_in_bytes", "4096"),
		V1("{\"memory\":{\"swappiness\":0}}", "memory.swappiness", "0"),
		V1("{\"memory\":{\"disableOOMKiller\":true}}", "memory.oom_control", "1"),
		V1("{\"memory\":{\"useHierarchy\":true}}", "memory.use_hierarchy", "1"),
		V1("{\"memory\":{\"useHierarchy\":false}}", "memory.use_hierarchy", "0"),
		V1("{\"cpu\":{\"shares\":512}}", "cpu.shares", "512"),
		V2("{\"cpu\":{\"shares\":2}}", "cpu.weight", "1"),
		V2("{\"cpu\":{\"shares\":1024}}", "cpu.weight", "100"),
		V2("{\"cpu\":{\"shares\":262144}}", "cpu.weight", "10000"),
		V1("{\"cpu\":{\"quota\":2000}}", "cpu.cfs_quota_us", "2000"),
		V1("{\"cpu\":{\"period\":2000}}", "cpu.cfs_period_us", "2000"),
		V2("{\"cpu\":{\"quota\":2000}}", "cpu.max", "2000"),
		V2("{\"cpu\":{\"quota\":2000,\"period\":4000}}", "cpu.max", "2000 4000"),
		V2("{\"cpu\":{\"quota\":-1,\"period\":4000}}", "cpu.max", "max 4000"),
		V1("{\"cpu\":{\"burst\":0}}", "cpu.cfs_burst_us", "0"),
		V2("{\"cpu\":{\"burst\":900}}", "cpu.max.burst", "900"),
		V1("{\"cpu\":{\"idle\":1}}", "cpu.idle", "1"),
		V2("{\"cpu\":{\"idle\":0}}", "cpu.idle", "0"),
		V1("{\"cpu\":{\"realtimeRuntime\":950}}", "cpu.rt_runtime_us", "950"),
		V1("{\"cpu\":{\"realtimePeriod\":1000}}", "cpu.rt_period_us", "1000"),
		V1("{\"cpu\":{\"cpus\":\"0-1\"}}", "cpuset.cpus", "0-1"),
		V2("{\"cpu\":{\"mems\":\"0\"}}", "cpuset.mems", "0"),
		V1("{\"pids\":{\"limit\":9}}", "pids.max", "9"),
		V2("{\"pids\":{\"limit\":-1}}", "pids.max", "max"),
		V1("{\"blockIO\":{\"weight\":500}}", "blkio.bfq.weight", "500"),
		V1("{\"blockIO\":{\"weight\":500}}", "blkio.weight", "500"),
		V1("{\"blockIO\":{\"leafWeight\":500}}", "blkio.leaf_weight", "500"),
		V2("{\"blockIO\":{\"weight\":500}}", "io.bfq.weight", "500"),
		V2("{\"blockIO\":{\"weight\":10}}", "io.weight", "1"),
		V2("{\"blockIO\":{\"weight\":1000}}", "io.weight", "10000"),
		V1("{\"blockIO\":{\"weightDevice\":[{\"major\":8,\"minor\":0,\"weight\":500}]}}", "blkio.bfq.weight_device",
		   "8:0 500"),
		V1("{\"blockIO\":{\"weightDevice\":[{\"major\":8,\"minor\":0,\"weight\":500}]}}", "blkio.weight_device",
		   "8:0 500"),
		V1("{\"blockIO\":{\"weightDevice\":[{\"major\":8,\"minor\":0,\"leafWeight\":50}]}}", "blkio.leaf_weight_device",
		   "8:0 50"),
		V2("{\"blockIO\":{\"weightDevice\":[{\"major\":8,\"minor\":0,\"weight\":500}]}}", "io.bfq.weight", "8:0 500"),
		V2("{\"blockIO\":{\"weightDevice\":[{\"major\":8,\"minor\":0,\"weight\":1000}]}}", "io.weight", "8:0 10000"),
		V1("{\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":7}]}}",
		   "blkio.throttle.read_bps_device", "8:0 7"),
		V1("{\"blockIO\":{\"throttleWriteIOPSDevice\":[{\"major\":8,\"minor\":0,\"rate\":0}]}}",
		   "blkio.throttle.write_iops_device", "8:0 0"),
		V2("{\"blockIO\":{\"throttleWriteBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":7}]}}", "io.max", "8:0 wbps=7"),
		V2("{\"blockIO\":{\"throttleReadIOPSDevice\":[{\"major\":8,\"minor\":0,\"rate\":0}]}}", "io.max",
		   "8:0 riops=max"),
		V1("{\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":9}]}", "hugetlb.2MB.limit_in_bytes", "9"),
		V2("{\"hugepageLimits\":[{\"pageSize\":\"1GB\",\"limit\":9}]}", "hugetlb.1GB.max", "9"),
		V1("{\"network\":{\"classID\":1048577}}", "net_cls.classid", "1048577"),
		V1("{\"network\":{\"priorities\":[{\"name\":\"eth0\",\"priority\":5}]}}", "net_prio.ifpriomap", "eth0 5"),
		V1("{\"rdma\":{\"mlx5_1\":{\"hcaHandles\":3,\"hcaObjects\":100}}}", "rdma.max",
		   "mlx5_1 hca_handle=3 hca_object=100"),
		V2("{\"rdma\":{\"mlx5_1\":{\"hcaObjects\":0}}}", "rdma.max", "mlx5_1 hca_object=0"),
		V2("{\"unified\":{\"memory.high\":\"5\"}}", "memory.high", "5"),
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fake f;
		char text[256];
		fake_open(&f, rows[i].is_v2, rows[i].files, rows[i].json);
		if (cgroup_apply(&f.cg, &f.r, &E) < 0)
			TAP_FAIL("%s: %s", rows[i].json, E.msg);
		if (cgroup_read(&f.cg.places[0], rows[i].file, text, sizeof text) < 0 || !streq(text, rows[i].text))
			TAP_FAIL("%s: %s holds \"%s\", expected \"%s\"", rows[i].json, rows[i].file, text, rows[i].text);
		fake_close(&f);
	}
}

TEST(what_a_version_does_not_have_is_an_error_that_names_it)
{
	static const struct {
		bool is_v2;
		const char *json, *why;
	} rows[] = {
		{ true, "{\"memory\":{\"kernel\":4096}}", "memory.kernel: cgroup v2 has no such limit" },
		{ true, "{\"memory\":{\"kernelTCP\":4096}}", "memory.kernelTCP: cgroup v2 has no such limit" },
		{ true, "{\"memory\":{\"swappiness\":5}}", "(memory.swappiness): cgroup v2 has no such limit" },
		{ true, "{\"memory\":{\"disableOOMKiller\":true}}", "(memory.disableOOMKiller): cgroup v2 has no such limit" },
		{ true, "{\"memory\":{\"useHierarchy\":false}}", "memory.useHierarchy false: cgroup v2 has no such limit" },
		{ true, "{\"cpu\":{\"realtimeRuntime\":5}}", "cpu.realtimeRuntime: cgroup v2 has no such limit" },
		{ true, "{\"blockIO\":{\"leafWeight\":50}}", "blockIO.leafWeight: cgroup v2 has no such limit" },
		{ true, "{\"blockIO\":{\"weightDevice\":[{\"major\":8,\"minor\":0,\"leafWeight\":50}]}}",
		  "blockIO.weightDevice.leafWeight: cgroup v2" },
		{ false, "{\"blockIO\":{\"weight\":50}}", "(blockIO.weight): this kernel can't set it (" },
		{ true, "{\"blockIO\":{\"weight\":50}}", "io.weight is missing)" },
		{ true, "{\"cpu\":{\"idle\":1}}", "cpu.idle is missing)" },
		{ false, "{\"memory\":{\"kernel\":4096}}", "memory.kmem.limit_in_bytes is missing)" },
		{ false, "{\"memory\":{\"swap\":-1}}", "no swap accounting" },
		{ false, "{\"cpu\":{\"realtimePeriod\":5}}", "cpu.rt_period_us is missing)" },
		{ false, "{\"hugepageLimits\":[{\"pageSize\":\"2M\",\"limit\":9}]}", "\"2M\" is not a page size" },
		{ false, "{\"unified\":{\"memory.high\":\"1\"}}",
		  "unified \"memory.high\": this host's controllers are on cgroup v1" },
		{ false, "{\"rdma\":{\"m\":{\"hcaHandles\":1}}}", "rdma: this kernel can't set it" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fake f;
		fake_open(&f, rows[i].is_v2, "", rows[i].json);
		if (cgroup_apply(&f.cg, &f.r, &E) == 0)
			TAP_FAIL("%s: accepted", rows[i].json);
		if (!strstr(E.msg, rows[i].why))
			TAP_FAIL("%s -> %s (expected: %s)", rows[i].json, E.msg, rows[i].why);
		fake_close(&f);
	}
}

TEST(without_the_controller_the_error_says_which_one_the_host_lacks)
{
	static const struct {
		const char *json, *why;
	} rows[] = {
		{ "{\"network\":{\"classID\":0}}", "network.classID: this host has no net_cls cgroup controller" },
		{ "{\"network\":{\"priorities\":[{\"name\":\"lo\",\"priority\":1}]}}",
		  "network.priorities: this host has no net_prio cgroup controller" },
		{ "{\"rdma\":{\"m\":{\"hcaHandles\":1}}}", "rdma: this host has no rdma cgroup controller" },
		{ "{\"blockIO\":{\"weightDevice\":[{\"major\":8,\"minor\":0,\"weight\":50}]}}",
		  "(blockIO.weightDevice): this host has no blkio cgroup controller" },
		{ "{\"cpu\":{\"cpus\":\"0\"}}", "(cpu.cpus): this host has no cpuset cgroup controller" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fake f;
		fake_open(&f, false, "", rows[i].json);
		f.cg.places[0].ctrls = 0;
		is_int(cgroup_apply(&f.cg, &f.r, &E), -ENOENT);
		has_str(E.msg, rows[i].why);
		fake_close(&f);
	}
}

TEST(no_limit_is_no_error_where_there_is_none_to_set)
{
	struct fake f;

	fake_open(&f, true, "",
		  "{\"memory\":{\"kernel\":-1,\"kernelTCP\":-1,\"swap\":-1,\"useHierarchy\":true},\"cpu\":{\"idle\":0}}");
	if (cgroup_apply(&f.cg, &f.r, &E) < 0)
		TAP_FAIL("%s", E.msg);
	fake_close(&f);
}

TEST(weight_and_leaf_weight_go_into_a_file_each)
{
	struct fake f;
	char text[64];

	fake_open(&f, false, "blkio.weight blkio.leaf_weight", "{\"blockIO\":{\"weight\":20,\"leafWeight\":30}}");
	is_int(cgroup_apply(&f.cg, &f.r, &E), 0);
	ok(cgroup_read(&f.cg.places[0], "blkio.weight", text, sizeof text) > 0);
	is_str(text, "20");
	ok(cgroup_read(&f.cg.places[0], "blkio.leaf_weight", text, sizeof text) > 0);
	is_str(text, "30");
	fake_close(&f);
}

TEST(v2_swap_is_the_sum_less_the_memory)
{
	struct fake f;
	char text[64];

	fake_open(&f, true, "memory.max memory.swap.max", "{\"memory\":{\"limit\":1000,\"swap\":1500}}");
	is_int(cgroup_apply(&f.cg, &f.r, &E), 0);
	ok(cgroup_read(&f.cg.places[0], "memory.swap.max", text, sizeof text) > 0);
	is_str(text, "500");
	fake_close(&f);
}

TEST(check_before_update_refuses_a_limit_below_what_is_used_on_v2)
{
	struct fake f;
	char text[64];

	fake_open(&f, true, "memory.max memory.current", "{\"memory\":{\"limit\":1000,\"checkBeforeUpdate\":true}}");
	fake_set(&f, "memory.current", "1001\n");
	is_int(cgroup_apply(&f.cg, &f.r, &E), -EBUSY);
	has_str(E.msg, "1000 is less than the 1001 bytes in use");
	is_int(cgroup_read(&f.cg.places[0], "memory.max", text, sizeof text), 0);
	fake_set(&f, "memory.current", "1000\n");
	is_int(cgroup_apply(&f.cg, &f.r, &E), 0);
	fake_close(&f);
}

TEST(a_period_alone_keeps_v2s_quota)
{
	struct fake f;
	char text[64];

	fake_open(&f, true, "cpu.max", "{\"cpu\":{\"period\":5000}}");
	fake_set(&f, "cpu.max", "20000 100000\n");
	is_int(cgroup_apply(&f.cg, &f.r, &E), 0);
	ok(cgroup_read(&f.cg.places[0], "cpu.max", text, sizeof text) > 0);
	ok(str_after(text, "20000 5000"));
	fake_close(&f);
}

TEST(huge_page_reservations_are_limited_where_the_kernel_can)
{
	struct fake f;
	char text[64];

	fake_open(&f, false, "hugetlb.2MB.limit_in_bytes hugetlb.2MB.rsvd.limit_in_bytes",
		  "{\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":4194304}]}");
	is_int(cgroup_apply(&f.cg, &f.r, &E), 0);
	ok(cgroup_read(&f.cg.places[0], "hugetlb.2MB.rsvd.limit_in_bytes", text, sizeof text) > 0);
	is_str(text, "4194304");
	fake_close(&f);
}

TAP_MAIN()
