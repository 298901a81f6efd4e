/* interfaces: the guest's network as the host has planned it: cards are known by their hardware addresses, and get names, addresses and
 * routes before any process of a container runs.
 *
 *   start    guest_interfaces_start: finds the cards, remembers their numbers, furnishes them
 *   restore  guest_interfaces_again: in a copy, whose kernel still takes its cards for the original's: those of the same numbers,
 *            whatever became of their names, get what the copy is to have, and lose what the original had
 *
 * To furnish: all go down, which takes their routes along, and lose their addresses; then each gets its name, hardware address and MTU,
 * goes up, and gets addresses, without a search for others that have them, for the host gives each out once; and when all links are up,
 * the default routes. */
#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <unistd.h>

#include "guest.h"
#include "netlink.h"

#define PATIENCE_MS   3000 /* for the driver to have met a card */
#define ADDRESSES_MAX 1024 /* that a copied card may have had */
#define ETH_BYTES     6

const struct field guest_interface_rows[] = {
	{ "name", FIELD_STRING, offsetof(struct guest_interface, name), FIELD_REQUIRED },
	{ "mac", FIELD_STRING, offsetof(struct guest_interface, mac), FIELD_REQUIRED },
	{ "addresses", FIELD_STRV, offsetof(struct guest_interface, addresses), FIELD_OMIT_EMPTY },
	{ "gateway4", FIELD_STRING, offsetof(struct guest_interface, gateway4) },
	{ "gateway6", FIELD_STRING, offsetof(struct guest_interface, gateway6) },
	{ "mtu", FIELD_U32, offsetof(struct guest_interface, mtu), FIELD_OMIT_EMPTY },
	{ .name = NULL },
};

_Static_assert(sizeof(((struct guest_card *)0)->name) == IFNAMSIZ, "room for any name");

/* ---- texts ---- */

struct address {
	int family;
	uint8_t bytes[16];
	unsigned size, prefix;
};

static int parse_address(const char *text, bool has_prefix, struct address *ret, struct err *e)
{
	const char *slash = strchrnul(text, '/');
	struct address a = { .family = strchr(text, ':') ? AF_INET6 : AF_INET };
	char host[INET6_ADDRSTRLEN] = "";
	uint64_t prefix = 0;
	bool is_good = (size_t)(slash - text) < sizeof(host) && (*slash == '/') == has_prefix;

	a.size = a.family == AF_INET ? 4 : 16;
	if (is_good)
		memcpy(host, text, (size_t)(slash - text));
	is_good = is_good && inet_pton(a.family, host, a.bytes) == 1;
	if (!is_good || (has_prefix && (str_to_u64(slash + 1, &prefix) < 0 || prefix > a.size * 8ul)))
		return err_set(e, EINVAL, "\"%s\" is not an address%s", text, has_prefix ? " and the length of its prefix" : "");
	a.prefix = (unsigned)prefix;
	*ret = a;
	return 0;
}

static int parse_mac(const struct guest_interface *w, uint8_t ret[ETH_BYTES], struct err *e)
{
	int r = str_to_mac(w->mac, ret);

	return r < 0 ? err_set(e, -r, "network interface %s: \"%s\" is not a hardware address", w->name, w->mac) : 0;
}

static bool has_ipv6(const struct guest_interface *w)
{
	for (char **a = w->addresses; a && *a; a++)
		if (strchr(*a, ':'))
			return true;
	return false;
}

/* ---- which card is which ---- */

struct search {
	const uint8_t *mac; /* NULL: by its index */
	int index;
	char name[IFNAMSIZ]; /* "": not found */
};

