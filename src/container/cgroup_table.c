/* Limits as a table: member of struct spec_resources -> controller -> v1 file, v2 file, conversion. What the host can't set is
 * an error that names the flag and the file, never a silent nothing. Lists (throttles, huge pages, v2 files by name) are
 * in cgroup_lists.c. Called through cgroup_apply() by cgroup_create() and cgroup_update().
 *
 * Zero means "not given" for every number here but cpu.idle, as in the other OCI runtimes; -1 means unlimited.
 * Sources: cgroup-v1/memory.rst, scheduler/sched-bwc.rst, cgroup-v2.rst; OCI 1.2 config-linux.md §control-groups. */
#include <math.h>
#include <stdio.h>

#include "cgroup_limits.h"

struct knob {
	const char *flag; /* as the user knows it */
	enum cgroup_ctrl ctrl;
	size_t offset;       /* int64_t in struct spec_resources */
	const char *v1, *v2; /* file; NULL = this version can't do it */
	int64_t lo, hi;      /* accepted values besides -1; 0, 0 = any */
	bool is_zero_given;
	/* What v2 wants instead of the number; NULL = the number, or "max" for -1. */
	uint64_t (*to_v2)(int64_t v);
	int (*put)(const struct cgroup_place *p, const struct knob *k, const struct spec_resources *r, struct err *e);
};

#define FIELD(f) offsetof(struct spec_resources, f)

static bool is_given(int64_t v) { return v != SPEC_UNSET && v != 0; }

int cgroup_limit_error(const struct cgroup_limit *l, const char *value, int r, struct err *e)
{
	if (r == -ENOENT && strstr(l->file, "memsw"))
		return err_set(e, ENOENT, "%s: this kernel has no swap accounting (%s/%s is missing; boot with swapaccount=1)",
			       l->flag, l->place->dir, l->file);
	if (r == -ENOENT)
		return err_set(e, ENOENT, "%s: this kernel can't set it (%s/%s is missing)", l->flag, l->place->dir, l->file);
	if (r == -EBUSY && strstr(l->file, "memory"))
		return err_set(e, EBUSY, "%s: the container uses more than %s bytes and the kernel could not take it back",
			       l->flag, value);
	return err_set(e, -r, "%s: the kernel refuses \"%.60s\" in %s/%s: %s", l->flag, value, l->place->dir, l->file,
		       strerror(-r));
}

int cgroup_limit_put(const struct cgroup_limit *l, const char *value, struct err *e)
{
	int r = cgroup_write(l->place, l->file, value);

	return r < 0 ? cgroup_limit_error(l, value, r, e) : 0;
}

int cgroup_limit_unsupported(const char *flag, enum cgroup_ctrl c, const struct cgroup_place *p, struct err *e)
{
	if (p)
		return err_set(e, ENOTSUP, "%s: cgroup v%d has no such limit", flag, p->is_v2 ? 2 : 1);
	return err_set(e, ENOENT, "%s: this host has no %s cgroup controller", flag, cgroup_ctrl_name(c));
}

/* shares 2..262144 -> weight 1..10000 so that both ends and the defaults (1024, 100) meet: a quadratic in log2
 * (opencontainers/cgroups, kubernetes KEP-2254; the straight line that came before gave 1024 a weight of 39). */
static uint64_t weight_of_shares(int64_t shares)
{
	double l;

	if (shares <= 2)
		return 1;
	if (shares >= 262144)
		return 10000;
	l = log2((double)shares);
	return (uint64_t)ceil(pow(10, (l * l + 125 * l) / 612.0 - 7.0 / 34.0));
}

/* 10..1000 -> 1..10000, linear (OCI runtimes' common conversion). */
static uint64_t io_weight_of_blkio(int64_t w) { return 1 + (uint64_t)(w - 10) * 9999 / 990; }

static const char *text_of(const struct cgroup_place *p, const struct knob *k, int64_t v, char buf[32])
{
	if (p->is_v2 && v < 0)
		return "max";
	if (p->is_v2 && k->to_v2)
		snprintf(buf, 32, "%llu", (unsigned long long)k->to_v2(v));
	else
		snprintf(buf, 32, "%lld", (long long)v);
	return buf;
}

static int64_t value_of(const struct knob *k, const struct spec_resources *r)
{
	int64_t v;

	memcpy(&v, (const char *)r + k->offset, sizeof v);
	return v;
}

static int put_number(const struct cgroup_place *p, const struct knob *k, const struct spec_resources *r, struct err *e)
{
	const struct cgroup_limit l = { k->flag, p, p->is_v2 ? k->v2 : k->v1 };
	char buf[32];

	return cgroup_limit_put(&l, text_of(p, k, value_of(k, r), buf), e);
}

