/* namespaces.c: what is shared with the host: network, processes, IPC, host name, cgroup view; and where the cgroup is. */
#include "engine_impl.h"

static int choose(struct plan *p, const char *option, const char *mode, enum spec_ns ns, struct err *e)
{
	int r = plan_is_pods(p, option, mode, ns, e);

	if (r != 0)
		return MIN(r, 0);
	if (!mode || !*mode || streq(mode, "private") || (ns == NS_IPC && streq(mode, "shareable")))
		return 0;
	if (!streq(mode, "host"))
		return err_set(e, EINVAL, "%s: \"%s\" is not known; private and host are", option, mode);
	if (p->is_vm)
		return err_set(e, EINVAL,
			       "%s host: a virtual machine has a kernel of its own and can't share the host's; use --isolation "
			       "container",
			       option);
	p->spec.ns.wanted[ns] = false;
	return 0;
}

static int set_network(struct plan *p, struct err *e)
{
	const char *net = p->o->network;
	int r = plan_is_pods(p, "--network", net, NS_NET, e);

	if (r < 0)
		return r;
	if (r > 0)
		net = p->pod_o.network;
	if (!net || !*net || streq(net, "none"))
		return 0;
	if (!streq(net, "host"))
		return err_set(e, EOPNOTSUPP,
			       "--network: \"%s\" is not there yet; none (loopback only) and host (the host's own) are", net);
	if (p->is_vm)
		return choose(p, "--network", net, NS_NET, e);
	p->launch.host_network = true;
	p->spec.ns.wanted[NS_NET] = false;
	return 0;
}

static int set_cgroup(struct plan *p, struct err *e)
{
	const char *parent = p->o->cgroup_parent && *p->o->cgroup_parent ? p->o->cgroup_parent : "berth";

	if (p->pod.id) {
		parent = p->pod_o.cgroup_parent && *p->pod_o.cgroup_parent ? p->pod_o.cgroup_parent : "berth";
		parent += strspn(parent, "/");
		free(p->spec.cgroups_path);
		p->spec.cgroups_path = str_fmt("/%s/pod-%s/%s", parent, p->pod.id, p->id);
		return p->spec.cgroups_path ? 0 : OUT_OF_MEMORY(e);
	}
	parent += strspn(parent, "/");
	if (!*parent || strstr(parent, "..") || str_ends(parent, ".slice"))
		return err_set(e, EINVAL, "--cgroup-parent: \"%s\" is not a path such as /berth/web", p->o->cgroup_parent);
	free(p->spec.cgroups_path);
	p->spec.cgroups_path = str_fmt("/%s/%s", parent, p->id);
	return p->spec.cgroups_path ? 0 : OUT_OF_MEMORY(e);
}

int plan_namespaces(struct plan *p, struct err *e)
{
	const struct run_opts *o = p->o;
	int r = set_network(p, e);

	if (r >= 0)
		r = choose(p, "--pid", o->pid_mode, NS_PID, e);
	if (r >= 0)
		r = choose(p, "--ipc", o->ipc_mode, NS_IPC, e);
	if (r >= 0)
		r = choose(p, "--uts", o->uts_mode, NS_UTS, e);
	if (r >= 0)
		r = choose(p, "--cgroupns", o->cgroupns, NS_CGROUP, e);
	if (r >= 0 && o->userns && *o->userns && !streq(o->userns, "host"))
		r = err_set(e, EOPNOTSUPP, "--userns: \"%s\" is not possible yet; host is", o->userns);
	return r < 0 ? r : set_cgroup(p, e);
}
