/* Published ports of a user without root's rights: on the host they are a pasta's, which passes on who has come. In the namespace they are at
 * addresses that belong to the container alone, and, of those that come from the host itself by its loopback, at 127.0.0.1. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "rootless.h"
#include "way.h"

/* One pasta takes a port of one address only. */
#define WAYS_MAX 8
enum { AWAIT_MS = 2000 };

struct way rootless_way(const struct net_endpoint *ep, int k)
{
	struct way w = { .until = -1, .keep = -1 };
	uint8_t id[8] = { 0 };
	char text[64];

	(void)address_parse("169.254.1.1", false, &w.gateway4);
	(void)address_parse("fdbe:7274:6800::1", false, &w.gateway6);
	(void)address_parse("169.254.1.2", false, &w.own4);
	(void)address_parse("fdbe:7274:6800::2", false, &w.own6);
	snprintf(w.device, sizeof(w.device), "way0");
	if (!ep)
		return w;
	for (size_t i = 0; i < sizeof(id); i++) {
		unsigned byte = 0;

		if (sscanf(ep->id + 2 * i, "%2x", &byte) == 1)
			id[i] = (uint8_t)byte;
	}
	/* 169.254.2.1 to 169.254.167.254: what clouds have at 169.254.169.254 stays what it is. */
	snprintf(text, sizeof(text), "169.254.%u.%u", 2u + id[0] % 166, 1u + id[1] % 254);
	(void)address_parse(text, false, &w.own4);
	/* A link-local one: it is what a pasta of 2023 learns, whatever it has been told (rootless_routes.c). */
	(void)address_parse("fe80::", false, &w.own6);
	memcpy(w.own6.bytes + 8, id, sizeof(id));
	snprintf(w.device, sizeof(w.device), "bw%.11s%c", ep->device + 2, '0' + k);
	return w;
}

/* ---- what each pasta is told ---- */

struct ways {
	char **options[WAYS_MAX];
	int leave[WAYS_MAX]; /* open: it is wanted */
	int n;
};

static void ways_done(struct ways *v)
{
	for (int i = 0; i < v->n; i++) {
		strv_free(v->options[i]);
		fd_close(v->leave[i]);
	}
	v->n = 0;
}

static bool is_any(const struct published *p) { return !p->host.family; }

static bool is_pair(const struct published *a, const struct published *b)
{
	return is_any(a) && is_any(b) && a->protocol == b->protocol && a->host_port == b->host_port &&
	       a->to.family != b->to.family;
}

/* The way of port i: how many before it have the same number at other addresses. */
static int way_of(const struct published *list, size_t i)
{
	int n = 0;

	for (size_t k = 0; k < i; k++)
		n += list[k].protocol == list[i].protocol && list[k].host_port == list[i].host_port &&
		     !is_pair(&list[k], &list[i]);
	return n;
}

static int add_option(char ***v, const struct published *p, bool both)
{
	char text[ADDRESS_TEXT];
	int r = strv_push(v, p->protocol == IPPROTO_TCP ? "-t" : "-u");

	if (r < 0)
		return r;
	if (both)
		return strv_push_take(v, str_fmt("%u", p->host_port));
	if (is_any(p))
		return strv_push_take(v, str_fmt("%s/%u", p->to.family == AF_INET ? "0.0.0.0" : "::", p->host_port));
	return strv_push_take(v, str_fmt("%s/%u", address_text(&p->host, text), p->host_port));
}

static bool has_option(char **v, const char *option)
{
	for (; v && *v; v++)
		if (streq(*v, option))
			return true;
	return false;
}

