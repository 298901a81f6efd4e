/* Limits as a table: member of struct spec_resources -> controller -> v1 file, v2 file, conversion. What the host can't set is
 * an error that names the flag and the file, never a silent nothing. Lists (throttles, huge pages, v2 files by name) are
 * in cgroup_lists.c. Called through cgroup_apply() by cgroup_create() and cgroup_update().
 *
 * Zero means "not given" for every number here but cpu.idle, as in the other OCI runtimes; -1 means unlimited.
 * Sources: cgroup-v1/memory.rst, scheduler/sched-bwc.rst, cgroup-v2.rst; OCI 1.2 config-linux.md §control-groups. */
#include <math.h>
#include <stdio.h>

#include "cgroup_limits.h"

#define FIELD(f) offsetof(struct spec_resources, f)

int cgroup_limit_error(const struct cgroup_limit *l, const char *value, int r, struct err *e)
{
	if (r == -ENOENT && strstr(l->file, "memsw"))
		return err_set(e, ENOENT, "%s: this kernel has no swap accounting (%s/%s is missing; boot with swapaccount=1)",
			       l->flag, l->place->dir, l->file);
	if (r == -ENOENT)
		return err_set(e, ENOENT, "%s: this kernel can't set it%s (%s/%s is missing)", l->flag,
			       l->place->is_v2 ? ", or its controller is not delegated" : "", l->place->dir, l->file);
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
uint64_t cgroup_weight_of_shares(int64_t shares)
{
	double l;

	if (shares <= 2)
		return 1;
	if (shares >= 262144)
		return 10000;
	l = log2((double)shares);
	return (uint64_t)ceil(pow(10, (l * l + 125 * l) / 612.0 - 7.0 / 34.0));
}

static const char *text_of(const struct cgroup_place *p, const struct cgroup_knob *k, int64_t v, char buf[32])
{
	if (p->is_v2 && v < 0)
		return "max";
	if (p->is_v2 && k->to_v2)
		snprintf(buf, 32, "%llu", (unsigned long long)k->to_v2(v));
	else
		snprintf(buf, 32, "%lld", (long long)v);
	return buf;
}

static int64_t value_of(const struct cgroup_knob *k, const struct spec_resources *r)
{
	int64_t v;

	memcpy(&v, (const char *)r + k->offset, sizeof v);
	return v;
}

int cgroup_put_number(const struct cgroup_place *p, const struct cgroup_knob *k, const struct spec_resources *r, struct err *e)
{
	const struct cgroup_limit l = { k->flag, p, p->is_v2 ? k->v2 : k->v1 };
	char buf[32];

	return cgroup_limit_put(&l, text_of(p, k, value_of(k, r), buf), e);
}

/* The one v1 file that says "max", not -1. */
static int put_pids(const struct cgroup_place *p, const struct cgroup_knob *k, const struct spec_resources *r, struct err *e)
{
	const struct cgroup_limit l = { k->flag, p, "pids.max" };

	return r->pids_limit < 0 ? cgroup_limit_put(&l, "max", e) : cgroup_put_number(p, k, r, e);
}

static const struct cgroup_knob knobs[] = {
	{ "--memory (memory.limit)", CG_MEMORY, FIELD(memory_limit), "memory.limit_in_bytes", "memory.max",
	  .put = cgroup_put_memory },
	{ "--memory-swap (memory.swap)", CG_MEMORY, FIELD(memory_swap), "memory.memsw.limit_in_bytes", "memory.swap.max",
	  .put = cgroup_put_memory },
	{ "--memory-reservation (memory.reservation)", CG_MEMORY, FIELD(memory_reservation), "memory.soft_limit_in_bytes",
	  "memory.low" },
	/* Not recommended by OCI 1.2; where it can't be had it is an error, not a silent nothing (config.md §valid values). */
	{ "memory.kernel", CG_MEMORY, FIELD(memory_kernel), "memory.kmem.limit_in_bytes", NULL, .is_no_limit_fine = true,
	  .put = cgroup_put_kernel_memory },
	{ "memory.kernelTCP", CG_MEMORY, FIELD(memory_kernel_tcp), "memory.kmem.tcp.limit_in_bytes", NULL,
	  .is_no_limit_fine = true },
	{ "--memory-swappiness (memory.swappiness)", CG_MEMORY, FIELD(memory_swappiness), "memory.swappiness", NULL, 0, 200,
	  .is_zero_given = true },
	{ "--cpu-shares (cpu.shares)", CG_CPU, FIELD(cpu_shares), "cpu.shares", "cpu.weight", 2, 262144,
	  .to_v2 = cgroup_weight_of_shares, .put = cgroup_put_cpu_weight },
	{ "--cpu-idle (cpu.idle)", CG_CPU, FIELD(cpu_idle), "cpu.idle", "cpu.idle", 0, 1, .is_zero_given = true,
	  .put = cgroup_put_cpu_weight },
	{ "--cpu-period (cpu.period)", CG_CPU, FIELD(cpu_period), "cpu.cfs_period_us", "cpu.max", .put = cgroup_put_cpu_time },
	{ "--cpus/--cpu-quota (cpu.quota)", CG_CPU, FIELD(cpu_quota), "cpu.cfs_quota_us", "cpu.max", .put = cgroup_put_cpu_time },
	{ "--cpu-burst (cpu.burst)", CG_CPU, FIELD(cpu_burst), "cpu.cfs_burst_us", "cpu.max.burst", 0, INT64_MAX,
	  .is_zero_given = true, .put = cgroup_put_cpu_time },
	{ "cpu.realtimePeriod", CG_CPU, FIELD(cpu_rt_period), "cpu.rt_period_us", NULL, .put = cgroup_put_cpu_rt },
	{ "cpu.realtimeRuntime", CG_CPU, FIELD(cpu_rt_runtime), "cpu.rt_runtime_us", NULL, .put = cgroup_put_cpu_rt },
	{ "--pids-limit (pids.limit)", CG_PIDS, FIELD(pids_limit), "pids.max", "pids.max", .put = put_pids },
	{ "--blkio-weight (blockIO.weight)", CG_BLKIO, FIELD(blkio_weight), "blkio.weight", "io.weight", 10, 1000,
	  .put = cgroup_put_blkio_weight },
	{ "blockIO.leafWeight", CG_BLKIO, FIELD(blkio_leaf_weight), "blkio.leaf_weight", NULL, 10, 1000,
	  .put = cgroup_put_blkio_weight },
};

static bool is_wanted(const struct cgroup_knob *k, const struct spec_resources *r)
{
	int64_t v = value_of(k, r);

	return k->is_zero_given ? v != SPEC_UNSET && v >= 0 : cgroup_is_given(v);
}

static int check_range(const struct cgroup_knob *k, int64_t v, struct err *e)
{
	if (k->hi && (v < k->lo || v > k->hi))
		return err_set(e, EINVAL, "%s: %lld is not between %lld and %lld", k->flag, (long long)v, (long long)k->lo,
			       (long long)k->hi);
	return v < -1 ? err_set(e, EINVAL, "%s: %lld is neither a limit nor -1 (unlimited)", k->flag, (long long)v) : 0;
}

static int apply_knob(const struct cgroup *cg, const struct cgroup_knob *k, const struct spec_resources *r, struct err *e)
{
	const struct cgroup_place *p = cgroup_place_of(cg, k->ctrl);
	int64_t v = value_of(k, r);
	int x;

	if (!p || !(p->is_v2 ? k->v2 : k->v1))
		return v == -1 && k->is_no_limit_fine ? 0 : cgroup_limit_unsupported(k->flag, k->ctrl, p, e);
	x = check_range(k, v, e);
	if (x < 0)
		return x;
	return k->put ? k->put(p, k, r, e) : cgroup_put_number(p, k, r, e);
}

/* Which pair has been written already: the rows of one put adjoin. Block weights are no pair. */
static bool is_pair(const struct cgroup_knob *k) { return k->put && k->ctrl != CG_BLKIO; }

uint32_t cgroup_wanted_ctrls(const struct spec_resources *r)
{
	uint32_t want = cgroup_wanted_by_lists(r);

	for (size_t i = 0; i < ARRAY_SIZE(knobs); i++)
		if (is_wanted(&knobs[i], r))
			want |= 1u << knobs[i].ctrl;
	return want;
}

bool cgroup_asks_limits(const struct spec_resources *r)
{
	return cgroup_wanted_ctrls(r) != 0 || (r->unified.keys && r->unified.keys[0]);
}

int cgroup_apply(struct cgroup *cg, const struct spec_resources *r, struct err *e)
{
	int (*done)(const struct cgroup_place *, const struct cgroup_knob *, const struct spec_resources *, struct err *) = NULL;
	int h = cgroup_apply_hierarchy(cg, r, e);

	if (h < 0)
		return h;
	for (size_t i = 0; i < ARRAY_SIZE(knobs); i++) {
		const struct cgroup_knob *k = &knobs[i];
		int x;
		/* A function that writes a pair of members at once stands in two adjoining rows. */
		if (!is_wanted(k, r) || (is_pair(k) && k->put == done))
			continue;
		x = apply_knob(cg, k, r, e);
		if (x < 0)
			return x;
		done = k->put;
	}
	return cgroup_apply_lists(cg, r, e);
}
