/* What the files of network/host share; nobody else includes it. Leaf functions return -errno; with a struct err, an error names what
 * it is about and, where there is one, the remedy. */
#pragma once

#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>

#include "address.h"
#include "elements.h"
#include "host.h"
#include "plan.h"
#include "talk.h"

/* Link groups: of endpoints that are held to their addresses, and of those that may send what they like; of bridges that are ours. */
enum { GROUP_HELD = 0xbe47, GROUP_FREE = 0xbe48, GROUP_BRIDGE = 0xbe49 };
enum { MTU_DEFAULT = 1500, MTU_MIN = 68, MTU_MIN_IPV6 = 1280, QUEUES_MAX = 64 };

struct nets {
	struct talk route, filter; /* of the host's namespace */
	struct talk outside; /* rtnetlink of the host's, where another namespace takes its place (rootless.h); else closed */
	int host_ns;         /* that namespace */
	int turn;            /* its lock */
	int inside;          /* the namespace given, or -1 */
	bool has_waited;     /* for the turn: others are about */
	bool made_room;      /* a bridge of a network that is gone went before its time; its resolver is there yet */
};

/* check.c: every value of the plan that comes to the kernel, a file or a rule. verb: what is asked of an endpoint differs. */
int check_plan(const struct net_plan *p, const char *verb, bool has_ns, struct err *e);

/* links.c: devices, addresses and routes. */
struct link {
	unsigned index, group, master;
	bool is_up, is_bridge;
	char name[IFNAMSIZ];
	char alias[65]; /* of a bridge of ours: the network's id; "": none */
};
struct veth_plan {
	const char *name, *inner; /* the host's side, and the one in the namespace ns */
	int ns;
	const uint8_t *mac; /* of the inner one; NULL: the kernel's choice */
	uint32_t mtu;
};
int link_find(struct talk *t, const char *name, struct link *ret);                /* -ENODEV */
int link_list(struct talk *t, unsigned master, struct link **ret, size_t *ret_n); /* master 0: all */
int link_add_bridge(struct talk *t, const char *name, uint32_t mtu);
int link_add_veth(struct talk *t, const struct veth_plan *v);
/* Into the bridge (0: none), the group, and up; with no IPv6 address of its own. */
int link_enslave(struct talk *t, unsigned index, unsigned bridge, unsigned group, uint32_t mtu);
int link_no_address(struct talk *t, unsigned index);            /* IPv6: none that the kernel makes up */
int link_up(struct talk *t, unsigned index, const char *alias); /* NULL: the alias that it has */
int link_delete(struct talk *t, unsigned index);                /* gone already: 0 */
int address_add(struct talk *t, unsigned index, const struct address *a);
/* 1: the device has it. */
int address_has(struct talk *t, unsigned index, const struct address *a);
int route_add_default(struct talk *t, unsigned index, const struct address *gateway, bool replaces);
/* The default one of a table, to a gateway that need not be in any subnet of the device's; there already: 0. */
int route_add_table(struct talk *t, unsigned index, const struct address *gateway, unsigned table);
int route_has_default(struct talk *t); /* of either family: 1, 0 or -errno */
/* The first route of the host that overlaps, but for default ones and those by the device `own` (0: none): 1 and its text, or 0. */
struct route_clash {
	char route[64];
	char device[IFNAMSIZ];
};
int route_clash(struct talk *t, const struct address *subnet, unsigned own, struct route_clash *ret);

/* child.c: macvlan and ipvlan. mode NULL: the driver's default. */
bool child_is_mode(const char *driver, const char *mode, uint32_t *ret);
int child_remove(struct nets *n, const struct net_endpoint *ep); /* out of a namespace that lives on; gone already: 0 */
int child_add(struct nets *n, const struct net_endpoint *ep, struct err *e);

