/* network_plan: what a container is given of networks, from its record and its endpoints': the plan for berth-net, and what its own
 * /etc/hosts and /etc/resolv.conf say of them. Made anew at each start. */
#pragma once

#include "engine.h"

/* Whose networks they are: a container's, or a pod's. Borrows. */
struct network_owner {
	const char *id, *name, *isolation;
	const struct run_opts *o;
	char *const *members; /* of a pod: by what names and ids its containers are known too; NULL: none */
};
int network_plan_of_owner(struct engine *en, const struct network_owner *w, struct net_plan *ret, struct err *e);
/* ret: plan_done it. -ENOENT: the container is gone. */
int network_plan_make(struct engine *en, const struct container_record *c, struct net_plan *ret, struct err *e);
/* The same of its endpoint on one network alone, without ports: it comes, or it leaves, and what resolver the container is then to have.
 * -ENOENT: it is not on that. */
int network_plan_one(struct engine *en, const struct container_record *c, const char *network_id, bool leaves,
		     struct net_plan *ret, struct err *e);
/* Of an address: a resolver that has it on the host is none of the container's. */
bool network_is_loopback(const char *address);
/* network_files.c: the whole files; the caller frees. hostname: the container's. */
int network_hosts_text(struct engine *en, const struct run_opts *o, const struct net_plan *plan, const char *hostname, char **ret,
		       struct err *e);
/* For rootless users: networks with names ask the host's own resolver where it has none that could be asked from here. */
int network_ask_outside(struct net_plan *plan, struct err *e);
int network_resolv_text(const struct run_opts *o, const struct net_plan *plan, char **ret, struct err *e);
/* What nobody has on this host's networks any more: rules of interfaces that are gone, bridges that nobody is on. */
int network_sweep_all(struct engine *en, struct err *e);
/* Those of its endpoints that are up are known by the names that its record has now. */
int network_rename(struct engine *en, const struct container_record *c, struct err *e);
/* What the host's side of an endpoint is called; the caller's, NULL on ENOMEM. */
char *network_device_of(const char *endpoint_id);
/* Its networks' plugins that would not let go when it ended are asked once more; nothing where there are none. */
int network_sweep_left(struct engine *en, const struct container_record *c, struct err *e);
/* After a crash: what berth-net has made for c goes. */
int network_sweep(struct engine *en, const struct container_record *c, struct err *e);

/* ---- pod_network.c: a container's whose network is its pod's ---- */
/* What its pod is given, and *ret_o: with which options; run_opts_done it. 1; 0 where c is in no pod, or that is on no networks. */
int pod_network_of(struct engine *en, const struct container_record *c, struct net_plan *ret, struct run_opts *ret_o,
		   struct err *e);
int pod_network_is(struct engine *en, const struct container_record *c, struct err *e); /* the same without what it is given */
int pod_network_plan(struct engine *en, const struct pod_record *p, const struct run_opts *o, struct net_plan *ret,
		     struct err *e);
/* Of a new one: places for the networks of o, which p has until pod_network_request_done. */
int pod_network_request(struct engine *en, const struct run_opts *o, struct pod_record *p, struct err *e);
void pod_network_request_done(struct pod_record *p);
int pod_network_check(const struct run_opts *o, struct err *e); /* of a new one */
bool pod_is_up(const struct engine_pod *p);                     /* one of its containers is */
/* pod_sweep with the pod's networks. */
int pod_sweep_networks(struct engine *en, const char *pod_id, struct err *e);
int pod_sweep_all_networks(struct engine *en, struct err *e);
/* A container of the pod has gone: its name with it, where the pod lives on. */
void pod_network_forget(struct engine *en, const char *pod_id);
