/* Docker's firewall: where dockerd runs, packets that are forwarded are dropped unless a rule of its tables lets them through, and the
 * chain DOCKER-USER is where it leaves others' rules alone. Bridges of ours are let through there: what may reach them is for our own
 * tables to say, whose word "drop" stands whatever is accepted elsewhere. */
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

int docker_accept(struct nets *n, const char *device, struct err *e)
{
	/* One pair of rules for all bridges of the usual names. */
	const char *pattern = str_after(device, "berth-") ? "berth-*" : device;
	_cleanup_buf_ struct buf commands = { 0 };
	char comment[COMMENT_ROOM];

	snprintf(comment, sizeof(comment), COMMENT "%s", pattern);
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		struct rules ours = { 0 };
		const int r = list(&n->filter, families[i].family, &ours);
		const bool is_missing = r > 0 && !has_comment(&ours, comment);

		free(ours.items);
		if (r < 0)
			return err_set(e, -r, "nf_tables: chain " CHAIN ": %s", strerror(-r));
		for (unsigned side = 0; is_missing && side < 2; side++)
			buf_fmt(&commands, "insert rule %s filter " CHAIN " %s \"%s\" accept comment \"%s\"\n", families[i].name,
				side ? "oifname" : "iifname", pattern, comment);
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

		for (size_t k = 0; k < ours.n; k++)
			buf_fmt(&commands, "delete rule %s filter " CHAIN " handle %llu\n", families[i].name,
				(unsigned long long)ours.items[k].handle);
		free(ours.items);
		if (r < 0)
			return err_set(e, -r, "nf_tables: chain " CHAIN ": %s", strerror(-r));
	}
	if (commands.failed)
		return err_set(e, ENOMEM, "nf_tables: %s", strerror(ENOMEM));
	return commands.len ? ruleset_run(commands.data, e) : 0;
}
