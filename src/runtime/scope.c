/* scope: see scope.h. (systemd.resource-control(5), org.freedesktop.systemd1(5), systemd's CGROUP_DELEGATION.md) */
#include "scope.h"

#include <inttypes.h>
#include <stdio.h>

#define HELPER        "berth-systemd"
#define UNIT_MAX      255    /* UNIT_NAME_MAX of systemd */
#define PERIOD_US     100000 /* the kernel's, where none is given */
#define QUOTA_STEP_US 10000  /* systemd keeps whole per cents */
#define DEFAULT_SLICE "system.slice"
#define CPU_MAX       8192

void scope_done(struct scope *s)
{
	free(s->slice);
	free(s->unit);
	free(s->path);
	*s = (struct scope){ 0 };
}

/* ---- names ---- */

static bool is_unit_name(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@");

	return n > 0 && n <= UNIT_MAX && !s[n];
}

/* "a-b.slice" lies at /a.slice/a-b.slice; "-.slice" is the root (systemd.slice(5)). */
static int slice_path(const char *slice, struct buf *path, struct err *e)
{
	size_t len = strlen(slice), stem = len > 6 && str_ends(slice, ".slice") ? len - 6 : 0;

	if (stem == 0 || !is_unit_name(slice))
		return err_set(e, EINVAL, ".linux.cgroupsPath: \"%.60s\" is not the name of a slice, such as machine.slice",
			       slice);
	if (streq(slice, "-.slice"))
		return 0;
	for (size_t i = 0; i <= stem; i++) {
		if (i < stem && slice[i] != '-')
			continue;
		if (i == 0 || slice[i - 1] == '-')
			return err_set(e, EINVAL, ".linux.cgroupsPath: \"%.60s\": a part of the slice's name is empty", slice);
		buf_fmt(path, "/%.*s.slice", (int)i, slice);
	}
	return 0;
}

static int choose_names(const char *slice, const char *prefix, const char *name, struct scope *s, struct err *e)
{
	if (str_ends(name, ".slice"))
		return err_set(e, ENOTSUP, ".linux.cgroupsPath: \"%.60s\": a container is a scope of a slice, not a slice itself",
			       name);
	s->slice = strdup(slice);
	s->unit = str_fmt("%s%s%s.scope", prefix, *prefix ? "-" : "", name);
	if (!s->slice || !s->unit)
		return err_set(e, ENOMEM, "out of memory");
	return is_unit_name(s->unit) && *name
		       ? 0
		       : err_set(e, EINVAL, ".linux.cgroupsPath: \"%.80s\" is no name that systemd takes for a unit", s->unit);
}

int scope_parse(const char *cgroups_path, const char *id, struct scope *ret, struct err *e)
{
	_cleanup_strv_ char **parts = NULL;
	_cleanup_buf_ struct buf path = { 0 };
	_cleanup_(scope_done) struct scope s = { 0 };
	int r;

	if (cgroups_path && *cgroups_path) {
		parts = strv_split(cgroups_path, ':');
		if (!parts)
			return err_set(e, ENOMEM, "out of memory");
		if (strv_len(parts) != 3)
			return err_set(
				e, EINVAL,
				".linux.cgroupsPath: expected \"slice:prefix:name\" with --systemd-cgroup, found \"%.80s\"",
				cgroups_path);
		r = choose_names(*parts[0] ? parts[0] : DEFAULT_SLICE, parts[1], parts[2], &s, e);
	} else {
		r = choose_names(DEFAULT_SLICE, "berth", id, &s, e);
	}
	if (r == 0)
		r = slice_path(s.slice, &path, e);
	if (r < 0)
		return r;
	buf_fmt(&path, "/%s", s.unit);
	s.path = buf_take(&path);
	if (!s.path)
		return err_set(e, ENOMEM, "out of memory");
	*ret = s;
	s = (struct scope){ 0 };
	return 0;
}

/* ---- properties ---- */

static bool is_given(int64_t v) { return v != SPEC_UNSET && v != 0; }

static int add_number(char ***list, const char *name, int64_t v)
{
	return strv_push_take(list, str_fmt("%s=t:%" PRIu64, name, v < 0 ? UINT64_MAX : (uint64_t)v));
}

