/* Memory limits that depend on each other, on v1 and v2 (cgroup-v1/memory.rst, cgroup-v2.rst §Memory). Rows of
 * cgroup_table.c. */
#include <stdio.h>

#include "cgroup_limits.h"

static const char FLAG_MEMORY[] = "--memory (memory.limit)", FLAG_SWAP[] = "--memory-swap (memory.swap)";

/* v1 keeps limit <= memory+swap at every moment, so which of the two goes first depends on which way they move. */
static int put_v1(const struct cgroup_place *p, const struct spec_resources *r, struct err *e)
{
	const struct cgroup_limit mem = { FLAG_MEMORY, p, "memory.limit_in_bytes" };
	const struct cgroup_limit swap = { FLAG_SWAP, p, "memory.memsw.limit_in_bytes" };
	bool has_swap = cgroup_is_given(r->memory_swap);
	char m[32], s[32];
	int x = 0;

	snprintf(m, sizeof m, "%lld", (long long)r->memory_limit);
	snprintf(s, sizeof s, "%lld", (long long)r->memory_swap);
	if (cgroup_is_given(r->memory_limit)) {
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

/* v1 refuses a limit below what is used and can't be taken back; v2 kills instead. memory.checkBeforeUpdate asks for v1's
 * way (config-linux.md §memory). */
static int check_usage(const struct cgroup_place *p, const struct spec_resources *r, struct err *e)
{
	const struct cgroup_limit now = { FLAG_MEMORY, p, "memory.current" };
	const struct {
		const char *flag;
		int64_t limit;
	} rows[] = { { FLAG_MEMORY, r->memory_limit }, { FLAG_SWAP, r->memory_swap } };
	char text[32];
	ssize_t n;

	if (!r->check_before_update)
		return 0;
	n = cgroup_read(p, now.file, text, sizeof text);
	if (n < 0)
		return cgroup_limit_error(&now, "", (int)n, e);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].limit > 0 && strtoll(text, NULL, 10) > rows[i].limit)
			return err_set(e, EBUSY, "%s: %lld is less than the %s bytes in use (memory.checkBeforeUpdate)",
				       rows[i].flag, (long long)rows[i].limit, text);
	return 0;
}

/* bytes -1: no limit, which is also what a host without swap accounting, and so without the file, has. */
static int put_swap_v2(const struct cgroup_place *p, int64_t bytes, struct err *e)
{
	const struct cgroup_limit swap = { FLAG_SWAP, p, "memory.swap.max" };
	char text[32] = "max";
	int x;

	if (bytes >= 0)
		snprintf(text, sizeof text, "%lld", (long long)bytes);
	x = cgroup_write(p, swap.file, text);
	if (x == -ENOENT && bytes < 0)
		return 0;
	return x < 0 ? cgroup_limit_error(&swap, text, x, e) : 0;
}

/* v2 limits memory and swap apart; OCI's `swap` is their sum. */
static int put_v2(const struct cgroup_place *p, const struct spec_resources *r, struct err *e)
{
	const struct cgroup_limit mem = { FLAG_MEMORY, p, "memory.max" };
	char text[32] = "max";
	int x = check_usage(p, r, e);

	if (x == 0 && cgroup_is_given(r->memory_limit)) {
		if (r->memory_limit > 0)
			snprintf(text, sizeof text, "%lld", (long long)r->memory_limit);
		x = cgroup_limit_put(&mem, text, e);
	}
	if (x < 0 || !cgroup_is_given(r->memory_swap))
		return x;
	return put_swap_v2(p, r->memory_swap < 0 ? -1 : r->memory_swap - r->memory_limit, e);
}

int cgroup_put_memory(const struct cgroup_place *p, const struct cgroup_knob *k, const struct spec_resources *r, struct err *e)
{
	(void)k;
	if (r->memory_swap > 0 && (!cgroup_is_given(r->memory_limit) || r->memory_limit < 0))
		return err_set(e, EINVAL, "%s: needs --memory; it is the sum of memory and swap", FLAG_SWAP);
	if (r->memory_swap > 0 && r->memory_swap < r->memory_limit)
		return err_set(e, EINVAL, "%s: %lld is less than --memory %lld; it is the sum of memory and swap", FLAG_SWAP,
			       (long long)r->memory_swap, (long long)r->memory_limit);
	return p->is_v2 ? put_v2(p, r, e) : put_v1(p, r, e);
}

/* Linux 5.16 stopped limiting kernel memory; 6.x takes the number in silence and forgets it. */
int cgroup_put_kernel_memory(const struct cgroup_place *p, const struct cgroup_knob *k, const struct spec_resources *r,
			     struct err *e)
{
	const char *file = k->v1;
	char now[32];
	int x;

	if (r->memory_kernel < 0 && !cgroup_has_file(p, file))
		return 0;
	x = cgroup_put_number(p, k, r, e);
	if (x == 0 && r->memory_kernel > 0 && cgroup_read(p, file, now, sizeof now) > 0 &&
	    strtoll(now, NULL, 10) > r->memory_kernel)
		return err_set(e, ENOTSUP, "%s: this kernel takes no limit of kernel memory any more (since Linux 5.16)",
			       k->flag);
	return x;
}

/* v2 is hierarchical; so is v1 since Linux 5.11, where the file still takes 1. */
int cgroup_apply_hierarchy(const struct cgroup *cg, const struct spec_resources *r, struct err *e)
{
	const struct cgroup_place *p = cgroup_place_of(cg, CG_MEMORY);
	const struct cgroup_limit l = { "memory.useHierarchy", p, "memory.use_hierarchy" };
	const char *want = r->use_hierarchy ? "1" : "0";
	char now[8];
	int x;

	if (!r->has_use_hierarchy || (p && p->is_v2 && r->use_hierarchy))
		return 0;
	if (!p || p->is_v2)
		return cgroup_limit_unsupported(p ? "memory.useHierarchy false" : l.flag, CG_MEMORY, p, e);
	if (cgroup_read(p, l.file, now, sizeof now) > 0 && streq(now, want))
		return 0;
	x = cgroup_write(p, l.file, want);
	if (x == -EINVAL && !r->use_hierarchy)
		return err_set(e, EINVAL, "%s false: the kernel accounts hierarchically, and can't do otherwise since 5.11",
			       l.flag);
	return x < 0 ? cgroup_limit_error(&l, want, x, e) : 0;
}

int cgroup_apply_oom_kill(const struct cgroup *cg, const struct spec_resources *r, struct err *e)
{
	const struct cgroup_place *p = cgroup_place_of(cg, CG_MEMORY);
	const struct cgroup_limit l = { "--oom-kill-disable (memory.disableOOMKiller)", p, "memory.oom_control" };

	if (!r->oom_kill_disable)
		return 0;
	return p && !p->is_v2 ? cgroup_limit_put(&l, "1", e) : cgroup_limit_unsupported(l.flag, CG_MEMORY, p, e);
}
