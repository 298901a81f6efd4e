/* Published ports. Each is reserved by a socket that is bound and never listens, so that a program of the host which has the port is
 * heard of, and no other can have it meanwhile. What comes for the port is turned to the container before it would reach the socket. */
#include <linux/filter.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rootless.h"

enum { TRIES = 16 };

static const struct {
	const char *name;
	int type;
	uint8_t protocol;
} protocols[] = {
	{ "tcp", SOCK_STREAM, IPPROTO_TCP },
	{ "udp", SOCK_DGRAM, IPPROTO_UDP },
	{ "sctp", SOCK_STREAM, IPPROTO_SCTP },
};

static int find_protocol(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
		if (streq(protocols[i].name, name))
			return (int)i;
	return -EPROTONOSUPPORT;
}

bool port_is_protocol(const char *name) { return find_protocol(name) >= 0; }

const struct net_endpoint *ports_endpoint(const struct net_plan *p)
{
	for (size_t i = 0; i < p->n_endpoints; i++) {
		const struct net_network *net = &p->endpoints[i].network;

		if (streq(net->driver, "bridge") && !net->is_internal && p->endpoints[i].addresses &&
		    p->endpoints[i].addresses[0])
			return &p->endpoints[i];
	}
	return NULL;
}

static bool address_of(const struct net_endpoint *ep, int family, struct address *ret)
{
	for (char **a = ep->addresses; a && *a; a++)
		if (address_parse(*a, true, ret) >= 0 && ret->family == family)
			return true;
	return false;
}

/* One or two: a port of every address is one of each family that the endpoint has. */
static int expand(const struct net_port *port, const struct net_endpoint *to, struct published ret[2], struct err *e)
{
	struct published p = { .host_port = (uint16_t)port->host_port, .port = (uint16_t)port->port };
	static const int each[] = { AF_INET, AF_INET6 };
	const int protocol = find_protocol(port->protocol);
	struct address host = { 0 };
	int n = 0;

	if (protocol < 0 || (port->host_ip && address_parse(port->host_ip, false, &host) < 0))
		return err_set(e, EINVAL, "published port %u/%s at %s", port->port, port->protocol,
			       port->host_ip ? port->host_ip : "any");
	p.protocol = (uint8_t)protocol;
	for (size_t i = 0; i < ARRAY_SIZE(each); i++) {
		static const uint8_t any[16];

		if ((host.family && host.family != each[i]) || !address_of(to, each[i], &p.to))
			continue;
		p.host = host.family && memcmp(host.bytes, any, address_len(&host)) != 0 ? host : (struct address){ 0 };
		ret[n++] = p;
	}
	if (n == 0)
		return err_set(e, EADDRNOTAVAIL,
			       "port %u/%s can't be published at %s: network %s gives no address of that family", port->port,
			       port->protocol, port->host_ip ? port->host_ip : "any address", to->network.name);
	return n;
}

