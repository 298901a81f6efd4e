/* What a container reads of its networks: /etc/hosts and /etc/resolv.conf, as network_plan.h has them. */
#include <stdio.h>

#include "network_plan.h"

#include "address.h"
#include "engine_impl.h"
#include "network_wishes.h"

static const char *bare(const char *address, char *to, size_t size)
{
	snprintf(to, size, "%.*s", (int)strcspn(address, "/"), address);
	return to;
}

/* "CONTAINER[:ALIAS]" of docker's --link: names for an address that stays its own as long as it is there. */
static int add_link(struct engine *en, const char *text, const struct net_plan *plan, struct buf *b, struct err *e)
{
	const char *colon = strchr(text, ':');
	_cleanup_free_ char *name = strndup(text, colon ? (size_t)(colon - text) : strlen(text));
	struct endpoint_record *list = NULL;
	struct container_record c;
	bool is_there = false;
	size_t n = 0;
	int r = name ? engine_get(en, name, &c, e) : OUT_OF_MEMORY(e);

	if (r < 0)
		return err_push(e, r, "--link %s", text);
	r = records_endpoints(en->records, c.id, NULL, &list, &n, e);
	for (size_t i = 0; r >= 0 && i < n; i++)
		for (size_t k = 0; k < plan->n_endpoints; k++) {
			char address[ADDRESS_TEXT];

			if (!streq(list[i].network_id, plan->endpoints[k].network.id) || !list[i].has_address4)
				continue;
			address_print(list[i].address4, address);
			buf_fmt(b, "%s\t%s %s %.12s\n", address, colon ? colon + 1 : c.name, c.name, c.id);
			is_there = true;
		}
	if (r >= 0 && !is_there)
		r = err_set(e, EINVAL, "--link %s: cannot link to %s, which is on none of this container's networks", text,
			    c.name);
	endpoint_records_free(list, n);
	container_record_done(&c);
	return r;
}

static const char *any_gateway(const struct net_plan *p)
{
	for (size_t i = 0; i < p->n_endpoints; i++) {
		if (p->endpoints[i].gateway4)
			return p->endpoints[i].gateway4;
		if (p->endpoints[i].gateway6)
			return p->endpoints[i].gateway6;
		if (p->endpoints[i].given.gateway4)
			return p->endpoints[i].given.gateway4;
		if (p->endpoints[i].given.gateway6)
			return p->endpoints[i].given.gateway6;
	}
	return NULL;
}

int network_hosts_text(struct engine *en, const struct run_opts *o, const struct net_plan *plan, const char *hostname, char **ret,
		       struct err *e)
{
	_cleanup_buf_ struct buf b = { 0 };
	int r = 0;

	buf_str(&b, files_hosts_head);
	for (char **h = o->add_hosts; r >= 0 && h && *h; h++) {
		_cleanup_free_ char *line = NULL;
		r = network_host_line(*h, any_gateway(plan), &line, e);
		buf_str(&b, line ? line : "");
	}
	for (char **l = o->links; r >= 0 && l && *l; l++)
		r = add_link(en, *l, plan, &b, e);
	for (size_t i = 0; r >= 0 && i < plan->n_endpoints; i++)
		for (char *const *a = net_endpoint_addresses(&plan->endpoints[i]); a && *a; a++) {
			char address[ADDRESS_TEXT];
			buf_fmt(&b, "%s\t%s\n", bare(*a, address, sizeof(address)), hostname);
		}
	if (r < 0)
		return r;
	*ret = buf_take(&b);
	return *ret ? 0 : OUT_OF_MEMORY(e);
}

/* ---- resolv.conf(5) ---- */

#define RESOLV_MAX (64u << 10)

struct resolv {
	char **servers, **search, **options;
};

static void resolv_done(struct resolv *r)
{
	strv_free(r->servers);
	strv_free(r->search);
	strv_free(r->options);
}

static int add_words(char *rest, char ***to)
{
	char *save = NULL;

	for (char *w = strtok_r(rest, " \t", &save); w; w = strtok_r(NULL, " \t", &save))
		if (strv_push(to, w) < 0)
			return -ENOMEM;
	return 0;
}

static int read_line(char *line, struct resolv *ret)
{
	char *save = NULL, *key = strtok_r(line, " \t", &save), *rest = save ? save : line;

	if (!key || *key == '#' || *key == ';')
		return 0;
	if (streq(key, "nameserver")) {
		char *address = strtok_r(NULL, " \t", &save);
		return address && !network_is_loopback(address) && !strchr(address, '%') && strv_push(&ret->servers, address) < 0
			       ? -ENOMEM
			       : 0;
	}
	if (streq(key, "search") || streq(key, "domain")) {
		strv_free(ret->search);
		ret->search = NULL;
		return add_words(rest, &ret->search);
	}
	return streq(key, "options") ? add_words(rest, &ret->options) : 0;
}