/* v1 keeps limit <= memory+swap at every moment, so which of the two goes first depends on which way they move. */
static int put_memory_v1(const struct cgroup_place *p, const struct spec_resources *r, struct err *e)
{
	const struct cgroup_limit mem = { "--memory", p, "memory.limit_in_bytes" };
	const struct cgroup_limit swap = { "--memory-swap", p, "memory.memsw.limit_in_bytes" };
	bool has_swap = is_given(r->memory_swap);
	char m[32], s[32];
	int x = 0;

	snprintf(m, sizeof m, "%lld", (long long)r->memory_limit);
	snprintf(s, sizeof s, "%lld", (long long)r->memory_swap);
	if (is_given(r->memory_limit)) {
		x = cgroup_write(p, mem.file, m);
		if (x == -EINVAL && has_swap) {
			x = cgroup_limit_put(&swap, s, e);
			return x < 0 ? x : cgroup_limit_put(&mem, m, e);
		}
		if (x < 0)
			return cgroup_limit_error(&mem, m, x, e);
	}
	return has_swap ? cgroup_limit_put(&swap, s, e) : 0;
}

/* v2 limits memory and swap apart; OCI's `swap` is their sum. */
static int put_memory_v2(const struct cgroup_place *p, const struct spec_resources *r, struct err *e)
{
	const struct cgroup_limit mem = { "--memory", p, "memory.max" }, swap = { "--memory-swap", p, "memory.swap.max" };
	char text[32] = "max";
	int x = 0;

	if (is_given(r->memory_limit)) {
		if (r->memory_limit > 0)
			snprintf(text, sizeof text, "%lld", (long long)r->memory_limit);
		x = cgroup_limit_put(&mem, text, e);
	}
	if (x < 0 || !is_given(r->memory_swap))
		return x;
	if (r->memory_swap < 0)
		return cgroup_limit_put(&swap, "max", e);
	snprintf(text, sizeof text, "%lld", (long long)(r->memory_swap - r->memory_limit));
	return cgroup_limit_put(&swap, text, e);
}

static int put_memory(const struct cgroup_place *p, const struct knob *k, const struct spec_resources *r, struct err *e)
{
	(void)k;
	if (r->memory_swap > 0 && (!is_given(r->memory_limit) || r->memory_limit < 0))
		return err_set(e, EINVAL, "--memory-swap: needs --memory; it is the sum of memory and swap");
	if (r->memory_swap > 0 && r->memory_swap < r->memory_limit)
		return err_set(e, EINVAL, "--memory-swap: %lld is less than --memory %lld; it is the sum of memory and swap",
			       (long long)r->memory_swap, (long long)r->memory_limit);
	return p->is_v2 ? put_memory_v2(p, r, e) : put_memory_v1(p, r, e);
}

/* The kernel checks quota/period against the parent's at every write: a new period may be refused beside the old quota. */
static int put_cpu_v1(const struct cgroup_place *p, const struct spec_resources *r, struct err *e)
{
	const struct cgroup_limit quota = { "--cpus/--cpu-quota", p, "cpu.cfs_quota_us" };
	const struct cgroup_limit period = { "--cpu-period", p, "cpu.cfs_period_us" };
	char text[32];
	bool period_done = true;
	int x = 0;

	snprintf(text, sizeof text, "%lld", (long long)r->cpu_period);
	if (is_given(r->cpu_period)) {
		x = cgroup_write(p, period.file, text);
		period_done = x == 0;
		if (x < 0 && (x != -EINVAL || !is_given(r->cpu_quota)))
			return cgroup_limit_error(&period, text, x, e);
	}
	if (is_given(r->cpu_quota)) {
		char q[32];
		snprintf(q, sizeof q, "%lld", (long long)r->cpu_quota);
		x = cgroup_limit_put(&quota, q, e);
	}
	return x < 0 || period_done ? x : cgroup_limit_put(&period, text, e);
}

static int put_cpu_v2(const struct cgroup_place *p, const struct spec_resources *r, struct err *e)
{
	const struct cgroup_limit max = { "--cpus/--cpu-quota/--cpu-period", p, "cpu.max" };
	char text[80], quota[32] = "max";

	if (is_given(r->cpu_quota)) {
		if (r->cpu_quota > 0)
			snprintf(quota, sizeof quota, "%lld", (long long)r->cpu_quota);
	} else {
		/* A period alone keeps the quota there is. */
		ssize_t n = cgroup_read(p, max.file, text, sizeof text);
		if (n < 0)
			return cgroup_limit_error(&max, "", (int)n, e);
		text[strcspn(text, " ")] = '\0';
		snprintf(quota, sizeof quota, "%.31s", text);
	}
	if (is_given(r->cpu_period))
		snprintf(text, sizeof text, "%s %lld", quota, (long long)r->cpu_period);
	else
		snprintf(text, sizeof text, "%s", quota);
	return cgroup_limit_put(&max, text, e);
}

static int put_cpu(const struct cgroup_place *p, const struct knob *k, const struct spec_resources *r, struct err *e)
{
	(void)k;
	return p->is_v2 ? put_cpu_v2(p, r, e) : put_cpu_v1(p, r, e);
}

/* bfq, the scheduler that knows weights, has a file of its own and takes 1..1000 as they are; iocost has io.weight. v1's cfq
 * file went with cfq in Linux 5.0. */
