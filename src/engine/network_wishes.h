/* network_wishes: what --network and its companions ask for, apart from whether such networks are there. */
#pragma once

#include "engine.h"

enum network_kind { NETWORK_NONE, NETWORK_HOST, NETWORK_CONTAINER, NETWORK_OWN };
/* "none", "host", "container:NAME" or a network's name: what o asks for, the default included; borrowed. */
const char *network_mode(const struct run_opts *o);
enum network_kind network_kind_of(const struct run_opts *o);

/* One network to be on: "NAME", or docker's "name=NAME[,alias=A][,ip=I][,ip6=I][,mac-address=M]". */
struct network_wish {
	char *name, *ip, *ip6, *mac;
	char **aliases;
};
struct network_wishes {
	struct network_wish *list;
	size_t n;
};
/* Of NETWORK_OWN: the first is that of network_mode, which takes --ip, --ip6, --mac-address and --network-alias. */
int network_wishes_of(const struct run_opts *o, struct network_wishes *ret, struct err *e);
void network_wishes_done(struct network_wishes *w);
/* Options that need a network of its own, given without one; ports, names and addresses that are none. */
int network_check(const struct run_opts *o, struct err *e);

int network_check_useless(const struct run_opts *o, struct err *e); /* only the first; the rest is in network_check */

/* --add-host: "NAME:ADDRESS" or "NAME=ADDRESS"; host-gateway stands for `gateway`. *ret: "ADDRESS\tNAME\n", the caller's. */
int network_host_line(const char *text, const char *gateway, char **ret, struct err *e);
