/* config.json: `linux.resources` (config-linux.md §control-groups). A limit that is named here and can't be set on a host
 * is container/'s error; a limit that this build doesn't know how to set is refused here. */
#include <stdio.h>

#include "spec_rows.h"

/* ---- device rules ---- */

static int read_rule_type(struct json_object *v, void *member, const char *path, struct err *e)
{
	const char *s = json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "?";

	if (*s && (strlen(s) != 1 || !strchr("abc", *s)))
		return json_expected(v, path, "\"a\", \"b\" or \"c\"", e);
	*(char *)member = *s ? *s : 'a';
	return 0;
}

static struct json_object *print_rule_type(const void *member) { return json_object_new_string_len(member, 1); }

static int read_access(struct json_object *v, void *member, const char *path, struct err *e)
{
	const char *s = json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "?";

	if (strlen(s) > 3 || strspn(s, "rwm") != strlen(s))
		return json_expected(v, path, "a choice of \"r\", \"w\" and \"m\"", e);
	snprintf(member, 4, "%s", s);
	return 0;
}

static struct json_object *print_access(const void *member) { return json_object_new_string(member); }

static void rule_init(void *item)
{
	struct spec_device_rule *r = item;

	*r = (struct spec_device_rule){ .type = 'a', .major = -1, .minor = -1, .access = "rwm" };
}

static const struct field rule_fields[] = {
	SPEC_ROW("allow", FIELD_BOOL, spec_device_rule, allow, FIELD_REQUIRED),
	SPEC_ROW("type", FIELD_CUSTOM, spec_device_rule, type, .parse = read_rule_type, .print = print_rule_type),
	SPEC_ROW("major", FIELD_I64, spec_device_rule, major),
	SPEC_ROW("minor", FIELD_I64, spec_device_rule, minor),
	SPEC_ROW("access", FIELD_CUSTOM, spec_device_rule, access, .parse = read_access, .print = print_access),
	{ NULL },
};

/* ---- controllers ---- */

static const struct field throttle_fields[] = {
	SPEC_ROW("major", FIELD_I64, spec_throttle, major, FIELD_REQUIRED),
	SPEC_ROW("minor", FIELD_I64, spec_throttle, minor, FIELD_REQUIRED),
	SPEC_ROW("rate", FIELD_U64, spec_throttle, rate, FIELD_REQUIRED),
	{ NULL },
};
static const struct field hugepage_fields[] = {
	SPEC_ROW("pageSize", FIELD_STRING, spec_hugepage, page_size, FIELD_REQUIRED),
	SPEC_ROW("limit", FIELD_U64, spec_hugepage, limit, FIELD_REQUIRED),
	{ NULL },
};

/* Kernels since 5.11 have no other way than hierarchical accounting, so true is what happens and false can't be had. */
static int read_use_hierarchy(struct json_object *v, void *member, const char *path, struct err *e)
{
	(void)member;
	if (!json_object_is_type(v, json_type_boolean) || !json_object_get_boolean(v))
		return json_expected(v, path, "true (kernels since 5.11 always account hierarchically)", e);
	return 0;
}

static const struct field memory_fields[] = {
	SPEC_ROW("limit", FIELD_I64, spec_resources, memory_limit),
	SPEC_ROW("reservation", FIELD_I64, spec_resources, memory_reservation),
	SPEC_ROW("swap", FIELD_I64, spec_resources, memory_swap),
	SPEC_ROW("kernel", FIELD_I64, spec_resources, memory_kernel),
	SPEC_ROW("swappiness", FIELD_I64, spec_resources, memory_swappiness),
	SPEC_ROW("disableOOMKiller", FIELD_BOOL, spec_resources, oom_kill_disable, FIELD_OMIT_EMPTY),
	{ "useHierarchy", FIELD_CUSTOM, 0, .parse = read_use_hierarchy },
	SPEC_REFUSED("kernelTCP"),
	SPEC_REFUSED("checkBeforeUpdate"),
	{ NULL },
};
static const struct field cpu_fields[] = {
	SPEC_ROW("shares", FIELD_I64, spec_resources, cpu_shares),
	SPEC_ROW("quota", FIELD_I64, spec_resources, cpu_quota),
	SPEC_ROW("period", FIELD_I64, spec_resources, cpu_period),
	SPEC_ROW("burst", FIELD_I64, spec_resources, cpu_burst),
	SPEC_ROW("idle", FIELD_I64, spec_resources, cpu_idle),
	SPEC_ROW("cpus", FIELD_STRING, spec_resources, cpuset_cpus),
	SPEC_ROW("mems", FIELD_STRING, spec_resources, cpuset_mems),
	SPEC_REFUSED("realtimeRuntime"),
	SPEC_REFUSED("realtimePeriod"),
	{ NULL },
};
static const struct field pids_fields[] = {
	SPEC_ROW("limit", FIELD_I64, spec_resources, pids_limit),
	{ NULL },
};
static const struct field blkio_fields[] = {
	SPEC_ROW("weight", FIELD_I64, spec_resources, blkio_weight),
	SPEC_ARRAY("throttleReadBpsDevice", spec_resources, read_bps, spec_throttle, throttle_fields),
	SPEC_ARRAY("throttleWriteBpsDevice", spec_resources, write_bps, spec_throttle, throttle_fields),
	SPEC_ARRAY("throttleReadIOPSDevice", spec_resources, read_iops, spec_throttle, throttle_fields),
	SPEC_ARRAY("throttleWriteIOPSDevice", spec_resources, write_iops, spec_throttle, throttle_fields),
	SPEC_REFUSED("leafWeight"),
	SPEC_REFUSED("weightDevice"),
	{ NULL },
};
const struct field spec_resources_fields[] = {
	SPEC_ARRAY("devices", spec_resources, devices, spec_device_rule, rule_fields, .init = rule_init),
	{ "memory", FIELD_OBJECT, 0, FIELD_OMIT_EMPTY, memory_fields },
	{ "cpu", FIELD_OBJECT, 0, FIELD_OMIT_EMPTY, cpu_fields },
	{ "pids", FIELD_OBJECT, 0, FIELD_OMIT_EMPTY, pids_fields },
	{ "blockIO", FIELD_OBJECT, 0, FIELD_OMIT_EMPTY, blkio_fields },
	SPEC_ARRAY("hugepageLimits", spec_resources, hugepages, spec_hugepage, hugepage_fields),
	SPEC_ROW("unified", FIELD_MAP, spec_resources, unified, FIELD_OMIT_EMPTY),
	SPEC_REFUSED("network"),
	SPEC_REFUSED("rdma"),
	{ NULL },
};

