/* What a cgroup has used, from v1 or v2, as one struct: rows of file, key, unit. A file that this kernel does not have leaves
 * its figures 0; stats are never an error for want of one. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "cgroup_impl.h"

#define NS_PER_US 1000

/* key NULL: the file is one number, or "max". v1 says "unlimited" by a page-rounded LONG_MAX. */
struct source {
	enum cgroup_ctrl ctrl;
	bool is_v2;
	const char *file, *key;
	size_t offset;
	uint64_t scale;
};
#define S(f) offsetof(struct cgroup_stats, f)
static const struct source sources[] = {
	{ CG_MEMORY, false, "memory.usage_in_bytes", NULL, S(mem_bytes), 1 },
	{ CG_MEMORY, false, "memory.max_usage_in_bytes", NULL, S(mem_peak_bytes), 1 },
	{ CG_MEMORY, false, "memory.limit_in_bytes", NULL, S(mem_limit_bytes), 1 },
	{ CG_MEMORY, false, "memory.stat", "total_cache", S(mem_cache_bytes), 1 },
	{ CG_MEMORY, false, "memory.stat", "total_inactive_file", S(mem_inactive_file_bytes), 1 },
	{ CG_MEMORY, false, "memory.oom_control", "oom_kill", S(oom_kills), 1 },
	{ CG_CPUACCT, false, "cpuacct.usage", NULL, S(cpu_ns), 1 },
	{ CG_CPUACCT, false, "cpuacct.usage_user", NULL, S(cpu_user_ns), 1 },
	{ CG_CPUACCT, false, "cpuacct.usage_sys", NULL, S(cpu_system_ns), 1 },
	{ CG_CPU, false, "cpu.stat", "nr_throttled", S(throttled_periods), 1 },
	{ CG_CPU, false, "cpu.stat", "throttled_time", S(throttled_ns), 1 },
	{ CG_PIDS, false, "pids.current", NULL, S(pids), 1 },
	{ CG_PIDS, false, "pids.max", NULL, S(pids_limit), 1 },
	{ CG_MEMORY, true, "memory.current", NULL, S(mem_bytes), 1 },
	{ CG_MEMORY, true, "memory.peak", NULL, S(mem_peak_bytes), 1 },
	{ CG_MEMORY, true, "memory.max", NULL, S(mem_limit_bytes), 1 },
	{ CG_MEMORY, true, "memory.stat", "file", S(mem_cache_bytes), 1 },
	{ CG_MEMORY, true, "memory.stat", "inactive_file", S(mem_inactive_file_bytes), 1 },
	{ CG_MEMORY, true, "memory.events", "oom_kill", S(oom_kills), 1 },
	{ CG_CPU, true, "cpu.stat", "usage_usec", S(cpu_ns), NS_PER_US },
	{ CG_CPU, true, "cpu.stat", "user_usec", S(cpu_user_ns), NS_PER_US },
	{ CG_CPU, true, "cpu.stat", "system_usec", S(cpu_system_ns), NS_PER_US },
	{ CG_CPU, true, "cpu.stat", "nr_throttled", S(throttled_periods), 1 },
	{ CG_CPU, true, "cpu.stat", "throttled_usec", S(throttled_ns), NS_PER_US },
	{ CG_PIDS, true, "pids.current", NULL, S(pids), 1 },
	{ CG_PIDS, true, "pids.max", NULL, S(pids_limit), 1 },
};

/* The number behind `key` at the start of a line, or at the start of the text for key NULL; false when there is none. */
static bool find_number(const char *text, const char *key, uint64_t *ret)
{
	size_t n = key ? strlen(key) : 0;
	char *end;
	unsigned long long v;

	for (const char *at = text; key; at++) {
		if (strncmp(at, key, n) == 0 && at[n] == ' ') {
			text = at + n + 1;
			break;
		}
		at = strchr(at, '\n');
		if (!at)
			return false;
	}
	if (!key && strncmp(text, "max", 3) == 0) {
		*ret = UINT64_MAX;
		return true;
	}
	v = strtoull(text, &end, 10);
	if (end == text)
		return false;
	*ret = v >= INT64_MAX / 4096 * 4096 ? UINT64_MAX : v;
	return true;
}