/* 64-bit ones that are written as they are; -1 is systemd's infinity. */
static const struct {
	size_t offset;
	const char *v1, *v2; /* NULL = it has no name for it */
} plain[] = {
#define PLAIN(m, v1, v2)                                   \
	{                                                  \
		offsetof(struct spec_resources, m), v1, v2 \
	}
	PLAIN(memory_limit, "MemoryLimit", "MemoryMax"),
	PLAIN(memory_reservation, NULL, "MemoryLow"),
	PLAIN(cpu_shares, "CPUShares", NULL),
	PLAIN(pids_limit, "TasksMax", "TasksMax"),
	PLAIN(blkio_weight, "BlockIOWeight", NULL),
#undef PLAIN
};

/* systemd counts CPU time a second, in whole per cents: rounded up, lest it be less than what the kernel is told. */
static int add_quota(char ***list, const struct spec_resources *r)
{
	int64_t period = is_given(r->cpu_period) ? r->cpu_period : PERIOD_US, per_s = -1;

	if (!is_given(r->cpu_quota) && !is_given(r->cpu_period))
		return 0;
	if (is_given(r->cpu_period) && add_number(list, "CPUQuotaPeriodUSec", period) < 0)
		return -ENOMEM;
	if (is_given(r->cpu_quota) && r->cpu_quota > 0) {
		if (r->cpu_quota > INT64_MAX / 1000000)
			return -ERANGE;
		per_s = r->cpu_quota * 1000000 / period;
		per_s = (per_s + QUOTA_STEP_US - 1) / QUOTA_STEP_US * QUOTA_STEP_US;
	}
	return add_number(list, "CPUQuotaPerSecUSec", per_s);
}

/* "0-2,9" -> "AllowedCPUs=ay:0702": bit n of byte n / 8. */
static int add_set(char ***list, const char *name, const char *text)
{
	uint8_t bits[CPU_MAX / 8] = { 0 };
	char hex[2 * sizeof bits + 1];
	size_t n = 0;

	if (!text || !*text)
		return 0;
	for (const char *at = text; *at;) {
		char *end;
		unsigned long from = strtoul(at, &end, 10), to = *end == '-' ? strtoul(end + 1, &end, 10) : from;
		if (end == at || from > to || to >= CPU_MAX || (*end && *end != ','))
			return -EINVAL;
		for (; from <= to; from++)
			bits[from / 8] |= (uint8_t)(1u << from % 8);
		n = MAX(n, (size_t)to / 8 + 1);
		at = *end ? end + 1 : end;
	}
	str_hex(bits, n, hex);
	return strv_push_take(list, str_fmt("%s=ay:%s", name, hex));
}

static int add_all(char ***list, const struct spec_resources *r, bool is_v2)
{
	int x = 0;

	for (size_t i = 0; x == 0 && i < ARRAY_SIZE(plain); i++) {
		const char *name = is_v2 ? plain[i].v2 : plain[i].v1;
		int64_t v;
		memcpy(&v, (const char *)r + plain[i].offset, sizeof v);
		if (name && is_given(v))
			x = add_number(list, name, v);
	}
	/* v2 counts swap alone. */
	if (x == 0 && is_v2 && is_given(r->memory_swap) && (r->memory_swap < 0 || r->memory_limit > 0))
		x = add_number(list, "MemorySwapMax", r->memory_swap < 0 ? -1 : r->memory_swap - r->memory_limit);
	if (x == 0 && is_v2 && is_given(r->cpu_shares))
		x = add_number(list, "CPUWeight", (int64_t)cgroup_weight_of_shares(r->cpu_shares));
	if (x == 0)
		x = add_quota(list, r);
	if (x == 0)
		x = add_set(list, "AllowedCPUs", r->cpuset_cpus);
	return x < 0 ? x : add_set(list, "AllowedMemoryNodes", r->cpuset_mems);
}

