/* See ports.h. Words of errors are docker's (docker/go-connections, nat). */
#include "ports.h"

#include <arpa/inet.h>

#define PORT_MAX 65535u

void ports_done(struct ports *p)
{
	net_ports_free(p->list, p->n);
	*p = (struct ports){ 0 };
}

/* ---- reading ---- */

struct span {
	uint32_t first, last;
};

static int read_number(const char *s, size_t n, uint32_t *ret)
{
	_cleanup_free_ char *text = strndup(s, n);
	uint64_t v;

	if (!text)
		return -ENOMEM;
	if (n == 0 || s[0] < '0' || s[0] > '9' || str_to_u64(text, &v) < 0 || v > PORT_MAX)
		return -EINVAL;
	*ret = (uint32_t)v;
	return 0;
}

/* "80", "80-90" */
static int read_span(const char *s, size_t n, struct span *ret)
{
	const char *dash = memchr(s, '-', n);
	size_t first = dash ? (size_t)(dash - s) : n;
	int r;

	*ret = (struct span){ 0 };
	r = read_number(s, first, &ret->first);
	ret->last = ret->first;
	if (r == 0 && dash)
		r = read_number(dash + 1, n - first - 1, &ret->last);
	return r == 0 && ret->last < ret->first ? -EINVAL : r;
}

static int read_protocol(const char *s, const char **ret, struct err *e)
{
	static const char *const known[] = { "tcp", "udp", "sctp" };

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcasecmp(s, known[i]) == 0) {
			*ret = known[i];
			return 0;
		}
	return err_set(e, EINVAL, "invalid proto: %s: tcp, udp and sctp are known", s);
}

struct words {
	char *copy;
	const char *ip; /* "" : none was given */
	const char *host, *port, *protocol;
};

static int split_ip(char *text, struct words *w, struct err *e, const char *whole)
{
	unsigned char any[sizeof(struct in6_addr)];
	char *close = *text == '[' ? strchr(text, ']') : NULL;

	if (close && close[1] == 0) {
		*close = 0;
		w->ip = text + 1;
		return inet_pton(AF_INET6, w->ip, any) == 1 ? 0 : err_set(e, EINVAL, "invalid IP address: %s", w->ip);
	}
	w->ip = text;
	if (!*text || inet_pton(AF_INET, text, any) == 1)
		return 0;
	if (inet_pton(AF_INET6, text, any) == 1)
		return err_set(e, EINVAL, "invalid IP address: %s: an IPv6 address is put in brackets, as in [%s]", whole, text);
	return err_set(e, EINVAL, "invalid IP address: %s", text);
}

/* From the right: the address may have colons of its own. */
static int split(const char *text, struct words *w, struct err *e)
{
	char *slash, *colon;

	*w = (struct words){ .copy = strdup(text), .ip = "", .host = "", .protocol = "tcp" };
	if (!w->copy)
		return err_set(e, ENOMEM, "out of memory");
	slash = strrchr(w->copy, '/');
	if (slash) {
		*slash = 0;
		if (read_protocol(slash + 1, &w->protocol, e) < 0)
			return -EINVAL;
	}
	colon = strrchr(w->copy, ':');
	w->port = colon ? colon + 1 : w->copy;
	if (!*w->port)
		return err_set(e, EINVAL, "no port specified: %s<empty>", text);
	if (!colon)
		return 0;
	*colon = 0;
	colon = strrchr(w->copy, ':');
	w->host = colon ? colon + 1 : w->copy;
	if (!colon)
		return 0;
	*colon = 0;
	return split_ip(w->copy, w, e, text);
}

static bool same(const struct net_port *a, const struct net_port *b)
{
	return streq(a->protocol, b->protocol) && streq0(a->host_ip, b->host_ip) && a->host_port == b->host_port &&
	       a->host_port_last == b->host_port_last && a->port == b->port;
}

static int add(struct ports *p, const struct net_port *port, struct err *e)
{
	struct net_port *grown;

	for (size_t i = 0; i < p->n; i++)
		if (same(&p->list[i], port))
			return 0;
	grown = reallocarray(p->list, p->n + 1, sizeof(*grown));
	if (!grown)
		return err_set(e, ENOMEM, "out of memory");
	p->list = grown;
	struct net_port *n = &grown[p->n];
	*n = *port;
	n->protocol = strdup(port->protocol);
	n->host_ip = port->host_ip ? strdup(port->host_ip) : NULL;
	if (!n->protocol || (port->host_ip && !n->host_ip)) {
		free(n->protocol);
		free(n->host_ip);
		return err_set(e, ENOMEM, "out of memory");
	}
	p->n++;
	return 0;
}

/* An address that means all is written as none. */
static const char *host_ip(const struct words *w)
{
	if (!*w->ip)
		return PORTS_HOST_IP;
	return streq(w->ip, "0.0.0.0") || streq(w->ip, "::") ? NULL : w->ip;
}

