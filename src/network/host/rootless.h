/* rootless: the networks of a user without root's rights. All of them are in one network namespace of his own, which takes the host's place: bridges,
 * tables and resolvers are in it as they would be on the host. What it has to do with the host goes by pastas (way.h): one for what
 * the user's containers ask of others, as long as any of his commands and containers runs; one or more for each container with published
 * ports, which have these on the host, and lead those who come to addresses of their own in the namespace.
 *
 *   STATE_DIR/rootless.netns   the namespace, mounted in the user's mount namespace, with which it goes
 *   STATE_DIR/rootless.lock    held while it or its first way is made or ended
 *   STATE_DIR/rootless.way     locked as long as the first way is there
 *   STATE_DIR/DEVICE.way       the same for a way of published ports */
#pragma once

#include "impl.h"

/* Whether this is a plan of such a user's. */
static inline bool is_rootless(const struct net_plan *p) { return !!p->users_lock; }

/* Enters the namespace for good, where the plan is of such a user; in n, `outside` is a conversation with the host's rtnetlink. makes: it and
 * the first way are made where they are not there, and what o->ports has reserved is had by ways from then on, and in o->inside as the
 * tables are to have it. 1 then, 0 where there is nothing to enter, -ENOENT without words where it is not there and was not to be made. */
int rootless_enter(struct nets *n, const struct net_plan *p, bool makes, struct outcome *o, struct err *e);
/* In the namespace, in its turn: addresses and routes of the first way, and of those that o has. */
int rootless_routes(struct nets *n, const struct net_plan *p, const struct outcome *o, struct err *e);

/* rootless_ports.c: ways of published ports. */
int rootless_publish(const struct net_plan *p, const char *netns, struct outcome *o, struct err *e);
/* Whoever wanted the plan's published ports has let go of them: they are free, and their ways gone, when this returns, or it has waited in vain. */
void rootless_await_ways(const struct net_plan *p);
/* What the tables are to have of ports that are published, in place of what the host has; none where their way is gone. */
int rootless_published(struct nets *n, const struct net_plan *p, struct published **list, size_t *n_list, struct err *e);
/* rootless_ways.c: the way number k of the endpoint; NULL: the first of all. Of it the tap's name and the addresses. */
struct way rootless_way(const struct net_endpoint *ep, int k);
