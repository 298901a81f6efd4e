/* See network_plan.h. */
#include <stdio.h>

#include "network_plan.h"

#include <arpa/inet.h>

#include "address.h"
#include "client.h"
#include "engine_impl.h"
#include "network_cni.h"
#include "network_own.h"
#include "network_wishes.h"
#include "ports.h"
#include "rootless.h"

#define DEVICE_HEX 12 /* of the endpoint's id, behind "bv" */

/* ---- endpoints ---- */

char *network_device_of(const char *endpoint_id) { return str_fmt("bv%.*s", DEVICE_HEX, endpoint_id); }

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

/* Of cni: what was asked for, and what was given the last time. */
static int add_given(const struct endpoint_record *p, struct net_endpoint *ret, struct err *e)
{
	struct endpoint_options o = { 0 };
	int r = endpoint_options_of(p, &o, e);

	if (r >= 0 && ((o.address4 && strv_push(&ret->addresses, o.address4) < 0) ||
		       (o.address6 && strv_push(&ret->addresses, o.address6) < 0)))
		r = OUT_OF_MEMORY(e);
	if (r >= 0) {
		ret->given = o.given;
		o.given = (struct net_result){ 0 };
	}
	endpoint_options_done(&o);
	return r;
}

int network_plan_endpoint(struct engine *en, const struct network_owner *w, const struct endpoint_record *p,
			  struct net_endpoint *ret, struct err *e)
{
	struct network_record n;
	int r = records_network_get(en->records, p->network_id, &n, e);

	if (r < 0)
		return r;
	r = network_plan_of(&n, &ret->network, e);
	network_record_done(&n);
	if (r >= 0 && strv_len(w->o->egress))
		r = network_egress_check(&ret->network, e);
	if (r < 0)
		return r;
	ret->id = strdup(p->id);
	ret->device = network_device_of(p->id);
	ret->name = str_fmt("eth%u", p->ordinal);
	ret->mac = p->mac ? strdup(p->mac) : NULL;
	if (!ret->id || !ret->device || !ret->name || (p->mac && !ret->mac))
		return OUT_OF_MEMORY(e);
	if (p->has_address4)
		r = add_address(p->address4, &ret->network, &ret->addresses, e);
	if (r >= 0 && p->has_address6)
		r = add_address(p->address6, &ret->network, &ret->addresses, e);
	if (r >= 0 && streq(ret->network.driver, "cni"))
		r = add_given(p, ret, e);
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

static bool has_names(const struct net_plan *p)
{
	for (size_t i = 0; i < p->n_endpoints; i++)
		if (p->endpoints[i].network.has_names)
			return true;
	return false;
}

/* --dns and its like, for plugins that have resolvers of their own. */
static int add_dns(const struct run_opts *o, struct net_plan *p, struct err *e)
{
	bool is_cni = false;

	for (size_t i = 0; i < p->n_endpoints; i++)
		is_cni |= streq(p->endpoints[i].network.driver, "cni");
	if (!is_cni)
		return 0;
	if ((o->dns && !(p->dns = strv_copy(o->dns))) || (o->dns_search && !(p->dns_search = strv_copy(o->dns_search))) ||
	    (o->dns_options && !(p->dns_options = strv_copy(o->dns_options))))
		return OUT_OF_MEMORY(e);
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
	if (!p->id || !p->state_dir || !p->endpoints || rootless_users_lock(en->paths->run, &p->users_lock) < 0)
		return OUT_OF_MEMORY(e);
	return 0;
}

/* leaves: a network's id, of which the endpoint goes (changes: or comes) while the container runs; NULL: none. */
static int make(struct engine *en, const struct network_owner *w, const char *leaves, bool changes, struct net_plan *ret,
		struct err *e)
{
	struct endpoint_record *list = NULL;
	struct net_plan plan = { 0 };
	struct ports ports = { 0 };
	size_t n = 0;
	int r = records_endpoints(en->records, w->id, NULL, &list, &n, e);

	if (r >= 0)
		r = begin(en, w, n, &plan, e);
	for (; r >= 0 && plan.n_endpoints < n; plan.n_endpoints += r >= 0)
		r = network_plan_endpoint(en, w, &list[plan.n_endpoints], &plan.endpoints[plan.n_endpoints], e);
	if (r >= 0)
		r = choose_gateways(&plan, e);
	if (r >= 0)
		r = add_dns(w->o, &plan, e);
	if (r >= 0)
		r = read_ports(w->o, &ports, e);
	if (r >= 0 && (changes || has_names(&plan) || strv_len(w->o->egress)))
		r = network_own_make(en, w, list, n, leaves, &plan.resolver, e);
	if (r >= 0 && !changes && plan.resolver && !plan.resolver->is_wanted) {
		network_own_free(plan.resolver);
		plan.resolver = NULL;
	}
	if (r >= 0 && plan.users_lock)
		r = network_ask_outside(&plan, e);
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

int network_plan_of_owner(struct engine *en, const struct network_owner *w, struct net_plan *ret, struct err *e)
{
	return make(en, w, NULL, false, ret, e);
}

static int make_of(struct engine *en, const struct container_record *c, const char *leaves, bool changes, struct net_plan *ret,
		   struct err *e)
{
	struct run_opts o;
	int r = engine_record_options(c, &o, e);

	if (r < 0)
		return r;
	const struct network_owner w = { c->id, c->name, c->isolation, &o, NULL };
	r = make(en, &w, leaves, changes, ret, e);
	run_opts_done(&o);
	return r;
}

int network_plan_make(struct engine *en, const struct container_record *c, struct net_plan *ret, struct err *e)
{
	return make_of(en, c, NULL, false, ret, e);
}

int network_plan_one(struct engine *en, const struct container_record *c, const char *network_id, bool leaves,
		     struct net_plan *ret, struct err *e)
{
	struct net_plan plan;
	int r = make_of(en, c, leaves ? network_id : NULL, true, &plan, e);
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

int network_sweep_left(struct engine *en, const struct container_record *c, struct err *e)
{
	_cleanup_free_ char *dir = str_fmt("%s/networks/" NET_CNI_DIR, en->paths->run);
	struct net_plan plan;
	bool is_left = false;
	int r;

	if (!dir)
		return OUT_OF_MEMORY(e);
	if (!file_exists(AT_FDCWD, dir))
		return 0;
	r = network_plan_make(en, c, &plan, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < plan.n_endpoints; i++)
		is_left |= network_cni_is_left(en, &plan.endpoints[i]);
	net_plan_done(&plan);
	return is_left ? network_sweep(en, c, e) : 0;
}

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
	int r = plan.state_dir && rootless_users_lock(en->paths->run, &plan.users_lock) >= 0 ? network_cni_lost(en, &plan.lost, e)
											     : OUT_OF_MEMORY(e);

	if (r >= 0)
		r = net_call(en->paths, "sweep", &plan, e);
	net_plan_done(&plan);
	return r < 0 ? err_push(e, r, "networks of this host") : 0;
}
