/* network_config: what a network's record and an endpoint's record keep as JSON (docs/FORMATS.md), and what follows from it: the network
 * as berth-net is told of it, and the request for a place on it. */
#pragma once

#include "address.h"
#include "plan.h"
#include "records.h"

#define NETWORK_DEFAULT "bridge" /* the network of those that name none; made when it is first used */

/* One of a network's ranges, as texts. */
struct network_subnet {
	char *subnet;          /* "10.78.0.0/24", without bits behind the prefix */
	char *gateway;         /* NULL: none */
	char *range;           /* whose addresses are given out; NULL: all */
	struct string_map aux; /* name -> address of what is there already */
};
struct network_config {
	struct network_subnet *subnets; /* at most one of a family */
	size_t n_subnets;
	struct string_map options; /* -o, as given */
	char *device;              /* the bridge's name */
	char *parent, *mode;       /* of macvlan and ipvlan; NULL: none, the default */
	char *cni, *cni_path;      /* of cni: the plugins' configuration as it was then, and where they are */
	uint32_t cni_seconds;      /* how long one of them may take */
	bool is_internal, has_ipv6, is_attachable;
};
int network_config_of(const struct network_record *n, struct network_config *ret, struct err *e);
char *network_config_print(const struct network_config *c); /* NULL on ENOMEM */
void network_config_done(struct network_config *c);
/* Their ranges whole, for records_network_put; *ret is the caller's. */
int network_config_ranges(const struct network_config *c, struct net_range **ret, struct err *e);

/* For a plan, of which it is a part: net_plan_done frees it there. */
int network_plan_of(const struct network_record *n, struct net_network *ret, struct err *e);

struct endpoint_options {
	char **aliases;                  /* names that it is known by on this network, besides its container's */
	char *address4, *address6, *mac; /* as they were asked for; NULL: not */
	struct net_result given;         /* of cni: what its plugins gave when it was attached last */
};
char *endpoint_options_print(const struct endpoint_options *o); /* NULL on ENOMEM */
int endpoint_options_of(const struct endpoint_record *p, struct endpoint_options *ret, struct err *e);
void endpoint_options_done(struct endpoint_options *o);

/* A place on that network: with an id and a MAC address, and the addresses that are asked for (NULL: any), which are checked against
 * subnets, ranges, gateways. record.container_id is the caller's to set. Names of options are docker's in the errors. */
int network_request(const struct network_record *n, const char *ip, const char *ip6, const char *mac, char *const *aliases,
		    struct endpoint_request *ret, struct err *e);
void network_request_done(struct endpoint_request *q);

/* ---- network_subnets.c: which subnets are free ---- */
struct engine;
/* Of the records' networks and of the host's interfaces and routes; *ret is the caller's. */
int network_taken(struct engine *en, struct net_prefix **ret, size_t *ret_n, struct err *e);
/* Whether these addresses belong to somebody in particular: a subnet of a network, a route to somewhere. */
bool network_is_place(const struct net_prefix *p);
/* One of the pools ($BERTH_ADDRESS_POOLS, or built in), that none of these overlaps. is_default: for the default network. */
int network_choose_subnet(bool is6, bool is_default, const struct net_prefix *taken, size_t n_taken, struct net_prefix *ret,
			  struct err *e);
/* The host's routes, of the texts of /proc/net/route and /proc/net/ipv6_route: those that lead somewhere in particular. Appended to
 * *list. 0 or -ENOMEM; lines that are none are passed over. */
int network_routes4(const char *text, struct net_prefix **list, size_t *n);
int network_routes6(const char *text, struct net_prefix **list, size_t *n);

/* ---- networks.c ---- */
/* By name, id or prefix, those too that no record has; the default one is made where it is missing. */
int network_find(struct engine *en, const char *name, struct network_record *ret, struct err *e);
/* The default network's record, which is made when there is none. */
int network_default(struct engine *en, struct network_record *ret, struct err *e);
