/* The static tables: `berth` of the families inet (who may reach whom, published ports, the way out) and bridge (frames are held to
 * their sender's addresses). Containers are elements of their sets. libnftables reads the text; it is opened by the one berth-net that
 * makes or removes the tables, since loading it takes longer than an attach. */
#include <netinet/in.h>
#include <dlfcn.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <nftables/libnftables.h>
#include <stdio.h>

#include "impl.h"

#define VERSION "3" /* another text is another version */

/* Sets: of bridges those that are ours, without a way out, whose addresses are hidden behind the host's; pairs of a bridge with itself.
 * Maps: published at one address, at any; who asks which gateway for names is turned to which resolver of a container's own, and nobody else
 * comes to that; who may open only what a chain of its own lets him (egress_rules.c). Priorities: raw comes before connections are looked up.
 * `fib daddr type local`: what goes through the host to another's port is not ours. 127.0.0.0/8: only the host's own programs reach what is
 * published there; the kernel drops it from elsewhere as long as nothing has turned it into a container's address. */
static const char text_inet[] =
	"add table inet berth\ndelete table inet berth\n"
	"table inet berth {\n"
	" comment \"" VERSION "\"\n"
	" set bridges { type ifname; }\n"
	" set internal { type ifname; }\n"
	" set hidden { type ifname; }\n"
	" set pairs { type ifname . ifname; }\n"
	" map at4 { type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service; }\n"
	" map any4 { type inet_proto . inet_service : ipv4_addr . inet_service; }\n"
	" map at6 { type inet_proto . ipv6_addr . inet_service : ipv6_addr . inet_service; }\n"
	" map any6 { type inet_proto . inet_service : ipv6_addr . inet_service; }\n"
	" map resolve4 { type ifname . ipv4_addr . ipv4_addr : ipv4_addr . inet_service; }\n"
	" map resolve6 { type ifname . ipv6_addr . ipv6_addr : ipv6_addr . inet_service; }\n"
	" set resolvers4 { type ipv4_addr . inet_service; }\n"
	" set resolvers6 { type ipv6_addr . inet_service; }\n"
	" map egress4 { type ifname . ipv4_addr : verdict; }\n"
	" map egress6 { type ifname . ipv6_addr : verdict; }\n"
	" chain resolve {\n"
	"  meta l4proto { tcp, udp } dnat ip to iifname . ip saddr . ip daddr map @resolve4\n"
	"  meta l4proto { tcp, udp } dnat ip6 to iifname . ip6 saddr . ip6 daddr map @resolve6\n"
	" }\n"
	" chain turned { ct status dnat accept; drop; }\n"
	" chain resolvers {\n"
	"  meta l4proto { tcp, udp } ip daddr . th dport @resolvers4 jump turned\n"
	"  meta l4proto { tcp, udp } ip6 daddr . th dport @resolvers6 jump turned\n"
	" }\n"
	/* Whoever may open only what is listed: what he asks for fails at once. Multicast has no answer. */
	" chain refuse {\n"
	"  meta pkttype != unicast drop\n"
	"  ip daddr 224.0.0.0/4 drop\n"
	"  ip6 daddr ff00::/8 drop\n"
	"  meta l4proto tcp reject with tcp reset\n"
	"  reject with icmpx admin-prohibited\n"
	" }\n"
	/* What no name's address opens: this host, its networks, and addresses that are not the whole world's. */
	" chain unnamed {\n"
	"  fib daddr type local goto refuse\n"
	"  oifname @bridges goto refuse\n"
	"  ip daddr { 0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16, "
	"224.0.0.0/3 } goto refuse\n"
	"  ip6 daddr != 2000::/3 goto refuse\n"
	"  ip6 daddr 2002::/16 goto refuse\n"
	" }\n"
	" chain egress {\n"
	"  iifname . ip saddr vmap @egress4\n"
	"  iifname . ip6 saddr vmap @egress6\n"
	" }\n"
	" chain publish {\n"
	"  dnat ip to meta l4proto . ip daddr . th dport map @at4\n"
	"  dnat ip to meta l4proto . th dport map @any4\n"
	"  dnat ip6 to meta l4proto . ip6 daddr . th dport map @at6\n"
	"  dnat ip6 to meta l4proto . th dport map @any6\n"
	" }\n"
	" chain raw { type filter hook prerouting priority raw; iifname @bridges ip daddr 127.0.0.0/8 drop; }\n"
	" chain prerouting { type nat hook prerouting priority dstnat; meta l4proto { tcp, udp } th dport 53 jump resolve; "
	" ip daddr 127.0.0.0/8 return; fib daddr type local jump "
	"publish; }\n"
	" chain output { type nat hook output priority -100; ip6 daddr ::1 return; fib daddr type local jump publish; }\n"
	" chain input {\n"
	"  type filter hook input priority filter;\n"
	"  iifname @internal fib daddr . iif type unicast drop\n"
	"  jump resolvers\n"
	"  icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept; jump egress\n"
	" }\n"
	" chain forward {\n"
	"  type filter hook forward priority filter;\n"
	"  iifname . oifname @pairs icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n"
	"  jump egress\n"
	"  iifname . oifname @pairs accept\n"
	"  iifname @internal drop\n"
	"  oifname @internal drop\n"
	"  oifname @bridges jump in\n"
	" }\n"
	" chain in { ct state established,related accept; ct status dnat accept; drop; }\n"
	" chain postrouting {\n"
	"  type nat hook postrouting priority srcnat;\n"
	/* The other side would answer past the host, and from an address that the first has never spoken to. */
	"  ct status dnat iifname . oifname @pairs masquerade\n"
	"  iifname @hidden oifname != @bridges masquerade\n"
	"  oifname @bridges ip saddr 127.0.0.0/8 masquerade\n"
	" }\n"
	"}\n";

