/* The plan's values, once more: each comes to the kernel, to a file's name or to a rule. */
#include "cni.h"
#include "egress.h"
#include "impl.h"

static int refuse(struct err *e, const char *what, const char *value, const char *expected)
{
	return err_set(e, EINVAL, "network plan: %s \"%.80s\": expected %s", what, value ? value : "", expected);
}

static bool is_of(const char *s, size_t max, const char *allowed)
{
	const size_t n = s ? strlen(s) : 0;

	return n > 0 && n <= max && strspn(s, allowed) == n && s[0] != '.' && s[0] != '-';
}
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"

static int check_device(const char *what, const char *name, struct err *e)
{
	if (!is_of(name, IFNAMSIZ - 1, LETTERS))
		return refuse(e, what, name, "the name of a device, at most 15 letters, digits, '_', '.', '-'");
	return 0;
}

static int check_address(const char *what, const char *text, bool with_prefix, struct address *ret, struct err *e)
{
	if (address_parse(text, with_prefix, ret) < 0)
		return refuse(e, what, text,
			      with_prefix ? "an address and its length, as 10.77.0.2/16" : "an address, as 10.77.0.1");
	return 0;
}

static int check_subnet(const struct net_subnet *s, struct err *e)
{
	struct address subnet, gateway;
	int r = check_address("subnet", s->subnet, true, &subnet, e);

	if (r >= 0 && subnet.prefix < 4)
		r = refuse(e, "subnet", s->subnet, "one that is no quarter of everything");
	if (r >= 0 && s->gateway)
		r = check_address("gateway", s->gateway, false, &gateway, e);
	if (r >= 0 && s->gateway && !address_within(&gateway, &subnet))
		r = refuse(e, "gateway", s->gateway, "an address in its subnet");
	return r;
}

static int check_upstreams(char *const *v, struct err *e)
{
	struct address a;
	int r = 0;

	for (; v && *v && r >= 0; v++)
		r = check_address("resolver", *v, false, &a, e);
	return r;
}

static int check_cni(const struct net_network *n, struct err *e)
{
	_cleanup_json_ struct json_object *conf = NULL;

	if (!n->cni || !n->cni_path)
		return refuse(e, "network of the driver cni", n->name, "its configuration, and where its plugins are");
	if (n->cni_seconds > CNI_SECONDS_MAX)
		return err_set(e, EINVAL, "network plan: a CNI plugin's %u s: expected at most %d", n->cni_seconds,
			       CNI_SECONDS_MAX);
	int r = cni_path_check(n->cni_path, e);

	return r < 0 ? r : cni_conf_parse(n->cni, strlen(n->cni), "CNI configuration", n->name, &conf, e);
}

static int check_network(const struct net_network *n, struct err *e)
{
	uint32_t mode;
	int r = 0;

	if (!is_of(n->id, 64, LETTERS))
		return refuse(e, "network's id", n->id, "at most 64 letters and digits");
	if (streq(n->driver, "cni"))
		return check_cni(n, e);
	if (!streq(n->driver, "bridge") && !streq(n->driver, "macvlan") && !streq(n->driver, "ipvlan"))
		return refuse(e, "driver", n->driver, "bridge, macvlan, ipvlan or cni");
	if (!streq(n->driver, "bridge") && !child_is_mode(n->driver, n->mode, &mode))
		return refuse(e, "mode", n->mode,
			      streq(n->driver, "macvlan") ? "bridge, private, vepa or passthru" : "l2, l3 or l3s");
	r = check_device("network's device", n->device, e);
	if (r >= 0 && n->mtu && (n->mtu < MTU_MIN || n->mtu > 65535))
		r = err_set(e, EINVAL, "network plan: network %s: MTU %u: expected %d to 65535", n->name, n->mtu, MTU_MIN);
	for (size_t i = 0; i < n->n_subnets && r >= 0; i++) {
		r = check_subnet(&n->subnets[i], e);
		if (r >= 0 && n->mtu && n->mtu < MTU_MIN_IPV6 && strchr(n->subnets[i].subnet, ':'))
			r = err_set(e, EINVAL, "network plan: network %s: MTU %u: IPv6 needs %d", n->name, n->mtu, MTU_MIN_IPV6);
	}
	return r < 0 ? r : check_upstreams(n->upstreams, e);
}

static bool is_within_any(const struct address *a, const struct net_network *n)
{
	struct address subnet;

	for (size_t i = 0; i < n->n_subnets; i++)
		if (address_parse(n->subnets[i].subnet, true, &subnet) >= 0 && address_within(a, &subnet))
			return true;
	return false;
}

static int check_addresses(const struct net_endpoint *ep, struct err *e)
{
	const bool is_cni = streq(ep->network.driver, "cni"); /* its plugins know the subnets */
	struct address a;
	int r, seen[2] = { 0 };

	for (char **v = ep->addresses; v && *v; v++) {
		r = check_address("address", *v, !is_cni, &a, e);
		if (r < 0)
			return r;
		if (!is_cni && !is_within_any(&a, &ep->network))
			return refuse(e, "address", *v, "one in a subnet of its network");
		if (seen[a.family == AF_INET6]++)
			return refuse(e, "address", *v, "one of a family");
	}
	return 0;
}

static int check_gateway(const char *text, int family, struct err *e)
{
	struct address a;
	int r = text ? check_address("gateway", text, false, &a, e) : 0;

	return r >= 0 && text && a.family != family
		       ? refuse(e, "gateway", text, family == AF_INET ? "one of IPv4" : "one of IPv6")
		       : r;
}

