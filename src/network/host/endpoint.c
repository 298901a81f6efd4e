/* What an endpoint is in the tables' sets: the same when it comes and when it goes. */
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
