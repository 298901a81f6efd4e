/* Docker's firewall: where dockerd runs, packets that are forwarded are dropped unless a rule of its tables lets them through, and the
 * chain DOCKER-USER is where it leaves others' rules alone. Bridges of ours are let through there: what may reach them is for our own
 * tables to say, whose word "drop" stands whatever is accepted elsewhere; what may reach Docker's containers is for its own. */
#include <netinet/in.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>

#include "impl.h"

#define CHAIN   "DOCKER-USER"
#define COMMENT "berth "
enum { COMMENT_TLV = 0, COMMENT_ROOM = 64 };

struct rule {
	uint64_t handle;
	char comment[COMMENT_ROOM];
};
struct rules {
	struct rule *items;
	size_t n;
};

static int collect(const struct nlmsghdr *h, void *arg)
{
	struct rules *v = arg;
	struct rule x = { 0 }, *more;
	const struct nlattr *a;

	mnl_attr_for_each(a, h, sizeof(struct nfgenmsg))
	{
		const uint8_t *tlv = mnl_attr_get_payload(a);
		const uint16_t n = mnl_attr_get_payload_len(a);

		if (mnl_attr_get_type(a) == NFTA_RULE_HANDLE)
			x.handle = be64toh(mnl_attr_get_u64(a));
		else if (mnl_attr_get_type(a) == NFTA_RULE_USERDATA && n > 2 && tlv[0] == COMMENT_TLV && tlv[1] <= n - 2)
			memccpy(x.comment, tlv + 2, '\0', MIN((size_t)tlv[1], sizeof(x.comment) - 1));
	}
	if (!str_after(x.comment, COMMENT))
		return 0;
	more = reallocarray(v->items, v->n + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	v->items = more;
	more[v->n++] = x;
	return 0;
}

/* Our rules there: 1; 0: there is no such chain. */
static int list(struct talk *t, uint8_t family, struct rules *ret)
{
	char buf[TALK_ROOM];
	struct nlmsghdr *h;
	struct nfgenmsg *g;
	int r;

	h = talk_begin(t, buf, (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETCHAIN, 0);
	g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	g->nfgen_family = family;
	mnl_attr_put_strz(h, NFTA_CHAIN_TABLE, "filter");
	mnl_attr_put_strz(h, NFTA_CHAIN_NAME, CHAIN);
	r = talk_ask(t, h, NULL, NULL);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	h = talk_begin(t, buf, (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETRULE, NLM_F_DUMP);
	g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	g->nfgen_family = family;
	mnl_attr_put_strz(h, NFTA_RULE_TABLE, "filter");
	mnl_attr_put_strz(h, NFTA_RULE_CHAIN, CHAIN);
	r = talk_ask(t, h, collect, ret);
	return r < 0 ? r : 1;
}

static bool has_comment(const struct rules *v, const char *comment)
{
	for (size_t i = 0; i < v->n; i++)
		if (streq(v->items[i].comment, comment))
			return true;
	return false;
}

static const struct {
	uint8_t family;
	const char *name;
} families[] = { { NFPROTO_IPV4, "ip" }, { NFPROTO_IPV6, "ip6" } };

/* What may come in, what goes elsewhere, and between them what Docker alone decides about: its own containers. Rules that iptables reads too:
 * each has what one of its commands has. Those of all our bridges anew, since what may come to one is said before what leaves another; they
 * are put in from the last to the first. */
static const struct {
	const char *from, *to, *verdict; /* NULL: any; "": ours */
} rows[] = { { "", NULL, "accept" }, { "", "br-*", "return" }, { "", "docker0", "return" }, { NULL, "", "accept" } };

static void put_rule(struct buf *b, const char *family, const char *pattern, size_t row)
{
	const char *to = rows[row].to && !*rows[row].to ? pattern : rows[row].to;

	buf_fmt(b, "insert rule %s filter " CHAIN, family);
	if (rows[row].from)
		buf_fmt(b, " iifname \"%s\"", pattern);
	if (to)
		buf_fmt(b, " oifname \"%s\"", to);
	buf_fmt(b, " %s comment \"" COMMENT "%s\"\n", rows[row].verdict, pattern);
}

static bool is_first(const struct rules *v, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (streq(v->items[k].comment, v->items[i].comment))
			return false;
	return true;
}

static void forget(struct buf *b, const char *family, const struct rules *ours)
{
	for (size_t k = 0; k < ours->n; k++)
		buf_fmt(b, "delete rule %s filter " CHAIN " handle %llu\n", family, (unsigned long long)ours->items[k].handle);
}

static void accept_also(struct buf *b, const char *family, const struct rules *ours, const char *pattern)
{
	forget(b, family, ours);
	for (size_t row = 0; row < ARRAY_SIZE(rows); row++) {
		put_rule(b, family, pattern, row);
		for (size_t i = 0; i < ours->n; i++)
			if (is_first(ours, i))
				put_rule(b, family, str_after(ours->items[i].comment, COMMENT), row);
	}
}

int docker_accept(struct nets *n, const char *device, struct err *e)
{
	/* One group of rules for all bridges of the usual names. */
	const char *pattern = str_after(device, "berth-") ? "berth-*" : device;
	_cleanup_buf_ struct buf commands = { 0 };
	char comment[COMMENT_ROOM];

	snprintf(comment, sizeof(comment), COMMENT "%s", pattern);
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		struct rules ours = { 0 };
		const int r = list(&n->filter, families[i].family, &ours);

		if (r > 0 && !has_comment(&ours, comment))
			accept_also(&commands, families[i].name, &ours, pattern);
		free(ours.items);
		if (r < 0)
			return err_set(e, -r, "nf_tables: chain " CHAIN ": %s", strerror(-r));
	}
	if (commands.failed)
		return err_set(e, ENOMEM, "nf_tables: %s", strerror(ENOMEM));
	return commands.len ? ruleset_run(commands.data, e) : 0;
}

int docker_forget(struct nets *n, struct err *e)
{
	_cleanup_buf_ struct buf commands = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		struct rules ours = { 0 };
		const int r = list(&n->filter, families[i].family, &ours);

		forget(&commands, families[i].name, &ours);
		free(ours.items);
		if (r < 0)
			return err_set(e, -r, "nf_tables: chain " CHAIN ": %s", strerror(-r));
	}
	if (commands.failed)
		return err_set(e, ENOMEM, "nf_tables: %s", strerror(ENOMEM));
	return commands.len ? ruleset_run(commands.data, e) : 0;
}
