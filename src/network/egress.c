/* See egress.h. An item is DOMAIN[:PORT], *.DOMAIN[:PORT], ADDRESS[/BITS][:PORT]; IPv6 with a port in brackets: [2001:db8::1]:443. */
#include "egress.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#define EXPECTED                                                                                                          \
	"expected a domain (example.org, *.example.org), an address or a range (192.0.2.0/24, 2001:db8::/32), each with " \
	":PORT behind it where it is to be one port ([2001:db8::1]:443)"

static int refuse(struct err *e, const char *item, const char *why)
{
	return err_set(e, EINVAL, "--egress: \"%.80s\": %s", item, why);
}

static int out_of_memory(struct err *e) { return err_set(e, ENOMEM, "out of memory"); }

/* ---- values to items ---- */

static int add_items(const char *list, char ***items, struct err *e)
{
	_cleanup_strv_ char **words = strv_split(list, ',');

	if (!words)
		return out_of_memory(e);
	for (char **w = words; *w; w++)
		if (strv_push(items, *w) < 0)
			return out_of_memory(e);
	return 0;
}

int egress_items(char *const *values, char ***ret, struct err *e)
{
	char **items = NULL;
	bool is_none = false;
	int r = 0;

	for (char *const *v = values; v && *v && r >= 0; v++) {
		const char *list = str_after(*v, "allow=");

		if (streq(*v, EGRESS_NONE))
			is_none = true;
		else if (!list)
			r = refuse(e, *v, "expected none, or allow= and a list of domains, addresses and ranges");
		else
			r = add_items(list, &items, e);
	}
	if (r >= 0 && is_none && items)
		r = refuse(e, EGRESS_NONE, "it can't be given together with allow=, which alone allows nothing else anyway");
	if (r >= 0 && is_none && strv_push(&items, EGRESS_NONE) < 0)
		r = out_of_memory(e);
	if (r < 0)
		strv_free(items);
	else
		*ret = items;
	return r;
}

/* ---- one item ---- */

struct item {
	char *host;
	uint16_t port;
};

static int read_port(const char *item, const char *text, uint16_t *ret, struct err *e)
{
	uint64_t port;

	if (str_to_u64(text, &port) < 0 || port < 1 || port > UINT16_MAX)
		return refuse(e, item, "its port is not one of 1 to 65535");
	*ret = (uint16_t)port;
	return 0;
}

/* "[HOST]:PORT", "HOST:PORT", or a bare host, which may be of IPv6. */
static int split(const char *item, struct item *ret, struct err *e)
{
	const char *colon = strchr(item, ':'), *end = NULL;
	struct item i = { 0 };
	int r = 0;

	if (*item == '[') {
		end = strchr(item, ']');
		if (!end || (end[1] && end[1] != ':'))
			return refuse(e, item, EXPECTED);
		i.host = strndup(item + 1, (size_t)(end - item) - 1);
		if (end[1])
			r = read_port(item, end + 2, &i.port, e);
	} else if (colon && !strchr(colon + 1, ':')) {
		i.host = strndup(item, (size_t)(colon - item));
		r = read_port(item, colon + 1, &i.port, e);
	} else {
		i.host = strdup(item);
	}
	if (r >= 0 && !i.host)
		r = out_of_memory(e);
	if (r < 0)
		free(i.host);
	else
		*ret = i;
	return r;
}

/* 1: it is a range, and its family; 0: it is none. */
static int is_range(const char *host, bool *ret_is6)
{
	const size_t len = strcspn(host, "/");
	_cleanup_free_ char *address = strndup(host, len);
	unsigned char any[sizeof(struct in6_addr)];
	uint64_t bits = 0;

	if (!address)
		return -ENOMEM;
	*ret_is6 = strchr(address, ':') != NULL;
	if (inet_pton(*ret_is6 ? AF_INET6 : AF_INET, address, any) != 1)
		return 0;
	return !host[len] || (str_to_u64(host + len + 1, &bits) >= 0 && bits <= (*ret_is6 ? 128u : 32u));
}

/* Labels of letters, digits, '-' and '_'; one alone is no domain of anybody's, but names may be below it. */
static bool is_domain(const char *s, bool is_below)
{
	size_t labels = 0, n;

	if (strlen(s) > 253)
		return false;
	for (const char *p = s;; p += n + 1) {
		n = strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789-_");
		if (n < 1 || n > 63 || p[0] == '-' || (p[n] && p[n] != '.'))
			return false;
		labels++;
		if (!p[n])
			/* Four numbers are a mistyped address. */
			return (is_below || labels > 1) && s[strspn(s, "0123456789.")] != '\0';
	}
}

static int add_range(struct egress *x, const struct item *i, bool is6, struct err *e)
{
	struct egress_range *more = reallocarray(x->ranges, x->n_ranges + 1, sizeof(*more));

	if (!more)
		return out_of_memory(e);
	x->ranges = more;
	more += x->n_ranges;
	*more = (struct egress_range){ .range = strdup(i->host), .is6 = is6, .port = i->port };
	x->n_ranges += more->range != NULL;
	return more->range ? 0 : out_of_memory(e);
}

