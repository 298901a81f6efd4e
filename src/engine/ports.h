/* ports: what of a container is published on the host: -p, -P and --expose read, and shown as docker shows them. */
#pragma once

#include "plan.h"
#include "str.h"

/* Where a published port listens that names no address. */
#define PORTS_HOST_IP "127.0.0.1"

struct ports {
	struct net_port *list;
	size_t n;
};
void ports_done(struct ports *p);
/* "[IP:][PORT[-PORT]:]PORT[-PORT][/PROTOCOL]", one -p, as docker reads it; IPv6 addresses in brackets. Adds to p, in order; what is
 * there already is not added again. The message says what is wrong without naming the option. */
int ports_add(struct ports *p, const char *text, struct err *e);
/* "PORT[-PORT][/PROTOCOL]", as in an image's ExposedPorts or --expose: calls back for each (cb may be NULL), "tcp", 80. */
int ports_exposed(const char *text, int (*cb)(const char *protocol, uint32_t port, void *arg), void *arg, struct err *e);
/* "127.0.0.1:8080->80/tcp, 443/tcp": published, and of `exposed` (may be NULL) what is not; neighbours as ranges. Caller frees; NULL on
 * ENOMEM. */
char *ports_text(const struct ports *p, char *const *exposed);
