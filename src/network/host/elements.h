/* Elements of the sets of ruleset.c: all that differs between one container and another is there. */
#pragma once

#include <net/if.h>

#include "address.h"
#include "talk.h"

#define RULESET_TABLE "berth"

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
	SET_COUNT
};
struct element {
	enum set_id set;
	uint8_t key[64], data[32];
	uint32_t key_len, data_len;
	char owner[IFNAMSIZ]; /* the device that it belongs to */
};
struct elements {
	struct element *items;
	size_t n;
	bool failed;
};
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
bool element_is_own(const struct element *x); /* of those two */
int elements_copy(struct elements *to, const struct element *x);
void elements_done(struct elements *v);
bool elements_has(const struct elements *v, enum set_id set, const char *owner);
/* All or nothing. Ports that a dead one has left are replaced. */
int elements_add(struct talk *t, struct elements *v);
/* Each that is there; a port only where it is still the owner's. */
int elements_delete(struct talk *t, const struct elements *v);
/* All elements of all sets; of those that are not there none. */
int elements_list(struct talk *t, struct elements *ret);
