/* Devices: bridges and pairs of veth, by rtnetlink. */
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <sys/random.h>

#include "impl.h"

static struct ifinfomsg *put_link(struct nlmsghdr *h, unsigned index, bool is_up)
{
	struct ifinfomsg *i = mnl_nlmsg_put_extra_header(h, sizeof(*i));

	i->ifi_family = AF_UNSPEC;
	i->ifi_index = (int)index;
	i->ifi_flags = is_up ? IFF_UP : 0;
	i->ifi_change = is_up ? IFF_UP : 0;
	return i;
}

static bool is_kind(const struct nlattr *info, const char *kind)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, info)
	{
		if (mnl_attr_get_type(a) == IFLA_INFO_KIND)
			return mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0 && streq(mnl_attr_get_str(a), kind);
	}
	return false;
}

static int read_link(const struct nlmsghdr *h, struct link *ret)
{
	const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
	struct link l = { .index = (unsigned)i->ifi_index, .is_up = i->ifi_flags & IFF_UP };
	const struct nlattr *a;

	if (h->nlmsg_type != RTM_NEWLINK)
		return 0;
	mnl_attr_for_each(a, h, sizeof(*i))
	{
		const uint16_t type = mnl_attr_get_type(a);

		if (type == IFLA_GROUP)
			l.group = mnl_attr_get_u32(a);
		else if (type == IFLA_MASTER)
			l.master = mnl_attr_get_u32(a);
		else if (type == IFLA_LINKINFO)
			l.is_bridge = is_kind(a, "bridge");
		else if (type == IFLA_IFNAME)
			memccpy(l.name, mnl_attr_get_str(a), '\0', sizeof(l.name) - 1);
		else if (type == IFLA_IFALIAS)
			memccpy(l.alias, mnl_attr_get_str(a), '\0', sizeof(l.alias) - 1);
	}
	*ret = l;
	return 1;
}

static int take_link(const struct nlmsghdr *h, void *arg)
{
	const int r = read_link(h, arg);

	return MIN(r, 0);
}

