/* Elements of the sets: a few bytes each, as the kernel has them, straight by nf_tables' netlink. A key is its fields in a row, each
 * filled up to four bytes; names of devices take all of their sixteen. */
#include <netinet/in.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>

#include "elements.h"

static const struct {
	const char *name;
	uint8_t family;
	bool is_of_device; /* the key begins with the device that it belongs to; else that is a comment */
} sets[] = {
	[SET_BRIDGES] = { "bridges", NFPROTO_INET, true },
	[SET_INTERNAL] = { "internal", NFPROTO_INET, true },
	[SET_HIDDEN] = { "hidden", NFPROTO_INET, true },
	[SET_PAIRS] = { "pairs", NFPROTO_INET, true },
	[SET_AT4] = { "at4", NFPROTO_INET, false },
	[SET_ANY4] = { "any4", NFPROTO_INET, false },
	[SET_AT6] = { "at6", NFPROTO_INET, false },
	[SET_ANY6] = { "any6", NFPROTO_INET, false },
	[SET_MACS] = { "macs", NFPROTO_BRIDGE, true },
	[SET_ADDR4] = { "addr4", NFPROTO_BRIDGE, true },
	[SET_ADDR6] = { "addr6", NFPROTO_BRIDGE, true },
	[SET_TARGETS] = { "targets", NFPROTO_BRIDGE, true },
	[SET_RESOLVE4] = { "resolve4", NFPROTO_INET, false },
	[SET_RESOLVE6] = { "resolve6", NFPROTO_INET, false },
	[SET_RESOLVERS4] = { "resolvers4", NFPROTO_INET, false },
	[SET_RESOLVERS6] = { "resolvers6", NFPROTO_INET, false },
	[SET_EGRESS4] = { "egress4", NFPROTO_INET, false },
	[SET_EGRESS6] = { "egress6", NFPROTO_INET, false },
	[SET_EGRESS] = { "egress", NFPROTO_BRIDGE, true },
};
_Static_assert(ARRAY_SIZE(sets) == SET_COUNT, "a row for each set");

enum { OWNER_TLV = 0 /* libnftnl's NFTNL_UDATA_SET_ELEM_COMMENT: so that `nft list` shows it */ };

static struct nlmsghdr *begin(struct talk *t, void *buf, uint16_t type, uint16_t flags, enum set_id set)
{
	struct nlmsghdr *h = talk_begin(t, buf, (uint16_t)((NFNL_SUBSYS_NFTABLES << 8) | type), flags);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof(*g));

	g->nfgen_family = sets[set].family;
	g->version = NFNETLINK_V0;
	mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_TABLE, RULESET_TABLE);
	mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, sets[set].name);
	return h;
}

static void put_value(struct nlmsghdr *h, uint16_t type, const void *p, uint32_t n)
{
	struct nlattr *outer = mnl_attr_nest_start(h, type);

	mnl_attr_put(h, NFTA_DATA_VALUE, n, p);
	mnl_attr_nest_end(h, outer);
}

static void put_verdict(struct nlmsghdr *h, const char *chain)
{
	struct nlattr *data = mnl_attr_nest_start(h, NFTA_SET_ELEM_DATA), *verdict = mnl_attr_nest_start(h, NFTA_DATA_VERDICT);

	mnl_attr_put_u32(h, NFTA_VERDICT_CODE, htonl((uint32_t)NFT_JUMP));
	mnl_attr_put_strz(h, NFTA_VERDICT_CHAIN, chain);
	mnl_attr_nest_end(h, verdict);
	mnl_attr_nest_end(h, data);
}

