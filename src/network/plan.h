/* plan: what a container, a VM or a pod is given of networks, as plain structs with a JSON form: what the engine, which alone knows the
 * records, asks of berth-net, which alone touches the kernel's network. Both ends are one build; the form is strict (docs/FORMATS.md).
 *
 *   berth-net VERB    descriptor 3: a stream socket: the plan's text to the end of file, then the answer, then the end
 *                     descriptor 4: with attach, the network namespace to put interfaces in; not for VMs. With detach, where it lives
 *                     on: its interfaces are gone before the answer
 *
 *   attach   makes what is missing of the networks themselves, then the endpoints, ports and names; all or nothing
 *   detach   takes the same away again; what is gone already is no error. Networks that nobody is on any more go a moment later
 *   names    endpoints that are there are known by other names from now on
 *   reload   what somebody has flushed or changed of endpoints that are there comes again: tables, elements, settings, resolvers. Devices
 *            and the ports' sockets stay: ports are those of attach's answer, and one that nobody reserves is left out
 *   sweep    takes away what dead ones have left on this host: the plan's endpoints, but for the devices in `keep`, and rules, bridges and
 *            resolvers that nobody has any more
 *
 * The answer to each is a struct net_answer; to attach with descriptors (SCM_RIGHTS, in one or more messages before the text's end):
 * first the taps, in the order of the endpoints, `queues` each; then a socket for each port, bound, which reserves it while it is open
 * (of a rootless user's, one whose other end has whoever listens there: he goes when it is closed). */
#pragma once

#include "codec.h"

#define NET_PLAN_VERSION 1
#define NET_CNI_DIR      "cni" /* in state_dir: a folder for each endpoint whose plugins have been asked, by its device */
/* In the network namespace of a user without root's rights: whoever answers there asks the host's own resolver, which may be on its loopback. */
#define ROOTLESS_DNS "169.254.1.53"

/* One of a network's ranges of addresses. Texts: "10.77.0.0/16", "10.77.0.1"; IPv6 likewise. */
struct net_subnet {
	char *subnet;
	char *gateway; /* the bridge's own address, or with macvlan and the like the router's; NULL: none */
};

struct net_network {
	char *id, *name;
	char *driver;         /* "bridge", "macvlan", "ipvlan", "cni" */
	char *device;         /* the bridge's name; of macvlan, ipvlan: the host's interface */
	char *mode;           /* of macvlan, ipvlan; NULL: its default */
	char *cni;            /* of cni: the configuration's text, a list */
	char *cni_path;       /* where its programs are looked for */
	uint32_t cni_seconds; /* how long one of its plugins may take */
	struct net_subnet *subnets;
	size_t n_subnets;
	uint32_t mtu;       /* 0: the default */
	bool is_internal;   /* no way out, none in */
	bool no_masquerade; /* its addresses go out as they are */
	bool may_spoof;     /* frames are not held to their sender's addresses */
	bool has_names;     /* a resolver on the gateway's address knows who is on it */
	char **upstreams;   /* whom that asks; NULL: as the host does */
};

/* Of driver cni: what the plugins have given. */
struct net_result {
	char *id;         /* the endpoint's */
	char *mac;        /* NULL: they don't say */
	char **addresses; /* "10.77.0.2/16" */
	char *gateway4, *gateway6;
	char **dns, **search, **options; /* of resolv.conf(5) */
};

/* An interface on a network. */
struct net_endpoint {
	char *id;                  /* 64 hexadecimal digits */
	char *device;              /* the host's side of it: at most 15 bytes; nobody else's on this host */
	char *name;                /* inside: "eth0" */
	char *mac;                 /* "02:42:0a:4d:00:02" */
	char **addresses;          /* "10.77.0.2/16"; one of a family. Of cni: those that are asked for, "10.77.0.2" */
	char *gateway4, *gateway6; /* of the default route; NULL: not by this interface */
	char **names;              /* by which the network's resolver knows it; the first is what its address is called */
	struct net_result given;   /* of cni: for whoever shows it; berth-net does not look at it */
	struct net_network network;
};
/* What it has: of cni what was given. */
char *const *net_endpoint_addresses(const struct net_endpoint *ep);

/* A resolver of the container's own, in place of its networks': it knows the names of all of them. */
struct net_resolver {
	bool is_wanted;                 /* else one that there is goes, and the networks' are asked again */
	struct net_endpoint *endpoints; /* of the driver bridge: all that the container has once the verb is done */
	size_t n_endpoints;
	char **upstreams; /* whom it asks; NULL: as the host does */
	char **egress;    /* items of egress.h: all that the container may open, and all that may be asked for. NULL: anything */
};

/* A published port. */
struct net_port {
	char *protocol;          /* "tcp", "udp", "sctp" */
	char *host_ip;           /* NULL: every address of the host */
	uint32_t host_port;      /* in a plan 0: any that is free; in an answer never */
	uint32_t host_port_last; /* in a plan: any that is free from host_port to this one; 0: host_port alone */
	uint32_t port;           /* the container's */
};
/* Lists of them as JSON arrays, as a container's record has them. */
struct json_object *net_ports_json(const struct net_port *list, size_t n); /* NULL on ENOMEM */
int net_ports_parse(const char *text, struct net_port **ret, size_t *ret_n, struct err *e);
void net_ports_free(struct net_port *list, size_t n);

struct net_plan {
	uint32_t version;
	char *id;        /* the container's, or the pod's */
	char *state_dir; /* RUN/networks: where resolvers keep their files */
	char *users_lock; /* of a user without root's rights: what all of his commands and monitors lock, shared; NULL: the host is ours */
	bool is_vm;      /* taps, not an interface in a namespace */
	uint32_t queues; /* of each tap; 0: one */
	struct net_endpoint *endpoints;
	size_t n_endpoints;
	struct net_port *ports;
	size_t n_ports;
	struct net_resolver *resolver; /* NULL: that of each network, and so it stays */
	char **keep;                   /* of sweep: devices (net_endpoint.device) of all that live */
	char **lost;                   /* of sweep: devices that no record has any more, whose CNI plugins have yet to be told */
	char **dns, **dns_search, **dns_options; /* what was asked for, for plugins that take it */
};
int net_plan_parse(const char *text, size_t len, struct net_plan *ret, struct err *e);
struct json_object *net_plan_json(const struct net_plan *p); /* NULL on ENOMEM */
void net_plan_done(struct net_plan *p);
void net_plan_cut(struct net_plan *p); /* frees all but the first endpoint, and the ports */

/* The error of detach and sweep where all is done but for what CNI plugins have not let go of; they can be asked again. */
#define NET_PLUGINS_HOLD EREMOTEIO

struct net_answer {
	int32_t error;          /* errno, 0: done */
	char *message;          /* of an error, for people */
	uint32_t taps, sockets; /* how many descriptors came of each kind */
	struct net_port *ports; /* as published, in the plan's order */
	size_t n_ports;
	struct net_result *results; /* to attach: of the endpoints on networks of the driver cni */
	size_t n_results;
};
int net_answer_parse(const char *text, size_t len, struct net_answer *ret, struct err *e);
extern const struct field net_result_rows[];
struct json_object *net_answer_json(const struct net_answer *a);
void net_answer_done(struct net_answer *a);
