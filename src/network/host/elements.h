/* Elements of the sets of ruleset.c: all that differs between one container and another is there. */
#pragma once

#include <net/if.h>

#include "address.h"
#include "talk.h"

#define RULESET_TABLE  "berth"
#define RULESET_REFUSE "refuse" /* the chain of those that may open nothing */
enum { CHAIN_LEN = 24 };

enum set_id {
	SET_BRIDGES,
	SET_INTERNAL,
	SET_HIDDEN,
	SET_PAIRS,
	SET_AT4,
	SET_ANY4,
	SET_AT6,
	SET_ANY6,
	SET_MACS,
	SET_ADDR4,
	SET_ADDR6,
	SET_TARGETS,
	SET_RESOLVE4,
	SET_RESOLVE6,
	SET_RESOLVERS4,
	SET_RESOLVERS6,
	SET_EGRESS4,
	SET_EGRESS6,
	SET_EGRESS,
	SET_COUNT
};
struct element {
	enum set_id set;
	uint8_t key[64], data[32];
	uint32_t key_len, data_len;
	char owner[IFNAMSIZ];  /* the device that it belongs to */
	char chain[CHAIN_LEN]; /* of SET_EGRESS*: where it leads */
	bool is_lost;
};
struct elements {
	struct element *items;
	size_t n;
	bool failed;
};
/* element.c: what they are. */
struct element *element_new(struct elements *v, enum set_id set, const char *owner); /* NULL: v->failed */
void element_device(struct elements *v, enum set_id set, const char *device);
void element_pair(struct elements *v, enum set_id set, const char *device, const char *other);
/* Of an endpoint: device and what it may send from. */
void element_sender(struct elements *v, enum set_id set, const char *device, const void *from, size_t len);
struct published {
	uint8_t protocol;
	struct address host, to; /* host.family 0: every address */
	uint16_t host_port, port;
};
void element_port(struct elements *v, const char *owner, const struct published *p);
bool element_is_port(const struct element *x);
/* Of a container's own resolver: where it listens; and that who asks the gateway from there asks it. */
void element_resolver(struct elements *v, const char *owner, const struct address *gateway, uint16_t port);
void element_resolve(struct elements *v, const char *owner, const char *bridge, const struct address *from,
		     const struct address *gateway, uint16_t port);
/* What the host is sent by the bridge from that address is judged by the chain of the table inet; what the bridge's others are sent by the
 * device, by that of the table bridge. */
void element_egress(struct elements *v, const char *owner, const char *bridge, const struct address *from, const char *chain);
void element_egress_port(struct elements *v, const char *device, const char *chain);
bool elements_lead_to(const struct elements *v, const char *chain);
/* As tables begin anew with these: those that lead to chains, which are gone, lead to the one that refuses all; and of a device for which
 * something is listed, but that nothing leads from any more, none is left, so that nothing passes. */
void elements_close(struct elements *v);
bool element_is_own(const struct element *x); /* of those four kinds */
int elements_copy(struct elements *to, const struct element *x);
void elements_done(struct elements *v);
bool elements_has(const struct elements *v, enum set_id set, const char *owner);
/* elements.c: the kernel's. */
/* All or nothing. Ports that a dead one has left are replaced, and what leads elsewhere. */
int elements_add(struct talk *t, struct elements *v);
/* Each that is there; a port only where it is still the owner's. */
int elements_delete(struct talk *t, const struct elements *v);
/* All elements of all sets; of those that are not there none. */
int elements_list(struct talk *t, struct elements *ret);