int link_find(struct talk *t, const char *name, struct link *ret)
{
	char buf[TALK_ROOM];
	struct nlmsghdr *h = talk_begin(t, buf, RTM_GETLINK, 0);
	struct link found = { 0 };
	int r;

	put_link(h, 0, false);
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	mnl_attr_put_u32(h, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	r = talk_ask(t, h, take_link, &found);
	if (r >= 0 && !found.index)
		r = -ENODEV;
	if (r >= 0)
		*ret = found;
	return MIN(r, 0);
}

struct links {
	struct link *items;
	size_t n;
	unsigned master;
};

static int collect(const struct nlmsghdr *h, void *arg)
{
	struct links *v = arg;
	struct link l, *more;
	const int r = read_link(h, &l);

	/* Kernels that don't filter by master send all. */
	if (r <= 0 || (v->master && l.master != v->master))
		return MIN(r, 0);
	more = reallocarray(v->items, v->n + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	v->items = more;
	more[v->n++] = l;
	return 0;
}

int link_list(struct talk *t, unsigned master, struct link **ret, size_t *ret_n)
{
	char buf[TALK_ROOM];
	struct nlmsghdr *h = talk_begin(t, buf, RTM_GETLINK, NLM_F_DUMP);
	struct links v = { .master = master };
	int r;

	put_link(h, 0, false);
	mnl_attr_put_u32(h, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	if (master)
		mnl_attr_put_u32(h, IFLA_MASTER, master);
	r = talk_ask(t, h, collect, &v);
	if (r < 0) {
		free(v.items);
		return r;
	}
	*ret = v.items;
	*ret_n = v.n;
	return 0;
}

/* "bridge", "veth", with what they have of their own between. */
static struct nlattr *begin_kind(struct nlmsghdr *h, struct nlattr **ret_info, const char *kind)
{
	*ret_info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, kind);
	return mnl_attr_nest_start(h, IFLA_INFO_DATA);
}

static void end_kind(struct nlmsghdr *h, struct nlattr *info, struct nlattr *data)
{
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
}

/* IPv6 makes up no address for it by itself. */
static void put_no_address(struct nlmsghdr *h)
{
	struct nlattr *families = mnl_attr_nest_start(h, IFLA_AF_SPEC), *six = mnl_attr_nest_start(h, AF_INET6);

	mnl_attr_put_u8(h, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(h, six);
	mnl_attr_nest_end(h, families);
}

int link_add_bridge(struct talk *t, const char *name, uint32_t mtu)
{
	char buf[TALK_ROOM];
	struct nlmsghdr *h = talk_begin(t, buf, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	struct nlattr *info, *data;
	uint8_t mac[6];

	/* One of its own: else it has the lowest of its ports' MAC addresses, and another whenever they come and go. */
	if (getrandom(mac, sizeof(mac), 0) != sizeof(mac))
		return -errno;
	mac[0] = 0x02;
	mac[1] = 0x42;
	put_link(h, 0, false);
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	mnl_attr_put_u32(h, IFLA_GROUP, GROUP_BRIDGE);
	mnl_attr_put_u32(h, IFLA_MTU, mtu);
	mnl_attr_put(h, IFLA_ADDRESS, sizeof(mac), mac);
	data = begin_kind(h, &info, "bridge");
	mnl_attr_put_u32(h, IFLA_BR_STP_STATE, 0);
	mnl_attr_put_u32(h, IFLA_BR_FORWARD_DELAY, 0);
	end_kind(h, info, data);
	return talk_ask(t, h, NULL, NULL);
}

/* Without these it has one for each processor, of which the kernel takes all but one away again, waiting for RCU with its lock held. */
static void put_one_queue(struct nlmsghdr *h)
{
	mnl_attr_put_u32(h, IFLA_NUM_TX_QUEUES, 1);
	mnl_attr_put_u32(h, IFLA_NUM_RX_QUEUES, 1);
}

int link_add_veth(struct talk *t, const struct veth_plan *v)
{
	char buf[TALK_ROOM];
	struct nlmsghdr *h = talk_begin(t, buf, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	struct nlattr *info, *data, *peer;

	put_link(h, 0, false);
	mnl_attr_put_strz(h, IFLA_IFNAME, v->name);
	mnl_attr_put_u32(h, IFLA_MTU, v->mtu);
	put_one_queue(h);
	data = begin_kind(h, &info, "veth");
	peer = mnl_attr_nest_start(h, VETH_INFO_PEER);
	put_link(h, 0, false); /* lies in the attribute, where its header would be */
	mnl_attr_put_strz(h, IFLA_IFNAME, v->inner);
	mnl_attr_put_u32(h, IFLA_MTU, v->mtu);
	mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)v->ns);
	put_one_queue(h);
	if (v->mac)
		mnl_attr_put(h, IFLA_ADDRESS, 6, v->mac);
	mnl_attr_nest_end(h, peer);
	end_kind(h, info, data);
	return talk_ask(t, h, NULL, NULL);
}

int link_no_address(struct talk *t, unsigned index)
{
	char buf[TALK_ROOM];
	struct nlmsghdr *h = talk_begin(t, buf, RTM_SETLINK, 0);
	int r;

	put_link(h, index, false);
	put_no_address(h);
	r = talk_ask(t, h, NULL, NULL);
	return r == -EAFNOSUPPORT ? 0 : r; /* a kernel without IPv6 */
}

int link_up(struct talk *t, unsigned index, const char *alias)
{
	char buf[TALK_ROOM];
	struct nlmsghdr *h = talk_begin(t, buf, RTM_SETLINK, 0);

	put_link(h, index, true);
	if (alias)
		mnl_attr_put_strz(h, IFLA_IFALIAS, alias);
	return talk_ask(t, h, NULL, NULL);
}

int link_enslave(struct talk *t, unsigned index, unsigned bridge, unsigned group, uint32_t mtu)
{
	char buf[TALK_ROOM];
	int r = link_no_address(t, index);

	if (r < 0)
		return r;
	struct nlmsghdr *h = talk_begin(t, buf, RTM_SETLINK, 0);
	put_link(h, index, true);
	mnl_attr_put_u32(h, IFLA_GROUP, group);
	mnl_attr_put_u32(h, IFLA_MTU, mtu);
	mnl_attr_put_u32(h, IFLA_MASTER, bridge);
	return talk_ask(t, h, NULL, NULL);
}

int link_delete(struct talk *t, unsigned index)
{
	char buf[TALK_ROOM];
	struct nlmsghdr *h = talk_begin(t, buf, RTM_DELLINK, 0);
	int r;

	put_link(h, index, false);
	r = talk_ask(t, h, NULL, NULL);
	return r == -ENODEV ? 0 : r;
}
