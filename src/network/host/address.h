/* Addresses of networks: "10.77.0.2/16", "fd00::2/64", and without a length those of gateways and hosts. */
#pragma once

#include <netinet/in.h>

#include "base.h"

struct address {
	int family; /* AF_INET, AF_INET6; 0: none */
	uint8_t bytes[16];
	unsigned prefix; /* bits; of a bare address all */
};
#define ADDRESS_TEXT 64
/* -EINVAL. with_prefix: "/N" must be there, else it must not. */
int address_parse(const char *text, bool with_prefix, struct address *ret);
static inline size_t address_len(const struct address *a) { return a->family == AF_INET ? 4 : 16; }
char *address_text(const struct address *a, char buf[ADDRESS_TEXT]); /* without the length */
/* Whether any address is in both. */
bool address_overlaps(const struct address *a, const struct address *b);
/* Whether a, taken alone, lies in the subnet. */
bool address_within(const struct address *a, const struct address *subnet);
/* The link-local address that a kernel makes of a MAC address (RFC 4291, appendix A). */
struct address address_of_mac(const uint8_t mac[6]);
/* "02:42:0a:4d:00:02"; neither of a group nor zero. -EINVAL */
int mac_parse(const char *text, uint8_t ret[6]);