/* cni.c: networks whose interfaces the site's plugins make. Called without berth-net's lock. */
bool cni_is_on(const struct net_plan *p);
/* The one whose plugins publish ports, where no network of the driver bridge does; NULL: none. */
const struct net_endpoint *cni_ports_endpoint(const struct net_plan *p);
/* ns: the namespace to put interfaces in. What they give is a's results; a's ports are known. On failure the caller detaches. */
int cni_attach(const struct net_plan *p, int ns, struct net_answer *a, struct err *e);
int cni_detach(const struct net_plan *p, struct err *e); /* gone already: 0 */

/* tap.c: `queues` descriptors of one device, which lives as long as any of them is open. */
int tap_open(const char *name, uint32_t queues, int *ret_fds, struct err *e);

/* ruleset.c: the static tables. */
int ruleset_ensure(struct nets *n, struct err *e);
int ruleset_remove(struct err *e);                    /* gone already: 0 */
int ruleset_run(const char *commands, struct err *e); /* of nft's language */
/* A table with the version for a comment. 1: it is there, 0: not. */
int ruleset_has_table(struct talk *t, uint8_t family, const char *name, const char *version);
/* 1: both are there, of this version; 0: not. */
int ruleset_is_there(struct talk *t);

/* docker.c: Docker's firewall lets our bridges through. */
int docker_accept(struct nets *n, const char *device, struct err *e);
int docker_forget(struct nets *n, struct err *e);

/* settings.c: of the kernel, in /proc/sys/net of the namespace that the caller is in. */
int settings_bridge(const char *device, bool wants_ipv4, bool wants_ipv6, struct err *e);
int settings_inside(const char *device, struct err *e);
int settings_way(const char *device, struct err *e);

/* bridge.c: networks. */
int bridge_up(struct nets *n, const struct net_network *net, unsigned *ret_index, struct err *e);
/* The kernel's settings for it, as others may have changed them since. */
int bridge_settings(const struct net_network *net, struct err *e);
/* The same with its resolver, and with what Docker's firewall has to let through. */
int network_up(struct nets *n, const char *state_dir, const struct net_network *net, unsigned *ret_index, struct err *e);
/* Its elements; without a network all that there may be. */
void bridge_elements(const struct net_network *net, const char *device, struct elements *v);
/* Where nobody is on it any more and it is ours. */
int bridge_down_unused(struct nets *n, const char *device, struct err *e);
/* Whether there are ports without elements: detached, and about to go with their namespace. 1, 0 or -errno. */
int bridge_has_leaving(struct nets *n, const char *device);
/* Without bridges no tables. */
int bridge_down_last(struct nets *n, struct err *e);

/* resolver.c: of networks that have names; of others nothing is done. It is there and lives. */
int resolver_up(const char *state_dir, const struct net_network *net, struct err *e);
int resolver_names(const char *state_dir, const struct net_endpoint *ep, struct err *e);
int resolver_forget(const char *state_dir, const struct net_endpoint *ep, struct err *e);
/* Ends those whose bridge has gone, with their files. */
int resolver_sweep(struct nets *n, const char *state_dir, struct err *e);

/* egress_rules.c: what a container may open, where the plan's resolver lists it. */
/* Its chain and sets, all or nothing; and to v the elements that lead there. */
int egress_up(struct nets *n, const struct net_plan *p, struct elements *v, struct err *e);
/* Connections of the plan's addresses are forgotten: before it comes those of others, once it has gone its own. */
int egress_forget(struct nets *n, const struct net_plan *p, struct err *e);
int egress_down(struct nets *n, const struct net_plan *p, struct err *e); /* once no element leads there any more */
int egress_sweep(struct nets *n, const char *only /* a chain; NULL: any */, struct err *e); /* those that no element leads to */
/* Adds the lines of its resolver's configuration. may_ask: a network of its leads out. */
int egress_conf(const struct net_plan *p, bool may_ask, struct buf *b, struct err *e);

/* conntrack.c */
int conntrack_forget(struct talk *t, const struct address *of);

