/* What a container may open, where that is listed: a chain of its own in the table inet, which the maps `egress4` and `egress6` lead to, for
 * what is forwarded and what is for the host; and one in the table bridge, which `egress` leads to, for peers on its networks. Each packet
 * of a connection that it has opened is judged by itself; what answers one that was opened from elsewhere passes. Ranges are rules of both
 * chains. Names are sets, one a port and family, that its own resolver puts the addresses into that it answers; an address stays until the
 * container stops. Chains and sets are called egress-ID, and go with the last element that leads there. */
#include <netinet/in.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>

#include "egress.h"
#include "impl.h"

#define PREFIX    "egress-"
#define TCP_UDP   "meta l4proto { tcp, udp } "
#define SET_ROOM  65536 /* addresses */
#define RESOLVERS "/etc/resolv.conf"
enum { ID_HEX = 12, RESOLVERS_MAX = 64 << 10 };

static void chain_name(const struct net_plan *p, char ret[CHAIN_LEN]) { snprintf(ret, CHAIN_LEN, PREFIX "%.*s", ID_HEX, p->id); }

static void set_name(const char *chain, uint16_t port, bool is6, char ret[CHAIN_LEN + 16])
{
	snprintf(ret, CHAIN_LEN + 16, "%s-%u-%c", chain, port, is6 ? '6' : '4');
}

/* ---- what there is ---- */

struct found {
	char **names;
	uint16_t attribute;
};

static int take_name(const struct nlmsghdr *h, void *arg)
{
	struct found *f = arg;
	const struct nlattr *a;
	int r = 0;

	mnl_attr_for_each(a, h, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) == f->attribute && str_after(mnl_attr_get_str(a), PREFIX))
			r = strv_push(&f->names, mnl_attr_get_str(a));
	}
	return r;
}

struct table {
	uint8_t family;
	const char *name; /* in nft's language */
};
static const struct table tables[] = { { NFPROTO_INET, "inet berth" }, { NFPROTO_BRIDGE, "bridge berth" } };

/* Names of all chains, or sets, of egress in the table; strv_free. */
static int list_names(struct talk *t, uint8_t family, uint16_t message, uint16_t table, uint16_t attribute, char ***ret)
{
	char buf[TALK_ROOM];
	struct nlmsghdr *h = talk_begin(t, buf, (uint16_t)((NFNL_SUBSYS_NFTABLES << 8) | message), NLM_F_DUMP);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	struct found f = { .attribute = attribute };
	int r;

	g->nfgen_family = family;
	g->version = NFNETLINK_V0;
	mnl_attr_put_strz(h, table, RULESET_TABLE);
	r = talk_ask(t, h, take_name, &f);
	if (r == -ENOENT)
		r = 0;
	if (r < 0)
		strv_free(f.names);
	else
		*ret = f.names;
	return r;
}

/* A set's is the chain's with port and family behind it. */
static bool is_left(const struct elements *v, const char *name, const char *only)
{
	char chain[CHAIN_LEN];

	snprintf(chain, sizeof(chain), "%.*s", (int)(sizeof(PREFIX) - 1 + ID_HEX), name);
	return (!only || streq(chain, only)) && !elements_lead_to(v, chain);
}

static int add_removal_of(struct nets *n, const struct table *t, const struct elements *v, const char *only, struct buf *b)
{
	_cleanup_strv_ char **chains = NULL, **sets = NULL;
	int r = list_names(&n->filter, t->family, NFT_MSG_GETCHAIN, NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME, &chains);

	if (r >= 0)
		r = list_names(&n->filter, t->family, NFT_MSG_GETSET, NFTA_SET_TABLE, NFTA_SET_NAME, &sets);
	for (char **c = chains; r >= 0 && c && *c; c++)
		if (is_left(v, *c, only))
			buf_fmt(b, "flush chain %s %s\ndelete chain %s %s\n", t->name, *c, t->name, *c);
	for (char **s = sets; r >= 0 && s && *s; s++)
		if (is_left(v, *s, only))
			buf_fmt(b, "delete set %s %s\n", t->name, *s);
	return r;
}