/* Of endpoints in GROUP_HELD: nothing from a MAC or IP address that is not theirs, in ARP and neighbour discovery neither; none is
 * a router or a DHCP server; only IPv4, IPv6 and ARP. @th,64,128 is the address that an advertisement is about. */
static const char text_bridge[] =
	"add table bridge berth\ndelete table bridge berth\n"
	"table bridge berth {\n"
	" comment \"" VERSION "\"\n"
	" set macs { type ifname . ether_addr; }\n"
	" set addr4 { type ifname . ipv4_addr; }\n"
	" set addr6 { type ifname . ipv6_addr; }\n"
	" set targets { typeof iifname . @th,64,128; }\n"
	" map egress { type ifname : verdict; }\n"
	" chain refuse { drop; }\n"
	/* What opens nothing: who it is for, and answers to what peers have opened. Connections are not looked up on a bridge. */
	" chain answers {\n"
	"  ether type arp accept\n"
	"  tcp flags & (syn | ack) != syn accept\n"
	"  icmp type { echo-reply, destination-unreachable, time-exceeded, parameter-problem } accept\n"
	"  icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, echo-reply, destination-unreachable, packet-too-big, "
	"time-exceeded, parameter-problem } accept\n"
	" }\n"
	" chain forward { type filter hook forward priority -350; iifname vmap @egress; }\n"
	" chain prerouting {\n"
	"  type filter hook prerouting priority -350;\n"
	"  meta iifgroup != %u accept\n"
	"  iifname . ether saddr != @macs drop\n"
	"  ether type arp iifname . arp saddr ether != @macs drop\n"
	"  ether type arp arp saddr ip 0.0.0.0 accept\n"
	"  ether type arp iifname . arp saddr ip != @addr4 drop\n"
	"  ether type arp accept\n"
	"  ether type ip iifname . ip saddr != @addr4 drop\n"
	"  ether type ip udp sport 67 drop\n"
	"  ether type ip accept\n"
	"  ether type != ip6 drop\n"
	"  icmpv6 type { nd-router-advert, nd-redirect } drop\n"
	"  icmpv6 type nd-neighbor-advert iifname . @th,64,128 != @targets drop\n"
	"  udp sport 547 drop\n"
	"  ip6 saddr :: icmpv6 type { nd-neighbor-solicit, nd-router-solicit, mld-listener-report, mld2-listener-report } "
	"accept\n"
	"  iifname . ip6 saddr != @addr6 drop\n"
	" }\n"
	"}\n";

struct library {
	void *handle;
	__typeof__(nft_ctx_new) *new;
	__typeof__(nft_ctx_free) *free;
	__typeof__(nft_ctx_buffer_error) *buffer_error;
	__typeof__(nft_ctx_get_error_buffer) *get_error;
	__typeof__(nft_run_cmd_from_buffer) *run;
};

