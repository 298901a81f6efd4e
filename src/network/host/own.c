/* A container's own resolver: a dnsmasq on the gateways' addresses, at a port that only it has, which knows the names of all the networks
 * that the container is on. What the container asks of a gateway's port 53 is turned there by elements of its devices (the tables'
 * `resolve4` and `resolve6`). Its directory is state_dir/c-ID: conf, port, pid, and in bridge the container's devices. */
#include <stdio.h>
#include <unistd.h>

#include "dnsmasq.h"
#include "impl.h"

enum { TRIES = 16, CONF_MAX = 4 << 20 };

static int cannot(const struct net_plan *p, int r, struct err *e)
{
	return err_set(e, -r, "the resolver of container %.12s: %s", p->id, strerror(-r));
}

typedef int each_gateway(const struct net_endpoint *ep, const struct address *gateway, void *arg);

static int for_gateways(const struct net_resolver *own, each_gateway *each, void *arg)
{
	int r = 0;

	for (size_t i = 0; i < own->n_endpoints; i++)
		for (size_t k = 0; k < own->endpoints[i].network.n_subnets && r >= 0; k++) {
			const char *text = own->endpoints[i].network.subnets[k].gateway;
			struct address a;

			if (text && address_parse(text, false, &a) >= 0)
				r = each(&own->endpoints[i], &a, arg);
		}
	return r;
}

/* ---- its port ---- */

static int bind_one(const struct address *a, int kind, uint16_t *port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(*port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(*port) };
	struct sockaddr *to = a->family == AF_INET ? (struct sockaddr *)&in : (struct sockaddr *)&in6;
	socklen_t len = a->family == AF_INET ? sizeof(in) : sizeof(in6);
	_cleanup_fd_ int fd = socket(a->family, kind | SOCK_CLOEXEC, 0);

	memcpy(&in.sin_addr, a->bytes, sizeof(in.sin_addr));
	memcpy(&in6.sin6_addr, a->bytes, sizeof(in6.sin6_addr));
	if (fd < 0 || bind(fd, to, len) < 0 || getsockname(fd, to, &len) < 0)
		return -errno;
	*port = ntohs(a->family == AF_INET ? in.sin_port : in6.sin6_port);
	return 0;
}

/* The first takes any where *port is 0; all others are to be the same. */
static int try_port(const struct net_endpoint *ep, const struct address *gateway, void *arg)
{
	int r = bind_one(gateway, SOCK_STREAM, arg);

	(void)ep;
	return r < 0 ? r : bind_one(gateway, SOCK_DGRAM, arg);
}

/* One that is free now at all the gateways: that of before, or any. 0: there is no gateway. */
static int choose_port(const struct net_resolver *own, int dirfd, uint16_t *ret)
{
	_cleanup_free_ char *text = NULL;
	uint64_t before = 0;
	int r = -EADDRINUSE;

	if (file_read(dirfd, "port", 16, &text, NULL) < 0 || str_to_u64(text, &before) < 0 || before > UINT16_MAX)
		before = 0;
	for (int i = 0; i < TRIES && r == -EADDRINUSE; i++) {
		*ret = i == 0 ? (uint16_t)before : 0;
		r = for_gateways(own, try_port, ret);
	}
	return r;
}

/* ---- what it is told ---- */

static int add_listen(const struct net_endpoint *ep, const struct address *gateway, void *arg)
{
	char text[ADDRESS_TEXT];

	(void)ep;
	buf_fmt(arg, "listen-address=%s\n", address_text(gateway, text));
	return 0;
}

/* From an internal network nobody is asked. */
static bool may_ask(const struct net_resolver *own)
{
	for (size_t i = 0; i < own->n_endpoints; i++)
		if (!own->endpoints[i].network.is_internal)
			return true;
	return false;
}

static void put_upstreams(const struct net_resolver *own, struct buf *b)
{
	buf_str(b, own->upstreams || !may_ask(own) ? "no-resolv\n" : "resolv-file=/etc/resolv.conf\n");
	for (char **u = own->upstreams; u && *u && may_ask(own); u++)
		buf_fmt(b, "server=%s\n", *u);
}

