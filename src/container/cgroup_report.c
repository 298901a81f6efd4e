/* The document that `events` prints under "data": names, units, what is left out when zero and what is not are those of runc's
 * (types/events.go), as containerd and podman parse them. What the host's cgroups don't count is absent or 0, never an error.
 *
 * v2 counts swap apart; "swap" is memory plus swap on both, as v1 has it. */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cgroup_impl.h"

#define FILE_MAX (1u << 20) /* blkio of a host with thousands of devices */

/* A file's content; "" where there is none. NULL: out of memory. */
static char *slurp(const struct cgroup_place *p, const char *file)
{
	char *text = NULL;

	return p && file_read(p->fd, file, FILE_MAX, &text, NULL) == 0 ? text : strdup("");
}

/* The file's one number, or that behind `key`; "max" is UINT64_MAX; false when there is none. */
static bool number(const struct cgroup_place *p, const char *file, const char *key, uint64_t *ret)
{
	_cleanup_free_ char *text = slurp(p, file);
	const char *at = text, *rest = text;
	char *end;

	if (key)
		for (rest = NULL; at && *at && !rest; at = strchr(at, '\n'), at = at ? at + 1 : NULL) {
			const char *v = str_after(at, key);
			rest = v && *v == ' ' ? v + 1 : NULL;
		}
	if (!rest || !*rest)
		return false;
	if (str_after(rest, "max")) {
		*ret = UINT64_MAX;
		return true;
	}
	*ret = strtoull(rest, &end, 10);
	return end != rest;
}

static uint64_t number_or_0(const struct cgroup_place *p, const char *file, const char *key)
{
	uint64_t v = 0;

	return number(p, file, key, &v) ? v : 0;
}

static int put(struct json_object *o, const char *key, uint64_t v) { return json_add(o, key, json_object_new_uint64(v)); }

static int put_unless_0(struct json_object *o, const char *key, uint64_t v) { return v ? put(o, key, v) : 0; }

/* ---- pressure: "some avg10=0.00 avg60=0.00 avg300=0.00 total=0" (accounting/psi.rst, Linux 4.20) ---- */

static int add_pressure(struct json_object *o, const struct cgroup_place *p, const char *file)
{
	static const char *const kinds[] = { "some", "full" };
	_cleanup_free_ char *text = p && p->is_v2 ? slurp(p, file) : strdup("");
	_cleanup_json_ struct json_object *psi = json_object_new_object();
	int r = psi ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && text && i < ARRAY_SIZE(kinds); i++) {
		const char *line = strstr(text, kinds[i]);
		struct json_object *one;
		double avg10, avg60, avg300;
		uint64_t total;
		if (!line ||
		    sscanf(line + 4, " avg10=%lf avg60=%lf avg300=%lf total=%" SCNu64, &avg10, &avg60, &avg300, &total) != 4)
			continue;
		one = json_object_new_object();
		r = json_add(one, "avg10", json_object_new_double(avg10)) ||
				    json_add(one, "avg60", json_object_new_double(avg60)) ||
				    json_add(one, "avg300", json_object_new_double(avg300)) || put(one, "total", total)
			    ? -ENOMEM
			    : 0;
		if (r == 0)
			r = json_add(psi, kinds[i], one);
		else
			json_object_put(one);
	}
	return r == 0 && json_object_object_length(psi) > 0 ? json_add(o, "psi", TAKE_PTR(psi)) : r;
}

/* ---- cpu ---- */

/* Column `col` of cpuacct.usage_all ("cpu user system", then a line a CPU), or the numbers of cpuacct.usage_percpu. */
static int add_per_cpu(struct json_object *o, const char *key, const char *text, unsigned col)
{
	struct json_object *list = json_object_new_array();
	unsigned long long v[3];
	int used;

	if (!list)
		return -ENOMEM;
	for (const char *at = text; *at;) {
		bool is_row = col ? sscanf(at, "%llu %llu %llu%n", &v[0], &v[1], &v[2], &used) == 3
				  : sscanf(at, "%llu%n", &v[0], &used) == 1;
		if (is_row && json_object_array_add(list, json_object_new_uint64(v[col])) < 0) {
			json_object_put(list);
			return -ENOMEM;
		}
		at += is_row ? (size_t)used : strcspn(at, "\n");
		at += strspn(at, " \n");
	}
	if (json_object_array_length(list) > 0)
		return json_add(o, key, list);
	json_object_put(list);
	return 0;
}