/* own.c: a container's own resolver: the plan's, which is there. */
/* As it is wanted now: begun, or begun anew, and its elements added to v; or ended, and nobody turned to it any more. */
int own_change(struct nets *n, const struct net_plan *p, struct elements *v, struct err *e);
/* The plan's endpoints have left: it goes with the last, and goes on with those that remain, as far as it is wanted. */
int own_leave(struct nets *n, const struct net_plan *p, struct err *e);
/* Adds to v its elements that belong to these endpoints. */
int own_owned(struct nets *n, const struct net_endpoint *list, size_t count, struct elements *v);

/* ports.c */
struct reservation {
	int *fds;
	size_t n_fds;
	struct published *ports; /* one a socket */
	bool may_share;          /* somebody listens there after us, where others have spoken before (rootless_ports.c) */
};
int ports_reserve(const struct net_plan *p, const struct net_endpoint *to, struct net_port *ret_ports, struct reservation *ret,
		  struct err *e);
/* The same for an endpoint whose addresses its plugins will give. */
int ports_reserve_unaddressed(const struct net_plan *p, struct net_port *ret_ports, struct reservation *ret, struct err *e);
/* The endpoint that ports are published at; NULL: none of the driver bridge. */
const struct net_endpoint *ports_endpoint(const struct net_plan *p);
/* The same for one that is gone: what its elements are. */
int ports_published(const struct net_plan *p, const struct net_endpoint *to, struct published **ret, size_t *ret_n,
		    struct err *e);
bool port_is_protocol(const char *name);
/* Whether somebody has it, as its container's monitor does. 1, 0 or -errno. */
int port_is_reserved(const struct published *p);
void reservation_done(struct reservation *r);

/* The verbs. */
struct outcome {
	struct net_answer answer;
	int *taps;
	size_t n_taps;
	struct reservation ports;
	struct published *inside; /* what of them the tables are told where that differs (rootless.h) */
	size_t n_inside;
	int n_ways;
	unsigned *gone; /* devices to remove once the answer has been given */
	size_t n_gone;
	int *claims; /* of the endpoints' bridges, -1: another's */
	size_t n_claims;
	bool lingers; /* whether networks are to be looked at a moment later */
};
/* Before anything else: the ports are had, in the host's namespace. */
int attach_ports(const struct net_plan *p, struct outcome *o, struct err *e);
int attach(struct nets *n, const struct net_plan *p, struct outcome *ret, struct err *e);
/* The default routes of our endpoints, in place of what CNI plugins have made: the way out is by ours where there is one. */
int attach_gateways(struct nets *n, const struct net_plan *p, struct err *e);
int detach(struct nets *n, const struct net_plan *p, struct outcome *ret, struct err *e);
int detach_now(struct nets *n, const struct net_plan *p, struct err *e); /* devices too, and no moment later */
int sweep(struct nets *n, const struct net_plan *p, struct outcome *ret, struct err *e);
int names(struct nets *n, const struct net_plan *p, struct outcome *ret, struct err *e);
int reload(struct nets *n, const struct net_plan *p, struct outcome *ret, struct err *e);
void outcome_done(struct outcome *o);

/* endpoint.c: an endpoint on its bridge, and what its elements are. */
bool endpoint_is_bridged(const struct net_endpoint *ep);
int endpoint_enslave(struct nets *n, const struct net_endpoint *ep, unsigned index, unsigned bridge, struct err *e);
/* All of the plan's elements in one transaction: until then nothing is let through. */
int endpoints_let_through(struct nets *n, const struct net_plan *p, const struct published *ports, size_t n_ports, struct err *e);
int endpoint_elements(const struct net_endpoint *ep, struct elements *v, struct err *e);
/* What it opens is judged by the chain. */
int endpoint_closed(const struct net_endpoint *ep, const char *chain, struct elements *v, struct err *e);

/* linger.c: begins a process that outlives the caller. */
/* In detach's turn: which of the plan's bridges the process is to look at; those that another has are left to that one. */
int linger_claim(const struct net_plan *p, struct outcome *o, struct err *e);
int linger_begin(const struct net_plan *p, struct outcome *o, struct err *e);
