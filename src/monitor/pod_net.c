/* A pod's networks, of containers: made in the pod's network namespace by the monitor that makes that, and taken down by the last that
 * leaves, both under the lock of the pod's run directory. Those in between only say that there is one more name. What reserves the
 * published ports is handed on (pod_run.c). Of a virtual machine it is the holder's (pod_holder.c): its containers are given the files. */
#include "monitor_impl.h"
#include "pod_run.h"

static int make(struct pod_hold *p, const struct monitor *m, const struct net_plan *plan, struct err *e)
{
	struct net_call call = { 0 };
	int r = net_call_begin(m->cfg->paths, "attach", plan, p->ns.fd[NS_NET], &call, e);

	if (r == 0)
		r = net_call_end(&call, &p->net, e);
	if (r == 0 && m->cfg->on_ports && p->net.n_ports)
		m->cfg->on_ports(&p->net, m->cfg->arg);
	return r;
}

/* It runs without being known by its name, where that fails. */
static void tell_names(const struct monitor *m, const struct net_plan *plan)
{
	struct err e = { 0 };
	bool has_names = false;

	for (size_t i = 0; i < plan->n_endpoints; i++)
		has_names |= plan->endpoints[i].network.has_names;
	if (has_names && net_call(m->cfg->paths, "names", plan, &e) < 0)
		log_warn("network", "container %.12s: %s", m->cfg->id, e.msg);
}

int pod_net_enter(struct pod_hold *p, struct monitor *m, bool first, struct err *e)
{
	struct monitor_network n = { 0 };
	int r;

	if (!m->launch.has_pod_network)
		return 0;
	r = m->cfg->network(&n, m->cfg->arg, e);
	if (r == 0) {
		net_put_files(m, &n);
		if (first && !n.plan.is_vm)
			r = make(p, m, &n.plan, e);
		else
			tell_names(m, &n.plan);
		if (n.plan.is_vm) { /* what the guest is told of its cards */
			m->net.plan = n.plan;
			n.plan = (struct net_plan){ 0 };
		}
	}
	monitor_network_done(&n);
	monitor_mark(m, "network of the pod");
	return r;
}

int pod_net_last(const char *pod_id, void *monitor, struct err *e)
{
	struct monitor *m = monitor;
	struct monitor_network n = { 0 };
	int r = m->cfg->network(&n, m->cfg->arg, e);

	if (r == 0)
		r = net_call(m->cfg->paths, "detach", &n.plan, e);
	monitor_network_done(&n);
	monitor_mark(m, "network of the pod taken down");
	return r < 0 && r != -ENOENT ? err_push(e, r, "networks of pod %.12s", pod_id) : 0;
}
