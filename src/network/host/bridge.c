/* Networks of the driver bridge. A bridge is up once it is whole, so that one that was killed on the way is seen and finished. Its alias is
 * the network's id: networks of several stores on one host may be told to call theirs the same. */
#include <time.h>

#include "impl.h"

enum { CLASH_NAP_MS = 10, CLASH_NAPS = 50 };

static int parse_subnet(const struct net_subnet *s, struct address *ret_subnet, struct address *ret_gateway, struct err *e)
{
	if (address_parse(s->subnet, true, ret_subnet) < 0)
		return err_set(e, EINVAL, "subnet %s", s->subnet);
	*ret_gateway = (struct address){ 0 };
	if (s->gateway && address_parse(s->gateway, false, ret_gateway) < 0)
		return err_set(e, EINVAL, "gateway %s", s->gateway);
	ret_gateway->prefix = ret_subnet->prefix;
	return 0;
}

/* A network that has been removed leaves its bridge for a moment (linger.c), and its dead ones their devices on that. 1: the device was
 * such a bridge, and has gone, or may have soon; 0: it is none. */
static int is_going(struct nets *n, const char *device, struct err *e)
{
	const struct timespec nap = { .tv_nsec = CLASH_NAP_MS * 1000L * 1000 };
	struct link l;
	int r = link_find(&n->route, device, &l);

	if (r == -ENODEV)
		return 1;
	if (r < 0)
		return err_set(e, -r, "%s: %s", device, strerror(-r));
	if (l.group != GROUP_BRIDGE)
		return 0;
	r = bridge_down_unused(n, device, e);
	if (r >= 0 && link_find(&n->route, device, &l) >= 0)
		nanosleep(&nap, NULL);
	else if (r >= 0)
		n->made_room = true;
	return r < 0 ? r : 1;
}

static int check_clash(struct nets *n, const struct net_network *net, unsigned own, const struct net_subnet *s, struct err *e)
{
	struct address subnet, gateway;
	struct route_clash clash;
	int r = parse_subnet(s, &subnet, &gateway, e), going = 1;

	if (r < 0)
		return r;
	for (int i = 0; (r = route_clash(&n->route, &subnet, own, &clash)) > 0 && going > 0 && i < CLASH_NAPS; i++)
		if ((going = is_going(n, clash.device, e)) < 0)
			return going;
	if (r == 0 && n->outside.s)
		r = route_clash(&n->outside, &subnet, 0, &clash);
	if (r < 0)
		return err_set(e, -r, "the host's routes: %s", strerror(-r));
	if (r > 0)
		return err_set(e, EADDRINUSE,
			       "network %s: its subnet %s overlaps the host's route %s (device %s): make the network anew with "
			       "another --subnet",
			       net->name, s->subnet, clash.route, clash.device);
	return 0;
}

static int add_gateway(struct nets *n, unsigned index, const struct net_subnet *s, bool is_ours, struct err *e)
{
	struct address subnet, gateway;
	int r = parse_subnet(s, &subnet, &gateway, e);

	if (r < 0 || !gateway.family)
		return r;
	if (is_ours) {
		r = address_add(&n->route, index, &gateway);
		return r < 0 ? err_set(e, -r, "gateway %s: %s %s", s->gateway, strerror(-r), n->route.why) : 0;
	}
	r = address_has(&n->route, index, &gateway);
	if (r < 0)
		return err_set(e, -r, "gateway %s: %s", s->gateway, strerror(-r));
	return r > 0 ? 0
		     : err_set(e, EADDRNOTAVAIL,
			       "the host's own bridge has not the gateway's address %s: add it, or name another bridge",
			       s->gateway);
}

static bool has_family(const struct net_network *net, char mark)
{
	for (size_t i = 0; i < net->n_subnets; i++)
		if (strchr(net->subnets[i].subnet, mark))
			return true;
	return false;
}

int bridge_settings(const struct net_network *net, struct err *e)
{
	return settings_bridge(net->device, has_family(net, '.'), has_family(net, ':'), e);
}

static int finish(struct nets *n, const struct net_network *net, const struct link *l, struct err *e)
{
	const bool is_ours = l->group == GROUP_BRIDGE;
	int r = 0;

	for (size_t i = 0; i < net->n_subnets && r >= 0 && is_ours; i++)
		r = check_clash(n, net, l->index, &net->subnets[i], e);
	if (r >= 0)
		r = bridge_settings(net, e);
	for (size_t i = 0; i < net->n_subnets && r >= 0; i++)
		r = add_gateway(n, l->index, &net->subnets[i], is_ours, e);
	if (r >= 0) {
		r = link_up(&n->route, l->index, is_ours ? net->id : NULL);
		if (r < 0)
			err_set(e, -r, "up: %s %s", strerror(-r), n->route.why);
	}
	return r < 0 ? err_push(e, r, "bridge %s", net->device) : 0;
}

static bool is_anothers(const struct link *l, const struct net_network *net)
{
	return l->group == GROUP_BRIDGE && l->is_up && *l->alias && !streq(l->alias, net->id);
}

