/* What the kernel remembers of connections: of an address that another has had before, nothing is to go on. */
#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "impl.h"

struct seen {
	const struct address *of;
	struct buf found; /* messages' CTA_TUPLE_ORIG, each as it came */
};

/* Whether the tuple's source or destination is the address. */
static bool has_address(const struct nlattr *tuple, const struct address *of)
{
	const struct nlattr *a, *b;

	mnl_attr_for_each_nested(a, tuple)
	{
		if ((mnl_attr_get_type(a) & NLA_TYPE_MASK) != CTA_TUPLE_IP)
			continue;
		mnl_attr_for_each_nested(b, a)
		{
			if (mnl_attr_get_payload_len(b) == address_len(of) &&
			    memcmp(mnl_attr_get_payload(b), of->bytes, address_len(of)) == 0)
				return true;
		}
	}
	return false;
}

static int look(const struct nlmsghdr *h, void *arg)
{
	struct seen *s = arg;
	const struct nlattr *a, *orig = NULL;
	bool is_its = false;

	mnl_attr_for_each(a, h, sizeof(struct nfgenmsg))
	{
		const uint16_t type = mnl_attr_get_type(a);

		if (type == CTA_TUPLE_ORIG)
			orig = a;
		if (type == CTA_TUPLE_ORIG || type == CTA_TUPLE_REPLY)
			is_its |= has_address(a, s->of);
	}
	if (is_its && orig)
		buf_add(&s->found, orig, MNL_ALIGN(orig->nla_len));
	return s->found.failed ? -ENOMEM : 0;
}

static struct nlmsghdr *begin(struct talk *t, void *buf, uint16_t type, uint16_t flags, const struct address *of)
{
	struct nlmsghdr *h = talk_begin(t, buf, (uint16_t)((NFNL_SUBSYS_CTNETLINK << 8) | type), flags);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof(*g));

	g->nfgen_family = (uint8_t)of->family;
	g->version = NFNETLINK_V0;
	return h;
}

int conntrack_forget(struct talk *t, const struct address *of)
{
	char buf[TALK_ROOM];
	struct seen s = { .of = of };
	int r = talk_ask(t, begin(t, buf, IPCTNL_MSG_CT_GET, NLM_F_DUMP, of), look, &s);

	for (size_t at = 0; at < s.found.len && r >= 0;) {
		const struct nlattr *orig = (const void *)(s.found.data + at);
		struct nlmsghdr *h = begin(t, buf, IPCTNL_MSG_CT_DELETE, 0, of);

		mnl_attr_put(h, CTA_TUPLE_ORIG | NLA_F_NESTED, mnl_attr_get_payload_len(orig), mnl_attr_get_payload(orig));
		r = talk_ask(t, h, NULL, NULL);
		if (r == -ENOENT)
			r = 0;
		at += MNL_ALIGN(orig->nla_len);
	}
	buf_done(&s.found);
	return r;
}
