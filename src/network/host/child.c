/* Networks of the drivers macvlan and ipvlan: an interface of the container's own on a device of the host's, made in its namespace
 * from the beginning. It goes with the namespace; the host's tables and bridges have nothing to do with it. */
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sched.h>

#include "impl.h"

static const struct {
	const char *driver, *mode;
	uint32_t value;
} modes[] = {
	{ "macvlan", "bridge", MACVLAN_MODE_BRIDGE }, { "macvlan", "private", MACVLAN_MODE_PRIVATE },
	{ "macvlan", "vepa", MACVLAN_MODE_VEPA },     { "macvlan", "passthru", MACVLAN_MODE_PASSTHRU },
	{ "ipvlan", "l2", IPVLAN_MODE_L2 },           { "ipvlan", "l3", IPVLAN_MODE_L3 },
	{ "ipvlan", "l3s", IPVLAN_MODE_L3S },
};

bool child_is_mode(const char *driver, const char *mode, uint32_t *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (!streq(modes[i].driver, driver) || (mode && !streq(modes[i].mode, mode)))
			continue;
		*ret = modes[i].value; /* the first is the default */
		return true;
	}
	return false;
}

static int add(struct nets *n, const struct net_endpoint *ep, unsigned parent, uint32_t mode)
{
	const bool is_macvlan = streq(ep->network.driver, "macvlan");
	char buf[TALK_ROOM];
	struct nlmsghdr *h = talk_begin(&n->route, buf, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	struct ifinfomsg *i = mnl_nlmsg_put_extra_header(h, sizeof(*i));
	struct nlattr *info, *data;
	uint8_t mac[6];

	mnl_attr_put_u32(h, IFLA_LINK, parent);
	mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)n->inside);
	mnl_attr_put_strz(h, IFLA_IFNAME, ep->name);
	if (ep->network.mtu)
		mnl_attr_put_u32(h, IFLA_MTU, ep->network.mtu);
	if (is_macvlan && ep->mac && mac_parse(ep->mac, mac) >= 0) /* of an ipvlan it is the host's device's */
		mnl_attr_put(h, IFLA_ADDRESS, sizeof(mac), mac);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, ep->network.driver);
	data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	if (is_macvlan)
		mnl_attr_put_u32(h, IFLA_MACVLAN_MODE, mode);
	else
		mnl_attr_put_u16(h, IFLA_IPVLAN_MODE, (uint16_t)mode);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	return talk_ask(&n->route, h, NULL, NULL);
}

int child_add(struct nets *n, const struct net_endpoint *ep, struct err *e)
{
	const struct net_network *net = &ep->network;
	struct link parent;
	uint32_t mode;

	if (n->outside.s)
		return err_set(
			e, EPERM,
			"network %s: driver %s: not without root's rights over the host's devices: use a network of the driver "
			"bridge",
			net->name, net->driver);
	int r = link_find(&n->route, net->device, &parent);

	if (r == -ENODEV)
		return err_set(e, ENODEV,
			       "network %s: this host has no device %s (ip link shows which it has): name another as its parent",
			       net->name, net->device);
	if (r >= 0)
		r = child_is_mode(net->driver, net->mode, &mode) ? add(n, ep, parent.index, mode) : -EINVAL;
	if (r == -EEXIST)
		return err_set(e, EEXIST, "the namespace has an interface %s already", ep->name);
	if (r == -EBUSY)
		return err_set(
			e, EBUSY,
			"network %s: device %s is a bridge's port, or has children of another kind: name another as its parent",
			net->name, net->device);
	if (r == -EOPNOTSUPP)
		return err_set(e, EOPNOTSUPP, "network %s: this host's kernel has no %s (load its module)", net->name,
			       net->driver);
	return r < 0 ? err_set(e, -r, "%s %s on %s: %s %s", net->driver, ep->name, net->device, strerror(-r), n->route.why) : 0;
}

int child_remove(struct nets *n, const struct net_endpoint *ep)
{
	struct talk inside = { 0 };
	struct link l = { 0 };
	int r;

	if (n->inside < 0)
		return 0;
	if (setns(n->inside, CLONE_NEWNET) < 0)
		return -errno;
	r = talk_open(NETLINK_ROUTE, &inside);
	if (r >= 0)
		r = link_find(&inside, ep->name, &l);
	if (r >= 0)
		r = link_delete(&inside, l.index);
	talk_close(&inside);
	if (setns(n->host_ns, CLONE_NEWNET) < 0)
		return -errno;
	return r == -ENODEV ? 0 : r;
}