static int add_usage(struct json_object *cpu, const struct cgroup *cg)
{
	const struct cgroup_place *p = cgroup_place_of(cg, CG_CPUACCT);
	_cleanup_json_ struct json_object *o = json_object_new_object();
	_cleanup_free_ char *percpu = slurp(p, "cpuacct.usage_percpu"), *all = slurp(p, "cpuacct.usage_all");
	uint64_t total, kernel, user;

	if (!p)
		p = cgroup_v2_place(cg);
	if (p && p->is_v2) {
		total = number_or_0(p, "cpu.stat", "usage_usec") * 1000;
		kernel = number_or_0(p, "cpu.stat", "system_usec") * 1000;
		user = number_or_0(p, "cpu.stat", "user_usec") * 1000;
	} else {
		total = number_or_0(p, "cpuacct.usage", NULL);
		kernel = number_or_0(p, "cpuacct.usage_sys", NULL);
		user = number_or_0(p, "cpuacct.usage_user", NULL);
	}
	if (!percpu || !all || put_unless_0(o, "total", total) < 0 || add_per_cpu(o, "percpu", percpu, 0) < 0 ||
	    add_per_cpu(o, "percpu_kernel", all, 2) < 0 || add_per_cpu(o, "percpu_user", all, 1) < 0 ||
	    put(o, "kernel", kernel) < 0 || put(o, "user", user) < 0)
		return -ENOMEM;
	return json_add(cpu, "usage", TAKE_PTR(o));
}

static int add_throttling(struct json_object *cpu, const struct cgroup *cg)
{
	const struct cgroup_place *p = cgroup_place_of(cg, CG_CPU);
	_cleanup_json_ struct json_object *o = json_object_new_object();
	uint64_t time = p && p->is_v2 ? number_or_0(p, "cpu.stat", "throttled_usec") * 1000
				      : number_or_0(p, "cpu.stat", "throttled_time");

	if (!o || put_unless_0(o, "periods", number_or_0(p, "cpu.stat", "nr_periods")) < 0 ||
	    put_unless_0(o, "throttledPeriods", number_or_0(p, "cpu.stat", "nr_throttled")) < 0 ||
	    put_unless_0(o, "throttledTime", time) < 0)
		return -ENOMEM;
	return json_add(cpu, "throttling", TAKE_PTR(o));
}

static int add_cpu(struct json_object *o, const struct cgroup *cg)
{
	int r = add_usage(o, cg);

	if (r == 0)
		r = add_throttling(o, cg);
	return r == 0 ? add_pressure(o, cgroup_place_of(cg, CG_CPU), "cpu.pressure") : r;
}

/* "0-2,4" -> [0,1,2,4] */
static int add_list(struct json_object *o, const char *key, const struct cgroup_place *p, const char *file)
{
	_cleanup_free_ char *text = slurp(p, file);
	_cleanup_json_ struct json_object *list = json_object_new_array();
	const char *at = text;

	if (!text || !list)
		return -ENOMEM;
	while (*at >= '0' && *at <= '9') {
		char *end;
		unsigned long from = strtoul(at, &end, 10), to = *end == '-' ? strtoul(end + 1, &end, 10) : from;
		for (; from <= to && from <= UINT16_MAX; from++)
			if (json_object_array_add(list, json_object_new_uint64(from)) < 0)
				return -ENOMEM;
		at = *end == ',' ? end + 1 : end;
	}
	return json_object_array_length(list) > 0 ? json_add(o, key, TAKE_PTR(list)) : 0;
}

static int add_cpuset(struct json_object *o, const struct cgroup *cg)
{
	static const struct {
		const char *key, *file;
	} rows[] = {
		{ "mem_hardwall", "cpuset.mem_hardwall" },
		{ "mem_exclusive", "cpuset.mem_exclusive" },
		{ "memory_migrate", "cpuset.memory_migrate" },
		{ "memory_spread_page", "cpuset.memory_spread_page" },
		{ "memory_spread_slab", "cpuset.memory_spread_slab" },
		{ "memory_pressure", "cpuset.memory_pressure" },
		{ "sched_load_balance", "cpuset.sched_load_balance" },
	};
	const struct cgroup_place *p = cgroup_place_of(cg, CG_CPUSET);
	_cleanup_free_ char *level = NULL;
	int r;

	p = p && !p->is_v2 ? p : NULL; /* as runc: v1's only */
	level = slurp(p, "cpuset.sched_relax_domain_level");
	r = add_list(o, "cpus", p, "cpuset.cpus");
	if (r == 0)
		r = put(o, "cpu_exclusive", number_or_0(p, "cpuset.cpu_exclusive", NULL));
	if (r == 0)
		r = add_list(o, "mems", p, "cpuset.mems");
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(rows); i++)
		r = put(o, rows[i].key, number_or_0(p, rows[i].file, NULL));
	if (r < 0 || !level)
		return -ENOMEM;
	return json_add(o, "sched_relax_domain_level", json_object_new_int64(strtoll(level, NULL, 10)));
}