static void put_element(struct nlmsghdr *h, const struct element *x, bool whole)
{
	struct nlattr *list = mnl_attr_nest_start(h, NFTA_SET_ELEM_LIST_ELEMENTS), *one = mnl_attr_nest_start(h, NFTA_LIST_ELEM);
	struct {
		uint8_t type, len;
		char text[IFNAMSIZ];
	} owner = { .type = OWNER_TLV, .len = (uint8_t)(strlen(x->owner) + 1) };

	put_value(h, NFTA_SET_ELEM_KEY, x->key, x->key_len);
	if (whole && x->chain[0])
		put_verdict(h, x->chain);
	if (whole && x->data_len)
		put_value(h, NFTA_SET_ELEM_DATA, x->data, x->data_len);
	if (whole && !sets[x->set].is_of_device) {
		memcpy(owner.text, x->owner, sizeof(owner.text));
		mnl_attr_put(h, NFTA_SET_ELEM_USERDATA, 2u + owner.len, &owner);
	}
	mnl_attr_nest_end(h, one);
	mnl_attr_nest_end(h, list);
}

static void read_verdict(const struct nlattr *verdict, struct element *x)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, verdict)
	{
		if (mnl_attr_get_type(a) == NFTA_VERDICT_CHAIN && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0)
			memccpy(x->chain, mnl_attr_get_str(a), '\0', sizeof(x->chain) - 1);
	}
}

/* The element's members out of what the kernel sends. */
static void read_element(const struct nlattr *one, enum set_id set, struct element *ret)
{
	const struct nlattr *a, *value;
	struct element x = { .set = set };

	mnl_attr_for_each_nested(a, one)
	{
		const uint16_t type = mnl_attr_get_type(a);

		if (type == NFTA_SET_ELEM_KEY || type == NFTA_SET_ELEM_DATA) {
			const bool is_key = type == NFTA_SET_ELEM_KEY;

			mnl_attr_for_each_nested(value, a)
			{
				const uint16_t n = mnl_attr_get_payload_len(value);

				if (mnl_attr_get_type(value) == NFTA_DATA_VERDICT)
					read_verdict(value, &x);
				if (mnl_attr_get_type(value) != NFTA_DATA_VALUE || n > (is_key ? sizeof(x.key) : sizeof(x.data)))
					continue;
				memcpy(is_key ? x.key : x.data, mnl_attr_get_payload(value), n);
				*(is_key ? &x.key_len : &x.data_len) = n;
			}
		} else if (type == NFTA_SET_ELEM_USERDATA) {
			const uint8_t *tlv = mnl_attr_get_payload(a);
			const uint16_t n = mnl_attr_get_payload_len(a);

			if (n > 2 && tlv[0] == OWNER_TLV && tlv[1] <= n - 2 && tlv[1] > 0)
				memccpy(x.owner, tlv + 2, '\0', MIN((size_t)tlv[1], sizeof(x.owner) - 1));
		}
	}
	if (sets[set].is_of_device)
		memccpy(x.owner, x.key, '\0', sizeof(x.owner) - 1);
	*ret = x;
}

struct reading {
	enum set_id set;
	struct elements *to;
};

static int collect(const struct nlmsghdr *h, void *arg)
{
	const struct reading *r = arg;
	const struct nlattr *a, *one;

	mnl_attr_for_each(a, h, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) != NFTA_SET_ELEM_LIST_ELEMENTS)
			continue;
		mnl_attr_for_each_nested(one, a)
		{
			struct element *x = element_new(r->to, r->set, "");

			if (!x)
				return -ENOMEM;
			read_element(one, r->set, x);
		}
	}
	return 0;
}

int elements_list(struct talk *t, struct elements *ret)
{
	struct elements v = { 0 };
	int r = 0;

	for (enum set_id set = 0; set < SET_COUNT && r >= 0; set++) {
		char buf[TALK_ROOM];
		struct reading reading = { set, &v };

		r = talk_ask(t, begin(t, buf, NFT_MSG_GETSETELEM, NLM_F_DUMP, set), collect, &reading);
		if (r == -ENOENT)
			r = 0;
	}
	if (r < 0)
		elements_done(&v);
	else
		*ret = v;
	return r;
}

