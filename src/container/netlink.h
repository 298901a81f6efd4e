/* What netlink.c gives net_device.c, the guest's interfaces.c and their tests; nobody else includes it. */
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nl_request {
	struct nlmsghdr hdr;
	char space[1024];
	bool overflow;
};
/* What lies behind the header of a message that was received; the library's NLMSG_DATA takes the const away. */
static inline const void *nl_body(const struct nlmsghdr *h) { return (const char *)h + NLMSG_HDRLEN; }

int nl_open(void); /* a route socket of the network namespace that the caller is in; -errno */
/* body: the fixed part behind the header, struct ifinfomsg or the like. flags besides NLM_F_REQUEST. */
void nl_begin(struct nl_request *q, uint16_t type, uint16_t flags, const void *body, size_t n);
void nl_attr(struct nl_request *q, uint16_t type, const void *data, size_t n);
int nl_ask(int fd, struct nl_request *q); /* sends, waits for the acknowledgement; the kernel's -errno */
/* The same with an answer. each: 0 or -errno, which ends up as the result. */
int nl_get(int fd, struct nl_request *q, int (*each)(const struct nlmsghdr *h, void *arg), void *arg);
int nl_dump(int fd, struct nl_request *q, int (*each)(const struct nlmsghdr *h, void *arg), void *arg);