static int read_hosts_own(const char *path, struct resolv *ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_strv_ char **lines = NULL;
	size_t len = 0;
	int r = file_read(AT_FDCWD, path, RESOLV_MAX, &text, &len);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_set(e, -r, "%s of the host: %s", path, strerror(-r));
	lines = strv_split(text, '\n');
	if (!lines)
		return OUT_OF_MEMORY(e);
	for (char **l = lines; *l; l++)
		if (read_line(*l, ret) < 0)
			return OUT_OF_MEMORY(e);
	return 0;
}

/* systemd-resolved's stub listens on the loopback; whom it asks is in a file of its own. */
static int read_host(struct resolv *ret, struct err *e)
{
	int r = read_hosts_own("/etc/resolv.conf", ret, e);

	if (r >= 0 && !ret->servers) {
		resolv_done(ret);
		*ret = (struct resolv){ 0 };
		r = read_hosts_own("/run/systemd/resolve/resolv.conf", ret, e);
	}
	return r;
}

static int replace(char *const *given, char ***to, struct err *e)
{
	char **copy = NULL;

	if (!given || !*given)
		return 0;
	copy = strv_copy(given);
	if (!copy)
		return OUT_OF_MEMORY(e);
	strv_free(*to);
	*to = copy;
	return 0;
}

/* What CNI plugins have said of resolvers: the first network's that has any. */
static int use_given(const struct net_plan *plan, struct resolv *v, struct err *e)
{
	for (size_t i = 0; i < plan->n_endpoints; i++) {
		const struct net_result *given = &plan->endpoints[i].given;
		int r;

		if (!given->dns || !*given->dns)
			continue;
		r = replace(given->dns, &v->servers, e);
		if (r >= 0)
			r = replace(given->search, &v->search, e);
		return r < 0 ? r : replace(given->options, &v->options, e);
	}
	return 0;
}

/* Networks that know names are asked first of all; they ask the others. */
static int use_resolvers(const struct net_plan *plan, struct resolv *r, struct err *e)
{
	_cleanup_strv_ char **own = NULL;

	for (size_t i = 0; i < plan->n_endpoints; i++) {
		const struct net_network *n = &plan->endpoints[i].network;

		for (size_t k = 0; (n->has_names || (plan->resolver && streq(n->driver, "bridge"))) && k < n->n_subnets; k++)
			if (n->subnets[k].gateway && strv_push(&own, n->subnets[k].gateway) < 0)
				return OUT_OF_MEMORY(e);
	}
	return own ? replace(own, &r->servers, e) : use_given(plan, r, e);
}

static void put_words(struct buf *b, const char *key, char *const *words)
{
	if (!words || !*words || streq(*words, "."))
		return;
	buf_str(b, key);
	for (; *words; words++)
		buf_fmt(b, " %s", *words);
	buf_str(b, "\n");
}

/* Resolvers that only the host's own loopback has are asked by whoever carries a rootless user's network (plan.h). */
int network_ask_outside(struct net_plan *plan, struct err *e)
{
	struct resolv v = { 0 };
	int r = read_host(&v, e);

	for (size_t i = 0; i < plan->n_endpoints && r >= 0 && !v.servers; i++) {
		struct net_network *n = &plan->endpoints[i].network;

		if (n->has_names && !n->upstreams && strv_push(&n->upstreams, ROOTLESS_DNS) < 0)
			r = OUT_OF_MEMORY(e);
	}
	if (r >= 0 && !v.servers && plan->resolver && !plan->resolver->upstreams &&
	    strv_push(&plan->resolver->upstreams, ROOTLESS_DNS) < 0)
		r = OUT_OF_MEMORY(e);
	resolv_done(&v);
	return r;
}

int network_resolv_text(const struct run_opts *o, const struct net_plan *plan, char **ret, struct err *e)
{
	struct resolv v = { 0 };
	struct buf b = { 0 };
	int r = read_host(&v, e);

	if (r >= 0 && plan->users_lock && !v.servers && strv_push(&v.servers, ROOTLESS_DNS) < 0)
		r = OUT_OF_MEMORY(e);
	if (r >= 0)
		r = use_resolvers(plan, &v, e);
	if (r >= 0 && !plan->resolver) /* it asks those, and who is on the networks is known as well */
		r = replace(o->dns, &v.servers, e);
	if (r >= 0)
		r = replace(o->dns_search, &v.search, e);
	if (r >= 0)
		r = replace(o->dns_options, &v.options, e);
	if (r >= 0) {
		buf_str(&b, v.servers ? "" : "# the host asks nobody that could be asked from here; --dns names whom to ask\n");
		for (char **s = v.servers; s && *s; s++)
			buf_fmt(&b, "nameserver %s\n", *s);
		put_words(&b, "search", v.search);
		put_words(&b, "options", v.options);
		*ret = buf_take(&b);
		r = *ret ? 0 : OUT_OF_MEMORY(e);
	}
	resolv_done(&v);
	return r;
}