static int write_conf(const struct net_plan *p, int dirfd, uint16_t port, struct err *e)
{
	const struct net_resolver *own = p->resolver;
	_cleanup_buf_ struct buf b = { 0 };
	char text[8];
	int r = 0;

	buf_fmt(&b, "port=%u\ncache-size=1000\n", port);
	(void)for_gateways(own, add_listen, &b);
	for (size_t i = 0; i < own->n_endpoints; i++)
		if (own->endpoints[i].network.has_names)
			buf_fmt(&b, "hostsdir=" DNSMASQ_SEES "/%s/hosts\n", own->endpoints[i].network.id);
	if (own->egress)
		r = egress_conf(p, may_ask(own), &b, e);
	else
		put_upstreams(own, &b);
	if (r < 0)
		return r;
	r = b.failed ? -ENOMEM : file_replace(dirfd, "conf", b.data, b.len, 0644, false);
	snprintf(text, sizeof(text), "%u", port);
	if (r >= 0)
		r = file_replace(dirfd, "port", text, strlen(text), 0644, false);
	return r < 0 ? cannot(p, r, e) : 0;
}

static int write_devices(const struct net_resolver *own, int dirfd)
{
	_cleanup_buf_ struct buf b = { 0 };

	for (size_t i = 0; i < own->n_endpoints; i++)
		buf_fmt(&b, "%s\n", own->endpoints[i].device);
	return b.failed ? -ENOMEM : file_replace(dirfd, "bridge", b.data ? b.data : "", b.len, 0644, false);
}

/* ---- up and down ---- */

static char *own_name(const struct net_plan *p) { return str_fmt("c-%s", p->id); }

static int start(const struct net_plan *p, const char *dir, int dirfd, uint16_t *ret_port, struct err *e)
{
	_cleanup_free_ char *conf = str_fmt("--conf-file=%s/conf", dir), *whose = str_fmt("container %.12s", p->id);
	char *options[] = { conf, NULL };
	int r = conf && whose ? 0 : -ENOMEM;

	/* Another program may have taken the port since it was looked at. */
	for (int i = 0; i < TRIES; i++) {
		if (r >= 0)
			r = choose_port(p->resolver, dirfd, ret_port);
		if (r < 0)
			return cannot(p, r, e);
		if (*ret_port == 0)
			return 0;
		r = write_conf(p, dirfd, *ret_port, e);
		if (r >= 0)
			r = dnsmasq_start(dir, p->state_dir, options, whose, e);
		if (r != -EIO || !strstr(e->msg, strerror(EADDRINUSE)))
			return r;
		r = unlinkat(dirfd, "port", 0) < 0 ? -errno : 0;
	}
	return -e->no;
}

static int own_up(const struct net_plan *p, uint16_t *ret_port, struct err *e)
{
	_cleanup_free_ char *name = own_name(p), *dir = NULL;
	_cleanup_fd_ int dirfd = name ? dnsmasq_dir(p->state_dir, name, true, &dir) : -ENOMEM;
	int r = dirfd < 0 ? dirfd : write_devices(p->resolver, dirfd);

	if (r < 0)
		return err_set(e, -r, "%s/c-%s: %s", p->state_dir, p->id, strerror(-r));
	dnsmasq_end(dirfd, dir);
	return start(p, dir, dirfd, ret_port, e);
}

static int own_down(const struct net_plan *p, struct err *e)
{
	_cleanup_free_ char *name = own_name(p), *dir = NULL;
	_cleanup_fd_ int dirfd = name ? dnsmasq_dir(p->state_dir, name, false, &dir) : -ENOMEM;
	int r = dirfd == -ENOENT ? 0 : dirfd;

	if (dirfd < 0)
		return r < 0 ? err_set(e, -r, "%s/c-%s: %s", p->state_dir, p->id, strerror(-r)) : 0;
	dnsmasq_end(dirfd, dir);
	r = rm_rf(AT_FDCWD, dir);
	return r < 0 ? err_set(e, -r, "remove %s: %s", dir, strerror(-r)) : 0;
}