/* Chains and sets that no element leads to: what removes them, in nft's language, is added to b. only: that chain; NULL: any. */
static int add_removal(struct nets *n, const char *only, struct buf *b)
{
	_cleanup_(elements_done) struct elements v = { 0 };
	int r = elements_list(&n->filter, &v);

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(tables); i++)
		r = add_removal_of(n, &tables[i], &v, only, b);
	return r == -ENOENT ? 0 : r;
}

static int run(struct buf *b, struct err *e)
{
	if (b->failed)
		return err_set(e, ENOMEM, "egress: %s", strerror(ENOMEM));
	return b->len ? ruleset_run(b->data, e) : 0;
}

int egress_sweep(struct nets *n, const char *only, struct err *e)
{
	_cleanup_buf_ struct buf b = { 0 };
	int r = ruleset_is_there(&n->filter);

	if (r > 0)
		r = add_removal(n, only, &b);
	if (r < 0)
		return err_set(e, -r, "nf_tables: rules of egress: %s", strerror(-r));
	return run(&b, e);
}

int egress_down(struct nets *n, const struct net_plan *p, struct err *e)
{
	char chain[CHAIN_LEN];

	chain_name(p, chain);
	return egress_sweep(n, chain, e);
}

/* ---- what is to be ---- */

/* Of what is turned to another address by a port that it is published at, that port's own address is judged. */
static void add_range(struct buf *b, const char *chain, const struct egress_range *x)
{
	const char *ip = x->is6 ? "ip6" : "ip";

	buf_fmt(b, "add rule inet berth %s ct original %s daddr %s ", chain, ip, x->range);
	if (x->port)
		buf_fmt(b, TCP_UDP "ct original proto-dst %u ", x->port);
	buf_fmt(b, "return\nadd rule bridge berth %s %s daddr %s ", chain, ip, x->range);
	if (x->port)
		buf_fmt(b, TCP_UDP "th dport %u ", x->port);
	buf_str(b, "accept\n");
}

static void add_set(struct buf *b, const char *chain, uint16_t port, bool is6)
{
	char name[CHAIN_LEN + 16];

	set_name(chain, port, is6, name);
	buf_fmt(b, "add set inet berth %s { type %s; size %u; }\n", name, is6 ? "ipv6_addr" : "ipv4_addr", SET_ROOM);
	buf_fmt(b, "add rule inet berth %s %s daddr @%s ", chain, is6 ? "ip6" : "ip", name);
	if (port)
		buf_fmt(b, TCP_UDP "th dport %u ", port);
	buf_str(b, "return\n");
}

static bool is_new_port(const struct egress *x, size_t name, size_t port)
{
	for (size_t i = 0; i <= name; i++)
		for (size_t k = 0; k < x->names[i].n_ports; k++) {
			if (i == name && k == port)
				return true;
			if (x->names[i].ports[k] == x->names[name].ports[port])
				return false;
		}
	return true;
}

static void add_chain(struct buf *b, const char *chain, const struct egress *x)
{
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		buf_fmt(b, "add chain %s %s\nflush chain %s %s\n", tables[i].name, chain, tables[i].name, chain);
	buf_fmt(b, "add rule inet berth %s ct direction reply ct state established,related return\n", chain);
	buf_fmt(b, "add rule bridge berth %s jump answers\n", chain);
	for (size_t i = 0; i < x->n_ranges; i++)
		add_range(b, chain, &x->ranges[i]);
	buf_fmt(b, "add rule inet berth %s jump unnamed\n", chain);
	for (size_t i = 0; i < x->n_names; i++)
		for (size_t k = 0; k < x->names[i].n_ports; k++) {
			if (!is_new_port(x, i, k))
				continue;
			add_set(b, chain, x->names[i].ports[k], false);
			add_set(b, chain, x->names[i].ports[k], true);
		}
	buf_fmt(b, "add rule inet berth %s goto refuse\n", chain);
	buf_fmt(b, "add rule bridge berth %s drop\n", chain);
}

