/* Limits that come as text or lists: cpusets, block device throttles, huge pages, the OOM killer's switch, and v2 files by
 * their own names. The second half of cgroup_apply(). */
#include <stdio.h>

#include "cgroup_limits.h"

static const struct {
	const char *flag, *v1, *v2_key;
	size_t list, count;
} throttles[] = {
#define THROTTLE(flag, v1, key, f)                                                                        \
	{                                                                                                 \
		flag, v1, key, offsetof(struct spec_resources, f), offsetof(struct spec_resources, n_##f) \
	}
	THROTTLE("--device-read-bps", "blkio.throttle.read_bps_device", "rbps", read_bps),
	THROTTLE("--device-write-bps", "blkio.throttle.write_bps_device", "wbps", write_bps),
	THROTTLE("--device-read-iops", "blkio.throttle.read_iops_device", "riops", read_iops),
	THROTTLE("--device-write-iops", "blkio.throttle.write_iops_device", "wiops", write_iops),
#undef THROTTLE
};

static const struct spec_throttle *throttle_list(const struct spec_resources *r, size_t i, size_t *ret_n)
{
	const struct spec_throttle *list;

	memcpy(&list, (const char *)r + throttles[i].list, sizeof(void *));
	memcpy(ret_n, (const char *)r + throttles[i].count, sizeof *ret_n);
	return list;
}

/* The controllers of v2 that are only enabled when a file of theirs is named. */
static uint32_t ctrl_of_file(const char *file)
{
	for (unsigned c = 0; c < CG_CTRL_COUNT; c++) {
		const char *rest = str_after(file, cgroup_ctrl_name((enum cgroup_ctrl)c));
		if (rest && *rest == '.')
			return 1u << c;
	}
	return str_after(file, "io.") ? 1u << CG_BLKIO : 0;
}

uint32_t cgroup_wanted_by_lists(const struct spec_resources *r)
{
	uint32_t want = 0;
	size_t n;

	for (size_t i = 0; i < ARRAY_SIZE(throttles); i++)
		if (throttle_list(r, i, &n) && n > 0)
			want |= 1u << CG_BLKIO;
	if (r->cpuset_cpus || r->cpuset_mems)
		want |= 1u << CG_CPUSET;
	if (r->n_hugepages)
		want |= 1u << CG_HUGETLB;
	for (size_t i = 0; r->unified.keys && r->unified.keys[i]; i++)
		want |= ctrl_of_file(r->unified.keys[i]);
	return want;
}

static int apply_cpuset(const struct cgroup *cg, const struct spec_resources *r, struct err *e)
{
	const struct cgroup_place *p = cgroup_place_of(cg, CG_CPUSET);
	const struct {
		const char *flag, *file, *value;
	} rows[] = { { "--cpuset-cpus", "cpuset.cpus", r->cpuset_cpus }, { "--cpuset-mems", "cpuset.mems", r->cpuset_mems } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct cgroup_limit l = { rows[i].flag, p, rows[i].file };
		int x;
		if (!rows[i].value || !rows[i].value[0])
			continue;
		x = p ? cgroup_limit_put(&l, rows[i].value, e) : cgroup_limit_unsupported(l.flag, CG_CPUSET, NULL, e);
		if (x < 0)
			return x;
	}
	return 0;
}

static int apply_throttles(const struct cgroup *cg, const struct spec_resources *r, struct err *e)
{
	const struct cgroup_place *p = cgroup_place_of(cg, CG_BLKIO);

	for (size_t i = 0; i < ARRAY_SIZE(throttles); i++) {
		size_t n;
		const struct spec_throttle *t = throttle_list(r, i, &n);
		for (size_t k = 0; k < n; k++) {
			const struct cgroup_limit l = { throttles[i].flag, p, p && p->is_v2 ? "io.max" : throttles[i].v1 };
			char text[96];
			int x;
			if (!p)
				return cgroup_limit_unsupported(l.flag, CG_BLKIO, NULL, e);
			if (p->is_v2 && t[k].rate == 0) /* v1 says 0 for "no limit" */
				snprintf(text, sizeof text, "%lld:%lld %s=max", (long long)t[k].major, (long long)t[k].minor,
					 throttles[i].v2_key);
			else
				snprintf(text, sizeof text, "%lld:%lld %s%s%llu", (long long)t[k].major, (long long)t[k].minor,
					 p->is_v2 ? throttles[i].v2_key : "", p->is_v2 ? "=" : "", (unsigned long long)t[k].rate);
			x = cgroup_limit_put(&l, text, e);
			if (x < 0)
				return x == -ENODEV ? err_set(e, ENODEV, "%s: %lld:%lld is not a whole block device", l.flag,
							      (long long)t[k].major, (long long)t[k].minor)
						    : x;
		}
	}
	return 0;
}

static bool is_page_size(const char *s)
{
	size_t digits = strspn(s, "0123456789");

	return digits > 0 && digits < 10 && (streq(s + digits, "KB") || streq(s + digits, "MB") || streq(s + digits, "GB"));
}

static int apply_hugepages(const struct cgroup *cg, const struct spec_resources *r, struct err *e)
{
	const struct cgroup_place *p = cgroup_place_of(cg, CG_HUGETLB);

	for (size_t i = 0; i < r->n_hugepages; i++) {
		const struct spec_hugepage *h = &r->hugepages[i];
		char file[64], text[32];
		const struct cgroup_limit l = { "hugepageLimits", p, file };
		int x;
		if (!h->page_size || !is_page_size(h->page_size))
			return err_set(e, EINVAL, "hugepageLimits: \"%.40s\" is not a page size such as \"2MB\"",
				       h->page_size ? h->page_size : "");
		if (!p)
			return cgroup_limit_unsupported(l.flag, CG_HUGETLB, NULL, e);
		snprintf(file, sizeof file, "hugetlb.%s.%s", h->page_size, p->is_v2 ? "max" : "limit_in_bytes");
		snprintf(text, sizeof text, "%llu", (unsigned long long)h->limit);
		x = cgroup_limit_put(&l, text, e);
		if (x < 0)
			return x;
	}
	return 0;
}

static int apply_oom_kill_disable(const struct cgroup *cg, const struct spec_resources *r, struct err *e)
{
	const struct cgroup_place *p = cgroup_place_of(cg, CG_MEMORY);
	const struct cgroup_limit l = { "--oom-kill-disable", p, "memory.oom_control" };

	if (!r->oom_kill_disable)
		return 0;
	return p && !p->is_v2 ? cgroup_limit_put(&l, "1", e) : cgroup_limit_unsupported(l.flag, CG_MEMORY, p, e);
}

static int apply_unified(const struct cgroup *cg, const struct spec_resources *r, struct err *e)
{
	const struct cgroup_place *p = cgroup_v2_place(cg);

	for (size_t i = 0; r->unified.keys && r->unified.keys[i]; i++) {
		const char *file = r->unified.keys[i];
		char flag[96];
		const struct cgroup_limit l = { flag, p, file };
		int x;
		snprintf(flag, sizeof flag, "unified \"%.60s\"", file);
		if (!file[0] || strchr(file, '/'))
			return err_set(e, EINVAL, "%s: must be the name of a file in a cgroup v2 directory", flag);
		if (!p)
			return err_set(e, ENOTSUP, "%s: this host's controllers are on cgroup v1", flag);
		x = cgroup_limit_put(&l, r->unified.values[i], e);
		if (x < 0)
			return x;
	}
	return 0;
}

int cgroup_apply_lists(struct cgroup *cg, const struct spec_resources *r, struct err *e)
{
	static int (*const parts[])(const struct cgroup *, const struct spec_resources *, struct err *) = {
		apply_cpuset, apply_throttles, apply_hugepages, apply_oom_kill_disable, apply_unified,
	};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		int x = parts[i](cg, r, e);
		if (x < 0)
			return x;
	}
	return 0;
}
