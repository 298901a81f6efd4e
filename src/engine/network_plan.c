/* See network_plan.h. */
#include <stdio.h>

#include "network_plan.h"

#include <arpa/inet.h>

#include "address.h"
#include "client.h"
#include "engine_impl.h"
#include "network_config.h"
#include "network_wishes.h"
#include "ports.h"

#define DEVICE_HEX 12 /* of the endpoint's id, behind "bv" */

/* ---- endpoints ---- */

/* "10.77.0.2/16": the address, and how long the prefix of its subnet is. */
static int add_address(const uint8_t a[16], const struct net_network *n, char ***list, struct err *e)
{
	char text[ADDRESS_TEXT];
	_cleanup_free_ char *whole = NULL;

	address_print(a, text);
	for (size_t i = 0; i < n->n_subnets && !whole; i++) {
		struct net_prefix s;

		if (prefix_parse(n->subnets[i].subnet, &s, NULL) < 0 || !prefix_holds(&s, a))
			continue;
		whole = str_fmt("%s%s", text, strrchr(n->subnets[i].subnet, '/'));
		if (!whole)
			return OUT_OF_MEMORY(e);
	}
	if (!whole)
		return err_set(e, EINVAL, "network %s: the address %s is in none of its subnets", n->name, text);
	return strv_push(list, whole) < 0 ? OUT_OF_MEMORY(e) : 0;
}

static int add_names(const struct network_owner *w, const struct endpoint_record *p, char ***names, struct err *e)
{
	struct endpoint_options o = { 0 };
	char id[13];
	int r = endpoint_options_of(p, &o, e);

	snprintf(id, sizeof(id), "%.12s", w->id);
	if (r >= 0 && strv_push(names, w->name) < 0)
		r = OUT_OF_MEMORY(e);
	for (char **a = o.aliases; r >= 0 && a && *a; a++)
		if (strv_push(names, *a) < 0)
			r = OUT_OF_MEMORY(e);
	if (r >= 0 && strv_push(names, id) < 0)
		r = OUT_OF_MEMORY(e);
	for (char *const *m = w->members; r >= 0 && m && *m; m++)
		if (strv_push(names, *m) < 0)
			r = OUT_OF_MEMORY(e);
	endpoint_options_done(&o);
	return r;
}

static int fill_endpoint(struct engine *en, const struct network_owner *w, const struct endpoint_record *p,
			 struct net_endpoint *ret, struct err *e)
{
	struct network_record n;
	int r = records_network_get(en->records, p->network_id, &n, e);

	if (r < 0)
		return r;
	r = network_plan_of(&n, &ret->network, e);
	network_record_done(&n);
	if (r < 0)
		return r;
	ret->id = strdup(p->id);
	ret->device = str_fmt("bv%.*s", DEVICE_HEX, p->id);
	ret->name = str_fmt("eth%u", p->ordinal);
	ret->mac = p->mac ? strdup(p->mac) : NULL;
	if (!ret->id || !ret->device || !ret->name || (p->mac && !ret->mac))
		return OUT_OF_MEMORY(e);
	if (p->has_address4)
		r = add_address(p->address4, &ret->network, &ret->addresses, e);
	if (r >= 0 && p->has_address6)
		r = add_address(p->address6, &ret->network, &ret->addresses, e);
	return r < 0 ? r : add_names(w, p, &ret->names, e);
}

/* The way out is by the first network that has one, for each family. */
static int choose_gateways(struct net_plan *p, struct err *e)
{
	bool has4 = false, has6 = false;

	for (size_t i = 0; i < p->n_endpoints; i++) {
		struct net_endpoint *x = &p->endpoints[i];

		for (size_t k = 0; k < x->network.n_subnets && !x->network.is_internal; k++) {
			const char *gateway = x->network.subnets[k].gateway;
			bool is6 = gateway && strchr(gateway, ':');
			char **to = is6 ? &x->gateway6 : &x->gateway4;

			if (!gateway || (is6 ? has6 : has4))
				continue;
			*to = strdup(gateway);
			if (!*to)
				return OUT_OF_MEMORY(e);
			*(is6 ? &has6 : &has4) = true;
		}
	}
	return 0;
}

/* ---- ports ---- */

struct exposed {
	struct ports *to;
	struct err *e;
};

static int publish_one(const char *protocol, uint32_t port, void *arg)
{
	struct exposed *x = arg;
	_cleanup_free_ char *text = str_fmt("%u/%s", port, protocol);

	for (size_t i = 0; i < x->to->n; i++)
		if (x->to->list[i].port == port && streq(x->to->list[i].protocol, protocol))
			return 0;
	return text ? ports_add(x->to, text, x->e) : OUT_OF_MEMORY(x->e);
}

static int read_ports(const struct run_opts *o, struct ports *ret, struct err *e)
{
	char *const *const exposed[] = { o->expose, o->image_ports };
	struct exposed x = { .to = ret, .e = e };
	int r = 0;

	for (char **v = o->publish; r >= 0 && v && *v; v++)
		r = ports_add(ret, *v, e);
	for (size_t i = 0; o->publish_all && i < ARRAY_SIZE(exposed); i++)
		for (char *const *v = exposed[i]; r >= 0 && v && *v; v++)
			r = ports_exposed(*v, publish_one, &x, e);
	return r;
}

/* ---- the plan ---- */