static int load(struct library *ret, struct err *e)
{
	struct library l = { .handle = dlopen("libnftables.so.1", RTLD_NOW) };
	const struct {
		const char *name;
		void *to;
	} wanted[] = {
		{ "nft_ctx_new", &l.new },
		{ "nft_ctx_free", &l.free },
		{ "nft_ctx_buffer_error", &l.buffer_error },
		{ "nft_ctx_get_error_buffer", &l.get_error },
		{ "nft_run_cmd_from_buffer", &l.run },
	};

	if (!l.handle)
		return err_set(e, ELIBACC, "%s: install libnftables (Debian's package libnftables1)", dlerror());
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		void *found = dlsym(l.handle, wanted[i].name);

		if (!found) {
			dlclose(l.handle);
			return err_set(e, ELIBBAD, "libnftables.so.1 has no %s", wanted[i].name);
		}
		memcpy(wanted[i].to, &found, sizeof(found));
	}
	*ret = l;
	return 0;
}

int ruleset_run(const char *commands, struct err *e)
{
	struct library l = { 0 };
	struct nft_ctx *ctx;
	int r = load(&l, e);

	if (r < 0)
		return r;
	ctx = l.new(NFT_CTX_DEFAULT);
	if (!ctx || l.buffer_error(ctx) != 0)
		r = err_set(e, ENOMEM, "nf_tables: %s", strerror(ENOMEM));
	else if (l.run(ctx, commands) != 0)
		r = err_set(e, EIO, "nf_tables: %.200s", l.get_error(ctx));
	if (ctx)
		l.free(ctx);
	dlclose(l.handle);
	return r;
}

struct version {
	const char *wanted;
	bool is_it;
};

static int take_version(const struct nlmsghdr *h, void *arg)
{
	struct version *v = arg;
	const size_t len = strlen(v->wanted) + 1;
	const struct nlattr *a;

	mnl_attr_for_each(a, h, sizeof(struct nfgenmsg))
	{
		const char *p = mnl_attr_get_payload(a); /* type, length with the NUL, text */

		if (mnl_attr_get_type(a) == NFTA_TABLE_USERDATA)
			v->is_it = mnl_attr_get_payload_len(a) == len + 2 && p[0] == 0 && p[1] == (char)len &&
				   memcmp(p + 2, v->wanted, len) == 0;
	}
	return 0;
}

int ruleset_has_table(struct talk *t, uint8_t family, const char *name, const char *version)
{
	char buf[TALK_ROOM];
	struct nlmsghdr *h = talk_begin(t, buf, (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETTABLE, 0);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	struct version v = { .wanted = version };
	int r;

	g->nfgen_family = family;
	g->version = NFNETLINK_V0;
	mnl_attr_put_strz(h, NFTA_TABLE_NAME, name);
	r = talk_ask(t, h, take_version, &v);
	return r == -ENOENT ? 0 : r < 0 ? r : v.is_it;
}

int ruleset_is_there(struct talk *t)
{
	const int r = ruleset_has_table(t, NFPROTO_INET, RULESET_TABLE, VERSION);

	return r > 0 ? ruleset_has_table(t, NFPROTO_BRIDGE, RULESET_TABLE, VERSION) : r;
}

/* Those of live containers move from tables of another version, or from the one that somebody has left when he took the other away. */
int ruleset_ensure(struct nets *n, struct err *e)
{
	_cleanup_(elements_done) struct elements live = { 0 };
	_cleanup_free_ char *text = NULL, *all = NULL;
	int r = ruleset_is_there(&n->filter);

	if (r > 0)
		return 0;
	if (r == 0)
		r = elements_list(&n->filter, &live);
	if (r < 0)
		return err_set(e, -r, "nf_tables: %s (is the kernel's module nf_tables loaded?)", strerror(-r));
	text = str_fmt(text_bridge, GROUP_HELD);
	all = text ? str_fmt("%s%s", text_inet, text) : NULL;
	if (!all)
		return err_set(e, ENOMEM, "nf_tables: %s", strerror(ENOMEM));
	r = ruleset_run(all, e);
	if (r < 0)
		return r;
	elements_close(&live);
	r = elements_add(&n->filter, &live);
	return r < 0 ? err_set(e, -r, "nf_tables: elements of running containers: %s", strerror(-r)) : 0;
}

int ruleset_remove(struct err *e)
{
	/* Added first, so that their absence is no error. */
	return ruleset_run("add table inet berth\ndelete table inet berth\nadd table bridge berth\ndelete table bridge berth\n",
			   e);
}