int egress_forget(struct nets *n, const struct net_plan *p, struct err *e)
{
	int r = 0;

	if (!p->resolver || !p->resolver->egress)
		return 0;
	for (size_t i = 0; i < p->n_endpoints && r >= 0; i++)
		for (char **a = p->endpoints[i].addresses; a && *a && r >= 0; a++) {
			struct address from;

			r = address_parse(*a, true, &from);
			if (r >= 0)
				r = conntrack_forget(&n->filter, &from);
		}
	return r < 0 ? err_set(e, -r,
			       "connections of the container's addresses: %s (is the kernel's module nf_conntrack_netlink "
			       "there?)",
			       strerror(-r))
		     : 0;
}

int egress_up(struct nets *n, const struct net_plan *p, struct elements *v, struct err *e)
{
	const struct net_resolver *own = p->resolver;
	_cleanup_(egress_done) struct egress x = { 0 };
	_cleanup_buf_ struct buf b = { 0 };
	char chain[CHAIN_LEN];
	int r = egress_parse(own->egress, &x, e);

	if (r < 0)
		return r;
	chain_name(p, chain);
	r = add_removal(n, chain, &b);
	if (r < 0)
		return err_set(e, -r, "nf_tables: rules of egress: %s", strerror(-r));
	add_chain(&b, chain, &x);
	r = run(&b, e);
	for (size_t i = 0; i < own->n_endpoints && r >= 0; i++)
		r = endpoint_closed(&own->endpoints[i], chain, v, e);
	return r;
}

/* ---- its resolver's part ---- */

/* Whom the host asks, as it is now. */
static int read_upstreams(char ***ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	char *save = NULL;
	int r = file_read(AT_FDCWD, RESOLVERS, RESOLVERS_MAX, &text, NULL);

	if (r < 0)
		return r == -ENOENT ? 0 : err_set(e, -r, "%s: %s", RESOLVERS, strerror(-r));
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		const char *rest = str_after(line, "nameserver");
		_cleanup_free_ char *address = rest ? strdup(rest + strspn(rest, " \t")) : NULL;
		struct address a;

		if (!rest || (*rest != ' ' && *rest != '\t'))
			continue;
		if (!address)
			return err_set(e, ENOMEM, "%s: %s", RESOLVERS, strerror(ENOMEM));
		address[strcspn(address, " \t\r")] = '\0';
		if (address_parse(address, false, &a) >= 0 && strv_push(ret, address) < 0)
			return err_set(e, ENOMEM, "%s: %s", RESOLVERS, strerror(ENOMEM));
	}
	return 0;
}

static void conf_name(struct buf *b, const char *chain, const struct egress_name *x, char *const *upstreams)
{
	const char *below = x->itself ? "" : "*.";

	for (; upstreams && *upstreams; upstreams++)
		buf_fmt(b, "server=/%s%s/%s\n", below, x->name, *upstreams);
	if (!x->below)
		buf_fmt(b, "local=/*.%s/\n", x->name);
	buf_fmt(b, "nftset=/%s/", x->name);
	for (size_t i = 0; i < x->n_ports; i++) {
		char set4[CHAIN_LEN + 16], set6[CHAIN_LEN + 16];

		set_name(chain, x->ports[i], false, set4);
		set_name(chain, x->ports[i], true, set6);
		buf_fmt(b, "%s4#inet#berth#%s,6#inet#berth#%s", i ? "," : "", set4, set6);
	}
	buf_str(b, "\n");
}

/* Nobody is asked for anything but for the names listed: there is no server for others. */
int egress_conf(const struct net_plan *p, bool may_ask, struct buf *b, struct err *e)
{
	_cleanup_(egress_done) struct egress x = { 0 };
	_cleanup_strv_ char **hosts = NULL;
	char chain[CHAIN_LEN];
	int r = egress_parse(p->resolver->egress, &x, e);

	if (r >= 0 && !p->resolver->upstreams && may_ask)
		r = read_upstreams(&hosts, e);
	if (r < 0)
		return r;
	chain_name(p, chain);
	buf_str(b, "no-resolv\n");
	for (size_t i = 0; i < x.n_names && may_ask; i++)
		conf_name(b, chain, &x.names[i], p->resolver->upstreams ? p->resolver->upstreams : hosts);
	return 0;
}
