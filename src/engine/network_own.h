/* network_own: the resolver that a container may have of its own, in place of its networks', and whether what it opens can be held to a
 * list. */
#pragma once

#include "network_plan.h"

/* What a plan has of it; network_own_free it. leaves: a network's id whose endpoint is left out; NULL: none. */
int network_own_make(struct engine *en, const struct network_owner *w, const struct endpoint_record *list, size_t n,
		     const char *leaves, struct net_resolver **ret, struct err *e);
void network_own_free(struct net_resolver *own);
/* Whether what is sent on it can be held to a list. */
int network_egress_check(const struct net_network *n, struct err *e);
int network_egress_check_of(const struct network_record *n, struct err *e);
/* network_plan.c: one endpoint of a plan, which net_plan_done frees. */
int network_plan_endpoint(struct engine *en, const struct network_owner *w, const struct endpoint_record *p,
			  struct net_endpoint *ret, struct err *e);