/* blkio.throttle.io_service_bytes: "8:0 Read 123"; io.stat: "8:0 rbytes=123 wbytes=456 ...". */
static void add_io(const char *text, bool is_v2, struct cgroup_stats *st)
{
	for (const char *line = text; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
		char op[16];
		uint64_t rd, wr;
		if (is_v2 && sscanf(line, "%*u:%*u rbytes=%" SCNu64 " wbytes=%" SCNu64, &rd, &wr) == 2) {
			st->io_read_bytes += rd;
			st->io_write_bytes += wr;
		} else if (!is_v2 && sscanf(line, "%*u:%*u %15s %" SCNu64, op, &rd) == 2) {
			st->io_read_bytes += streq(op, "Read") ? rd : 0;
			st->io_write_bytes += streq(op, "Write") ? rd : 0;
		}
	}
}

int cgroup_stats(struct cgroup *cg, struct cgroup_stats *ret, struct err *e)
{
	struct cgroup_stats st = { 0 };
	const struct cgroup_place *io = cgroup_place_of(cg, CG_BLKIO);
	char text[8192];
	const char *last = NULL; /* rows of one file adjoin: it is read once */
	ssize_t n = -1;

	if (!cgroup_main_place(cg))
		return err_set(e, ENOENT, "stats: cgroup %s is gone, or this host has none", cg->path);
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		const struct source *s = &sources[i];
		const struct cgroup_place *p = cgroup_place_of(cg, s->ctrl);
		uint64_t v;
		if (!p || p->is_v2 != s->is_v2)
			continue;
		if (!last || !streq(last, s->file))
			n = cgroup_read(p, s->file, text, sizeof text);
		last = s->file;
		if (n >= 0 && find_number(text, s->key, &v)) {
			v = v > UINT64_MAX / s->scale ? UINT64_MAX : v * s->scale;
			memcpy((char *)&st + s->offset, &v, sizeof v);
		}
	}
	if (io && cgroup_read(io, io->is_v2 ? "io.stat" : "blkio.throttle.io_service_bytes_recursive", text, sizeof text) > 0)
		add_io(text, io->is_v2, &st);
	*ret = st;
	return 0;
}

/* Names are part of `stats --format json` and of the guest protocol. */
static const struct {
	const char *name;
	size_t offset;
} members[] = {
	{ "mem_bytes", S(mem_bytes) },
	{ "mem_peak_bytes", S(mem_peak_bytes) },
	{ "mem_limit_bytes", S(mem_limit_bytes) },
	{ "mem_cache_bytes", S(mem_cache_bytes) },
	{ "mem_inactive_file_bytes", S(mem_inactive_file_bytes) },
	{ "cpu_ns", S(cpu_ns) },
	{ "cpu_user_ns", S(cpu_user_ns) },
	{ "cpu_system_ns", S(cpu_system_ns) },
	{ "pids", S(pids) },
	{ "pids_limit", S(pids_limit) },
	{ "oom_kills", S(oom_kills) },
	{ "throttled_periods", S(throttled_periods) },
	{ "throttled_ns", S(throttled_ns) },
	{ "io_read_bytes", S(io_read_bytes) },
	{ "io_write_bytes", S(io_write_bytes) },
};
_Static_assert(ARRAY_SIZE(members) * sizeof(uint64_t) == sizeof(struct cgroup_stats), "every member has a name");

struct json_object *cgroup_stats_json(const struct cgroup_stats *s)
{
	struct json_object *o = json_object_new_object();

	for (size_t i = 0; o && i < ARRAY_SIZE(members); i++) {
		struct json_object *v;
		uint64_t n;
		memcpy(&n, (const char *)s + members[i].offset, sizeof n);
		v = json_object_new_uint64(n);
		if (!v || json_object_object_add(o, members[i].name, v) < 0) {
			json_object_put(v);
			json_object_put(o);
			return NULL;
		}
	}
	return o;
}