/* The one of that key, as it is now: -ENOENT. */
static int get_element(struct talk *t, const struct element *x, struct element *ret)
{
	char buf[TALK_ROOM];
	_cleanup_(elements_done) struct elements v = { 0 };
	struct reading reading = { x->set, &v };
	struct nlmsghdr *h = begin(t, buf, NFT_MSG_GETSETELEM, 0, x->set);
	int r;

	put_element(h, x, false);
	r = talk_ask(t, h, collect, &reading);
	if (r < 0)
		return r;
	if (v.n != 1)
		return -ENOENT;
	*ret = v.items[0];
	return 0;
}

enum { PER_MESSAGE = 128 + sizeof(struct element) + 128 };

static void put_mark(struct talk *t, void *to, uint16_t type)
{
	struct nlmsghdr *h = talk_begin(t, to, type, 0);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof(*g));

	g->version = NFNETLINK_V0;
	g->res_id = htons(NFNL_SUBSYS_NFTABLES);
}

/* One transaction: first these out, then those in. */
static int commit(struct talk *t, const struct element *out, size_t n_out, const struct element *in, size_t n_in)
{
	_cleanup_free_ char *buf = (n_out + n_in) ? calloc(n_out + n_in + 2, PER_MESSAGE) : NULL;
	struct nlmsghdr *h = NULL;
	char *end = buf;
	unsigned first;

	if (n_out + n_in == 0)
		return 0;
	if (!buf)
		return -ENOMEM;
	put_mark(t, end, NFNL_MSG_BATCH_BEGIN);
	first = t->seq;
	end += ((struct nlmsghdr *)(void *)end)->nlmsg_len;
	for (size_t i = 0; i < n_out + n_in; i++) {
		const struct element *x = i < n_out ? &out[i] : &in[i - n_out];

		h = begin(t, end, i < n_out ? NFT_MSG_DELSETELEM : NFT_MSG_NEWSETELEM, i < n_out ? 0 : NLM_F_CREATE, x->set);
		put_element(h, x, i >= n_out);
		end += h->nlmsg_len;
	}
	h->nlmsg_flags |= NLM_F_ACK;
	const unsigned last = h->nlmsg_seq;
	put_mark(t, end, NFNL_MSG_BATCH_END);
	end += ((struct nlmsghdr *)(void *)end)->nlmsg_len;
	return talk_ask_all(t, buf, (size_t)(end - buf), first, last, NULL);
}

int elements_add(struct talk *t, struct elements *v)
{
	_cleanup_(elements_done) struct elements old = { 0 };
	int r;

	if (v->failed)
		return -ENOMEM;
	r = commit(t, NULL, 0, v->items, v->n);
	if (r != -EBUSY && r != -EEXIST)
		return r;
	/* A port that a dead one has left: whoever holds the reservation is the owner now. And who was closed is led to his chain again. */
	for (size_t i = 0; i < v->n; i++) {
		struct element is;

		if ((sets[v->items[i].set].is_of_device && !v->items[i].chain[0]) || get_element(t, &v->items[i], &is) < 0)
			continue;
		if (elements_copy(&old, &is) < 0)
			return -ENOMEM;
	}
	return commit(t, old.items, old.n, v->items, v->n);
}

static bool is_owners(struct talk *t, const struct element *x)
{
	struct element is;

	return sets[x->set].is_of_device || (get_element(t, x, &is) == 0 && streq(is.owner, x->owner));
}

int elements_delete(struct talk *t, const struct elements *v)
{
	_cleanup_(elements_done) struct elements ours = { 0 };
	int r, first = 0;

	if (v->failed)
		return -ENOMEM;
	for (size_t i = 0; i < v->n; i++) {
		if (is_owners(t, &v->items[i]) && elements_copy(&ours, &v->items[i]) < 0)
			return -ENOMEM;
	}
	r = commit(t, ours.items, ours.n, NULL, 0);
	if (r != -ENOENT)
		return r;
	/* Some have gone already: each by itself. */
	for (size_t i = 0; i < ours.n; i++) {
		r = commit(t, &ours.items[i], 1, NULL, 0);
		if (r < 0 && r != -ENOENT && !first)
			first = r;
	}
	return first;
}
