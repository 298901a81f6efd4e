/* client: a call of berth-net (plan.h). Begun and awaited apart, so that whoever asks does something else meanwhile. */
#pragma once

#include "plan.h"

struct net_call {
	pid_t pid; /* 0: none */
	int fd;
};
/* What an attach has given, the caller's: net_hold_done closes it. While the sockets are open, nobody else on this host can have the ports. */
struct net_hold {
	int *taps, *sockets;
	size_t n_taps, n_sockets;
	struct net_port *ports; /* as they are published */
	size_t n_ports;
	struct net_result *results; /* of networks of the driver cni */
	size_t n_results;
};
void net_hold_done(struct net_hold *h);

/* verb: "attach", "detach", "names", "sweep". netns_fd: where attach puts interfaces; -1. */
int net_call_begin(const struct paths *p, const char *verb, const struct net_plan *plan, int netns_fd, struct net_call *ret,
		   struct err *e);
/* Waits for the answer; the call is over in any case. ret may be NULL where nothing is given. -EAGAIN: berth-net was killed before it had
 * answered, and may be asked again (what it has half done, the next sweep removes); else its own error, or -EIO. */
int net_call_end(struct net_call *c, struct net_hold *ret, struct err *e);
/* Both, where nothing is given. */
int net_call(const struct paths *p, const char *verb, const struct net_plan *plan, struct err *e);