int scope_properties(const struct spec_resources *r, bool is_v2, char ***ret, struct err *e)
{
	_cleanup_strv_ char **list = NULL;
	int x = add_all(&list, r, is_v2);

	if (x == -EINVAL)
		return err_set(e, EINVAL, ".linux.resources.cpu: \"%.40s\", \"%.40s\": not lists such as 0-2,4",
			       r->cpuset_cpus ? r->cpuset_cpus : "", r->cpuset_mems ? r->cpuset_mems : "");
	if (x < 0)
		return err_set(e, -x, "properties of the scope: %s", strerror(-x));
	*ret = TAKE_PTR(list);
	return 0;
}

/* ---- asking ---- */

static int ask(char ***argv, struct err *e)
{
	_cleanup_free_ char *said = NULL;

	return spawn_output(*argv, 4096, &said, e);
}

static char *helper_path(void)
{
	_cleanup_free_ char *libexec = paths_libexec();

	return libexec ? str_fmt("%s/" HELPER, libexec) : NULL;
}

bool scope_is_possible(void)
{
	_cleanup_free_ char *path = helper_path();

	return path && access(path, X_OK) == 0;
}

/* argv of the helper's verb. */
static int helper(const char *verb, const char *unit, char ***ret, struct err *e)
{
	_cleanup_free_ char *path = helper_path();
	_cleanup_strv_ char **argv = NULL;

	if (!path)
		return err_set(e, ENOMEM, "out of memory");
	if (access(path, X_OK) < 0)
		return err_set(
			e, ENOTSUP,
			"--systemd-cgroup: %s is missing (%s): build Berth with -Dsystemd=enabled, or set the engine's cgroup "
			"driver (manager) to cgroupfs",
			path, strerror(errno));
	if (strv_push(&argv, path) < 0 || strv_push(&argv, verb) < 0 || strv_push(&argv, unit) < 0)
		return err_set(e, ENOMEM, "out of memory");
	*ret = TAKE_PTR(argv);
	return 0;
}

static int push_limits(char ***argv, const struct spec_resources *r, bool is_v2, struct err *e)
{
	_cleanup_strv_ char **limits = NULL;
	int x = scope_properties(r, is_v2, &limits, e);

	for (size_t i = 0; x == 0 && limits && limits[i]; i++)
		if (strv_push(argv, limits[i]) < 0)
			x = err_set(e, ENOMEM, "out of memory");
	return x;
}

int scope_start(const struct scope *s, pid_t pid, const char *id, const struct spec_resources *r, bool is_v2, struct err *e)
{
	/* Delegate: the limits below the scope are ours. The accounting keeps every controller in it. */
	static const char *const always[] = {
		"Delegate=b:1", "DefaultDependencies=b:0", "MemoryAccounting=b:1", "CPUAccounting=b:1", "TasksAccounting=b:1",
	};
	_cleanup_strv_ char **argv = NULL;
	int x = helper("start", s->unit, &argv, e);

	if (x < 0)
		return x;
	if (strv_push_take(&argv, str_fmt("Description=s:container %s", id)) < 0 ||
	    strv_push_take(&argv, str_fmt("Slice=s:%s", s->slice)) < 0 ||
	    strv_push_take(&argv, str_fmt("PIDs=au:%d", (int)pid)) < 0 ||
	    strv_push(&argv, is_v2 ? "IOAccounting=b:1" : "BlockIOAccounting=b:1") < 0)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < ARRAY_SIZE(always); i++)
		if (strv_push(&argv, always[i]) < 0)
			return err_set(e, ENOMEM, "out of memory");
	x = push_limits(&argv, r, is_v2, e);
	return x < 0 ? x : ask(&argv, e);
}

int scope_update(const char *unit, const struct spec_resources *r, bool is_v2, struct err *e)
{
	_cleanup_strv_ char **argv = NULL;
	int x = helper("set", unit, &argv, e);

	if (x == 0)
		x = push_limits(&argv, r, is_v2, e);
	return x < 0 || !argv[3] ? x : ask(&argv, e);
}

int scope_stop(const char *unit, struct err *e)
{
	_cleanup_strv_ char **argv = NULL;
	int x = helper("stop", unit, &argv, e);

	return x < 0 ? x : ask(&argv, e);
}
