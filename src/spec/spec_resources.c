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

static const struct field weight_device_fields[] = {
	SPEC_ROW("major", FIELD_I64, spec_weight_device, major, FIELD_REQUIRED),
	SPEC_ROW("minor", FIELD_I64, spec_weight_device, minor, FIELD_REQUIRED),
	SPEC_ROW("weight", FIELD_I64, spec_weight_device, weight),
	SPEC_ROW("leafWeight", FIELD_I64, spec_weight_device, leaf_weight),
	{ NULL },
};
static void weight_device_init(void *item)
{
	*(struct spec_weight_device *)item = (struct spec_weight_device){ .weight = SPEC_UNSET, .leaf_weight = SPEC_UNSET };
}
static const struct field net_prio_fields[] = {
	SPEC_ROW("name", FIELD_STRING, spec_net_prio, name, FIELD_REQUIRED),
	SPEC_ROW("priority", FIELD_U32, spec_net_prio, priority, FIELD_REQUIRED),
	{ NULL },
};

/* ---- rdma: an object whose keys are device names ---- */

static const struct field rdma_fields[] = {
	SPEC_ROW("hcaHandles", FIELD_U32, spec_rdma, handles, FIELD_HAS, .count_offset = offsetof(struct spec_rdma, has_handles)),
	SPEC_ROW("hcaObjects", FIELD_U32, spec_rdma, objects, FIELD_HAS, .count_offset = offsetof(struct spec_rdma, has_objects)),
	{ NULL },
};

static void rdma_free(void *whole)
{
	struct spec_resources *r = whole;

	for (size_t i = 0; i < r->n_rdma; i++)
		free(r->rdma[i].device);
	free(r->rdma);
	r->rdma = NULL;
	r->n_rdma = 0;
}

static int rdma_read(struct json_object *v, void *whole, const char *path, struct err *e)
{
	struct spec_resources *r = whole;

	if (!json_object_is_type(v, json_type_object))
		return json_expected(v, path, "an object", e);
	r->rdma = calloc((size_t)json_object_object_length(v) + 1, sizeof *r->rdma);
	if (!r->rdma)
		return err_set(e, ENOMEM, "%s: out of memory", path);
	json_object_object_foreach(v, name, limits)
	{
		struct spec_rdma *d = &r->rdma[r->n_rdma];
		char sub[160];
		int x;
		snprintf(sub, sizeof sub, "%s[\"%.60s\"]", path, name);
		x = json_read(limits, rdma_fields, d, sub, e);
		if (x < 0)
			return x;
		d->device = strdup(name);
		if (!d->device)
			return err_set(e, ENOMEM, "%s: out of memory", sub);
		r->n_rdma++;
	}
	return 0;
}

static struct json_object *rdma_print(const void *whole)
{
	const struct spec_resources *r = whole;
	struct json_object *o;

	errno = 0;
	if (r->n_rdma == 0)
		return NULL;
	o = json_object_new_object();
	for (size_t i = 0; o && i < r->n_rdma; i++)
		if (json_add(o, r->rdma[i].device, json_write(rdma_fields, &r->rdma[i])) < 0) {
			json_object_put(o);
			o = NULL;
		}
	if (!o)
		errno = ENOMEM;
	return o;
}

/* ---- the whole ---- */