void spec_resources_init(struct spec_resources *r)
{
	*r = (struct spec_resources){
		.memory_limit = SPEC_UNSET,
		.memory_reservation = SPEC_UNSET,
		.memory_swap = SPEC_UNSET,
		.memory_kernel = SPEC_UNSET,
		.memory_swappiness = SPEC_UNSET,
		.cpu_shares = SPEC_UNSET,
		.cpu_quota = SPEC_UNSET,
		.cpu_period = SPEC_UNSET,
		.cpu_idle = SPEC_UNSET,
		.cpu_burst = SPEC_UNSET,
		.pids_limit = SPEC_UNSET,
		.blkio_weight = SPEC_UNSET,
	};
}

/* ---- checks ---- */

/* The range of each number; SPEC_UNSET is always fine. Sources: cgroup-v1/memory.rst, cgroup-v2.rst; cpu.shares and
 * cpu.cfs_period_us by kernel/sched (shares 2..2^18, period 1 ms..1 s, quota at least 1 ms). */
#define RANGE(name, m, lo, hi)                                   \
	{                                                        \
		name, offsetof(struct spec_resources, m), lo, hi \
	}
static const struct range {
	const char *name;
	size_t offset;
	int64_t min, max;
} ranges[] = {
	RANGE("memory.limit", memory_limit, -1, INT64_MAX),
	RANGE("memory.reservation", memory_reservation, -1, INT64_MAX),
	RANGE("memory.swap", memory_swap, -1, INT64_MAX),
	RANGE("memory.kernel", memory_kernel, -1, INT64_MAX),
	RANGE("memory.swappiness", memory_swappiness, 0, 100),
	RANGE("cpu.shares", cpu_shares, 0, 262144),
	RANGE("cpu.quota", cpu_quota, -1, INT64_MAX),
	RANGE("cpu.period", cpu_period, 0, 1000000),
	RANGE("cpu.idle", cpu_idle, 0, 1),
	RANGE("cpu.burst", cpu_burst, 0, INT64_MAX),
	RANGE("pids.limit", pids_limit, -1, INT64_MAX),
	RANGE("blockIO.weight", blkio_weight, 0, 1000),
};

static int check_unified(const struct string_map *m, struct err *e)
{
	for (size_t i = 0; m->keys && m->keys[i]; i++)
		if (!*m->keys[i] || strchr(m->keys[i], '/') || streq(m->keys[i], "..") || streq(m->keys[i], "."))
			return err_set(e, EINVAL, ".linux.resources.unified: \"%.60s\" is not the name of a cgroup file",
				       m->keys[i]);
	return 0;
}

int spec_check_resources(const struct spec_resources *r, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		int64_t v = *(const int64_t *)(const void *)((const char *)r + ranges[i].offset);
		if (v != SPEC_UNSET && (v < ranges[i].min || v > ranges[i].max))
			return err_set(e, EINVAL, ".linux.resources.%s: expected %lld to %lld, found %lld", ranges[i].name,
				       (long long)ranges[i].min, (long long)ranges[i].max, (long long)v);
	}
	for (size_t i = 0; i < r->n_devices; i++)
		if (r->devices[i].major < -1 || r->devices[i].minor < -1)
			return err_set(e, EINVAL, ".linux.resources.devices[%zu]: device numbers are -1 (any) or more", i);
	/* The kernel's order: memory+swap is never below memory (config-linux.md §memory). */
	if (r->memory_limit > 0 && r->memory_swap > 0 && r->memory_swap < r->memory_limit)
		return err_set(e, EINVAL, ".linux.resources.memory.swap: %lld is memory plus swap, so not below the limit %lld",
			       (long long)r->memory_swap, (long long)r->memory_limit);
	return check_unified(&r->unified, e);
}
