/* network_create: see network_create.c. Private to the engine. */
#pragma once

#include "network_config.h"
#include "networks.h"

#define DEVICE_MAX 16 /* IFNAMSIZ: with the end of the name's text */

/* What o says, checked. What it leaves open stays so: network_choose_rest. */
int network_configure(const struct engine_network_opts *o, const char *driver, const char *id, struct network_config *ret,
		      struct err *e);
/* Subnets that are free, and gateways. On failure c is as good as nothing, and the caller's. */
int network_choose_rest(struct engine *en, bool is_default, struct network_config *c, struct err *e);