static int add_spans(struct ports *p, const struct words *w, struct span host, struct span port, struct err *e)
{
	uint32_t n = port.last - port.first + 1;
	bool is_any = !*w->host || host.first == 0, is_pool = !is_any && n == 1 && host.last > host.first;

	if (!is_any && !is_pool && host.last - host.first + 1 != n)
		return err_set(e, EINVAL, "invalid ranges specified for container and host Ports: %s and %s", w->port, w->host);
	for (uint32_t i = 0; i < n; i++) {
		const struct net_port one = { .protocol = (char *)(uintptr_t)w->protocol,
					      .host_ip = (char *)(uintptr_t)host_ip(w),
					      .host_port = is_any ? 0 : host.first + i,
					      .host_port_last = is_pool ? host.last : 0,
					      .port = port.first + i };
		int r = add(p, &one, e);
		if (r < 0)
			return r;
	}
	return 0;
}

int ports_add(struct ports *p, const char *text, struct err *e)
{
	struct span host = { 0 }, port;
	struct words w;
	int r = split(text, &w, e);

	if (r == 0 && (read_span(w.port, strlen(w.port), &port) < 0 || port.first == 0))
		r = err_set(e, EINVAL, "invalid containerPort: %s", w.port);
	if (r == 0 && *w.host && read_span(w.host, strlen(w.host), &host) < 0)
		r = err_set(e, EINVAL, "invalid hostPort: %s", w.host);
	if (r == 0)
		r = add_spans(p, &w, host, port, e);
	free(w.copy);
	return r;
}

int ports_exposed(const char *text, int (*cb)(const char *protocol, uint32_t port, void *arg), void *arg, struct err *e)
{
	const char *slash = strchr(text, '/'), *protocol = "tcp";
	struct span s = { 0 };
	int r = slash ? read_protocol(slash + 1, &protocol, e) : 0;

	if (r == 0 && (read_span(text, slash ? (size_t)(slash - text) : strlen(text), &s) < 0 || s.first == 0))
		r = err_set(e, EINVAL, "invalid port format for --expose: %s", text);
	for (uint32_t port = s.first; r == 0 && port <= s.last; port++)
		r = cb ? cb(protocol, port, arg) : 0;
	return r;
}

/* ---- showing ---- */

struct shown {
	struct net_port *list; /* host_port 0: exposed only; borrowed texts */
	size_t n;
};

static int compare(const void *a, const void *b)
{
	const struct net_port *x = a, *y = b;
	int k = strcmp(x->protocol, y->protocol);

	if ((x->host_port == 0) != (y->host_port == 0))
		return x->host_port == 0 ? 1 : -1;
	if (k == 0)
		k = strcmp(x->host_ip ? x->host_ip : "", y->host_ip ? y->host_ip : "");
	if (k == 0)
		k = (x->port > y->port) - (x->port < y->port);
	return k ? k : (x->host_port > y->host_port) - (x->host_port < y->host_port);
}

static int show_exposed(const char *protocol, uint32_t port, void *arg)
{
	struct shown *s = arg;
	struct net_port *grown;

	for (size_t i = 0; i < s->n; i++)
		if (s->list[i].port == port && streq(s->list[i].protocol, protocol))
			return 0;
	grown = reallocarray(s->list, s->n + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	s->list = grown;
	grown[s->n++] = (struct net_port){ .protocol = (char *)(uintptr_t)protocol, .port = port };
	return 0;
}

/* Does b go on where a ends? */
static bool follows(const struct net_port *a, const struct net_port *b)
{
	return streq(a->protocol, b->protocol) && streq0(a->host_ip, b->host_ip) && b->port == a->port + 1 &&
	       (a->host_port == 0 ? b->host_port == 0 : b->host_port == a->host_port + 1);
}

static void put_span(struct buf *b, uint32_t first, uint32_t last)
{
	buf_fmt(b, "%u", first);
	if (last != first)
		buf_fmt(b, "-%u", last);
}

static void put(struct buf *b, const struct net_port *first, const struct net_port *last)
{
	const char *ip = first->host_ip ? first->host_ip : "0.0.0.0";

	if (b->len)
		buf_str(b, ", ");
	if (first->host_port) {
		buf_fmt(b, strchr(ip, ':') ? "[%s]:" : "%s:", ip);
		put_span(b, first->host_port, last->host_port);
		buf_str(b, "->");
	}
	put_span(b, first->port, last->port);
	buf_fmt(b, "/%s", first->protocol);
}

char *ports_text(const struct ports *p, char *const *exposed)
{
	struct shown s = { .list = calloc(p->n + 1, sizeof(*s.list)), .n = p->n };
	struct buf b = { 0 };
	int r = s.list ? 0 : -ENOMEM;

	if (r == 0 && p->n)
		memcpy(s.list, p->list, p->n * sizeof(*s.list));
	for (; r == 0 && exposed && *exposed; exposed++) {
		r = ports_exposed(*exposed, show_exposed, &s, NULL);
		r = r == -EINVAL ? 0 : r; /* an image may say what it likes */
	}
	if (r == 0 && s.n)
		qsort(s.list, s.n, sizeof(*s.list), compare);
	buf_str(&b, "");
	for (size_t i = 0, k; r == 0 && i < s.n; i = k) {
		for (k = i + 1; k < s.n && follows(&s.list[k - 1], &s.list[k]); k++)
			;
		put(&b, &s.list[i], &s.list[k - 1]);
	}
	free(s.list);
	if (r == 0)
		return buf_take(&b);
	buf_done(&b);
	return NULL;
}