static const struct field memory_fields[] = {
	SPEC_ROW("limit", FIELD_I64, spec_resources, memory_limit),
	SPEC_ROW("reservation", FIELD_I64, spec_resources, memory_reservation),
	SPEC_ROW("swap", FIELD_I64, spec_resources, memory_swap),
	SPEC_ROW("kernel", FIELD_I64, spec_resources, memory_kernel),
	SPEC_ROW("kernelTCP", FIELD_I64, spec_resources, memory_kernel_tcp),
	SPEC_ROW("swappiness", FIELD_I64, spec_resources, memory_swappiness),
	SPEC_ROW("disableOOMKiller", FIELD_BOOL, spec_resources, oom_kill_disable, FIELD_OMIT_EMPTY),
	SPEC_ROW("useHierarchy", FIELD_BOOL, spec_resources, use_hierarchy, FIELD_HAS,
		 .count_offset = offsetof(struct spec_resources, has_use_hierarchy)),
	SPEC_ROW("checkBeforeUpdate", FIELD_BOOL, spec_resources, check_before_update, FIELD_OMIT_EMPTY),
	{ NULL },
};
static const struct field cpu_fields[] = {
	SPEC_ROW("shares", FIELD_I64, spec_resources, cpu_shares),
	SPEC_ROW("quota", FIELD_I64, spec_resources, cpu_quota),
	SPEC_ROW("period", FIELD_I64, spec_resources, cpu_period),
	SPEC_ROW("burst", FIELD_I64, spec_resources, cpu_burst),
	SPEC_ROW("realtimeRuntime", FIELD_I64, spec_resources, cpu_rt_runtime),
	SPEC_ROW("realtimePeriod", FIELD_I64, spec_resources, cpu_rt_period),
	SPEC_ROW("idle", FIELD_I64, spec_resources, cpu_idle),
	SPEC_ROW("cpus", FIELD_STRING, spec_resources, cpuset_cpus),
	SPEC_ROW("mems", FIELD_STRING, spec_resources, cpuset_mems),
	{ NULL },
};
static const struct field pids_fields[] = {
	SPEC_ROW("limit", FIELD_I64, spec_resources, pids_limit),
	{ NULL },
};
static const struct field blkio_fields[] = {
	SPEC_ROW("weight", FIELD_I64, spec_resources, blkio_weight),
	SPEC_ROW("leafWeight", FIELD_I64, spec_resources, blkio_leaf_weight),
	SPEC_ARRAY("weightDevice", spec_resources, weight_devices, spec_weight_device, weight_device_fields,
		   .init = weight_device_init),
	SPEC_ARRAY("throttleReadBpsDevice", spec_resources, read_bps, spec_throttle, throttle_fields),
	SPEC_ARRAY("throttleWriteBpsDevice", spec_resources, write_bps, spec_throttle, throttle_fields),
	SPEC_ARRAY("throttleReadIOPSDevice", spec_resources, read_iops, spec_throttle, throttle_fields),
	SPEC_ARRAY("throttleWriteIOPSDevice", spec_resources, write_iops, spec_throttle, throttle_fields),
	{ NULL },
};
static const struct field network_fields[] = {
	SPEC_ROW("classID", FIELD_U32, spec_resources, class_id, FIELD_HAS,
		 .count_offset = offsetof(struct spec_resources, has_class_id)),
	SPEC_ARRAY("priorities", spec_resources, net_prios, spec_net_prio, net_prio_fields),
	{ NULL },
};
const struct field spec_resources_fields[] = {
	SPEC_ARRAY("devices", spec_resources, devices, spec_device_rule, rule_fields, .init = rule_init),
	{ "memory", FIELD_OBJECT, 0, FIELD_OMIT_EMPTY, memory_fields },
	{ "cpu", FIELD_OBJECT, 0, FIELD_OMIT_EMPTY, cpu_fields },
	{ "pids", FIELD_OBJECT, 0, FIELD_OMIT_EMPTY, pids_fields },
	{ "blockIO", FIELD_OBJECT, 0, FIELD_OMIT_EMPTY, blkio_fields },
	SPEC_ARRAY("hugepageLimits", spec_resources, hugepages, spec_hugepage, hugepage_fields),
	{ "network", FIELD_OBJECT, 0, FIELD_OMIT_EMPTY, network_fields },
	{ "rdma", FIELD_CUSTOM, 0, FIELD_NAMED, rdma_fields, .parse = rdma_read, .print = rdma_print, .free = rdma_free },
	SPEC_ROW("unified", FIELD_MAP, spec_resources, unified, FIELD_OMIT_EMPTY),
	{ NULL },
};

void spec_resources_init(struct spec_resources *r)
{
	*r = (struct spec_resources){
		.memory_limit = SPEC_UNSET,
		.memory_reservation = SPEC_UNSET,
		.memory_swap = SPEC_UNSET,
		.memory_kernel = SPEC_UNSET,
		.memory_kernel_tcp = SPEC_UNSET,
		.memory_swappiness = SPEC_UNSET,
		.cpu_shares = SPEC_UNSET,
		.cpu_quota = SPEC_UNSET,
		.cpu_period = SPEC_UNSET,
		.cpu_idle = SPEC_UNSET,
		.cpu_burst = SPEC_UNSET,
		.cpu_rt_runtime = SPEC_UNSET,
		.cpu_rt_period = SPEC_UNSET,
		.pids_limit = SPEC_UNSET,
		.blkio_weight = SPEC_UNSET,
		.blkio_leaf_weight = SPEC_UNSET,
	};
}

void spec_resources_done(struct spec_resources *r)
{
	json_free_fields(spec_resources_fields, r);
	spec_resources_init(r);
}

int spec_resources_parse(struct json_object *o, struct spec_resources *ret, struct err *e)
{
	struct spec_resources r;
	int x;

	spec_resources_init(&r);
	x = json_read(o, spec_resources_fields, &r, "", e);
	if (x == 0)
		x = spec_check_resources(&r, e);
	if (x < 0) {
		spec_resources_done(&r);
		return err_push(e, x, "resources");
	}
	*ret = r;
	return 0;
}

struct json_object *spec_resources_json(const struct spec_resources *r) { return json_write(spec_resources_fields, r); }

/* ---- checks ---- */

/* The range of each number; SPEC_UNSET is always fine. Sources: cgroup-v1/memory.rst, cgroup-v2.rst; cpu.shares and
 * cpu.cfs_period_us by kernel/sched (shares 2..2^18, period 1 ms..1 s, quota at least 1 ms). */
#define RANGE(name, m, lo, hi, ...)                                             \
	{                                                                       \
		name, offsetof(struct spec_resources, m), lo, hi, ##__VA_ARGS__ \
	}