static int look(const struct nlmsghdr *h, void *arg)
{
	const struct ifinfomsg *m = nl_body(h);
	const uint8_t *mac = NULL;
	const char *name = "";
	struct search *s = arg;

	if (h->nlmsg_type != RTM_NEWLINK || h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return 0;
	size_t n = IFLA_PAYLOAD(h);
	for (const struct rtattr *a = IFLA_RTA(m); RTA_OK(a, n); a = RTA_NEXT(a, n)) {
		if (a->rta_type == IFLA_ADDRESS && RTA_PAYLOAD(a) == ETH_BYTES)
			mac = RTA_DATA(a);
		else if (a->rta_type == IFLA_IFNAME && RTA_PAYLOAD(a) <= IFNAMSIZ)
			name = RTA_DATA(a);
	}
	if (s->mac ? mac && memcmp(mac, s->mac, ETH_BYTES) == 0 : m->ifi_index == s->index) {
		s->index = m->ifi_index;
		snprintf(s->name, sizeof(s->name), "%s", name);
	}
	return 0;
}

/* 1: found; 0: there is none. */
static int search(int sock, struct search *s)
{
	const struct ifinfomsg all = { .ifi_family = AF_UNSPEC };
	struct nl_request q;
	int r;

	s->name[0] = '\0';
	nl_begin(&q, RTM_GETLINK, 0, &all, sizeof(all));
	r = nl_dump(sock, &q, look, s);
	return r < 0 ? r : s->name[0] != '\0';
}

static int find(int sock, const struct guest_interface *w, struct guest_card *ret, struct err *e)
{
	uint64_t until = clock_mono_us() + PATIENCE_MS * 1000ull;
	uint8_t mac[ETH_BYTES];
	struct search s = { .mac = mac };
	int r = parse_mac(w, mac, e);

	if (r < 0)
		return r;
	while ((r = search(sock, &s)) == 0 && clock_mono_us() < until)
		usleep(1000);
	if (r <= 0)
		return err_set(e, r < 0 ? -r : ENODEV, "network card %s: %s", w->mac,
			       r < 0 ? strerror(-r) : "the guest's kernel has not found it: is there a driver, virtio_net?");
	ret->index = s.index;
	return 0;
}

/* ---- what it had ---- */

static int change(int sock, struct nl_request *q, const struct guest_interface *w, const char *what, struct err *e)
{
	int r = nl_ask(sock, q);

	return r < 0 ? err_set(e, -r, "network interface %s: %s: %s", w->name, what, strerror(-r)) : 0;
}

/* A name that is neither another card's nor, in the end, anybody's: two may have each other's. */
static int put_away(int sock, const struct guest_interface *w, const struct guest_card *c, struct err *e)
{
	const struct ifinfomsg body = { .ifi_index = c->index, .ifi_change = IFF_UP };
	struct search s = { .index = c->index };
	char aside[IFNAMSIZ];
	struct nl_request q;
	int r = search(sock, &s);

	if (r <= 0)
		return err_set(e, r < 0 ? -r : ENODEV, "network interface %s: %s", w->name, strerror(r < 0 ? -r : ENODEV));
	nl_begin(&q, RTM_NEWLINK, 0, &body, sizeof(body));
	r = change(sock, &q, w, "take it down", e);
	if (r < 0 || streq(s.name, w->name))
		return r;
	snprintf(aside, sizeof(aside), "aside%d", c->index);
	nl_begin(&q, RTM_NEWLINK, 0, &body, sizeof(body));
	nl_attr(&q, IFLA_IFNAME, aside, strlen(aside) + 1);
	return change(sock, &q, w, "take its name away", e);
}

struct old_address {
	int index;
	bool is_found;
	struct nl_request q; /* RTM_DELADDR */
};

static int note_address(const struct nlmsghdr *h, void *arg)
{
	const struct ifaddrmsg *m = nl_body(h);
	struct old_address *o = arg;

	if (h->nlmsg_type != RTM_NEWADDR || h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)) || (int)m->ifa_index != o->index ||
	    o->is_found)
		return 0;
	size_t n = IFA_PAYLOAD(h);
	o->is_found = true;
	nl_begin(&o->q, RTM_DELADDR, 0, m, sizeof(*m));
	for (const struct rtattr *a = IFA_RTA(m); RTA_OK(a, n); a = RTA_NEXT(a, n))
		if (a->rta_type == IFA_LOCAL || a->rta_type == IFA_ADDRESS)
			nl_attr(&o->q, a->rta_type, RTA_DATA(a), RTA_PAYLOAD(a));
	return 0;
}

