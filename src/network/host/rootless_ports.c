/* Published ports of a user without root's rights: on the host they are a pasta's, which passes on who has come. In the namespace they are at
 * addresses that belong to the container alone, and, of those that come from the host itself by its loopback, at 127.0.0.1. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "rootless_ways.h"

enum { AWAIT_MS = 2000 };

int rootless_published(struct nets *n, const struct net_plan *p, struct published **list, size_t *n_list, struct err *e)
{
	const struct net_endpoint *to = ports_endpoint(p);
	struct published *inside = NULL;
	size_t n_inside = 0;
	struct link l;
	int r = to ? link_find(&n->route, rootless_way(to, 0).device, &l) : -ENODEV;

	if (r >= 0)
		r = ways_inside(to, *list, *n_list, &inside, &n_inside);
	if (r < 0 && r != -ENODEV) {
		free(inside);
		return err_set(e, -r, "published ports: %s", strerror(-r));
	}
	free(*list);
	*list = inside;
	*n_list = n_inside;
	return 0;
}

/* ---- */

/* A file that is locked as long as the pasta has the ports: the tap goes before its sockets do. */
static char *lock_name(const struct net_plan *p, const struct way *w) { return str_fmt("%s/%s.way", p->state_dir, w->device); }

static void remove_lock(const struct way *w) { (void)unlink(w->arg); }

static int start(const struct net_plan *p, const char *netns, int k, struct ways *v, struct err *e)
{
	struct way w = rootless_way(ports_endpoint(p), k);
	_cleanup_free_ char *path = lock_name(p, &w);
	_cleanup_fd_ int theirs = -1, held = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	int pair[2];

	if (held < 0 || flock(held, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, path ? errno : ENOMEM, "%s/%s.way: %s", p->state_dir, w.device,
			       strerror(path ? errno : ENOMEM));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(e, errno, "make a socket pair: %s", strerror(errno));
	theirs = pair[0];
	v->leave[k] = pair[1];
	w.netns = netns;
	w.options = v->options[k];
	w.until = theirs;
	w.keep = held;
	w.arg = path;
	w.at_end = remove_lock;
	return way_start(&w, e);
}

/* Each port's descriptor keeps its way from now on, in place of the socket that has kept the port so far. */
static int hand_over(struct reservation *ports, const struct ways *v)
{
	for (size_t i = 0; i < ports->n_fds; i++)
		if ((ports->fds[i] = fcntl(v->leave[ways_of(ports->ports, i)], F_DUPFD_CLOEXEC, 0)) < 0)
			return -errno;
	return 0;
}

static bool is_held(const char *path)
{
	_cleanup_fd_ int fd = open(path, O_RDWR | O_CLOEXEC);

	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0;
}

void rootless_await_ways(const struct net_plan *p)
{
	const struct net_endpoint *to = is_rootless(p) && p->n_ports ? ports_endpoint(p) : NULL;
	const struct timespec nap = { .tv_nsec = 1000L * 1000 };

	for (int k = 0, naps = 0; to && k < WAYS_MAX; k++) {
		const struct way w = rootless_way(to, k);
		_cleanup_free_ char *path = lock_name(p, &w);

		while (path && is_held(path) && naps++ < AWAIT_MS)
			nanosleep(&nap, NULL);
		if (path)
			(void)unlink(path); /* of one beside which somebody was killed */
	}
}

int rootless_publish(const struct net_plan *p, const char *netns, struct outcome *o, struct err *e)
{
	struct ways v = { 0 };
	int r = 0;

	if (o->ports.n_fds && !ports_endpoint(p))
		return err_set(e, ENOTSUP,
			       "ports can't be published by plugins without root's rights: add a network of the driver bridge");
	for (size_t i = 0; i < o->ports.n_fds && r >= 0; i++)
		r = ways_check(&o->ports.ports[i], e);
	if (r < 0 || !o->ports.n_fds)
		return r;
	r = ways_plan(&o->ports, &v, e);
	for (size_t i = 0; i < o->ports.n_fds && r >= 0; i++)
		o->ports.fds[i] = fd_close(o->ports.fds[i]);
	for (int i = 0; i < v.n && r >= 0; i++)
		r = start(p, netns, i, &v, e);
	if (r >= 0 && ((r = hand_over(&o->ports, &v)) < 0 ||
		       (r = ways_inside(ports_endpoint(p), o->ports.ports, o->ports.n_fds, &o->inside, &o->n_inside)) < 0))
		err_set(e, -r, "ports: %s", strerror(-r));
	if (r >= 0)
		o->n_ways = v.n;
	ways_done(&v);
	return r;
}