static int plan_ways(const struct reservation *ports, struct ways *v, struct err *e)
{
	static const char *const kinds[] = { "-t", "-u" };
	const size_t n = ports->n_fds;
	int r = 0;

	for (size_t i = 0; i < n && r >= 0; i++) {
		const struct published *p = &ports->ports[i];
		const int way = way_of(ports->ports, i);

		if (i > 0 && is_pair(&ports->ports[i - 1], p))
			continue;
		if (way >= WAYS_MAX)
			return err_set(e, E2BIG, "port %u is published at more than %d addresses of this host", p->host_port,
				       WAYS_MAX);
		for (; v->n <= way; v->n++)
			v->leave[v->n] = -1;
		r = add_option(&v->options[way], p, i + 1 < n && is_pair(p, &ports->ports[i + 1]));
	}
	for (int i = 0; i < v->n; i++)
		for (size_t k = 0; k < ARRAY_SIZE(kinds) && r >= 0; k++)
			if (!has_option(v->options[i], kinds[k]) && (r = strv_push(&v->options[i], kinds[k])) >= 0)
				r = strv_push(&v->options[i], "none");
	return r < 0 ? err_set(e, -r, "ports: %s", strerror(-r)) : 0;
}

static int check(const struct published *p, struct err *e)
{
	char text[ADDRESS_TEXT];
	const bool is_loopback = p->host.family == AF_INET && p->host.bytes[0] == 127;
	static const uint8_t localhost[] = { 127, 0, 0, 1 };

	if (p->protocol != IPPROTO_TCP && p->protocol != IPPROTO_UDP)
		return err_set(e, EPROTONOSUPPORT, "port %u/sctp can't be published without root's rights: pasta has TCP and UDP",
			       p->host_port);
	if (is_loopback && memcmp(p->host.bytes, localhost, sizeof(localhost)) != 0)
		return err_set(
			e, EADDRNOTAVAIL,
			"port %u can't be published at %s without root's rights: of the loopback's addresses only at 127.0.0.1",
			p->host_port, address_text(&p->host, text));
	return 0;
}

/* ---- what the tables are told ---- */

static int add_inside(struct published **list, size_t *n, struct published p, const struct address *at)
{
	struct published *more = reallocarray(*list, *n + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	*list = more;
	p.host = *at;
	more[(*n)++] = p;
	return 0;
}

static int list_inside(const struct net_endpoint *to, const struct published *ports, size_t n, struct published **ret,
		       size_t *ret_n)
{
	static const struct address localhost = { .family = AF_INET, .bytes = { 127, 0, 0, 1 }, .prefix = 32 };
	const struct way w = rootless_way(to, 0);
	int r = 0;

	for (size_t i = 0; i < n && r >= 0; i++) {
		const struct published *p = &ports[i];
		const bool is4 = p->to.family == AF_INET, is_local = p->host.family == AF_INET && p->host.bytes[0] == 127;

		if (!is_local)
			r = add_inside(ret, ret_n, *p, is4 ? &w.own4 : &w.own6);
		if (r >= 0 && (is_local || (is4 && is_any(p))))
			r = add_inside(ret, ret_n, *p, &localhost);
	}
	return r;
}

int rootless_published(struct nets *n, const struct net_plan *p, struct published **list, size_t *n_list, struct err *e)
{
	const struct net_endpoint *to = ports_endpoint(p);
	struct published *inside = NULL;
	size_t n_inside = 0;
	struct link l;
	int r = to ? link_find(&n->route, rootless_way(to, 0).device, &l) : -ENODEV;

	if (r >= 0)
		r = list_inside(to, *list, *n_list, &inside, &n_inside);
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
	w.dir = p->state_dir;
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
		if ((ports->fds[i] = fcntl(v->leave[way_of(ports->ports, i)], F_DUPFD_CLOEXEC, 0)) < 0)
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
		r = check(&o->ports.ports[i], e);
	if (r < 0 || !o->ports.n_fds)
		return r;
	r = plan_ways(&o->ports, &v, e);
	for (size_t i = 0; i < o->ports.n_fds && r >= 0; i++)
		o->ports.fds[i] = fd_close(o->ports.fds[i]);
	for (int i = 0; i < v.n && r >= 0; i++)
		r = start(p, netns, i, &v, e);
	if (r >= 0 && ((r = hand_over(&o->ports, &v)) < 0 ||
		       (r = list_inside(ports_endpoint(p), o->ports.ports, o->ports.n_fds, &o->inside, &o->n_inside)) < 0))
		err_set(e, -r, "ports: %s", strerror(-r));
	if (r >= 0)
		o->n_ways = v.n;
	ways_done(&v);
	return r;
}
