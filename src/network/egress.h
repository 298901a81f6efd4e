/* egress: what a container may open beyond its own networks, as `--egress` has it. */
#pragma once

#include "base.h"

#define EGRESS_NONE "none"
enum { EGRESS_MAX = 512 }; /* items */

struct egress_range {
	char *range; /* "192.0.2.7", "10.0.0.0/8", "2001:db8::/32" */
	bool is6;
	uint16_t port; /* of TCP and UDP; 0: any, and every other protocol too */
};
/* A name, those below it, or both; its addresses may be opened at these ports. */
struct egress_name {
	char *name; /* in lower case */
	bool itself, below;
	uint16_t *ports; /* rising, each once; a 0 (any) is alone */
	size_t n_ports;
};
struct egress {
	struct egress_range *ranges;
	struct egress_name *names; /* none of them is among those below another */
	size_t n_ranges, n_names;
};
/* Values of --egress ("none", "allow=ITEM[,ITEM...]") to a list of items; "none" is one by itself. The caller's. */
int egress_items(char *const *values, char ***ret, struct err *e);
/* -EINVAL: an error that names the item. "none" is the empty list. */
int egress_parse(char *const *items, struct egress *ret, struct err *e);
void egress_done(struct egress *x);