/* ---- memory ---- */

struct mem_entry {
	uint64_t limit, usage, max, failcnt;
};

/* Empty unless all of it is there, as with swap accounting switched off. */
static struct mem_entry entry_v1(const struct cgroup_place *p, const char *module)
{
	static const char *const files[] = { "limit_in_bytes", "usage_in_bytes", "max_usage_in_bytes", "failcnt" };
	uint64_t v[4];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char file[64];
		snprintf(file, sizeof file, "%s.%s", module, files[i]);
		if (!number(p, file, NULL, &v[i]))
			return (struct mem_entry){ 0 };
	}
	return (struct mem_entry){ v[0], v[1], v[2], v[3] };
}

static int add_entry(struct json_object *o, const char *key, struct mem_entry m)
{
	_cleanup_json_ struct json_object *v = json_object_new_object();

	if (!v || put(v, "limit", m.limit) < 0 || put_unless_0(v, "usage", m.usage) < 0 || put_unless_0(v, "max", m.max) < 0 ||
	    put(v, "failcnt", m.failcnt) < 0)
		return -ENOMEM;
	return json_add(o, key, TAKE_PTR(v));
}

static int add_raw(struct json_object *o, const struct cgroup_place *p)
{
	_cleanup_free_ char *text = slurp(p, "memory.stat");
	_cleanup_json_ struct json_object *raw = json_object_new_object();
	char *save = NULL;

	if (!text || !raw)
		return -ENOMEM;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *space = strchr(line, ' ');
		if (!space)
			continue;
		*space = '\0';
		if (put(raw, line, strtoull(space + 1, NULL, 10)) < 0)
			return -ENOMEM;
	}
	return json_object_object_length(raw) > 0 ? json_add(o, "raw", TAKE_PTR(raw)) : 0;
}

static struct mem_entry swap_v2(const struct cgroup_place *p, struct mem_entry memory)
{
	struct mem_entry s = { .usage = memory.usage, .limit = memory.limit };
	uint64_t limit;

	s.usage += number_or_0(p, "memory.swap.current", NULL);
	if (number(p, "memory.swap.max", NULL, &limit))
		s.limit = limit == UINT64_MAX || memory.limit == UINT64_MAX ? UINT64_MAX : limit + memory.limit;
	return s;
}

static int add_memory(struct json_object *o, const struct cgroup *cg)
{
	const struct cgroup_place *p = cgroup_place_of(cg, CG_MEMORY);
	bool is_v2 = p && p->is_v2;
	struct mem_entry usage, swap, kernel = { 0 }, tcp = { 0 };

	if (is_v2) {
		usage = (struct mem_entry){ .limit = number_or_0(p, "memory.max", NULL),
					    .usage = number_or_0(p, "memory.current", NULL),
					    .max = number_or_0(p, "memory.peak", NULL) };
		swap = swap_v2(p, usage);
	} else {
		usage = entry_v1(p, "memory");
		swap = entry_v1(p, "memory.memsw");
		kernel = entry_v1(p, "memory.kmem");
		tcp = entry_v1(p, "memory.kmem.tcp");
	}
	if (put_unless_0(o, "cache", number_or_0(p, "memory.stat", is_v2 ? "file" : "cache")) < 0 ||
	    add_entry(o, "usage", usage) < 0 || add_entry(o, "swap", swap) < 0 || add_entry(o, "kernel", kernel) < 0 ||
	    add_entry(o, "kernelTCP", tcp) < 0 || add_raw(o, p) < 0)
		return -ENOMEM;
	return add_pressure(o, p, "memory.pressure");
}

