/* CPU time and weights, where one number's being accepted depends on another's (scheduler/sched-bwc.rst,
 * sched-rt-group.rst, cgroup-v2.rst §CPU). Rows of cgroup_table.c.
 *
 * The kernel checks each write against what is set at that moment: quota/period against the parent's ratio, burst against
 * the quota, weights against idleness. So what is refused with EINVAL is tried once more after the others. */
#include <stdio.h>

#include "cgroup_limits.h"

/* Numbers of one group, written in order; those refused with EINVAL are written again, once, behind the others. */
struct cpu_write {
	const char *flag, *file;
	int64_t value; /* SPEC_UNSET = none */
};

static int put_dependent(const struct cgroup_place *p, const struct cpu_write *w, size_t n, struct err *e)
{
	bool has_failed[4] = { false };

	for (unsigned round = 0; round < 2; round++)
		for (size_t i = 0; i < n; i++) {
			const struct cgroup_limit l = { w[i].flag, p, w[i].file };
			char text[32];
			int x;
			if (w[i].value == SPEC_UNSET || (round > 0 && !has_failed[i]))
				continue;
			snprintf(text, sizeof text, "%lld", (long long)w[i].value);
			x = cgroup_write(p, l.file, text);
			has_failed[i] = x == -EINVAL && round == 0;
			if (x < 0 && !has_failed[i])
				return cgroup_limit_error(&l, text, x, e);
		}
	return 0;
}

static const char FLAG_QUOTA[] = "--cpus/--cpu-quota (cpu.quota)", FLAG_PERIOD[] = "--cpu-period (cpu.period)",
		  FLAG_BURST[] = "--cpu-burst (cpu.burst)";

static int64_t given(int64_t v) { return cgroup_is_given(v) ? v : SPEC_UNSET; }

static int put_time_v1(const struct cgroup_place *p, const struct spec_resources *r, struct err *e)
{
	const struct cpu_write writes[] = {
		{ FLAG_PERIOD, "cpu.cfs_period_us", given(r->cpu_period) },
		{ FLAG_BURST, "cpu.cfs_burst_us", r->cpu_burst },
		{ FLAG_QUOTA, "cpu.cfs_quota_us", given(r->cpu_quota) },
	};

	return put_dependent(p, writes, ARRAY_SIZE(writes), e);
}

/* "QUOTA PERIOD"; a period alone keeps the quota there is. */
static int max_text(const struct cgroup_place *p, const struct spec_resources *r, char text[80], struct err *e)
{
	const struct cgroup_limit max = { FLAG_PERIOD, p, "cpu.max" };
	char quota[32] = "max";

	if (cgroup_is_given(r->cpu_quota)) {
		if (r->cpu_quota > 0)
			snprintf(quota, sizeof quota, "%lld", (long long)r->cpu_quota);
	} else {
		ssize_t n = cgroup_read(p, max.file, text, 80);
		if (n < 0)
			return cgroup_limit_error(&max, "", (int)n, e);
		text[strcspn(text, " ")] = '\0';
		snprintf(quota, sizeof quota, "%.31s", text);
	}
	if (cgroup_is_given(r->cpu_period))
		snprintf(text, 80, "%s %lld", quota, (long long)r->cpu_period);
	else
		snprintf(text, 80, "%s", quota);
	return 0;
}

static int put_time_v2(const struct cgroup_place *p, const struct spec_resources *r, struct err *e)
{
	const struct cgroup_limit max = { "--cpus/--cpu-quota/--cpu-period (cpu.quota, cpu.period)", p, "cpu.max" };
	const struct cgroup_limit burst = { FLAG_BURST, p, "cpu.max.burst" };
	bool has_burst = r->cpu_burst != SPEC_UNSET, is_burst_late = false;
	char text[80], b[32];
	int x;

	snprintf(b, sizeof b, "%lld", (long long)r->cpu_burst);
	if (has_burst) {
		x = cgroup_write(p, burst.file, b);
		is_burst_late = x == -EINVAL;
		if (x < 0 && !is_burst_late)
			return cgroup_limit_error(&burst, b, x, e);
	}
	if (cgroup_is_given(r->cpu_quota) || cgroup_is_given(r->cpu_period)) {
		x = max_text(p, r, text, e);
		if (x == 0)
			x = cgroup_limit_put(&max, text, e);
		if (x < 0)
			return x;
	}
	return is_burst_late ? cgroup_limit_put(&burst, b, e) : 0;
}

int cgroup_put_cpu_time(const struct cgroup_place *p, const struct cgroup_knob *k, const struct spec_resources *r, struct err *e)
{
	(void)k;
	return p->is_v2 ? put_time_v2(p, r, e) : put_time_v1(p, r, e);
}

/* v1 only: v2 has no control of realtime groups (cgroup-v2.rst §CPU). */
int cgroup_put_cpu_rt(const struct cgroup_place *p, const struct cgroup_knob *k, const struct spec_resources *r, struct err *e)
{
	const struct cpu_write writes[] = {
		{ "cpu.realtimePeriod", "cpu.rt_period_us", given(r->cpu_rt_period) },
		{ "cpu.realtimeRuntime", "cpu.rt_runtime_us", given(r->cpu_rt_runtime) },
	};

	(void)k;
	return put_dependent(p, writes, ARRAY_SIZE(writes), e);
}

static bool is_idle(const struct cgroup_place *p)
{
	char text[8];

	return cgroup_read(p, "cpu.idle", text, sizeof(text)) > 0 && text[0] == '1';
}

/* An idle cgroup takes no weight, and 0 for idle brings the default weight back (kernel/sched, Linux 5.15): what ends
 * idleness goes before the weight, what begins it behind. */
int cgroup_put_cpu_weight(const struct cgroup_place *p, const struct cgroup_knob *k, const struct spec_resources *r,
			  struct err *e)
{
	const struct cgroup_limit idle = { "--cpu-idle (cpu.idle)", p, "cpu.idle" };
	int x = 0;

	if (r->cpu_idle == 0) {
		x = cgroup_write(p, idle.file, "0");
		if (x == -ENOENT) /* before 5.15 nothing is idle */
			x = 0;
		if (x < 0)
			return cgroup_limit_error(&idle, "0", x, e);
	}
	if (cgroup_is_given(r->cpu_shares))
		x = cgroup_put_number(p, k, r, e);
	if (x == -EINVAL && is_idle(p))
		return err_set(
			e, EINVAL,
			"%s: the container is idle (cpu.idle is 1): it runs when nobody else wants to, and takes no weight; "
			"--cpu-idle 0 makes it an ordinary one",
			k->flag);
	return x == 0 && r->cpu_idle > 0 ? cgroup_limit_put(&idle, "1", e) : x;
}
