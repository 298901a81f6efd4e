/* See rootless_ways.h. */
#include "rootless_ways.h"

#include <stdio.h>
#include <string.h>

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

void ways_done(struct ways *v)
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

int ways_of(const struct published *list, size_t i)
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

int ways_plan(const struct reservation *ports, struct ways *v, struct err *e)
{
	static const char *const kinds[] = { "-t", "-u" };
	const size_t n = ports->n_fds;
	int r = 0;

	for (size_t i = 0; i < n && r >= 0; i++) {
		const struct published *p = &ports->ports[i];
		const int way = ways_of(ports->ports, i);

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

int ways_check(const struct published *p, struct err *e)
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

int ways_inside(const struct net_endpoint *to, const struct published *ports, size_t n, struct published **ret, size_t *ret_n)
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