static int begin(struct engine *en, const struct network_owner *w, size_t n, struct net_plan *p, struct err *e)
{
	*p = (struct net_plan){ .version = NET_PLAN_VERSION,
				.id = strdup(w->id),
				.state_dir = str_fmt("%s/networks", en->paths->run),
				.is_vm = streq0(w->isolation, "vm"),
				.endpoints = calloc(n + 1, sizeof(*p->endpoints)) };
	return p->id && p->state_dir && p->endpoints ? 0 : OUT_OF_MEMORY(e);
}

int network_plan_of_owner(struct engine *en, const struct network_owner *w, struct net_plan *ret, struct err *e)
{
	struct endpoint_record *list = NULL;
	struct net_plan plan = { 0 };
	struct ports ports = { 0 };
	size_t n = 0;
	int r = records_endpoints(en->records, w->id, NULL, &list, &n, e);

	if (r >= 0)
		r = begin(en, w, n, &plan, e);
	for (; r >= 0 && plan.n_endpoints < n; plan.n_endpoints += r >= 0)
		r = fill_endpoint(en, w, &list[plan.n_endpoints], &plan.endpoints[plan.n_endpoints], e);
	if (r >= 0)
		r = choose_gateways(&plan, e);
	if (r >= 0)
		r = read_ports(w->o, &ports, e);
	plan.ports = ports.list;
	plan.n_ports = ports.n;
	endpoint_records_free(list, n);
	if (r < 0) {
		net_plan_done(&plan);
		return r;
	}
	*ret = plan;
	return 0;
}

int network_plan_make(struct engine *en, const struct container_record *c, struct net_plan *ret, struct err *e)
{
	struct run_opts o;
	int r = engine_record_options(c, &o, e);

	if (r < 0)
		return r;
	const struct network_owner w = { c->id, c->name, c->isolation, &o, NULL };
	r = network_plan_of_owner(en, &w, ret, e);
	run_opts_done(&o);
	return r;
}

int network_plan_one(struct engine *en, const struct container_record *c, const char *network_id, struct net_plan *ret,
		     struct err *e)
{
	struct net_plan plan;
	int r = network_plan_make(en, c, &plan, e);
	size_t i = 0;

	if (r < 0)
		return r;
	while (i < plan.n_endpoints && !streq(plan.endpoints[i].network.id, network_id))
		i++;
	if (i == plan.n_endpoints) {
		net_plan_done(&plan);
		return err_set(e, ENOENT, "container %s is not on network %.12s", c->name, network_id);
	}
	struct net_endpoint one = plan.endpoints[i];
	plan.endpoints[i] = plan.endpoints[0];
	plan.endpoints[0] = one;
	*ret = plan;
	net_plan_cut(ret);
	return 0;
}

static int call(struct engine *en, const struct container_record *c, const char *verb, struct err *e)
{
	struct net_plan plan;
	int r = network_plan_make(en, c, &plan, e);

	if (r < 0)
		return r;
	if (plan.n_endpoints)
		r = net_call(en->paths, verb, &plan, e);
	net_plan_done(&plan);
	return r < 0 ? err_push(e, r, "network of container %s", c->name) : 0;
}

int network_sweep(struct engine *en, const struct container_record *c, struct err *e) { return call(en, c, "detach", e); }

int network_rename(struct engine *en, const struct container_record *c, struct err *e)
{
	struct net_plan plan;
	struct run_opts o;
	int r = pod_network_of(en, c, &plan, &o, e);

	if (r <= 0)
		return r < 0 ? r : call(en, c, "names", e);
	r = net_call(en->paths, "names", &plan, e);
	net_plan_done(&plan);
	run_opts_done(&o);
	return r < 0 ? err_push(e, r, "network of the pod of container %s", c->name) : 0;
}

int network_sweep_all(struct engine *en, struct err *e)
{
	struct net_plan plan = { .version = NET_PLAN_VERSION, .state_dir = str_fmt("%s/networks", en->paths->run) };
	int r = plan.state_dir ? net_call(en->paths, "sweep", &plan, e) : OUT_OF_MEMORY(e);

	net_plan_done(&plan);
	return r < 0 ? err_push(e, r, "networks of this host") : 0;
}

/* ---- what the container reads ---- */

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
		for (char **a = plan->endpoints[i].addresses; a && *a; a++) {
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

/* A resolver on the host's loopback is none of the container's. */
static bool is_loopback(const char *address) { return str_after(address, "127.") || streq(address, "::1"); }

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
		return address && !is_loopback(address) && !strchr(address, '%') && strv_push(&ret->servers, address) < 0
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

/* Networks that know names are asked first of all; they ask the others. */
static int use_resolvers(const struct net_plan *plan, struct resolv *r, struct err *e)
{
	_cleanup_strv_ char **own = NULL;

	for (size_t i = 0; i < plan->n_endpoints; i++) {
		const struct net_network *n = &plan->endpoints[i].network;

		for (size_t k = 0; n->has_names && k < n->n_subnets; k++)
			if (n->subnets[k].gateway && strv_push(&own, n->subnets[k].gateway) < 0)
				return OUT_OF_MEMORY(e);
	}
	return replace(own, &r->servers, e);
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

int network_resolv_text(const struct run_opts *o, const struct net_plan *plan, char **ret, struct err *e)
{
	struct resolv v = { 0 };
	struct buf b = { 0 };
	int r = read_host(&v, e);

	if (r >= 0)
		r = use_resolvers(plan, &v, e);
	if (r >= 0)
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
