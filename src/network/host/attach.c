/* attach: networks, endpoints, ports; all or nothing. Elements come last, in one transaction: until then nothing is let through. */
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "rootless.h"

/* One that an earlier life of the endpoint has left, or is about to leave with its namespace. */
static int remove_old(struct nets *n, const char *device, struct err *e)
{
	struct link old;
	int r = link_find(&n->route, device, &old);

	if (r >= 0)
		r = link_delete(&n->route, old.index);
	return r < 0 && r != -ENODEV ? err_set(e, -r, "remove the old device %s: %s %s", device, strerror(-r), n->route.why) : 0;
}

static int add_veth(struct nets *n, const struct net_endpoint *ep, struct err *e)
{
	uint8_t mac[6];
	const bool has_mac = ep->mac && mac_parse(ep->mac, mac) >= 0;
	const struct veth_plan v = { .name = ep->device,
				     .inner = ep->name,
				     .ns = n->inside,
				     .mac = has_mac ? mac : NULL,
				     .mtu = ep->network.mtu ? ep->network.mtu : MTU_DEFAULT };
	int r = link_add_veth(&n->route, &v);

	if (r == -EEXIST) {
		r = remove_old(n, ep->device, e);
		if (r < 0)
			return r;
		r = link_add_veth(&n->route, &v);
	}
	if (r == -EEXIST)
		return err_set(e, EEXIST, "the namespace has an interface %s already", ep->name);
	return r < 0 ? err_set(e, -r, "veth %s: %s %s", ep->device, strerror(-r), n->route.why) : 0;
}

static int add_taps(struct nets *n, const struct net_plan *p, const struct net_endpoint *ep, struct outcome *o, struct err *e)
{
	const uint32_t queues = p->queues ? p->queues : 1;
	int *more = reallocarray(o->taps, o->n_taps + queues, sizeof(*more)), r;

	if (!more)
		return err_set(e, ENOMEM, "taps: %s", strerror(ENOMEM));
	o->taps = more;
	r = tap_open(ep->device, queues, more + o->n_taps, e);
	if (r == -EBUSY) { /* of a VMM that is still ending */
		r = remove_old(n, ep->device, e);
		if (r >= 0)
			r = tap_open(ep->device, queues, more + o->n_taps, e);
	}
	if (r >= 0)
		o->n_taps += queues;
	return r;
}

static int add_gateways(struct talk *t, unsigned index, const struct net_endpoint *ep, bool replaces)
{
	int r = 0;

	for (unsigned i = 0; i < 2 && r >= 0; i++) {
		const char *gateway = i ? ep->gateway6 : ep->gateway4;
		struct address a;

		if (gateway && (r = address_parse(gateway, false, &a)) >= 0)
			r = route_add_default(t, index, &a, replaces);
	}
	return r;
}

/* has_plugins: gateways come behind theirs. */
static int configure_inside(struct talk *t, const struct net_endpoint *ep, bool has_plugins, struct err *e)
{
	const unsigned index = if_nametoindex(ep->name); /* rtnetlink would wait for the kernel's lock */
	struct address a;
	bool has_ipv6 = false;
	int r = index ? 0 : -errno;

	for (char **text = ep->addresses; text && *text; text++)
		has_ipv6 |= !!strchr(*text, ':');
	if (r >= 0 && !has_ipv6)
		r = link_no_address(t, index);
	if (r >= 0 && has_ipv6) {
		r = settings_inside(ep->name, e);
		if (r < 0)
			return r;
	}
	if (r >= 0)
		r = link_up(t, index, NULL);
	for (char **text = ep->addresses; text && *text && r >= 0; text++) {
		r = address_parse(*text, true, &a);
		if (r >= 0)
			r = address_add(t, index, &a);
	}
	if (r >= 0 && !has_plugins)
		r = add_gateways(t, index, ep, false);
	return r < 0 ? err_set(e, -r, "interface %s: %s %s", ep->name, strerror(-r), t->why) : 0;
}

static int replace_gateways(struct talk *t, const struct net_endpoint *ep, bool has_plugins _unused_, struct err *e)
{
	const unsigned index = if_nametoindex(ep->name);
	int r = index ? add_gateways(t, index, ep, true) : -errno;

	return r < 0 ? err_set(e, -r, "interface %s: the default route: %s %s", ep->name, strerror(-r), t->why) : 0;
}

