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

enum { LINGER_MS = 2000, ROUNDS = 15 };

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

/* One process a bridge waits, however many leave it: its claim is a lock on the file of turns, which nobody without our rights can open (a
 * name, as of an abstract socket, could be taken by any container with the host's network), at the bridge's number, which no later one of
 * its name has. It is taken and given up in a turn of berth-net's, so that whoever finds it taken is seen by the one that has it. Of a
 * bridge that is gone already there is nothing to wait for. */
static int claim(const char *device)
{
	const unsigned index = if_nametoindex(device);
	const struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = TURNS_CLAIMS + (off_t)index, .l_len = 1 };
	_cleanup_fd_ int fd = index ? turns_open() : open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return index ? fd : -errno;
	if (index && fcntl(fd, F_OFD_SETLK, &l) < 0)
		return errno == EAGAIN ? -EADDRINUSE : -errno;
	return TAKE_FD(fd);
}

int linger_claim(const struct net_plan *p, struct outcome *o, struct err *e)
{
	o->claims = calloc(p->n_endpoints + 1, sizeof(*o->claims));
	if (!o->claims)
		return err_set(e, ENOMEM, "detach: %s", strerror(ENOMEM));
	for (size_t i = 0; i < p->n_endpoints; i++) {
		const int fd =
			streq(p->endpoints[i].network.driver, "bridge") ? claim(p->endpoints[i].network.device) : -EADDRINUSE;

		if (fd < 0 && fd != -EADDRINUSE)
			return err_set(e, -fd, "detach: %s", strerror(-fd));
		o->claims[o->n_claims++] = MAX(fd, -1);
		o->lingers |= fd >= 0;
	}
	return 0;
}

/* Whether what remains to be done waits for ports that are about to go. */
static bool look(struct nets *n, const struct net_plan *p, const struct outcome *o)
{
	struct err e = { 0 };
	bool is_early = false;

	for (size_t i = 0; i < o->n_gone; i++)
		(void)link_delete(&n->route, o->gone[i]);
	for (size_t i = 0; i < o->n_claims; i++) {
		if (o->claims[i] < 0)
			continue;
		(void)bridge_down_unused(n, p->endpoints[i].network.device, &e);
		is_early |= bridge_has_leaving(n, p->endpoints[i].network.device) > 0;
	}
	(void)resolver_sweep(n, p->state_dir, &e);
	(void)bridge_down_last(n, &e);
	return is_early;
}

static void finish(const struct net_plan *p, struct outcome *o)
{
	struct nets n = { .host_ns = -1, .turn = -1, .inside = -1 };
	struct err e = { 0 };

	for (int round = 1; round <= ROUNDS; round++) {
		wait_a_moment(p);
		if (nets_open(&n, &e) < 0)
			return; /* nobody hears of it; the next detach or sweep finds the same */
		const bool is_early = look(&n, p, o) && round < ROUNDS;
		for (size_t i = 0; !is_early && i < o->n_claims; i++)
			o->claims[i] = fd_close(o->claims[i]);
		nets_close(&n);
		if (!is_early)
			return;
	}
}

/* Whoever reads from what we have would wait for us; the claims, made one after the other, are kept. */
static void close_all_but_claims(const struct outcome *o)
{
	unsigned from = 0;

	for (size_t i = 0; i < o->n_claims; i++) {
		const unsigned fd = (unsigned)o->claims[i];

		if (o->claims[i] < 0)
			continue;
		if (fd > from)
			syscall(SYS_close_range, from, fd - 1, 0);
		from = fd + 1;
	}
	syscall(SYS_close_range, from, ~0U, 0);
	fd_fill_stdio();
}

int linger_begin(const struct net_plan *p, struct outcome *o, struct err *e)
{
	const pid_t pid = fork();

	if (pid < 0)
		return err_set(e, errno, "fork: %s", strerror(errno));
	if (pid > 0)
		return 0;
	setsid();
	if (chdir("/") < 0)
		_exit(1);
	close_all_but_claims(o);
	finish(p, o);
	_exit(0);
}
