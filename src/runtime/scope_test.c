/* Names and properties of scopes; speaking with systemd is tested in tests/integration, against one that is made up. */
#include <stdlib.h>

#include "scope.h"
#include "tap.h"

static struct err E;

TEST(a_scope_has_systemds_names_and_path)
{
	static const struct {
		const char *given, *slice, *unit, *path;
	} rows[] = {
		{ NULL, "system.slice", "berth-c1.scope", "/system.slice/berth-c1.scope" },
		{ "", "system.slice", "berth-c1.scope", "/system.slice/berth-c1.scope" },
		{ "system.slice:docker:abc", "system.slice", "docker-abc.scope", "/system.slice/docker-abc.scope" },
		{ ":runc:abc", "system.slice", "runc-abc.scope", "/system.slice/runc-abc.scope" },
		{ "machine.slice:libpod:x", "machine.slice", "libpod-x.scope", "/machine.slice/libpod-x.scope" },
		{ "kubepods-burstable-pod1_2.slice:cri-containerd:z", "kubepods-burstable-pod1_2.slice", "cri-containerd-z.scope",
		  "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/cri-containerd-z.scope" },
		{ "-.slice:p:n", "-.slice", "p-n.scope", "/p-n.scope" },
		{ "a.slice::n", "a.slice", "n.scope", "/a.slice/n.scope" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct scope s;
		if (scope_parse(rows[i].given, "c1", &s, &E) < 0)
			TAP_FAIL("%s: %s", rows[i].given, E.msg);
		is_str(s.slice, rows[i].slice);
		is_str(s.unit, rows[i].unit);
		is_str(s.path, rows[i].path);
		scope_done(&s);
	}
}

TEST(names_that_systemd_would_refuse_are_refused_with_the_reason)
{
	static const struct {
		const char *given, *why;
	} rows[] = {
		{ "/a/b", "expected \"slice:prefix:name\"" },
		{ "a.slice:b", "expected \"slice:prefix:name\"" },
		{ "a.slice:b:c:d", "expected \"slice:prefix:name\"" },
		{ "a:b:c", "\"a\" is not the name of a slice" },
		{ ".slice:b:c", "is not the name of a slice" },
		{ "a/b.slice:b:c", "is not the name of a slice" },
		{ "../x.slice:b:c", "is not the name of a slice" },
		{ "a--b.slice:b:c", "a part of the slice's name is empty" },
		{ "-a.slice:b:c", "a part of the slice's name is empty" },
		{ "a-.slice:b:c", "a part of the slice's name is empty" },
		{ "a.slice:b:../c", "is no name that systemd takes" },
		{ "a.slice:b:c d", "is no name that systemd takes" },
		{ "a.slice:b:", "is no name that systemd takes" },
		{ "a.slice:b:c.slice", "a scope of a slice, not a slice itself" },
	};
	struct scope s;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (scope_parse(rows[i].given, "c1", &s, &E) == 0)
			TAP_FAIL("%s: accepted", rows[i].given);
		has_str(E.msg, rows[i].why);
	}
}

static char *joined(const struct spec_resources *r, bool is_v2)
{
	char **list = NULL;
	struct buf b = { 0 };

	if (scope_properties(r, is_v2, &list, &E) < 0)
		TAP_FAIL("%s", E.msg);
	for (size_t i = 0; list && list[i]; i++)
		buf_fmt(&b, "%s%s", i ? " " : "", list[i]);
	strv_free(list);
	return tap_keep(b.data ? buf_take(&b) : strdup(""));
}

TEST(limits_become_properties)
{
	static const struct {
		const char *json, *v1, *v2;
	} rows[] = {
		{ "{}", "", "" },
		{ "{\"memory\":{\"limit\":1000,\"swap\":1500,\"reservation\":10}}", "MemoryLimit=t:1000",
		  "MemoryMax=t:1000 MemoryLow=t:10 MemorySwapMax=t:500" },
		{ "{\"memory\":{\"limit\":-1,\"swap\":-1}}", "MemoryLimit=t:18446744073709551615",
		  "MemoryMax=t:18446744073709551615 MemorySwapMax=t:18446744073709551615" },
		{ "{\"cpu\":{\"shares\":1024}}", "CPUShares=t:1024", "CPUWeight=t:100" },
		{ "{\"cpu\":{\"quota\":50000}}", "CPUQuotaPerSecUSec=t:500000", "CPUQuotaPerSecUSec=t:500000" },
		{ "{\"cpu\":{\"quota\":12345,\"period\":50000}}", "CPUQuotaPeriodUSec=t:50000 CPUQuotaPerSecUSec=t:250000",
		  "CPUQuotaPeriodUSec=t:50000 CPUQuotaPerSecUSec=t:250000" },
		{ "{\"cpu\":{\"quota\":-1}}", "CPUQuotaPerSecUSec=t:18446744073709551615",
		  "CPUQuotaPerSecUSec=t:18446744073709551615" },
		{ "{\"cpu\":{\"cpus\":\"0-2,9\",\"mems\":\"0\"}}", "AllowedCPUs=ay:0702 AllowedMemoryNodes=ay:01",
		  "AllowedCPUs=ay:0702 AllowedMemoryNodes=ay:01" },
		{ "{\"pids\":{\"limit\":7},\"blockIO\":{\"weight\":500}}", "TasksMax=t:7 BlockIOWeight=t:500", "TasksMax=t:7" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_json_ struct json_object *o = NULL;
		struct spec_resources r;
		is_int(json_parse(rows[i].json, strlen(rows[i].json), "x", &o, &E), 0);
		is_int(spec_resources_parse(o, &r, &E), 0);
		is_str(joined(&r, false), rows[i].v1);
		is_str(joined(&r, true), rows[i].v2);
		spec_resources_done(&r);
	}
}

TEST(a_set_of_cpus_that_is_none_is_named)
{
	struct spec_resources r;
	char **list;

	spec_resources_init(&r);
	r.cpuset_cpus = strdup("0-99999");
	is_int(scope_properties(&r, true, &list, &E), -EINVAL);
	has_str(E.msg, "0-99999");
	spec_resources_done(&r);
}

TEST(without_the_helper_the_error_names_the_build_option)
{
	setenv("BERTH_LIBEXECDIR", "/nowhere", 1);
	is_int(scope_stop("x.scope", &E), -ENOTSUP);
	has_str(E.msg, "--systemd-cgroup: /nowhere/berth-systemd is missing");
	has_str(E.msg, "-Dsystemd=enabled");
	ok(!scope_is_possible());
}

TAP_MAIN()
