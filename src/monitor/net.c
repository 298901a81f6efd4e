/* The container's interfaces, by berth-net. A container's namespace is made here, and filled beside its first process, which runs no
 * program before that; a VM is given descriptors that it begins with.
 *
 *   net_begin   what there is to give (the engine reads it from the records), and the call of berth-net
 *   net_wait    its answer; from here on the ports are this process's
 *   net_leave   taken down again, as the records have it then */
#include <string.h>

#include "monitor_impl.h"

void monitor_network_done(struct monitor_network *n)
{
	net_plan_done(&n->plan);
	free(n->hosts);
	free(n->resolv);
	*n = (struct monitor_network){ 0 };
}

/* Takes the text; a file that the user has put there himself is not among ours. */
static void put_text(struct launch *l, const char *path, char **text)
{
	for (size_t i = 0; i < l->n_files; i++) {
		if (!streq(l->files[i].path, path) || !*text)
			continue;
		free(l->files[i].content);
		l->files[i].content = TAKE_PTR(*text);
	}
}

void net_put_files(struct monitor *m, struct monitor_network *n)
{
	put_text(&m->launch, "/etc/hosts", &n->hosts);
	put_text(&m->launch, "/etc/resolv.conf", &n->resolv);
}

static int make_namespace(struct monitor *m, struct err *e)
{
	return m->network_fd > 0 ? 0 : container_make_network(&m->network_fd, e);
}

/* Only the attachment tells what addresses there are. */
static bool is_given_later(const struct net_plan *p)
{
	for (size_t i = 0; i < p->n_endpoints; i++)
		if (streq(p->endpoints[i].network.driver, "cni"))
			return true;
	return false;
}

static int wait_and_reread(struct monitor *m, struct monitor_network *n, struct err *e)
{
	int r = net_wait(m, e);

	if (r < 0)
		return r;
	monitor_network_done(n);
	r = m->cfg->network(n, m->cfg->arg, e);
	if (r == 0)
		net_put_files(m, n);
	return r;
}

int net_begin(struct monitor *m, struct err *e)
{
	struct monitor_network n = { 0 };
	int r;

	if (!m->launch.has_network)
		return 0;
	r = m->cfg->network(&n, m->cfg->arg, e);
	if (r == 0 && !n.plan.is_vm)
		r = make_namespace(m, e);
	if (r == 0) {
		net_put_files(m, &n);
		m->net.is_begun = true;
		r = net_call_begin(m->cfg->paths, "attach", &n.plan, n.plan.is_vm ? -1 : m->network_fd, &m->net.call, e);
	}
	monitor_mark(m, "network asked for");
	if (r == 0 && n.plan.is_vm) {
		r = net_wait(m, e);
		m->net.plan = n.plan;
		n.plan = (struct net_plan){ 0 };
	}
	if (r == 0 && is_given_later(&n.plan))
		r = wait_and_reread(m, &n, e);
	monitor_network_done(&n);
	return r;
}

int net_wait(struct monitor *m, struct err *e)
{
	int r;

	if (m->net.call.pid == 0)
		return 0;
	r = net_call_end(&m->net.call, &m->net.hold, e);
	monitor_mark(m, "network");
	if (r == 0 && m->cfg->on_ports && (m->net.hold.n_ports || m->net.hold.n_results))
		m->cfg->on_ports(&m->net.hold, m->cfg->arg);
	return r;
}

void net_leave(struct monitor *m)
{
	struct monitor_network n = { 0 };
	struct err e = { 0 };
	int r = 0;

	if (m->net.call.pid != 0) /* what it says no longer matters: all goes */
		net_call_end(&m->net.call, &m->net.hold, NULL);
	net_hold_done(&m->net.hold);
	net_plan_done(&m->net.plan);
	if (m->network_fd > 0)
		fd_close(m->network_fd);
	m->network_fd = 0;
	if (!m->net.is_begun)
		return;
	m->net.is_begun = false;
	r = m->cfg->network(&n, m->cfg->arg, &e);
	if (r == 0)
		r = net_call(m->cfg->paths, "detach", &n.plan, &e);
	if (r < 0 && r != -ENOENT)
		log_error("network", "container %.12s: %s", m->cfg->id, e.msg);
	monitor_network_done(&n);
	monitor_mark(m, "network taken down");
}
