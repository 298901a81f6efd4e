/* What has time: a process that outlives the caller by a moment removes devices that nobody has taken along, and networks that nobody has
 * come back to. Removing a bridge takes the kernel some fifty milliseconds, and the next container may well want it again. */
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clock.h"

#include "impl.h"
#include "serve.h"

enum { LINGER_MS = 2000 };

static bool any_is_there(struct talk *t, const struct net_plan *p)
{
	struct link l;

	for (size_t i = 0; i < p->n_endpoints; i++)
		if (link_find(t, p->endpoints[i].network.device, &l) >= 0)
			return true;
	return false;
}

/* It is over when somebody else has removed the bridges: the kernel tells of links that go. What it could not tell for want of room is
 * looked for all the same. */
static void wait_a_moment(const struct net_plan *p)
{
	const uint64_t until = clock_mono_us() + LINGER_MS * UINT64_C(1000);
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	const bool hears = s && mnl_socket_bind(s, RTMGRP_LINK, MNL_SOCKET_AUTOPID) >= 0;
	struct talk t = { 0 };
	char some[TALK_ROOM];
	const bool asks = talk_open(NETLINK_ROUTE, &t) >= 0;

	for (uint64_t now; (now = clock_mono_us()) < until && (!asks || any_is_there(&t, p));) {
		struct pollfd heard = { .fd = hears ? mnl_socket_get_fd(s) : -1, .events = POLLIN };

		if (poll(&heard, 1, (int)((until - now) / 1000) + 1) > 0)
			(void)mnl_socket_recvfrom(s, some, sizeof(some));
	}
	talk_close(&t);
	if (s)
		mnl_socket_close(s);
}

static void finish(const struct net_plan *p, const struct outcome *o)
{
	struct nets n = { .host_ns = -1, .inside = -1 };
	struct err e = { 0 };

	wait_a_moment(p);
	if (nets_open(&n, &e) < 0)
		return; /* nobody hears of it; the next detach or sweep finds the same */
	for (size_t i = 0; i < o->n_gone; i++)
		(void)link_delete(&n.route, o->gone[i]);
	for (size_t i = 0; i < p->n_endpoints; i++)
		(void)bridge_down_unused(&n, p->endpoints[i].network.device, &e);
	(void)resolver_sweep(&n, p->state_dir, &e);
	(void)bridge_down_last(&n, &e);
	nets_close(&n);
}

int linger_begin(const struct net_plan *p, const struct outcome *o, struct err *e)
{
	const pid_t pid = fork();

	if (pid < 0)
		return err_set(e, errno, "fork: %s", strerror(errno));
	if (pid > 0)
		return 0;
	setsid();
	if (chdir("/") < 0)
		_exit(1);
	/* Whoever reads from what we have would wait for us. */
	syscall(SYS_close_range, 0, ~0U, 0);
	fd_fill_stdio();
	finish(p, o);
	_exit(0);
}