static int check_endpoint(const struct net_plan *p, const struct net_endpoint *ep, struct err *e)
{
	uint8_t mac[6];
	int r = 0;

	if (!is_of(ep->id, 64, LETTERS))
		return refuse(e, "endpoint's id", ep->id, "at most 64 letters and digits");
	r = check_device("endpoint's device", ep->device, e);
	if (r >= 0 && !p->is_vm)
		r = check_device("interface", ep->name, e);
	if (r >= 0 && ep->mac && mac_parse(ep->mac, mac) < 0)
		r = refuse(e, "MAC address", ep->mac, "one of a single device, as 02:42:0a:4d:00:02");
	if (r >= 0 && p->is_vm && !streq(ep->network.driver, "bridge"))
		r = err_set(e, ENOTSUP, "network %s: driver %s: not for virtual machines; use one of the driver bridge",
			    ep->network.name, ep->network.driver);
	for (char **name = ep->names; name && *name && r >= 0; name++)
		if (!is_of(*name, 253, LETTERS))
			r = refuse(e, "name", *name, "letters, digits, '_', '.', '-'");
	if (r >= 0)
		r = check_network(&ep->network, e);
	if (r >= 0)
		r = check_addresses(ep, e);
	if (r >= 0)
		r = check_gateway(ep->gateway4, AF_INET, e);
	return r < 0 ? r : check_gateway(ep->gateway6, AF_INET6, e);
}

static int check_resolver(const struct net_plan *p, struct err *e)
{
	const struct net_resolver *own = p->resolver;
	struct egress x = { 0 };
	int r = 0;

	if (!own)
		return 0;
	if (!is_of(p->id, 64, LETTERS))
		return refuse(e, "id", p->id, "at most 64 letters and digits, where there is a resolver of its own");
	for (size_t i = 0; i < own->n_endpoints && r >= 0; i++) {
		r = check_endpoint(p, &own->endpoints[i], e);
		if (r >= 0 && !streq(own->endpoints[i].network.driver, "bridge"))
			r = refuse(e, "network of a resolver", own->endpoints[i].network.driver, "one of the driver bridge");
		if (r >= 0 && own->egress && own->endpoints[i].network.may_spoof)
			r = err_set(e, EINVAL,
				    "network %s: --egress needs addresses that are held to: not berth.spoof-check=false",
				    own->endpoints[i].network.name);
	}
	if (r >= 0 && own->egress)
		r = egress_parse(own->egress, &x, e);
	egress_done(&x);
	if (r >= 0 && own->egress && (!own->is_wanted || !is_of(p->id, 64, "0123456789abcdef") || strlen(p->id) < 12))
		r = refuse(e, "id", p->id, "hexadecimal digits, and a resolver, where egress is listed");
	return r < 0 ? r : check_upstreams(own->upstreams, e);
}

static int check_port(const struct net_port *q, bool is_attach, bool is_known, struct err *e)
{
	static const struct address loopback6 = { .family = AF_INET6, .bytes = { [15] = 1 }, .prefix = 128 };
	struct address a;
	int r = 0;

	if (!port_is_protocol(q->protocol))
		return refuse(e, "protocol", q->protocol, "tcp, udp or sctp");
	if (q->port < 1 || q->port > 65535 || q->host_port > 65535 || q->host_port_last > 65535 || (is_known && !q->host_port))
		return err_set(e, EINVAL, "network plan: port %u at %u: expected 1 to 65535", q->port, q->host_port);
	if (q->host_ip)
		r = check_address("address of a port", q->host_ip, false, &a, e);
	if (r >= 0 && is_attach && q->host_ip && a.family == AF_INET6 && address_within(&a, &loopback6))
		r = err_set(e, EADDRNOTAVAIL,
			    "port %u/%s can't be published at [::1], which no packet leaves: publish at 127.0.0.1", q->host_port,
			    q->protocol);
	return r;
}

int check_plan(const struct net_plan *p, const char *verb, bool has_ns, struct err *e)
{
	const bool is_attach = streq(verb, "attach");
	int r = 0;

	if (p->queues > QUEUES_MAX)
		return err_set(e, EINVAL, "network plan: %u queues: expected at most %d", p->queues, QUEUES_MAX);
	if (p->state_dir[0] != '/')
		return refuse(e, "state directory", p->state_dir, "an absolute path");
	if (p->users_lock && p->users_lock[0] != '/')
		return refuse(e, "users' lock", p->users_lock, "an absolute path");
	if (is_attach && !p->is_vm && !has_ns && p->n_endpoints)
		return err_set(e, EBADF, "network plan: descriptor 4 is no network namespace");
	for (size_t i = 0; i < p->n_endpoints && r >= 0; i++)
		r = check_endpoint(p, &p->endpoints[i], e);
	if (r >= 0)
		r = check_resolver(p, e);
	for (size_t i = 0; i < p->n_ports && r >= 0; i++)
		r = check_port(&p->ports[i], is_attach, streq(verb, "reload"), e);
	for (char **k = p->keep; k && *k && r >= 0; k++)
		r = check_device("device to keep", *k, e);
	for (char **k = p->lost; k && *k && r >= 0; k++)
		r = check_device("lost device", *k, e);
	if (r >= 0 && is_attach && cni_is_on(p) && !is_of(p->id, 64, LETTERS))
		r = refuse(e, "container's id", p->id, "at most 64 letters and digits");
	if (r >= 0 && is_attach && p->n_ports && !ports_endpoint(p) && !cni_ports_endpoint(p))
		r = err_set(
			e, EINVAL,
			"ports can't be published: no network of the driver bridge that is not internal is among its networks");
	return r;
}