static int add_pids(struct json_object *o, const struct cgroup *cg)
{
	const struct cgroup_place *p = cgroup_place_of(cg, CG_PIDS);
	uint64_t limit = number_or_0(p, "pids.max", NULL);

	if (put_unless_0(o, "current", number_or_0(p, "pids.current", NULL)) < 0)
		return -ENOMEM;
	return put_unless_0(o, "limit", limit == UINT64_MAX ? 0 : limit);
}

/* ---- hugetlb ---- */

/* Of one page size. Reservations are what counts where the kernel counts them. */
static int add_hugetlb(struct json_object *o, const struct cgroup_place *p, const char *size)
{
	_cleanup_json_ struct json_object *v = json_object_new_object();
	char file[3][96];
	bool has_rsvd;

	snprintf(file[0], sizeof file[0], "hugetlb.%s.rsvd.%s", size, p->is_v2 ? "current" : "usage_in_bytes");
	has_rsvd = cgroup_has_file(p, file[0]);
	snprintf(file[0], sizeof file[0], "hugetlb.%s%s.%s", size, has_rsvd ? ".rsvd" : "",
		 p->is_v2 ? "current" : "usage_in_bytes");
	snprintf(file[1], sizeof file[1], "hugetlb.%s%s.max_usage_in_bytes", size, has_rsvd ? ".rsvd" : "");
	snprintf(file[2], sizeof file[2], "hugetlb.%s%s", size, p->is_v2 ? ".events" : has_rsvd ? ".rsvd.failcnt" : ".failcnt");
	if (!v || put_unless_0(v, "usage", number_or_0(p, file[0], NULL)) < 0 ||
	    put_unless_0(v, "max", p->is_v2 ? 0 : number_or_0(p, file[1], NULL)) < 0 ||
	    put(v, "failcnt", number_or_0(p, file[2], p->is_v2 ? "max" : NULL)) < 0)
		return -ENOMEM;
	return json_add(o, size, TAKE_PTR(v));
}

static int add_hugetlbs(struct json_object *o, const struct cgroup *cg)
{
	const struct cgroup_place *p = cgroup_place_of(cg, CG_HUGETLB);
	_cleanup_fd_ int fd = p ? openat(p->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *de;
	int r = 0;

	if (!d)
		return fd >= 0 ? -ENOMEM : 0;
	fd = -1;
	while (r == 0 && (de = readdir(d))) {
		const char *size = str_after(de->d_name, "hugetlb.");
		char name[32];
		size_t n = size ? strcspn(size, ".") : 0;
		if (!size || n >= sizeof name || !streq(size + n, p->is_v2 ? ".current" : ".usage_in_bytes"))
			continue;
		snprintf(name, sizeof name, "%.*s", (int)n, size);
		r = add_hugetlb(o, p, name);
	}
	closedir(d);
	return r;
}

/* ---- the whole ---- */

static int add_section(struct json_object *o, const char *key, int (*fill)(struct json_object *, const struct cgroup *),
		       const struct cgroup *cg)
{
	_cleanup_json_ struct json_object *v = json_object_new_object();
	int r = v ? fill(v, cg) : -ENOMEM;

	return r < 0 ? r : json_add(o, key, TAKE_PTR(v));
}

static int add_nothing(struct json_object *o, const struct cgroup *cg)
{
	(void)o;
	(void)cg;
	return 0;
}

int cgroup_report(struct cgroup *cg, struct json_object **ret, struct err *e)
{
	static const struct {
		const char *key;
		int (*fill)(struct json_object *, const struct cgroup *);
	} sections[] = {
		{ "cpu", add_cpu },           { "cpuset", add_cpuset },      { "memory", add_memory },
		{ "pids", add_pids },         { "blkio", cgroup_report_io }, { "hugetlb", add_hugetlbs },
		{ "intel_rdt", add_nothing },
	};
	_cleanup_json_ struct json_object *o = json_object_new_object();
	int r = o ? 0 : -ENOMEM;

	if (!cgroup_main_place(cg))
		return err_set(e, ENOENT, "stats: cgroup %s is gone, or this host has none", cg->path);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(sections); i++)
		r = add_section(o, sections[i].key, sections[i].fill, cg);
	/* Interfaces of libcontainer's own making, which no OCI container has. */
	if (r == 0 && json_object_object_add(o, "network_interfaces", NULL) < 0)
		r = -ENOMEM;
	if (r < 0)
		return err_set(e, ENOMEM, "stats: out of memory");
	*ret = TAKE_PTR(o);
	return 0;
}
