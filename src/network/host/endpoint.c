/* What an endpoint is on its bridge and in the tables' sets: the same when it comes, when it comes again and when it goes. */
#include "impl.h"

static void put_sender(struct elements *v, const char *device, const struct address *a)
{
	element_sender(v, a->family == AF_INET ? SET_ADDR4 : SET_ADDR6, device, a->bytes, address_len(a));
	if (a->family == AF_INET6)
		element_sender(v, SET_TARGETS, device, a->bytes, address_len(a));
}

int endpoint_elements(const struct net_endpoint *ep, struct elements *v, struct err *e)
{
	bool has_ipv6 = false;
	uint8_t mac[6];

	if (ep->network.may_spoof || !streq(ep->network.driver, "bridge"))
		return 0;
	if (!ep->mac || mac_parse(ep->mac, mac) < 0)
		return err_set(e, EINVAL, "network plan: endpoint %s: a MAC address is missing", ep->name);
	element_sender(v, SET_MACS, ep->device, mac, sizeof(mac));
	for (char **text = ep->addresses; text && *text; text++) {
		struct address a;

		if (address_parse(*text, true, &a) < 0)
			return err_set(e, EINVAL, "network plan: address %s", *text);
		put_sender(v, ep->device, &a);
		has_ipv6 |= a.family == AF_INET6;
	}
	if (has_ipv6) {
		const struct address own = address_of_mac(mac);

		put_sender(v, ep->device, &own);
	}
	return 0;
}

int endpoint_closed(const struct net_endpoint *ep, const char *chain, struct elements *v, struct err *e)
{
	bool has_ipv6 = false;
	struct address a;
	uint8_t mac[6];

	if (!ep->mac || mac_parse(ep->mac, mac) < 0)
		return err_set(e, EINVAL, "network plan: endpoint %s: a MAC address is missing", ep->name);
	element_egress_port(v, ep->device, chain);
	for (char **text = ep->addresses; text && *text; text++) {
		if (address_parse(*text, true, &a) < 0)
			return err_set(e, EINVAL, "network plan: address %s", *text);
		element_egress(v, ep->device, ep->network.device, &a, chain);
		has_ipv6 |= a.family == AF_INET6;
	}
	if (has_ipv6) {
		a = address_of_mac(mac);
		element_egress(v, ep->device, ep->network.device, &a, chain);
	}
	return 0;
}

bool endpoint_is_bridged(const struct net_endpoint *ep) { return streq(ep->network.driver, "bridge"); }

int endpoint_enslave(struct nets *n, const struct net_endpoint *ep, unsigned index, unsigned bridge, struct err *e)
{
	int r = link_enslave(&n->route, index, bridge, ep->network.may_spoof ? GROUP_FREE : GROUP_HELD,
			     ep->network.mtu ? ep->network.mtu : MTU_DEFAULT);

	return r < 0 ? err_set(e, -r, "device %s: %s %s", ep->device, strerror(-r), n->route.why) : 0;
}

int endpoints_let_through(struct nets *n, const struct net_plan *p, const struct published *ports, size_t n_ports, struct err *e)
{
	_cleanup_(elements_done) struct elements v = { 0 };
	const struct net_endpoint *to = ports_endpoint(p);
	int r = 0;

	for (size_t i = 0; i < p->n_endpoints && r >= 0; i++) {
		if (endpoint_is_bridged(&p->endpoints[i]))
			bridge_elements(&p->endpoints[i].network, p->endpoints[i].network.device, &v);
		r = endpoint_elements(&p->endpoints[i], &v, e);
	}
	for (size_t i = 0; to && i < n_ports; i++)
		element_port(&v, to->device, &ports[i]);
	if (r >= 0 && p->resolver)
		r = own_change(n, p, &v, e);
	if (r < 0)
		return r;
	r = elements_add(&n->filter, &v);
	return r < 0 ? err_set(e, -r, "nf_tables: %s %s", strerror(-r), n->filter.why) : 0;
}