static int add_port(struct egress_name *n, uint16_t port, struct err *e)
{
	uint16_t *more;
	size_t at = 0;

	while (at < n->n_ports && n->ports[at] < port)
		at++;
	if (at < n->n_ports && n->ports[at] == port)
		return 0;
	more = reallocarray(n->ports, n->n_ports + 1, sizeof(*more));
	if (!more)
		return out_of_memory(e);
	n->ports = more;
	memmove(more + at + 1, more + at, (n->n_ports - at) * sizeof(*more));
	more[at] = port;
	n->n_ports++;
	if (more[0] == 0) /* any: the others are among them */
		n->n_ports = 1;
	return 0;
}

static int add_name(struct egress *x, const char *name, bool is_below, uint16_t port, struct err *e)
{
	struct egress_name *more;

	for (size_t i = 0; i < x->n_names; i++)
		if (streq(x->names[i].name, name) && x->names[i].below == is_below)
			return x->names[i].ports[0] == 0 ? 0 : add_port(&x->names[i], port, e);
	more = reallocarray(x->names, x->n_names + 1, sizeof(*more));
	if (!more)
		return out_of_memory(e);
	x->names = more;
	more += x->n_names;
	*more = (struct egress_name){ .name = strdup(name), .itself = !is_below, .below = is_below };
	if (!more->name)
		return out_of_memory(e);
	x->n_names++;
	return add_port(more, port, e);
}

static int add_item(struct egress *x, const char *item, struct err *e)
{
	struct item i = { 0 };
	bool is6 = false, is_below;
	int r = split(item, &i, e);

	if (r < 0)
		return r;
	r = is_range(i.host, &is6);
	if (r < 0) {
		r = out_of_memory(e);
	} else if (r > 0) {
		r = add_range(x, &i, is6, e);
	} else {
		for (char *p = i.host; *p; p++)
			*p = (char)tolower((unsigned char)*p);
		is_below = str_after(i.host, "*.") != NULL;
		r = is_domain(i.host + 2 * is_below, is_below) ? add_name(x, i.host + 2 * is_below, is_below, i.port, e)
							       : refuse(e, item, EXPECTED);
	}
	free(i.host);
	return r;
}

/* ---- the whole ---- */

static bool same_ports(const struct egress_name *a, const struct egress_name *b)
{
	return a->n_ports == b->n_ports && memcmp(a->ports, b->ports, a->n_ports * sizeof(*a->ports)) == 0;
}

/* Whether b's names are a's own, or below it. */
static bool is_under(const struct egress_name *a, const struct egress_name *b)
{
	const size_t la = strlen(a->name), lb = strlen(b->name);

	return lb >= la && streq(b->name + lb - la, a->name) && (lb == la || b->name[lb - la - 1] == '.');
}

static void drop(struct egress *x, size_t i)
{
	free(x->names[i].name);
	free(x->names[i].ports);
	x->names[i] = x->names[--x->n_names];
}

/* Of two that overlap one is left: a resolver tells addresses apart by the name's end alone, so both must have the same ports. */
static int merge(struct egress *x, struct err *e)
{
	for (size_t i = 0; i < x->n_names; i++)
		for (size_t k = 0; k < x->n_names && x->names[i].below; k++) {
			struct egress_name *a = &x->names[i], *b = &x->names[k];

			if (k == i || !is_under(a, b))
				continue;
			if (!same_ports(a, b))
				return err_set(e, EINVAL,
					       "--egress: \"*.%s\" and \"%s%s\" need the same ports, as one is among the other",
					       a->name, b->itself ? "" : "*.", b->name);
			a->itself |= b->itself && streq(a->name, b->name);
			drop(x, k);
			return merge(x, e);
		}
	return 0;
}

int egress_parse(char *const *items, struct egress *ret, struct err *e)
{
	struct egress x = { 0 };
	int r = 0;

	if (strv_len(items) > EGRESS_MAX)
		return err_set(e, E2BIG, "--egress: %zu items: at most %d can be listed", strv_len(items), EGRESS_MAX);
	for (char *const *v = items; v && *v && r >= 0; v++)
		if (!streq(*v, EGRESS_NONE))
			r = add_item(&x, *v, e);
	if (r >= 0)
		r = merge(&x, e);
	if (r < 0)
		egress_done(&x);
	else
		*ret = x;
	return r;
}

void egress_done(struct egress *x)
{
	for (size_t i = 0; i < x->n_ranges; i++)
		free(x->ranges[i].range);
	for (size_t i = 0; i < x->n_names; i++) {
		free(x->names[i].name);
		free(x->names[i].ports);
	}
	free(x->ranges);
	free(x->names);
	*x = (struct egress){ 0 };
}
