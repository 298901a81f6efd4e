/* network_plan: what a container is given of networks, from its record and its endpoints': the plan for berth-net, and what its own
 * /etc/hosts and /etc/resolv.conf say of them. Made anew at each start. */
#pragma once

#include "engine.h"

/* ret: plan_done it. -ENOENT: the container is gone. */
int network_plan_make(struct engine *en, const struct container_record *c, struct net_plan *ret, struct err *e);
/* The same of its endpoint on one network alone, without ports. -ENOENT: it is not on that. */
int network_plan_one(struct engine *en, const struct container_record *c, const char *network_id, struct net_plan *ret,
		     struct err *e);
/* The whole files; the caller frees. hostname: the container's. */
int network_hosts_text(struct engine *en, const struct run_opts *o, const struct net_plan *plan, const char *hostname, char **ret,
		       struct err *e);
int network_resolv_text(const struct run_opts *o, const struct net_plan *plan, char **ret, struct err *e);
/* What nobody has on this host's networks any more: rules of interfaces that are gone, bridges that nobody is on. */
int network_sweep_all(struct engine *en, struct err *e);
/* Those of its endpoints that are up are known by the names that its record has now. */
int network_rename(struct engine *en, const struct container_record *c, struct err *e);
/* After a crash: what berth-net has made for c goes. */
int network_sweep(struct engine *en, const struct container_record *c, struct err *e);
