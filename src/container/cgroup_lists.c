/* Limits that come as text or lists: cpusets, huge pages, network marks, RDMA, and v2 files by their own names. The second half of
 * cgroup_apply(). */
#include <stdio.h>

#include "cgroup_limits.h"

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

	if (cgroup_wants_blkio_lists(r))
		want |= 1u << CG_BLKIO;
	if (r->cpuset_cpus || r->cpuset_mems)
		want |= 1u << CG_CPUSET;
	if (r->n_hugepages)
		want |= 1u << CG_HUGETLB;
	if (r->has_class_id)
		want |= 1u << CG_NET_CLS;
	if (r->n_net_prios)
		want |= 1u << CG_NET_PRIO;
	if (r->n_rdma)
		want |= 1u << CG_RDMA;
	for (size_t i = 0; r->unified.keys && r->unified.keys[i]; i++)
		want |= ctrl_of_file(r->unified.keys[i]);
	return want;
}

static int apply_cpuset(const struct cgroup *cg, const struct spec_resources *r, struct err *e)
{
	const struct cgroup_place *p = cgroup_place_of(cg, CG_CPUSET);
	const struct {
		const char *flag, *file, *value;
	} rows[] = { { "--cpuset-cpus (cpu.cpus)", "cpuset.cpus", r->cpuset_cpus },
		     { "--cpuset-mems (cpu.mems)", "cpuset.mems", r->cpuset_mems } };

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

static bool is_page_size(const char *s)
{
	size_t digits = strspn(s, "0123456789");

	return digits > 0 && digits < 10 && (streq(s + digits, "KB") || streq(s + digits, "MB") || streq(s + digits, "GB"));
}

/* What a process maps counts from then on where the kernel can (hugetlb.SIZE.rsvd, Linux 5.7): without it, one that maps more
 * than its limit gets a SIGBUS at the touch, not an error from mmap (hugetlb.rst). */
static int put_reservation(const struct cgroup_place *p, const struct spec_hugepage *h, const char *text, struct err *e)
{
	char file[64];
	const struct cgroup_limit l = { "hugepageLimits", p, file };
	int x;

	snprintf(file, sizeof file, "hugetlb.%s.rsvd.%s", h->page_size, p->is_v2 ? "max" : "limit_in_bytes");
	x = cgroup_write(p, file, text);
	return x < 0 && x != -ENOENT ? cgroup_limit_error(&l, text, x, e) : 0;
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
		if (x == 0)
			x = put_reservation(p, h, text, e);
		if (x < 0)
			return x;
	}
	return 0;
}

/* v1's packet marks (cgroup-v1/net_cls.rst, net_prio.rst). v2 left that to eBPF, so there is nothing to set. */
static int apply_network(const struct cgroup *cg, const struct spec_resources *r, struct err *e)
{
	const struct cgroup_place *cls = cgroup_place_of(cg, CG_NET_CLS), *prio = cgroup_place_of(cg, CG_NET_PRIO);
	const struct cgroup_limit id = { "network.classID", cls, "net_cls.classid" };
	const struct cgroup_limit map = { "network.priorities", prio, "net_prio.ifpriomap" };
	char text[96];
	int x = 0;

	if (r->has_class_id) {
		snprintf(text, sizeof text, "%u", r->class_id);
		x = cls ? cgroup_limit_put(&id, text, e) : cgroup_limit_unsupported(id.flag, CG_NET_CLS, NULL, e);
	}
	for (size_t i = 0; x == 0 && i < r->n_net_prios; i++) {
		snprintf(text, sizeof text, "%.64s %u", r->net_prios[i].name, r->net_prios[i].priority);
		x = prio ? cgroup_limit_put(&map, text, e) : cgroup_limit_unsupported(map.flag, CG_NET_PRIO, NULL, e);
	}
	return x;
}

/* The same file and line on v1 and v2 (cgroup-v1/rdma.rst). */
static int apply_rdma(const struct cgroup *cg, const struct spec_resources *r, struct err *e)
{
	const struct cgroup_place *p = cgroup_place_of(cg, CG_RDMA);
	const struct cgroup_limit l = { "rdma", p, "rdma.max" };

	for (size_t i = 0; i < r->n_rdma; i++) {
		const struct spec_rdma *d = &r->rdma[i];
		char handles[40] = "", objects[40] = "", text[160];
		int x;
		if (d->has_handles)
			snprintf(handles, sizeof handles, " hca_handle=%u", d->handles);
		if (d->has_objects)
			snprintf(objects, sizeof objects, " hca_object=%u", d->objects);
		snprintf(text, sizeof text, "%.64s%s%s", d->device, handles, objects);
		if (!d->has_handles && !d->has_objects)
			continue;
		x = p ? cgroup_limit_put(&l, text, e) : cgroup_limit_unsupported(l.flag, CG_RDMA, NULL, e);
		if (x < 0)
			return x;
	}
	return 0;
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
		apply_cpuset, cgroup_apply_blkio_lists, apply_hugepages, apply_network,
		apply_rdma,   cgroup_apply_oom_kill,    apply_unified,
	};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		int x = parts[i](cg, r, e);
		if (x < 0)
			return x;
	}
	return 0;
}