/* The device of the network's bridge, which is not another network's. -ENODEV, without a word of e: there is none. */
static int find_bridge(struct nets *n, const struct net_network *net, struct link *ret, struct err *e)
{
	int r = 0;

	for (int i = 0; i < CLASH_NAPS && r >= 0; i++) {
		r = link_find(&n->route, net->device, ret);
		if (r == -ENODEV)
			return r;
		if (r < 0)
			return err_set(e, -r, "bridge %s: %s %s", net->device, strerror(-r), n->route.why);
		if (!is_anothers(ret, net))
			return 0;
		r = is_going(n, net->device, e);
	}
	return r < 0 ? r
		     : err_set(e, EADDRINUSE,
			       "network %s: its bridge is to be called %s, which is that of another network on this host "
			       "(%.12s): make "
			       "the network anew with another com.docker.network.bridge.name",
			       net->name, net->device, ret->alias);
}

int bridge_up(struct nets *n, const struct net_network *net, unsigned *ret_index, struct err *e)
{
	struct link l;
	int r = find_bridge(n, net, &l, e);
	bool is_new = r == -ENODEV;

	if (r < 0 && !is_new)
		return r;
	if (is_new) {
		r = link_add_bridge(&n->route, net->device, net->mtu ? net->mtu : MTU_DEFAULT);
		if (r >= 0)
			r = link_find(&n->route, net->device, &l);
	}
	if (r < 0)
		return err_set(e, -r, "bridge %s: %s %s", net->device, strerror(-r), n->route.why);
	if (!l.is_bridge)
		return err_set(e, EEXIST,
			       "network %s: its bridge is to be called %s, which is a device of another kind on this host",
			       net->name, net->device);
	if (!l.is_up || l.group != GROUP_BRIDGE)
		r = finish(n, net, &l, e);
	if (r < 0 && is_new)
		(void)link_delete(&n->route, l.index); /* the first error counts */
	if (r >= 0)
		*ret_index = l.index;
	return r;
}

int network_up(struct nets *n, const char *state_dir, const struct net_network *net, unsigned *ret_index, struct err *e)
{
	int r = bridge_up(n, net, ret_index, e);

	if (r >= 0 && n->made_room)
		r = resolver_sweep(n, state_dir, e);
	if (r >= 0)
		r = resolver_up(state_dir, net, e);
	return r < 0 ? r : docker_accept(n, net->device, e);
}

static int any_bridge(struct nets *n)
{
	_cleanup_free_ struct link *all = NULL;
	size_t count = 0;
	int r = link_list(&n->route, 0, &all, &count);

	for (size_t i = 0; i < count && r == 0; i++)
		r = all[i].group == GROUP_BRIDGE;
	return r;
}

int bridge_down_last(struct nets *n, struct err *e)
{
	int r = any_bridge(n);

	if (r < 0)
		return err_set(e, -r, "the host's devices: %s", strerror(-r));
	if (r > 0 || (r = ruleset_is_there(&n->filter)) <= 0)
		return r < 0 ? err_set(e, -r, "nf_tables: %s", strerror(-r)) : 0;
	r = docker_forget(n, e);
	return r < 0 ? r : ruleset_remove(e);
}

void bridge_elements(const struct net_network *net, const char *device, struct elements *v)
{
	const bool may_be_internal = !net || net->is_internal;
	const bool may_be_hidden = !net || (!net->is_internal && !net->no_masquerade);

	element_device(v, SET_BRIDGES, device);
	element_pair(v, SET_PAIRS, device, device);
	if (may_be_internal)
		element_device(v, SET_INTERNAL, device);
	if (may_be_hidden)
		element_device(v, SET_HIDDEN, device);
}

int bridge_has_leaving(struct nets *n, const char *device)
{
	_cleanup_(elements_done) struct elements v = { 0 };
	_cleanup_free_ struct link *ports = NULL;
	size_t n_ports = 0;
	struct link l;
	int r = link_find(&n->route, device, &l);

	if (r >= 0)
		r = link_list(&n->route, l.index, &ports, &n_ports);
	if (r >= 0)
		r = ruleset_is_there(&n->filter);
	if (r > 0)
		r = elements_list(&n->filter, &v);
	if (r < 0)
		return r == -ENODEV ? 0 : r;
	for (size_t i = 0; i < n_ports; i++)
		if (ports[i].group == GROUP_HELD && !elements_has(&v, SET_MACS, ports[i].name))
			return 1;
	return 0;
}

int bridge_down_unused(struct nets *n, const char *device, struct err *e)
{
	_cleanup_(elements_done) struct elements v = { 0 };
	_cleanup_free_ struct link *ports = NULL;
	size_t n_ports = 0;
	struct link l;
	int r = link_find(&n->route, device, &l);

	if (r == -ENODEV || (r >= 0 && l.group != GROUP_BRIDGE))
		return 0;
	if (r >= 0)
		r = link_list(&n->route, l.index, &ports, &n_ports);
	if (r < 0)
		return err_set(e, -r, "bridge %s: %s", device, strerror(-r));
	if (n_ports)
		return 0;
	bridge_elements(NULL, device, &v);
	r = elements_delete(&n->filter, &v);
	if (r < 0 && r != -ENOENT)
		return err_set(e, -r, "nf_tables: elements of %s: %s", device, strerror(-r));
	r = link_delete(&n->route, l.index);
	return r < 0 ? err_set(e, -r, "remove the bridge %s: %s", device, strerror(-r)) : 0;
}
