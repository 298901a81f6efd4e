/* rootless_ways: what the pastas of published ports are told, and what the tables are told of these ports, as plain functions: rootless_ports.c
 * does what they say. */
#pragma once

#include "rootless.h"
#include "way.h"

/* One pasta takes a port of one address only. */
#define WAYS_MAX 8

struct ways {
	char **options[WAYS_MAX]; /* of each pasta's, in its order */
	int leave[WAYS_MAX];      /* open: it is wanted */
	int n;
};
void ways_done(struct ways *v);

/* Whether it can be published so: -EPROTONOSUPPORT, -EADDRNOTAVAIL. */
int ways_check(const struct published *p, struct err *e);
/* The way of port i of the list: how many before it have the same number at other addresses. */
int ways_of(const struct published *list, size_t i);
/* Options of as many as are needed, for ways_done to free also after an error. -E2BIG: a port has more addresses than there are ways. */
int ways_plan(const struct reservation *ports, struct ways *v, struct err *e);
/* Adds to *ret, which the caller frees, at which addresses of the namespace the endpoint's ports are. -ENOMEM */
int ways_inside(const struct net_endpoint *to, const struct published *ports, size_t n, struct published **ret, size_t *ret_n);
