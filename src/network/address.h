/* address: addresses and subnets of both families in one form, and the choice of a subnet that is free.
 * An address is 16 bytes, IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2), so that memcmp orders them and one function does for
 * both. Failures are bare -errno: who has read the text knows what to call it. */
#pragma once

#include "base.h"

#define ADDRESS_TEXT 46                 /* INET6_ADDRSTRLEN */
#define PREFIX_TEXT  (ADDRESS_TEXT + 4) /* with "/128" */

/* A subnet. */
struct net_prefix {
	uint8_t base[16]; /* the bits behind `bits` are 0 */
	unsigned bits;    /* of the 128: of IPv4's /24 they are 120 */
};

bool address_is4(const uint8_t a[16]);
int address_parse(const char *text, uint8_t ret[16]); /* -EINVAL */
char *address_print(const uint8_t a[16], char ret[ADDRESS_TEXT]);
/* The one behind and the one before; false: there is none. */
bool address_next(uint8_t a[16]);
bool address_prev(uint8_t a[16]);

/* "10.1.0.0/16". ret_address (may be NULL): with the bits that are behind the prefix. -EINVAL. */
int prefix_parse(const char *text, struct net_prefix *ret, uint8_t ret_address[16]);
char *prefix_print(const struct net_prefix *p, char ret[PREFIX_TEXT]);
/* Of address's network. bits: of 128. */
struct net_prefix prefix_of(const uint8_t address[16], unsigned bits);
unsigned prefix_written(const struct net_prefix *p); /* 24 of a /24 */
void prefix_last(const struct net_prefix *p, uint8_t ret[16]);
bool prefix_holds(const struct net_prefix *p, const uint8_t a[16]);
bool prefix_overlaps(const struct net_prefix *a, const struct net_prefix *b);
/* What may be given to those on it: without the network's own address, and IPv4's broadcast address; of IPv4 /31 and /32, of IPv6 /127
 * and /128 all. */
void prefix_hosts(const struct net_prefix *p, uint8_t ret_first[16], uint8_t ret_last[16]);

/* Where subnets are taken from: of `base` those with so many bits (of 128). */
struct net_pool {
	struct net_prefix base;
	unsigned bits;
};
/* "10.200.0.0/16/24,fd00:1::/48/64": base and size. On -EINVAL *ret_bad (borrowed, up to a comma) is the one that can't be read. */
int pools_parse(const char *text, struct net_pool **ret, size_t *ret_n, const char **ret_bad);
/* The first subnet of that family that overlaps none of taken. -ENOSPC. */
int pools_choose(const struct net_pool *pools, size_t n, bool is6, const struct net_prefix *taken, size_t n_taken,
		 struct net_prefix *ret);