static int put_blkio_weight(const struct cgroup_place *p, const struct knob *k, const struct spec_resources *r, struct err *e)
{
	static const char *const files_v1[] = { "blkio.bfq.weight", "blkio.weight" }, *const files_v2[] = { "io.bfq.weight" };
	const char *const *files = p->is_v2 ? files_v2 : files_v1;
	char text[32];

	snprintf(text, sizeof text, "%lld", (long long)r->blkio_weight);
	for (size_t i = 0; i < (p->is_v2 ? ARRAY_SIZE(files_v2) : ARRAY_SIZE(files_v1)); i++) {
		const struct cgroup_limit l = { k->flag, p, files[i] };
		int x = cgroup_write(p, files[i], text);
		if (x != -ENOENT && x != -EOPNOTSUPP)
			return x < 0 ? cgroup_limit_error(&l, text, x, e) : 0;
	}
	return put_number(p, k, r, e);
}

/* The one v1 file that says "max", not -1. */
static int put_pids(const struct cgroup_place *p, const struct knob *k, const struct spec_resources *r, struct err *e)
{
	const struct cgroup_limit l = { k->flag, p, "pids.max" };

	return r->pids_limit < 0 ? cgroup_limit_put(&l, "max", e) : put_number(p, k, r, e);
}

static const struct knob knobs[] = {
	{ "--memory", CG_MEMORY, FIELD(memory_limit), "memory.limit_in_bytes", "memory.max", .put = put_memory },
	{ "--memory-swap", CG_MEMORY, FIELD(memory_swap), "memory.memsw.limit_in_bytes", "memory.swap.max", .put = put_memory },
	{ "--memory-reservation", CG_MEMORY, FIELD(memory_reservation), "memory.soft_limit_in_bytes", "memory.low" },
	{ "kernel memory limit", CG_MEMORY, FIELD(memory_kernel), "memory.kmem.limit_in_bytes", NULL },
	{ "--memory-swappiness", CG_MEMORY, FIELD(memory_swappiness), "memory.swappiness", NULL, 0, 200, .is_zero_given = true },
	{ "--cpu-shares", CG_CPU, FIELD(cpu_shares), "cpu.shares", "cpu.weight", 2, 262144, .to_v2 = weight_of_shares },
	{ "--cpu-period", CG_CPU, FIELD(cpu_period), "cpu.cfs_period_us", "cpu.max", .put = put_cpu },
	{ "--cpus/--cpu-quota", CG_CPU, FIELD(cpu_quota), "cpu.cfs_quota_us", "cpu.max", .put = put_cpu },
	{ "cpu burst", CG_CPU, FIELD(cpu_burst), "cpu.cfs_burst_us", "cpu.max.burst" },
	{ "cpu idle", CG_CPU, FIELD(cpu_idle), "cpu.idle", "cpu.idle", 0, 1, .is_zero_given = true },
	{ "--pids-limit", CG_PIDS, FIELD(pids_limit), "pids.max", "pids.max", .put = put_pids },
	{ "--blkio-weight", CG_BLKIO, FIELD(blkio_weight), "blkio.weight", "io.weight", 10, 1000, .to_v2 = io_weight_of_blkio,
	  .put = put_blkio_weight },
};

static bool is_wanted(const struct knob *k, const struct spec_resources *r)
{
	int64_t v = value_of(k, r);

	return k->is_zero_given ? v != SPEC_UNSET && v >= 0 : is_given(v);
}

static int apply_knob(const struct cgroup *cg, const struct knob *k, const struct spec_resources *r, struct err *e)
{
	const struct cgroup_place *p = cgroup_place_of(cg, k->ctrl);
	int64_t v = value_of(k, r);

	if (!p || !(p->is_v2 ? k->v2 : k->v1))
		return cgroup_limit_unsupported(k->flag, k->ctrl, p, e);
	if (v < -1 || (k->hi && v >= 0 && (v < k->lo || v > k->hi)) || (k->hi && v < 0))
		return k->hi ? err_set(e, EINVAL, "%s: %lld is not between %lld and %lld", k->flag, (long long)v,
				       (long long)k->lo, (long long)k->hi)
			     : err_set(e, EINVAL, "%s: %lld is neither a limit nor -1 (unlimited)", k->flag, (long long)v);
	return k->put ? k->put(p, k, r, e) : put_number(p, k, r, e);
}

uint32_t cgroup_wanted_ctrls(const struct spec_resources *r)
{
	uint32_t want = cgroup_wanted_by_lists(r);

	for (size_t i = 0; i < ARRAY_SIZE(knobs); i++)
		if (is_wanted(&knobs[i], r))
			want |= 1u << knobs[i].ctrl;
	return want;
}

int cgroup_apply(struct cgroup *cg, const struct spec_resources *r, struct err *e)
{
	int (*done)(const struct cgroup_place *, const struct knob *, const struct spec_resources *, struct err *) = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(knobs); i++) {
		const struct knob *k = &knobs[i];
		int x;
		/* A function that writes a pair of members at once stands in two adjoining rows. */
		if (!is_wanted(k, r) || (k->put && k->put == done))
			continue;
		x = apply_knob(cg, k, r, e);
		if (x < 0)
			return x;
		done = k->put;
	}
	return cgroup_apply_lists(cg, r, e);
}
