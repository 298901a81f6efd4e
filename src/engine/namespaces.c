/* namespaces.c: what is shared with the host: network, processes, IPC, host name, cgroup view; and where the cgroup is. */
#include "engine_impl.h"
#include "network_wishes.h"

#include <unistd.h>

#define DOMAIN_MAX 64 /* setdomainname(2) */

/* ---- another container's ---- */

static int add_join(struct plan *p, const char *kind, const struct container_record *c, struct err *e)
{
	struct launch *l = &p->launch;
	struct launch_join *grown = reallocarray(l->joins, l->n_joins + 1, sizeof(*grown));

	if (!grown)
		return OUT_OF_MEMORY(e);
	l->joins = grown;
	struct launch_join *j = &grown[l->n_joins++];
	*j = (struct launch_join){ .kind = strdup(kind), .id = strdup(c->id), .name = strdup(c->name) };
	return j->kind && j->id && j->name ? 0 : OUT_OF_MEMORY(e);
}

/* Docker's rule: memory is shared with those only that were made for it. */
static int check_donor(const char *option, const struct container_record *c, enum spec_ns ns, struct err *e)
{
	struct run_opts o;
	bool shares;
	int r;

	if (streq(c->isolation, "vm"))
		return err_set(
			e, EINVAL,
			"%s container:%s: it is a virtual machine, whose namespaces are its own kernel's; containers of one "
			"pod share a machine (pod create --isolation vm)",
			option, c->name);
	if (ns != NS_IPC)
		return 0;
	r = engine_record_options(c, &o, e);
	if (r < 0)
		return r;
	shares = o.ipc_mode && (streq(o.ipc_mode, "shareable") || streq(o.ipc_mode, "host"));
	run_opts_done(&o);
	return shares ? 0
		      : err_set(e, EINVAL,
				"can't join IPC of container %s: non-shareable IPC (hint: use --ipc shareable for the donor "
				"container)",
				c->name);
}

/* Whether it runs is asked at each start (monitor/join.c). */
static int join_container(struct plan *p, const char *option, const char *other, enum spec_ns ns, struct err *e)
{
	struct container_record c;
	int r;

	if (!*other)
		return err_set(e, EINVAL, "%s container: needs a name, as in %s container:web", option, option);
	if (p->is_vm)
		return err_set(
			e, EINVAL,
			"%s container:%s: a virtual machine has a kernel of its own and can't be in another's namespaces; use "
			"--isolation container, or one pod for both (pod create --isolation vm)",
			option, other);
	r = engine_get(p->en, other, &c, e);
	if (r < 0)
		return err_push(e, r, "%s", option);
	r = check_donor(option, &c, ns, e);
	if (r >= 0)
		r = add_join(p, ns == NS_PID ? "pid" : ns == NS_IPC ? "ipc" : "network", &c, e);
	container_record_done(&c);
	return r;
}

/* ---- modes ---- */

static int choose(struct plan *p, const char *option, const char *mode, enum spec_ns ns, struct err *e)
{
	bool joins = ns == NS_PID || ns == NS_IPC;
	int r = plan_is_pods(p, option, mode, ns, e);

	if (r != 0)
		return MIN(r, 0);
	if (!mode || !*mode || streq(mode, "private") || (ns == NS_IPC && (streq(mode, "shareable") || streq(mode, "none"))))
		return 0;
	if (joins && str_after(mode, "container:"))
		return join_container(p, option, str_after(mode, "container:"), ns, e);
	if (!streq(mode, "host"))
		return err_set(e, EINVAL, "%s: \"%s\" is not known; private, %s%s are", option, mode,
			       ns == NS_IPC ? "shareable, none, " : "", joins ? "host and container:NAME" : "and host");
	if (p->is_vm)
		return err_set(e, EINVAL,
			       "%s host: a virtual machine has a kernel of its own and can't share the host's; use --isolation "
			       "container",
			       option);
	p->spec.ns.wanted[ns] = false;
	return 0;
}