/* Each of ours, in the namespace given, and back again. */
static int inside_each(struct nets *n, const struct net_plan *p,
		       int (*set)(struct talk *t, const struct net_endpoint *ep, bool has_plugins, struct err *e), struct err *e)
{
	struct talk inside = { 0 };
	int r;

	if (setns(n->inside, CLONE_NEWNET) < 0)
		return err_set(e, errno, "enter the network namespace: %s", strerror(errno));
	r = talk_open(NETLINK_ROUTE, &inside);
	if (r < 0)
		err_set(e, -r, "rtnetlink: %s", strerror(-r));
	for (size_t i = 0; i < p->n_endpoints && r >= 0; i++)
		if (!streq(p->endpoints[i].network.driver, "cni"))
			r = set(&inside, &p->endpoints[i], cni_is_on(p), e);
	talk_close(&inside);
	if (setns(n->host_ns, CLONE_NEWNET) < 0 && r >= 0)
		r = err_set(e, errno, "leave the network namespace: %s", strerror(errno));
	return r;
}

int attach_gateways(struct nets *n, const struct net_plan *p, struct err *e) { return inside_each(n, p, replace_gateways, e); }

static int add_endpoint(struct nets *n, const struct net_plan *p, const struct net_endpoint *ep, struct outcome *o, struct err *e)
{
	unsigned bridge = 0, index;

	if (streq(ep->network.driver, "cni")) /* its plugins come later, when nobody waits for us */
		return 0;
	if (!endpoint_is_bridged(ep))
		return child_add(n, ep, e);
	int r = network_up(n, p->state_dir, &ep->network, &bridge, e);

	if (r >= 0)
		r = p->is_vm ? add_taps(n, p, ep, o, e) : add_veth(n, ep, e);
	if (r < 0)
		return r;
	index = if_nametoindex(ep->device);
	return !index ? err_set(e, errno, "device %s: %s", ep->device, strerror(errno))
		      : endpoint_enslave(n, ep, index, bridge, e);
}

static int answer_ports(const struct net_plan *p, struct net_answer *a)
{
	a->ports = p->n_ports ? calloc(p->n_ports, sizeof(*a->ports)) : NULL;
	if (p->n_ports && !a->ports)
		return -ENOMEM;
	a->n_ports = p->n_ports;
	for (size_t i = 0; i < p->n_ports; i++) {
		const struct net_port *q = &p->ports[i];

		a->ports[i] = (struct net_port){ .protocol = strdup(q->protocol),
						 .host_ip = q->host_ip ? strdup(q->host_ip) : NULL,
						 .host_port = q->host_port,
						 .port = q->port };
		if (!a->ports[i].protocol || (q->host_ip && !a->ports[i].host_ip))
			return -ENOMEM;
	}
	return 0;
}

int attach_ports(const struct net_plan *p, struct outcome *o, struct err *e)
{
	const struct net_endpoint *to = ports_endpoint(p);
	int r = answer_ports(p, &o->answer);

	if (r < 0)
		return err_set(e, -r, "ports: %s", strerror(-r));
	if (!p->n_ports)
		return 0;
	return to ? ports_reserve(p, to, o->answer.ports, &o->ports, e)
		  : ports_reserve_unaddressed(p, o->answer.ports, &o->ports, e);
}

static int attach_all(struct nets *n, const struct net_plan *p, struct outcome *o, struct err *e)
{
	bool has_bridge = false;
	int r = 0;

	for (size_t i = 0; i < p->n_endpoints && !has_bridge; i++)
		has_bridge = endpoint_is_bridged(&p->endpoints[i]);
	if (r >= 0 && has_bridge)
		r = ruleset_ensure(n, e);
	for (size_t i = 0; i < p->n_endpoints && r >= 0; i++)
		r = add_endpoint(n, p, &p->endpoints[i], o, e);
	if (r >= 0 && n->inside >= 0 && !p->is_vm)
		r = inside_each(n, p, configure_inside, e);
	if (r >= 0)
		r = egress_forget(n, p, e);
	if (r >= 0)
		r = is_rootless(p) ? endpoints_let_through(n, p, o->inside, o->n_inside, e)
				   : endpoints_let_through(n, p, o->ports.ports, o->ports.n_fds, e);
	for (size_t i = 0; i < p->n_endpoints && r >= 0; i++)
		r = resolver_names(p->state_dir, &p->endpoints[i], e);
	if (r >= 0) {
		o->answer.taps = (uint32_t)o->n_taps;
		o->answer.sockets = (uint32_t)o->ports.n_fds;
	}
	return r;
}

/* The first error is the one to tell; these only leave something, which the sweep finds. */
static void undo(struct nets *n, const struct net_plan *p)
{
	struct err ignored = { 0 };

	(void)detach_now(n, p, &ignored);
	for (size_t i = 0; i < p->n_endpoints; i++)
		if (endpoint_is_bridged(&p->endpoints[i]))
			(void)bridge_down_unused(n, p->endpoints[i].network.device, &ignored);
	(void)resolver_sweep(n, p->state_dir, &ignored);
	(void)bridge_down_last(n, &ignored);
}

int attach(struct nets *n, const struct net_plan *p, struct outcome *ret, struct err *e)
{
	int r = attach_all(n, p, ret, e);

	if (r < 0) {
		outcome_done(ret);
		undo(n, p);
	}
	return r;
}