static const struct range {
	const char *name;
	size_t offset;
	int64_t min, max;
	bool is_zero_given; /* 0 is a value, not "as it is" */
} ranges[] = {
	RANGE("memory.limit", memory_limit, -1, INT64_MAX),
	RANGE("memory.reservation", memory_reservation, -1, INT64_MAX),
	RANGE("memory.swap", memory_swap, -1, INT64_MAX),
	RANGE("memory.kernel", memory_kernel, -1, INT64_MAX),
	RANGE("memory.kernelTCP", memory_kernel_tcp, -1, INT64_MAX),
	RANGE("memory.swappiness", memory_swappiness, 0, 100, true),
	RANGE("cpu.shares", cpu_shares, 0, 262144),
	RANGE("cpu.quota", cpu_quota, -1, INT64_MAX),
	RANGE("cpu.period", cpu_period, 0, 1000000),
	RANGE("cpu.idle", cpu_idle, 0, 1, true),
	RANGE("cpu.burst", cpu_burst, 0, INT64_MAX, true),
	RANGE("cpu.realtimeRuntime", cpu_rt_runtime, -1, INT64_MAX),
	RANGE("cpu.realtimePeriod", cpu_rt_period, 0, INT64_MAX),
	RANGE("pids.limit", pids_limit, -1, INT64_MAX),
	RANGE("blockIO.weight", blkio_weight, 0, 1000),
	RANGE("blockIO.leafWeight", blkio_leaf_weight, 0, 1000),
};

static int64_t *number_at(struct spec_resources *r, size_t i) { return (int64_t *)(void *)((char *)r + ranges[i].offset); }

static int replace_text(char **into, const char *from)
{
	char *copy;

	if (!from || !*from)
		return 0;
	copy = strdup(from);
	if (!copy)
		return -ENOMEM;
	free(*into);
	*into = copy;
	return 0;
}

int spec_resources_merge(struct spec_resources *into, const struct spec_resources *from, struct err *e)
{
	struct spec_resources f = *from;

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		int64_t v = *number_at(&f, i);
		if (v != SPEC_UNSET && (v != 0 || *number_at(into, i) == SPEC_UNSET || ranges[i].is_zero_given))
			*number_at(into, i) = v;
	}
	into->check_before_update = f.check_before_update;
	if (replace_text(&into->cpuset_cpus, f.cpuset_cpus) < 0 || replace_text(&into->cpuset_mems, f.cpuset_mems) < 0)
		return err_set(e, ENOMEM, "resources: out of memory");
	/* To take the limit of memory away means that of memory plus swap too, where nothing else is said (as runc). */
	if (f.memory_limit == -1 && (f.memory_swap == SPEC_UNSET || f.memory_swap == 0))
		into->memory_swap = -1;
	return spec_check_resources(into, e);
}

static int check_unified(const struct string_map *m, struct err *e)
{
	for (size_t i = 0; m->keys && m->keys[i]; i++)
		if (!*m->keys[i] || strchr(m->keys[i], '/') || streq(m->keys[i], "..") || streq(m->keys[i], "."))
			return err_set(e, EINVAL, ".linux.resources.unified: \"%.60s\" is not the name of a cgroup file",
				       m->keys[i]);
	return 0;
}

static int check_weight_devices(const struct spec_resources *r, struct err *e)
{
	for (size_t i = 0; i < r->n_weight_devices; i++) {
		const struct spec_weight_device *d = &r->weight_devices[i];
		const int64_t weights[] = { d->weight, d->leaf_weight };
		for (size_t k = 0; k < ARRAY_SIZE(weights); k++)
			if (weights[k] != SPEC_UNSET && weights[k] != 0 && (weights[k] < 10 || weights[k] > 1000))
				return err_set(e, EINVAL,
					       ".linux.resources.blockIO.weightDevice[%zu].%s: expected 10 to 1000, found %lld",
					       i, k ? "leafWeight" : "weight", (long long)weights[k]);
	}
	return 0;
}

/* These become words of a line that the kernel reads. */
static int check_names(const struct spec_resources *r, struct err *e)
{
	for (size_t i = 0; i < r->n_net_prios; i++)
		if (!*r->net_prios[i].name || strpbrk(r->net_prios[i].name, " \t\n/"))
			return err_set(e, EINVAL,
				       ".linux.resources.network.priorities[%zu].name: \"%.40s\" is not an interface's name", i,
				       r->net_prios[i].name);
	for (size_t i = 0; i < r->n_rdma; i++)
		if (!*r->rdma[i].device || strpbrk(r->rdma[i].device, " \t\n/"))
			return err_set(e, EINVAL, ".linux.resources.rdma: \"%.40s\" is not a device's name", r->rdma[i].device);
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
	if (check_weight_devices(r, e) < 0 || check_names(r, e) < 0)
		return -EINVAL;
	return check_unified(&r->unified, e);
}
