/* The report of `events`, from directories of plain files: every name and unit, on v1 and on v2. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cgroup_impl.h"
#include "tap.h"

struct file {
	const char *name, *text;
};

static struct json_object *report(bool is_v2, const struct file *files, size_t n)
{
	char dir[] = "/tmp/berth-test.XXXXXX";
	struct cgroup cg = { .n_places = 1, .path = dir };
	struct json_object *o = NULL;
	struct err e = { 0 };
	int fd;

	ok(mkdtemp(dir));
	fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < n; i++)
		is_int(file_replace(fd, files[i].name, files[i].text, strlen(files[i].text), 0600, false), 0);
	cg.places[0] = (struct cgroup_place){ .dir = dir, .fd = fd, .is_v2 = is_v2, .ctrls = UINT32_MAX };
	if (cgroup_report(&cg, &o, &e) < 0)
		TAP_FAIL("%s", e.msg);
	close(fd);
	is_int(rm_rf(AT_FDCWD, dir), 0);
	return o;
}

static void is_part(struct json_object *o, const char *key, const char *want)
{
	struct json_object *v = NULL;

	ok(json_object_object_get_ex(o, key, &v));
	is_str(json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN), want);
}

TEST(v1_figures_have_their_names_and_units)
{
	static const struct file files[] = {
		{ "cpuacct.usage", "8364353\n" },
		{ "cpuacct.usage_percpu", "6329858 2034495 \n" },
		{ "cpuacct.usage_all", "cpu user system\n0 11 12\n1 21 22\n" },
		{ "cpuacct.usage_user", "32\n" },
		{ "cpuacct.usage_sys", "34\n" },
		{ "cpu.stat", "nr_periods 3\nnr_throttled 2\nthrottled_time 900\n" },
		{ "cpuset.cpus", "0-1,5\n" },
		{ "cpuset.mems", "0\n" },
		{ "cpuset.sched_load_balance", "1\n" },
		{ "cpuset.sched_relax_domain_level", "-1\n" },
		{ "memory.limit_in_bytes", "49999872\n" },
		{ "memory.usage_in_bytes", "1011712\n" },
		{ "memory.max_usage_in_bytes", "2514944\n" },
		{ "memory.failcnt", "7\n" },
		{ "memory.kmem.tcp.limit_in_bytes", "9223372036854771712\n" },
		{ "memory.kmem.tcp.usage_in_bytes", "0\n" },
		{ "memory.kmem.tcp.max_usage_in_bytes", "0\n" },
		{ "memory.kmem.tcp.failcnt", "0\n" },
		{ "memory.stat", "cache 5\nrss 0\n" },
		{ "pids.current", "1\n" },
		{ "pids.max", "max\n" },
		{ "blkio.bfq.io_serviced_recursive", "Total 0\n" },
		{ "blkio.throttle.io_serviced_recursive", "8:0 Read 124\n8:0 Total 124\nTotal 124\n" },
		{ "blkio.throttle.io_service_bytes_recursive", "8:0 Read 1282048\nTotal 1282048\n" },
		{ "hugetlb.2MB.usage_in_bytes", "1\n" },
		{ "hugetlb.2MB.max_usage_in_bytes", "2\n" },
		{ "hugetlb.2MB.failcnt", "3\n" },
		{ "hugetlb.1GB.usage_in_bytes", "1\n" },
		{ "hugetlb.1GB.rsvd.usage_in_bytes", "4\n" },
		{ "hugetlb.1GB.rsvd.max_usage_in_bytes", "5\n" },
		{ "hugetlb.1GB.rsvd.failcnt", "6\n" },
	};
	_cleanup_json_ struct json_object *o = report(false, files, ARRAY_SIZE(files));
	struct json_object *huge = json_object_object_get(o, "hugetlb");

	is_part(o, "cpu",
		"{\"usage\":{\"total\":8364353,\"percpu\":[6329858,2034495],\"percpu_kernel\":[12,22],\"percpu_user\":[11,21],"
		"\"kernel\":34,\"user\":32},\"throttling\":{\"periods\":3,\"throttledPeriods\":2,\"throttledTime\":900}}");
	is_part(o, "cpuset",
		"{\"cpus\":[0,1,5],\"cpu_exclusive\":0,\"mems\":[0],\"mem_hardwall\":0,\"mem_exclusive\":0,\"memory_migrate\":0,"
		"\"memory_spread_page\":0,\"memory_spread_slab\":0,\"memory_pressure\":0,\"sched_load_balance\":1,"
		"\"sched_relax_domain_level\":-1}");
	is_part(o, "memory",
		"{\"cache\":5,\"usage\":{\"limit\":49999872,\"usage\":1011712,\"max\":2514944,\"failcnt\":7},"
		"\"swap\":{\"limit\":0,\"failcnt\":0},\"kernel\":{\"limit\":0,\"failcnt\":0},"
		"\"kernelTCP\":{\"limit\":9223372036854771712,\"failcnt\":0},\"raw\":{\"cache\":5,\"rss\":0}}");
	is_part(o, "pids", "{\"current\":1}");
	is_part(o, "blkio",
		"{\"ioServicedRecursive\":[{\"major\":8,\"op\":\"Read\",\"value\":124},{\"major\":8,\"op\":\"Total\",\"value\":"
		"124}],"
		"\"ioServiceBytesRecursive\":[{\"major\":8,\"op\":\"Read\",\"value\":1282048}]}");
	is_int(json_object_object_length(huge), 2);
	is_part(huge, "2MB", "{\"usage\":1,\"max\":2,\"failcnt\":3}");
	is_part(huge, "1GB", "{\"usage\":4,\"max\":5,\"failcnt\":6}");
	is_part(o, "intel_rdt", "{}");
	ok(json_object_object_get_ex(o, "network_interfaces", &huge) && !huge);
}

TEST(v2_figures_have_the_same_names_and_units)
{
	static const struct file files[] = {
		{ "cpu.stat", "usage_usec 5\nuser_usec 2\nsystem_usec 3\nnr_periods 1\nnr_throttled 0\nthrottled_usec 4\n" },
		{ "cpu.pressure", "some avg10=1.50 avg60=0.00 avg300=0.00 total=77\n" },
		{ "memory.current", "1000\n" },
		{ "memory.max", "max\n" },
		{ "memory.peak", "2000\n" },
		{ "memory.swap.current", "10\n" },
		{ "memory.swap.max", "4096\n" },
		{ "memory.stat", "anon 3\nfile 9\n" },
		{ "pids.current", "2\n" },
		{ "pids.max", "50\n" },
		{ "io.stat", "8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n254:0 \n" },
		{ "hugetlb.2MB.current", "1\n" },
		{ "hugetlb.2MB.events", "max 3\n" },
	};
	_cleanup_json_ struct json_object *o = report(true, files, ARRAY_SIZE(files));

	is_part(o, "cpu",
		"{\"usage\":{\"total\":5000,\"kernel\":3000,\"user\":2000},\"throttling\":{\"periods\":1,\"throttledTime\":4000},"
		"\"psi\":{\"some\":{\"avg10\":1.5,\"avg60\":0.0,\"avg300\":0.0,\"total\":77}}}");
	is_part(o, "memory",
		"{\"cache\":9,\"usage\":{\"limit\":18446744073709551615,\"usage\":1000,\"max\":2000,\"failcnt\":0},"
		"\"swap\":{\"limit\":18446744073709551615,\"usage\":1010,\"failcnt\":0},\"kernel\":{\"limit\":0,\"failcnt\":0},"
		"\"kernelTCP\":{\"limit\":0,\"failcnt\":0},\"raw\":{\"anon\":3,\"file\":9}}");
	is_part(o, "pids", "{\"current\":2,\"limit\":50}");
	is_part(o, "blkio",
		"{\"ioServiceBytesRecursive\":[{\"major\":8,\"minor\":16,\"op\":\"Read\",\"value\":1},"
		"{\"major\":8,\"minor\":16,\"op\":\"Write\",\"value\":2},{\"major\":8,\"minor\":16,\"op\":\"Discard\"}],"
		"\"ioServicedRecursive\":[{\"major\":8,\"minor\":16,\"op\":\"Read\",\"value\":3},"
		"{\"major\":8,\"minor\":16,\"op\":\"Write\",\"value\":4},{\"major\":8,\"minor\":16,\"op\":\"Discard\"}]}");
	is_part(o, "hugetlb", "{\"2MB\":{\"usage\":1,\"failcnt\":3}}");
}

TEST(a_cgroup_without_any_file_has_every_section)
{
	static const char *const keys[] = { "cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt" };

	for (unsigned v2 = 0; v2 < 2; v2++) {
		_cleanup_json_ struct json_object *o = report(v2, NULL, 0);
		for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
			ok(json_object_is_type(json_object_object_get(o, keys[i]), json_type_object));
	}
}

TAP_MAIN()