static int add(struct published **list, size_t *n, const struct published *p)
{
	struct published *more = reallocarray(*list, *n + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	*list = more;
	more[*n] = *p;
	more[*n].protocol = protocols[p->protocol].protocol;
	(*n)++;
	return 0;
}

int ports_published(const struct net_plan *p, const struct net_endpoint *to, struct published **ret, size_t *ret_n, struct err *e)
{
	_cleanup_free_ struct published *list = NULL;
	struct published two[2];
	size_t n = 0;

	for (size_t i = 0; i < p->n_ports; i++) {
		const int count = expand(&p->ports[i], to, two, e);

		if (count < 0)
			return count;
		for (int k = 0; k < count; k++)
			if (add(&list, &n, &two[k]) < 0)
				return err_set(e, ENOMEM, "ports: %s", strerror(ENOMEM));
	}
	*ret = TAKE_PTR(list);
	*ret_n = n;
	return 0;
}

/* A datagram that comes before there is a container to send it to would wait in the socket for ever. */
static int drop_all(int fd)
{
	struct sock_filter none = BPF_STMT(BPF_RET | BPF_K, 0);
	const struct sock_fprog program = { .len = 1, .filter = &none };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno : 0;
}

/* Binds; *port: 0 in, the kernel's choice out. may_share: with what a connection that has ended has left. */
static int reserve(const struct published *p, bool may_share, uint16_t *port)
{
	const bool is4 = p->to.family == AF_INET;
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} a = { 0 };
	socklen_t len = is4 ? sizeof(a.in) : sizeof(a.in6);
	const int on = 1;
	_cleanup_fd_ int fd = socket(p->to.family, protocols[p->protocol].type | SOCK_CLOEXEC, protocols[p->protocol].protocol);
	int r;

	if (fd < 0)
		return -errno;
	if (is4) {
		a.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(*port) };
		memcpy(&a.in.sin_addr, p->host.bytes, 4);
	} else {
		a.in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(*port) };
		memcpy(&a.in6.sin6_addr, p->host.bytes, 16);
	}
	if (!is4 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -errno;
	if (may_share && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	r = protocols[p->protocol].type == SOCK_DGRAM ? drop_all(fd) : 0;
	if (r < 0)
		return r;
	if (bind(fd, &a.any, len) < 0 || getsockname(fd, &a.any, &len) < 0)
		return -errno;
	*port = ntohs(is4 ? a.in.sin_port : a.in6.sin6_port);
	return TAKE_FD(fd);
}

int port_is_reserved(const struct published *p)
{
	struct published one = *p;
	uint16_t number = p->host_port;
	int r;

	one.protocol = 0;
	while (protocols[one.protocol].protocol != p->protocol)
		one.protocol++;
	r = reserve(&one, false, &number);
	if (r >= 0)
		fd_close(r);
	return r >= 0 ? 0 : r == -EADDRINUSE || r == -EADDRNOTAVAIL ? 1 : r;
}

static int refuse(const struct net_port *port, const struct published *p, int r, struct err *e)
{
	char text[ADDRESS_TEXT] = "every address", number[16];
	const char *name = port->protocol;

	if (p->host.family)
		address_text(&p->host, text);
	if (port->host_port_last)
		snprintf(number, sizeof(number), "%u-%u", port->host_port, port->host_port_last);
	else
		snprintf(number, sizeof(number), "%u", port->host_port);
	if (r == -EADDRINUSE)
		return err_set(e, EADDRINUSE,
			       "port %s/%s of %s: address already in use: another container or a program of this host has it (ss "
			       "-lpn shows "
			       "which); end it or publish at another port",
			       number, name, text);
	if (r == -EADDRNOTAVAIL)
		return err_set(e, EADDRNOTAVAIL,
			       "port %s/%s of %s: this host has not that address (ip address shows which it has)", number, name,
			       text);
	if (r == -EACCES)
		return err_set(
			e, EACCES,
			"port %s/%s of %s: only root may have ports below that of /proc/sys/net/ipv4/ip_unprivileged_port_start: "
			"publish at a higher one, or have root set that",
			number, name, text);
	if (r == -EPROTONOSUPPORT || r == -ESOCKTNOSUPPORT)
		return err_set(e, EPROTONOSUPPORT, "port %s/%s: this host's kernel has no %s (load its module)", number, name,
			       name);
	return err_set(e, -r, "port %s/%s of %s: %s", number, name, text, strerror(-r));
}

static int keep(struct reservation *v, int fd, const struct published *p, uint16_t port)
{
	struct published with_port = *p;
	int *more = reallocarray(v->fds, v->n_fds + 1, sizeof(*more));
	size_t n = v->n_fds;
	int r;

	if (!more) {
		fd_close(fd);
		return -ENOMEM;
	}
	v->fds = more;
	with_port.host_port = port;
	r = add(&v->ports, &n, &with_port);
	if (r < 0) {
		fd_close(fd);
		return r;
	}
	more[v->n_fds++] = fd;
	return 0;
}

/* How many numbers are tried: those of the range, or what the kernel finds free, anew where the second family has it already. */
static int tries_of(const struct net_port *port)
{
	if (!port->host_port)
		return TRIES;
	return port->host_port_last > port->host_port ? (int)(port->host_port_last - port->host_port) + 1 : 1;
}

/* All families of one port at the same number. */
static int reserve_one(const struct net_port *port, const struct net_endpoint *to, struct net_port *answer, struct reservation *v,
		       struct err *e)
{
	struct published two[2];
	int fds[2], r = -EADDRINUSE, got = 0;
	const int n = expand(port, to, two, e);
	uint16_t number = 0;

	if (n < 0)
		return n;
	for (int try = 0; try < tries_of(port) && r == -EADDRINUSE; try++) {
		number = (uint16_t)(port->host_port ? port->host_port + (uint32_t) try : 0);
		for (got = 0, r = 0; got < n && r >= 0; got += r >= 0)
			fds[got] = r = reserve(&two[got], v->may_share, &number);
		for (int i = 0; r < 0 && i < got; i++)
			fds[i] = fd_close(fds[i]);
	}
	if (r < 0)
		return refuse(port, &two[got], r, e);
	answer->host_port = number;
	for (int i = 0, kept = 0; i < n; i++) {
		if (kept < 0)
			fd_close(fds[i]);
		else if ((kept = keep(v, fds[i], &two[i], number)) < 0)
			r = err_set(e, -kept, "ports: %s", strerror(-kept));
	}
	return MIN(r, 0);
}

int ports_reserve(const struct net_plan *p, const struct net_endpoint *to, struct net_port *ret_ports, struct reservation *ret,
		  struct err *e)
{
	struct reservation v = { .may_share = is_rootless(p) };
	int r = 0;

	for (size_t i = 0; i < p->n_ports && r >= 0; i++)
		r = reserve_one(&p->ports[i], to, &ret_ports[i], &v, e);
	if (r < 0)
		reservation_done(&v);
	else
		*ret = v;
	return r;
}

int ports_reserve_unaddressed(const struct net_plan *p, struct net_port *ret_ports, struct reservation *ret, struct err *e)
{
	char four[] = "127.0.0.1/8", six[] = "::1/128", *addresses[] = { four, NULL, NULL };
	const struct net_endpoint any = { .addresses = addresses, .network.name = four };

	for (size_t i = 0; i < p->n_ports; i++)
		if (p->ports[i].host_ip && strchr(p->ports[i].host_ip, ':'))
			addresses[1] = six;
	return ports_reserve(p, &any, ret_ports, ret, e);
}

void reservation_done(struct reservation *r)
{
	for (size_t i = 0; i < r->n_fds; i++)
		fd_close(r->fds[i]);
	free(r->fds);
	free(r->ports);
	*r = (struct reservation){ 0 };
}
