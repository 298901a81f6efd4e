/* Addresses and routes, by rtnetlink. */
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdio.h>

#include "impl.h"

int address_add(struct talk *t, unsigned index, const struct address *a)
{
	char buf[TALK_ROOM];
	struct nlmsghdr *h = talk_begin(t, buf, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
	struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	const size_t len = address_len(a);
	int r;

	m->ifa_family = (uint8_t)a->family;
	m->ifa_prefixlen = (uint8_t)a->prefix;
	m->ifa_index = index;
	/* No probing whether somebody has it: the records say that nobody has, and the address is of use at once. */
	m->ifa_flags = a->family == AF_INET6 ? IFA_F_NODAD : 0;
	mnl_attr_put(h, IFA_LOCAL, len, a->bytes);
	mnl_attr_put(h, IFA_ADDRESS, len, a->bytes);
	if (a->family == AF_INET && a->prefix < 31) {
		uint32_t all;

		memcpy(&all, a->bytes, sizeof(all));
		all |= htonl(UINT32_MAX >> a->prefix);
		mnl_attr_put(h, IFA_BROADCAST, sizeof(all), &all);
	}
	r = talk_ask(t, h, NULL, NULL);
	return r == -EEXIST ? 0 : r;
}

struct search {
	const struct address *address;
	unsigned index;
	bool is_found;
};

static int compare_address(const struct nlmsghdr *h, void *arg)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
	struct search *s = arg;
	const struct nlattr *a;

	if (h->nlmsg_type != RTM_NEWADDR || m->ifa_index != s->index || m->ifa_family != s->address->family)
		return 0;
	mnl_attr_for_each(a, h, sizeof(*m))
	{
		const uint16_t type = mnl_attr_get_type(a);

		/* IPv6 has only IFA_ADDRESS; of IPv4 that is the peer's. */
		if (type == (m->ifa_family == AF_INET ? IFA_LOCAL : IFA_ADDRESS) &&
		    mnl_attr_get_payload_len(a) == address_len(s->address) &&
		    memcmp(mnl_attr_get_payload(a), s->address->bytes, address_len(s->address)) == 0)
			s->is_found = true;
	}
	return 0;
}

int address_has(struct talk *t, unsigned index, const struct address *a)
{
	char buf[TALK_ROOM];
	struct nlmsghdr *h = talk_begin(t, buf, RTM_GETADDR, NLM_F_DUMP);
	struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	struct search s = { .address = a, .index = index };
	int r;

	m->ifa_family = (uint8_t)a->family;
	r = talk_ask(t, h, compare_address, &s);
	return r < 0 ? r : s.is_found;
}

int route_add_default(struct talk *t, unsigned index, const struct address *gateway, bool replaces)
{
	char buf[TALK_ROOM];
	struct nlmsghdr *h = talk_begin(t, buf, RTM_NEWROUTE, NLM_F_CREATE | (replaces ? NLM_F_REPLACE : NLM_F_EXCL));
	struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

	m->rtm_family = (uint8_t)gateway->family;
	m->rtm_table = RT_TABLE_MAIN;
	m->rtm_protocol = RTPROT_BOOT;
	m->rtm_scope = RT_SCOPE_UNIVERSE;
	m->rtm_type = RTN_UNICAST;
	mnl_attr_put_u32(h, RTA_OIF, index);
	mnl_attr_put(h, RTA_GATEWAY, address_len(gateway), gateway->bytes);
	return talk_ask(t, h, NULL, NULL);
}

int route_add_table(struct talk *t, unsigned index, const struct address *gateway, unsigned table)
{
	char buf[TALK_ROOM];
	struct nlmsghdr *h = talk_begin(t, buf, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
	struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	int r;

	m->rtm_family = (uint8_t)gateway->family;
	m->rtm_table = RT_TABLE_UNSPEC;
	m->rtm_protocol = RTPROT_BOOT;
	m->rtm_scope = RT_SCOPE_UNIVERSE;
	m->rtm_type = RTN_UNICAST;
	m->rtm_flags = RTNH_F_ONLINK;
	mnl_attr_put_u32(h, RTA_TABLE, table);
	mnl_attr_put_u32(h, RTA_OIF, index);
	mnl_attr_put(h, RTA_GATEWAY, address_len(gateway), gateway->bytes);
	r = talk_ask(t, h, NULL, NULL);
	return r == -EEXIST ? 0 : r;
}

static int is_default(const struct nlmsghdr *h, void *arg)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	bool *has = arg;

	/* Halves of everything are a VPN's way to be the default. */
	*has |= h->nlmsg_type == RTM_NEWROUTE && m->rtm_type == RTN_UNICAST && m->rtm_dst_len <= 1 &&
		m->rtm_table != RT_TABLE_LOCAL;
	return 0;
}

int route_has_default(struct talk *t)
{
	char buf[TALK_ROOM];
	struct nlmsghdr *h = talk_begin(t, buf, RTM_GETROUTE, NLM_F_DUMP);
	struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	bool has = false;
	int r;

	m->rtm_family = AF_UNSPEC;
	r = talk_ask(t, h, is_default, &has);
	return r < 0 ? r : has;
}

struct clash_search {
	const struct address *subnet;
	unsigned own, device;
	struct address route;
};

static int compare_route(const struct nlmsghdr *h, void *arg)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	struct clash_search *s = arg;
	struct address a = { .family = m->rtm_family, .prefix = m->rtm_dst_len };
	unsigned device = 0;
	const struct nlattr *i;

	/* Halves of everything are a VPN's way to be the default. */
	if (h->nlmsg_type != RTM_NEWROUTE || m->rtm_family != s->subnet->family || m->rtm_dst_len <= 1 || s->route.family)
		return 0;
	if (m->rtm_type != RTN_UNICAST || m->rtm_table == RT_TABLE_LOCAL)
		return 0;
	mnl_attr_for_each(i, h, sizeof(*m))
	{
		if (mnl_attr_get_type(i) == RTA_DST && mnl_attr_get_payload_len(i) == address_len(&a))
			memcpy(a.bytes, mnl_attr_get_payload(i), address_len(&a));
		else if (mnl_attr_get_type(i) == RTA_OIF)
			device = mnl_attr_get_u32(i);
	}
	if ((!s->own || device != s->own) && address_overlaps(&a, s->subnet)) {
		s->route = a;
		s->device = device;
	}
	return 0;
}

int route_clash(struct talk *t, const struct address *subnet, unsigned own, struct route_clash *ret)
{
	char buf[TALK_ROOM], text[ADDRESS_TEXT];
	struct nlmsghdr *h = talk_begin(t, buf, RTM_GETROUTE, NLM_F_DUMP);
	struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	struct clash_search s = { .subnet = subnet, .own = own };
	int r;

	m->rtm_family = (uint8_t)subnet->family;
	r = talk_ask(t, h, compare_route, &s);
	if (r < 0 || !s.route.family)
		return MIN(r, 0);
	*ret = (struct route_clash){ 0 };
	snprintf(ret->route, sizeof(ret->route), "%.45s/%u", address_text(&s.route, text), s.route.prefix);
	if (!if_indextoname(s.device, ret->device))
		memcpy(ret->device, "?", 2); /* has gone meanwhile */
	return 1;
}