/* ---- its elements ---- */

struct turning {
	struct elements *v;
	uint16_t port;
};

static int add_turn(const struct net_endpoint *ep, const struct address *gateway, void *arg)
{
	const struct turning *t = arg;

	element_resolver(t->v, ep->device, gateway, t->port);
	for (char **text = ep->addresses; text && *text; text++) {
		struct address from;

		if (address_parse(*text, true, &from) >= 0 && from.family == gateway->family)
			element_resolve(t->v, ep->device, ep->network.device, &from, gateway, t->port);
	}
	return 0;
}

static void own_elements(const struct net_resolver *own, uint16_t port, struct elements *v)
{
	struct turning t = { v, port };

	if (port)
		(void)for_gateways(own, add_turn, &t);
}

static bool has_endpoint(const struct net_endpoint *list, size_t n, const char *device)
{
	for (size_t i = 0; i < n; i++)
		if (streq(list[i].device, device))
			return true;
	return false;
}

int own_owned(struct nets *n, const struct net_endpoint *list, size_t count, struct elements *v)
{
	_cleanup_(elements_done) struct elements all = { 0 };
	int r = elements_list(&n->filter, &all);

	for (size_t i = 0; i < all.n && r >= 0; i++)
		if (element_is_own(&all.items[i]) && has_endpoint(list, count, all.items[i].owner))
			r = elements_copy(v, &all.items[i]);
	return r == -ENOENT ? 0 : r;
}

static int own_end(struct nets *n, const struct net_plan *p, struct err *e)
{
	_cleanup_(elements_done) struct elements v = { 0 };
	int r = own_owned(n, p->resolver->endpoints, p->resolver->n_endpoints, &v);

	if (r >= 0)
		r = elements_delete(&n->filter, &v);
	if (r < 0 && r != -ENOENT)
		return err_set(e, -r, "nf_tables: %s %s", strerror(-r), n->filter.why);
	return own_down(p, e);
}

int own_change(struct nets *n, const struct net_plan *p, struct elements *v, struct err *e)
{
	uint16_t port = 0;
	int r = p->resolver->egress ? egress_up(n, p, v, e) : 0;

	if (r >= 0)
		r = p->resolver->is_wanted ? own_up(p, &port, e) : own_end(n, p, e);
	if (r >= 0)
		own_elements(p->resolver, port, v);
	return r;
}

/* With those of its endpoints that are not the plan's. */
static int own_go_on(struct nets *n, const struct net_plan *p, struct err *e)
{
	_cleanup_(elements_done) struct elements v = { 0 };
	int r = own_change(n, p, &v, e);

	if (r < 0)
		return r;
	r = elements_add(&n->filter, &v);
	return r < 0 ? err_set(e, -r, "nf_tables: %s %s", strerror(-r), n->filter.why) : 0;
}

static int own_go(struct nets *n, const struct net_plan *p, struct err *e)
{
	int r = own_down(p, e);

	return r < 0 || !p->resolver->egress ? r : egress_down(n, p, e);
}

int own_leave(struct nets *n, const struct net_plan *p, struct err *e)
{
	struct net_plan with = *p;
	struct net_resolver rest = p->resolver ? *p->resolver : (struct net_resolver){ 0 };
	int r;

	if (!p->resolver)
		return 0;
	rest.endpoints = calloc(rest.n_endpoints + 1, sizeof(*rest.endpoints));
	rest.n_endpoints = 0;
	if (!rest.endpoints)
		return err_set(e, ENOMEM, "the container's resolver: %s", strerror(ENOMEM));
	for (size_t i = 0; i < p->resolver->n_endpoints; i++)
		if (!has_endpoint(p->endpoints, p->n_endpoints, p->resolver->endpoints[i].device))
			rest.endpoints[rest.n_endpoints++] = p->resolver->endpoints[i];
	with.resolver = &rest;
	if (rest.n_endpoints == 0)
		r = own_go(n, p, e);
	else
		r = own_go_on(n, &with, e);
	free(rest.endpoints);
	return r;
}
