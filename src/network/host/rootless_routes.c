/* Routes in the namespace of a user without root's rights. All go by the first way, but for the answers to those who have come by another: what
 * comes by it marks its connection with the tap's number, and the mark chooses the routes by that tap. */
#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <linux/fib_rules.h>
#include <linux/netfilter.h>
#include <linux/rtnetlink.h>
#include <stdio.h>

#include "rootless.h"
#include "way.h"

enum { RULES = 0x6274 /* our rules' priority, and what their tables count from */ };

#define VERSION "1" /* another text is another version */

/* What goes out has an address of the way's, in which the pasta takes whoever speaks for the one that it is to speak to. */
static const char text_ways[] =
	"add table inet berth-ways\ndelete table inet berth-ways\n"
	"table inet berth-ways {\n"
	" comment \"" VERSION "\"\n"
	" map marks { type iface_index : mark; }\n"
	" chain prerouting {\n"
	"  type filter hook prerouting priority mangle;\n"
	"  iifname \"bw*\" ct state new ct mark set iif map @marks\n"
	"  iifname != \"bw*\" ct mark != 0 meta mark set ct mark\n"
	" }\n"
	" chain output { type route hook output priority mangle; ct mark != 0 meta mark set ct mark; }\n"
	" chain forward {\n"
	"  type filter hook forward priority filter;\n"
	"  oifname { \"way0\", \"bw*\" } ct state invalid drop\n"
	" }\n"
	" chain postrouting { type nat hook postrouting priority srcnat; oifname { \"way0\", \"bw*\" } masquerade; }\n"
	"}\n";

static int add_rule(struct talk *t, int family, unsigned index)
{
	char buf[TALK_ROOM];
	struct nlmsghdr *h = talk_begin(t, buf, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL);
	struct fib_rule_hdr *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	int r;

	m->family = (uint8_t)family;
	m->action = FR_ACT_TO_TBL;
	mnl_attr_put_u32(h, FRA_PRIORITY, RULES);
	mnl_attr_put_u32(h, FRA_FWMARK, index);
	mnl_attr_put_u32(h, FRA_TABLE, RULES + index);
	r = talk_ask(t, h, NULL, NULL);
	return r == -EEXIST ? 0 : r;
}

#define ADD_MARK "add element inet berth-ways marks { %u : %u }\n"

static const int families[] = { AF_INET, AF_INET6 };

struct marks {
	unsigned *list;
	size_t n;
};

static int collect_mark(const struct nlmsghdr *h, void *arg)
{
	unsigned priority = 0, mark = 0, *more;
	struct marks *v = arg;
	const struct nlattr *a;

	if (h->nlmsg_type != RTM_NEWRULE)
		return 0;
	mnl_attr_for_each(a, h, sizeof(struct fib_rule_hdr))
	{
		if (mnl_attr_get_type(a) == FRA_PRIORITY)
			priority = mnl_attr_get_u32(a);
		else if (mnl_attr_get_type(a) == FRA_FWMARK)
			mark = mnl_attr_get_u32(a);
	}
	if (priority != RULES)
		return 0;
	more = reallocarray(v->list, v->n + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	v->list = more;
	more[v->n++] = mark;
	return 0;
}

static int list_marks(struct talk *t, int family, struct marks *ret)
{
	char buf[TALK_ROOM];
	struct nlmsghdr *h = talk_begin(t, buf, RTM_GETRULE, NLM_F_DUMP);
	struct fib_rule_hdr *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

	m->family = (uint8_t)family;
	return talk_ask(t, h, collect_mark, ret);
}

static int drop_rule(struct talk *t, int family, unsigned mark)
{
	char buf[TALK_ROOM];
	struct nlmsghdr *h = talk_begin(t, buf, RTM_DELRULE, 0);
	struct fib_rule_hdr *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

	m->family = (uint8_t)family;
	mnl_attr_put_u32(h, FRA_PRIORITY, RULES);
	mnl_attr_put_u32(h, FRA_FWMARK, mark);
	return talk_ask(t, h, NULL, NULL);
}

/* Of taps that are gone; their routes went with them. No number is given twice. */
static int drop_dead(struct nets *n, struct err *e)
{
	_cleanup_buf_ struct buf text = { 0 };
	char name[IFNAMSIZ];
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(families) && r >= 0; i++) {
		struct marks v = { 0 };

		r = list_marks(&n->route, families[i], &v);
		for (size_t k = 0; k < v.n && r >= 0; k++) {
			if (if_indextoname(v.list[k], name))
				continue;
			r = drop_rule(&n->route, families[i], v.list[k]);
			if (i == 0)
				buf_fmt(&text, ADD_MARK "delete element inet berth-ways marks { %u }\n", v.list[k], v.list[k],
					v.list[k]);
		}
		free(v.list);
	}
	if (r < 0 || text.failed)
		return err_set(e, r < 0 ? -r : ENOMEM, "rules of routes: %s %s", strerror(r < 0 ? -r : ENOMEM), n->route.why);
	return text.len ? ruleset_run(text.data, e) : 0;
}