/* IPC is also the memory at /dev/shm: none of it, or the host's. */
static int set_memory(struct plan *p, struct err *e)
{
	static const char *const options[] = { "rbind", "nosuid", "noexec", "nodev" };
	const char *mode = p->o->ipc_mode;
	struct spec *s = &p->spec;
	size_t i = 0;

	while (i < s->n_mounts && !streq(s->mounts[i].destination, "/dev/shm"))
		i++;
	if (!mode || i == s->n_mounts || (!streq(mode, "none") && !streq(mode, "host")))
		return 0;
	struct spec_mount *m = &s->mounts[i];
	if (streq(mode, "none")) {
		free(m->destination);
		free(m->type);
		free(m->source);
		strv_free(m->options);
		memmove(m, m + 1, (--s->n_mounts - i) * sizeof(*m));
		return 0;
	}
	if (access("/dev/shm", F_OK) < 0)
		return 0;
	strv_free(m->options);
	m->options = NULL;
	for (size_t k = 0; k < ARRAY_SIZE(options); k++)
		if (strv_push(&m->options, options[k]) < 0)
			return OUT_OF_MEMORY(e);
	free(m->type);
	free(m->source);
	m->type = strdup("bind");
	m->source = strdup("/dev/shm");
	return m->type && m->source ? 0 : OUT_OF_MEMORY(e);
}

/* What is the pod's to say, and was asked for a container of it. */
static int check_pods(const struct plan *p, struct err *e)
{
	const struct run_opts *o = p->o;
	const struct {
		const char *option;
		bool is_given;
	} options[] = {
		{ "--publish", strv_len(o->publish) || o->publish_all },
		{ "--network-alias", strv_len(o->network_aliases) },
		{ "--ip", o->ip && *o->ip },
		{ "--ip6", o->ip6 && *o->ip6 },
		{ "--mac-address", o->mac_address && *o->mac_address },
		{ "--link", strv_len(o->links) },
		{ "--dns", strv_len(o->dns) },
		{ "--egress", strv_len(o->egress) },
		{ "--dns-search", strv_len(o->dns_search) },
		{ "--dns-option", strv_len(o->dns_options) },
		{ "--add-host", strv_len(o->add_hosts) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (options[i].is_given)
			return err_set(
				e, EINVAL,
				"%s: not with --pod: the network is pod %s's, for all of its containers; give it to `berth pod "
				"create`",
				options[i].option, p->pod.name);
	return 0;
}

/* The pod's: nobody asks for anything else. */
static int set_pods_network(struct plan *p, struct err *e)
{
	int r = check_pods(p, e);

	if (r < 0)
		return r;
	p->launch.has_pod_network = network_kind_of(&p->pod_o) == NETWORK_OWN;
	if (network_kind_of(&p->pod_o) != NETWORK_HOST)
		return 0;
	if (p->is_vm)
		return choose(p, "--network", "host", NS_NET, e);
	p->launch.host_network = true;
	p->spec.ns.wanted[NS_NET] = false;
	return 0;
}

static int set_network(struct plan *p, struct err *e)
{
	const char *mode = network_mode(p->o);
	int r = plan_is_pods(p, "--network", p->o->network, NS_NET, e);

	if (r != 0)
		return r < 0 ? r : set_pods_network(p, e);
	if (p->o->pod && !p->o->network && (r = network_check_useless(p->o, e)) < 0)
		return r;
	switch (network_kind_of(p->o)) {
	case NETWORK_NONE: return 0;
	case NETWORK_CONTAINER: return join_container(p, "--network", str_after(mode, "container:"), NS_NET, e);
	case NETWORK_OWN:
		if (p->is_vm && p->pod.id)
			return err_set(e, EINVAL,
				       "--network %s: pod %s is one virtual machine, whose network cards are there before its "
				       "containers: run it without --pod",
				       mode, p->pod.name);
		return plan_network(p, e);
	case NETWORK_HOST: break;
	}
	if (p->is_vm)
		return choose(p, "--network", mode, NS_NET, e);
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

static int set_domainname(struct plan *p, struct err *e)
{
	const char *name = p->o->domainname;

	if (!name || !*name)
		return 0;
	if (strlen(name) > DOMAIN_MAX)
		return err_set(e, EINVAL, "--domainname: \"%s\" is longer than %d", name, DOMAIN_MAX);
	int r = plan_is_pods(p, "--domainname", name, NS_UTS, e);
	if (r < 0)
		return r;
	if (!p->spec.ns.wanted[NS_UTS])
		return err_set(e, EINVAL, "--domainname can't be given with --uts host");
	p->spec.domainname = strdup(name);
	return p->spec.domainname ? 0 : OUT_OF_MEMORY(e);
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
		r = set_memory(p, e);
	if (r >= 0)
		r = choose(p, "--uts", o->uts_mode, NS_UTS, e);
	if (r >= 0)
		r = choose(p, "--cgroupns", o->cgroupns, NS_CGROUP, e);
	if (r >= 0 && o->userns && *o->userns && !streq(o->userns, "host"))
		r = err_set(e, EOPNOTSUPP, "--userns: \"%s\" is not possible yet; host is", o->userns);
	if (r >= 0)
		r = set_domainname(p, e);
	return r < 0 ? r : set_cgroup(p, e);
}
