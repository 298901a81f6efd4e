/* network_cni: networks of the driver cni, as records have them: the configuration, copied and checked when the network is made; what
 * may be asked of it; what its plugins have given to whom. */
#pragma once

#include "engine.h"
#include "network_config.h"

/* Of --opt conf=FILE and timeout=SECONDS: reads and checks the file, and asks each plugin for its versions. */
int network_cni_configure(const struct engine_network_opts *o, struct network_config *c, struct err *e);
/* Addresses, names and a MAC address that are asked for, against what its plugins can do. mac, ips, aliases may be NULL. */
int network_cni_check(const struct network_record *n, const struct network_config *c, const char *const ips[2], const char *mac,
		      char *const *aliases, struct err *e);
/* No virtual machine. */
int network_cni_check_isolation(const struct network_record *n, bool is_vm, struct err *e);

/* What attach has answered, into the endpoints' records of that container. */
int network_cni_note(struct engine *en, const char *container_id, const struct net_hold *h, struct err *e);
/* Devices whose plugins have yet to be told that they are gone, and that no record knows any more; strv_free it. NULL: none. */
int network_cni_lost(struct engine *en, char ***ret, struct err *e);
/* Whether plugins still have something of that endpoint, whose container does not run. */
bool network_cni_is_left(struct engine *en, const struct net_endpoint *ep);
