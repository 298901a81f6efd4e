/* A conversation with the kernel by netlink: a message, its acknowledgement or answers. */
#pragma once

#include <libmnl/libmnl.h>

#include "base.h"

#define TALK_ROOM 8192
struct talk {
	struct mnl_socket *s;
	unsigned seq;
	char why[160]; /* the kernel's own words on the last error, or "" */
};
int talk_open(int bus, struct talk *ret);
void talk_close(struct talk *t);
/* A message in buf (of TALK_ROOM bytes); flags besides NLM_F_REQUEST. */
struct nlmsghdr *talk_begin(struct talk *t, void *buf, uint16_t type, uint16_t flags);
/* Sends it and waits: each answer goes to `each`, whose error ends up as the result; NULL: none is expected. -errno */
typedef int talk_each(const struct nlmsghdr *h, void *arg);
int talk_ask(struct talk *t, struct nlmsghdr *h, talk_each *each, void *arg);
/* The same for several messages that are one transaction (nfnetlink's batch), with the sequence numbers of its
 * beginning and of the last message, which asks for an acknowledgement. *ret_seq (may be NULL): of what was refused first. */
int talk_ask_all(struct talk *t, const void *p, size_t n, unsigned first, unsigned last, unsigned *ret_seq);