/* A pasta of 2023 knows an IPv6 address of ours only once we have sent from it, and of one that is not link-local not even then. A router
 * solicitation is answered by none that has --no-ra. */
static int speak(const struct way *w)
{
	const struct icmp6_hdr solicitation = { .icmp6_type = ND_ROUTER_SOLICIT };
	struct sockaddr_in6 from = { .sin6_family = AF_INET6 }, routers = { .sin6_family = AF_INET6 };
	_cleanup_fd_ int fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6);

	if (fd < 0)
		return errno == EAFNOSUPPORT ? 0 : -errno;
	memcpy(&from.sin6_addr, w->own6.bytes, sizeof(from.sin6_addr));
	(void)inet_pton(AF_INET6, "ff02::2", &routers.sin6_addr);
	routers.sin6_scope_id = if_nametoindex(w->device);
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, w->device, (socklen_t)strlen(w->device)) < 0 ||
	    bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0 ||
	    sendto(fd, &solicitation, sizeof(solicitation), 0, (struct sockaddr *)&routers, sizeof(routers)) < 0)
		return -errno;
	return 0;
}

/* Up, with its addresses; all that is to go by it goes to the gateway, which is any address that the pasta answers for. */
static int set_up(struct nets *n, const struct way *w, const struct link *l, struct err *e)
{
	const bool is_first = streq(w->device, rootless_way(NULL, 0).device);
	const struct address *own[] = { &w->own4, &w->own6 }, *gateways[] = { &w->gateway4, &w->gateway6 };
	const unsigned table = is_first ? RT_TABLE_MAIN : RULES + l->index;
	int r = settings_way(w->device, e);

	if (r < 0)
		return r;
	r = link_no_address(&n->route, l->index);
	if (r >= 0)
		r = link_up(&n->route, l->index, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(own) && r >= 0; i++) {
		r = address_add(&n->route, l->index, own[i]);
		if (r >= 0)
			r = route_add_table(&n->route, l->index, gateways[i], table);
		if (r >= 0 && !is_first)
			r = add_rule(&n->route, own[i]->family, l->index);
	}
	if (r >= 0)
		r = speak(w);
	return r < 0 ? err_set(e, -r, "way %s: %s %s", w->device, strerror(-r), n->route.why) : 0;
}

/* Last, when answers would find their way. */
static int add_mark(unsigned index, struct err *e)
{
	char text[96];

	snprintf(text, sizeof(text), ADD_MARK, index, index);
	return ruleset_run(text, e);
}

static int set_up_rest(struct nets *n, struct err *e)
{
	int r = ruleset_has_table(&n->filter, NFPROTO_INET, "berth-ways", VERSION);

	if (r < 0)
		return err_set(e, -r, "nf_tables: %s (is the kernel's module nf_tables loaded?)", strerror(-r));
	if (r == 0 && (r = ruleset_run(text_ways, e)) < 0)
		return r;
	r = link_up(&n->route, if_nametoindex("lo"), NULL);
	return r < 0 ? err_set(e, -r, "lo: %s %s", strerror(-r), n->route.why) : 0;
}

/* Of a host without a way out there is none. */
static int set_up_first(struct nets *n, struct err *e)
{
	const struct way w = rootless_way(NULL, 0);
	struct link l;
	int r = link_find(&n->route, w.device, &l);

	if (r == -ENODEV && route_has_default(&n->outside) == 0)
		return 0;
	if (r < 0)
		return err_set(e, -r, "way %s: %s", w.device, strerror(-r));
	return l.is_up ? 0 : set_up(n, &w, &l, e);
}

int rootless_routes(struct nets *n, const struct net_plan *p, const struct outcome *o, struct err *e)
{
	int r = set_up_rest(n, e);

	if (r >= 0)
		r = set_up_first(n, e);
	if (r >= 0 && o->n_ways)
		r = drop_dead(n, e);
	for (int i = 0; i < o->n_ways && r >= 0; i++) {
		const struct way w = rootless_way(ports_endpoint(p), i);
		struct link l;

		r = link_find(&n->route, w.device, &l);
		r = r < 0 ? err_set(e, -r, "way %s: %s", w.device, strerror(-r)) : set_up(n, &w, &l, e);
		if (r >= 0)
			r = add_mark(l.index, e);
	}
	return r;
}
