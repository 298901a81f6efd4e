/* networks: what containers and virtual machines talk over. Records alone are made and changed here: what the kernel has of a network
 * comes with its first running container and goes with the last (berth-net). Three are always there: bridge, whose record is made
 * when it is first looked for, host and none, which are words more than networks. */
#pragma once

#include "records.h"

struct engine;

struct engine_network_opts {
	const char *name, *driver;                              /* driver NULL: "bridge" */
	char *const *subnets, *const *gateways, *const *ranges; /* matched by what lies in what, as docker does */
	char *const *aux;                                       /* "NAME=ADDRESS" */
	char *const *options, *const *labels;                   /* "NAME=VALUE" */
	bool is_internal, has_ipv6, is_attachable;
};
/* Durable when it returns; *ret_id: caller frees. -EEXIST: the name is taken; -EADDRINUSE: another network has the addresses. */
int engine_network_create(struct engine *en, const struct engine_network_opts *o, char **ret_id, struct err *e);
/* By name, those that are always there too; network_records_free it. */
int engine_network_list(struct engine *en, struct network_record **ret, size_t *ret_n, struct err *e);
bool engine_network_is_predefined(const char *name);
/* Docker's JSON. Of containers also those that don't run: they keep their addresses. */
int engine_network_inspect(struct engine *en, const char *name, struct json_object **ret, struct err *e);
int engine_network_traits(const struct network_record *n, bool *ret_ipv6, bool *ret_internal, struct err *e);
/* -EBUSY: somebody is on it; -EPERM: it is always there; -ENOENT. */
int engine_network_remove(struct engine *en, const char *name, struct err *e);

struct engine_connect_opts {
	const char *ip, *ip6, *mac; /* NULL: any */
	char *const *aliases;
};
int engine_network_connect(struct engine *en, const char *network, const char *container, const struct engine_connect_opts *o,
			   struct err *e);
int engine_network_disconnect(struct engine *en, const char *network, const char *container, struct err *e);
/* What somebody has flushed or changed of the networks of one that runs comes again: tables, addresses' walls, published ports, resolvers.
 * *ret_id: caller frees. -ESRCH: it does not run; -ENONET: it has none of its own. */
int engine_network_reload(struct engine *en, const char *container, char **ret_id, struct err *e);