/* One by one: with the first of IPv4 the kernel may take others away. */
static int drop_addresses(int sock, const struct guest_interface *w, const struct guest_card *c, struct err *e)
{
	for (unsigned i = 0; i < ADDRESSES_MAX; i++) {
		const struct ifaddrmsg all = { .ifa_family = AF_UNSPEC };
		struct old_address o = { .index = c->index };
		struct nl_request q;
		int r;

		nl_begin(&q, RTM_GETADDR, 0, &all, sizeof(all));
		r = nl_dump(sock, &q, note_address, &o);
		if (r < 0)
			return err_set(e, -r, "network interface %s: its addresses: %s", w->name, strerror(-r));
		if (!o.is_found)
			return 0;
		r = change(sock, &o.q, w, "take an address away", e);
		if (r < 0)
			return r;
	}
	return err_set(e, E2BIG, "network interface %s: it has more than %d addresses", w->name, ADDRESSES_MAX);
}

/* ---- what it gets ---- */

/* As of a container's: addresses of IPv6 where the plan has some, and then no doubt about them and no others by routers. */
static int set_ipv6(const struct guest_interface *w, struct err *e)
{
	static const char *const rows[][3] = { /* without, with */
					       { "addr_gen_mode", "1", "0" },
					       { "accept_ra", NULL, "0" },
					       { "accept_dad", NULL, "0" }
	};
	bool is_wanted = has_ipv6(w);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *path = str_fmt("/proc/sys/net/ipv6/conf/%s/%s", w->name, rows[i][0]);
		const char *value = rows[i][is_wanted ? 2 : 1];
		int r = !path ? -ENOMEM : value ? file_write(AT_FDCWD, path, value) : 0;

		if (r < 0 && !(r == -ENOENT && !is_wanted)) /* a kernel without IPv6 */
			return err_set(e, -r, "network interface %s: %s: %s", w->name, rows[i][0], strerror(-r));
	}
	return 0;
}

static int set_link(int sock, const struct guest_interface *w, const struct guest_card *c, struct err *e)
{
	struct ifinfomsg body = { .ifi_index = c->index };
	uint8_t mac[ETH_BYTES];
	struct nl_request q;
	int r = parse_mac(w, mac, e);

	if (r < 0)
		return r;
	nl_begin(&q, RTM_NEWLINK, 0, &body, sizeof(body));
	nl_attr(&q, IFLA_IFNAME, w->name, strlen(w->name) + 1);
	nl_attr(&q, IFLA_ADDRESS, mac, sizeof(mac));
	if (w->mtu)
		nl_attr(&q, IFLA_MTU, &w->mtu, sizeof(w->mtu));
	r = change(sock, &q, w, "name, hardware address and MTU", e);
	if (r >= 0)
		r = set_ipv6(w, e);
	if (r < 0)
		return r;
	body.ifi_change = body.ifi_flags = IFF_UP;
	nl_begin(&q, RTM_NEWLINK, 0, &body, sizeof(body));
	return change(sock, &q, w, "bring it up", e);
}

static int add_address(int sock, const struct guest_interface *w, const struct guest_card *c, const char *text, struct err *e)
{
	const uint32_t flags = IFA_F_NODAD;
	struct nl_request q;
	struct address a;
	int r = parse_address(text, true, &a, e);

	if (r < 0)
		return err_push(e, r, "network interface %s", w->name);
	const struct ifaddrmsg body = { .ifa_family = (uint8_t)a.family,
					.ifa_prefixlen = (uint8_t)a.prefix,
					.ifa_index = (unsigned)c->index };
	nl_begin(&q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof(body));
	nl_attr(&q, IFA_LOCAL, a.bytes, a.size);
	nl_attr(&q, IFA_ADDRESS, a.bytes, a.size);
	if (a.family == AF_INET6) {
		nl_attr(&q, IFA_FLAGS, &flags, sizeof(flags));
	} else if (a.prefix < 31) { /* RFC 3021: a link of two has none */
		uint32_t broadcast;

		memcpy(&broadcast, a.bytes, sizeof(broadcast));
		broadcast |= htonl((uint32_t)(UINT32_MAX >> a.prefix));
		nl_attr(&q, IFA_BROADCAST, &broadcast, sizeof(broadcast));
	}
	return change(sock, &q, w, text, e);
}

