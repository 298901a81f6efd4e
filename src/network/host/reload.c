/* reload: what others have flushed or changed of the networks of one that runs comes again: tables, elements, the kernel's settings, Docker's
 * chain, resolvers. Each step does nothing where nothing is missing, so that one which failed on the way is done by the next. Devices
 * and the sockets that reserve ports are not made here: they are their container's as long as it runs. */
#include "rootless.h"

/* It has ended at this moment, or somebody has removed what only a start makes. */
static int no_device(const struct net_endpoint *ep, struct err *e)
{
	return err_set(e, ENODEV, "network %s: the device %s is gone: restart the container", ep->network.name, ep->device);
}

static int reload_endpoint(struct nets *n, const struct net_plan *p, const struct net_endpoint *ep, struct err *e)
{
	unsigned bridge = 0;
	struct link l;
	int r = link_find(&n->route, ep->device, &l);

	if (r < 0)
		return r == -ENODEV ? no_device(ep, e) : err_set(e, -r, "device %s: %s", ep->device, strerror(-r));
	r = network_up(n, p->state_dir, &ep->network, &bridge, e);
	if (r >= 0)
		r = bridge_settings(&ep->network, e);
	if (r >= 0)
		r = endpoint_enslave(n, ep, l.index, bridge, e);
	return r < 0 ? r : resolver_names(p->state_dir, ep, e);
}

/* What was published until its container ended a moment ago is no longer its own. */
static int drop_free(struct published *list, size_t *n, struct err *e)
{
	size_t kept = 0;

	for (size_t i = 0; i < *n; i++) {
		const int r = port_is_reserved(&list[i]);

		if (r < 0)
			return err_set(e, -r, "published port %u: %s", list[i].host_port, strerror(-r));
		if (r > 0)
			list[kept++] = list[i];
	}
	*n = kept;
	return 0;
}

int reload(struct nets *n, const struct net_plan *p, struct outcome *ret, struct err *e)
{
	const struct net_endpoint *to = ports_endpoint(p);
	_cleanup_free_ struct published *ports = NULL;
	size_t n_ports = 0, n_bridged = 0;
	int r = 0;

	ret->lingers = false;
	for (size_t i = 0; i < p->n_endpoints; i++)
		n_bridged += endpoint_is_bridged(&p->endpoints[i]);
	if (n_bridged)
		r = ruleset_ensure(n, e);
	for (size_t i = 0; i < p->n_endpoints && r >= 0; i++)
		if (endpoint_is_bridged(&p->endpoints[i]))
			r = reload_endpoint(n, p, &p->endpoints[i], e);
	if (r >= 0 && to)
		r = ports_published(p, to, &ports, &n_ports, e);
	if (r >= 0 && is_rootless(p))
		r = rootless_published(n, p, &ports, &n_ports, e);
	else if (r >= 0)
		r = drop_free(ports, &n_ports, e);
	return r < 0 ? r : endpoints_let_through(n, p, ports, n_ports, e);
}
