/* vm_spec: config.json as the guest is to see it. The guest applies it with the same library as a host would; what differs is
 * what only the host can do (volumes, block devices' limits, CPU sets) and what the wall makes pointless. */
#include <stdio.h>

#include "vm_impl.h"

static bool is_bind(const struct spec_mount *m)
{
	if (streq0(m->type, "bind"))
		return true;
	for (char **o = m->options; o && *o; o++)
		if (streq(*o, "bind") || streq(*o, "rbind"))
			return true;
	return false;
}

static bool is_readonly(const struct spec_mount *m)
{
	bool ro = false;

	for (char **o = m->options; o && *o; o++)
		ro = streq(*o, "ro") || streq(*o, "rro") || (ro && !streq(*o, "rw"));
	return ro;
}

/* The last one said. Between mounts of one kernel it means nothing; here docker's words of macOS, which has a VM as well, fit. */
static const char *trust_of(const struct spec_mount *m)
{
	static const char *const words[] = { "cached", "consistent" };
	const char *trust = NULL;

	for (char **o = m->options; o && *o; o++)
		for (size_t i = 0; i < ARRAY_SIZE(words); i++)
			if (streq(*o, words[i]))
				trust = words[i];
	return trust;
}

static int check(const struct spec *s, const struct launch *l, struct err *e)
{
	static const char *const ns_names[NS_COUNT] = { "mount", "pid", "network", "ipc", "uts", "user", "cgroup", "time" };

	if (l->host_network)
		return err_set(e, EINVAL,
			       "--network host: a virtual machine has no part in the host's network; use none, or --isolation "
			       "container");
	if (s->n_devices)
		return err_set(e, EINVAL,
			       "--device %s: a virtual machine sees none of the host's devices; use --isolation container",
			       s->devices[0].path);
	for (size_t i = 0; i < NS_COUNT; i++)
		if (s->ns.path[i])
			return err_set(e, EINVAL, "a virtual machine can't join a %s namespace of the host", ns_names[i]);
	for (size_t i = 0; i < HOOK_COUNT; i++)
		if (s->hooks.n[i])
			return err_set(e, EINVAL, "hooks run on the host and are not possible with a virtual machine");
	return 0;
}

static void add_share(const struct spec_mount *m, const struct launch *l, struct vm_share *shares, size_t *n)
{
	struct vm_share *at = &shares[*n];

	*at = (struct vm_share){ m->source, is_readonly(m), "", trust_of(m) };
	if (l->pod)
		snprintf(at->name, sizeof(at->name), "%.12s.%zu", l->id, *n);
	else
		snprintf(at->name, sizeof(at->name), "%zu", *n);
	(*n)++;
}

int vm_spec_shares(const struct spec *s, const struct launch *l, struct vm_share **ret, size_t *ret_n)
{
	struct vm_share *shares = calloc(s->n_mounts + 1, sizeof(*shares));
	size_t n = 0;

	if (!shares)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_mounts; i++)
		if (is_bind(&s->mounts[i]))
			add_share(&s->mounts[i], l, shares, &n);
	*ret = shares;
	*ret_n = n;
	return 0;
}

static int rewrite_mounts(const struct spec *s, const struct launch *l, struct spec *g, struct vm_share **ret_shares,
			  size_t *ret_n)
{
	_cleanup_free_ struct vm_share *shares = NULL;
	size_t n = 0, n_all;

	g->mounts = calloc(s->n_mounts + 1, sizeof(*g->mounts));
	g->n_mounts = 0;
	if (!g->mounts || vm_spec_shares(s, l, &shares, &n_all) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_mounts; i++) {
		g->mounts[i] = s->mounts[i];
		g->n_mounts = i + 1;
		if (is_bind(&s->mounts[i])) {
			g->mounts[i].source = str_fmt("%s/%s", VM_SHARE_DIR, shares[n++].name);
			if (!g->mounts[i].source)
				return -ENOMEM;
		}
	}
	*ret_shares = TAKE_PTR(shares);
	*ret_n = n_all;
	return 0;
}

int vm_spec_for_guest(const struct spec *s, const struct launch *l, struct spec *ret, struct vm_share **ret_shares, size_t *ret_n,
		      struct err *e)
{
	struct spec g = *s;
	struct spec_resources *r = &g.resources;

	if (check(s, l, e) < 0)
		return -EINVAL;
	if (rewrite_mounts(s, l, &g, ret_shares, ret_n) < 0) {
		vm_spec_done(&g);
		return err_set(e, ENOMEM, "out of memory");
	}
	/* The guest's network is the container's own, as a network namespace would be on a host. */
	g.ns.wanted[NS_NET] = false;
	g.process.apparmor_profile = NULL; /* names a profile of the host's kernel */
	g.process.selinux_label = NULL;
	/* Numbers of host devices and host CPUs: set on the VMM's cgroup. */
	r->n_read_bps = r->n_write_bps = r->n_read_iops = r->n_write_iops = 0;
	r->blkio_weight = SPEC_UNSET;
	r->cpuset_cpus = r->cpuset_mems = NULL;
	*ret = g;
	return 0;
}

void vm_spec_done(struct spec *guest)
{
	for (size_t i = 0; guest->mounts && i < guest->n_mounts; i++)
		if (is_bind(&guest->mounts[i])) /* those, and only those, were made by rewrite_mounts */
			free(guest->mounts[i].source);
	free(guest->mounts);
	guest->mounts = NULL;
	guest->n_mounts = 0;
}