static int add_route(int sock, const struct guest_interface *w, const struct guest_card *c, const char *gateway, struct err *e)
{
	struct nl_request q;
	struct address a;
	int r = parse_address(gateway, false, &a, e);

	if (r < 0)
		return err_push(e, r, "network interface %s: gateway", w->name);
	const struct rtmsg body = { .rtm_family = (uint8_t)a.family,
				    .rtm_table = RT_TABLE_MAIN,
				    .rtm_protocol = RTPROT_BOOT,
				    .rtm_scope = RT_SCOPE_UNIVERSE,
				    .rtm_type = RTN_UNICAST };
	nl_begin(&q, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &body, sizeof(body));
	nl_attr(&q, RTA_GATEWAY, a.bytes, a.size);
	nl_attr(&q, RTA_OIF, &c->index, sizeof(c->index));
	return change(sock, &q, w, gateway, e);
}

static int furnish(int sock, const struct guest_interface *w, const struct guest_card *c, struct err *e)
{
	int r = set_link(sock, w, c, e);

	for (char **a = w->addresses; r >= 0 && a && *a; a++)
		r = add_address(sock, w, c, *a, e);
	return r;
}

static int apply(int sock, const struct guest_interface *list, size_t n, const struct guest_card *cards, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < n && r >= 0; i++) {
		r = put_away(sock, &list[i], &cards[i], e);
		if (r >= 0)
			r = drop_addresses(sock, &list[i], &cards[i], e);
	}
	for (size_t i = 0; i < n && r >= 0; i++)
		r = furnish(sock, &list[i], &cards[i], e);
	for (size_t i = 0; i < n && r >= 0; i++) {
		if (list[i].gateway4)
			r = add_route(sock, &list[i], &cards[i], list[i].gateway4, e);
		if (r >= 0 && list[i].gateway6)
			r = add_route(sock, &list[i], &cards[i], list[i].gateway6, e);
	}
	return r;
}

/* ---- start, restore ---- */

static int check(const struct guest_interface *list, size_t n, struct err *e)
{
	if (n > GUEST_INTERFACES_MAX)
		return err_set(e, EINVAL, "%zu network interfaces are more than %d", n, GUEST_INTERFACES_MAX);
	for (size_t i = 0; i < n; i++)
		if (strlen(list[i].name) == 0 || strlen(list[i].name) >= IFNAMSIZ || strchr(list[i].name, '/'))
			return err_set(e, EINVAL, "\"%s\" can't be a network interface's name", list[i].name);
	return 0;
}

int guest_interfaces_start(const struct guest_interface *list, size_t n, struct guest_cards *ret, struct err *e)
{
	_cleanup_fd_ int sock = -1;
	struct guest_cards cards = { .n = n };
	int r = check(list, n, e);

	if (r < 0 || n == 0)
		return r;
	sock = nl_open();
	if (sock < 0)
		return err_set(e, -sock, "netlink: %s", strerror(-sock));
	for (size_t i = 0; i < n && r >= 0; i++) {
		snprintf(cards.card[i].name, sizeof(cards.card[i].name), "%s", list[i].name);
		r = find(sock, &list[i], &cards.card[i], e);
	}
	if (r >= 0)
		r = apply(sock, list, n, cards.card, e);
	if (r >= 0)
		*ret = cards;
	return r;
}

int guest_interfaces_again(const struct guest_interface *list, size_t n, const struct guest_cards *were, struct err *e)
{
	_cleanup_fd_ int sock = -1;
	struct guest_card cards[GUEST_INTERFACES_MAX];
	int r = check(list, n, e);

	if (r < 0)
		return r;
	if (n != were->n)
		return err_set(e, EINVAL, "%zu network interfaces for a copy of a machine with %zu", n, were->n);
	for (size_t i = 0; i < n; i++) {
		size_t k = 0;

		while (k < n && !streq(were->card[k].name, list[i].name))
			k++;
		if (k == n)
			return err_set(e, EINVAL, "network interface %s: the machine that was copied has none of that name",
				       list[i].name);
		cards[i] = were->card[k];
	}
	if (n == 0)
		return 0;
	sock = nl_open();
	return sock < 0 ? err_set(e, -sock, "netlink: %s", strerror(-sock)) : apply(sock, list, n, cards, e);
}
