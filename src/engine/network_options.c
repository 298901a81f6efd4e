/* network_options.c: the networks that a new container is to be on, as endpoints that come with its record. */
#include "engine_impl.h"
#include "network_cni.h"
#include "network_own.h"
#include "network_wishes.h"

/* The default network is made when it is first used. */
static int find(struct engine *en, const char *name, struct network_record *ret, struct err *e)
{
	return streq(name, "bridge") ? network_default(en, ret, e) : records_network_get(en->records, name, ret, e);
}

/* There is room for it in p->endpoints. */
static int add(struct plan *p, const struct network_wish *w, struct err *e)
{
	struct endpoint_request *q = &p->endpoints[p->n_endpoints];
	struct network_record n;
	int r = find(p->en, w->name, &n, e);

	if (r < 0)
		return r;
	r = network_cni_check_isolation(&n, p->is_vm, e);
	for (size_t i = 0; i < p->n_endpoints && r >= 0; i++)
		if (streq0(p->endpoints[i].record.network_id, n.id))
			r = err_set(e, EINVAL, "--network: %s is given twice", n.name);
	if (r >= 0 && strv_len(p->o->egress))
		r = network_egress_check_of(&n, e);
	if (r >= 0)
		r = network_request(&n, w->ip, w->ip6, w->mac, w->aliases, q, e);
	network_record_done(&n);
	if (r < 0)
		return r;
	q->record.ordinal = (uint32_t)p->n_endpoints++;
	q->record.container_id = strdup(p->id);
	return q->record.container_id ? 0 : OUT_OF_MEMORY(e);
}

int plan_network(struct plan *p, struct err *e)
{
	struct network_wishes w = { 0 };
	int r = network_wishes_of(p->o, &w, e);

	if (r >= 0 && !(p->endpoints = calloc(w.n, sizeof(*p->endpoints))))
		r = OUT_OF_MEMORY(e);
	for (size_t i = 0; r >= 0 && i < w.n; i++)
		r = add(p, &w.list[i], e);
	network_wishes_done(&w);
	p->launch.has_network = true;
	return r;
}

/* ---- copies of VMs ---- */

static int add_like(struct plan *p, const struct endpoint_record *of, struct err *e)
{
	struct endpoint_options o = { 0 };
	int r = endpoint_options_of(of, &o, e);

	if (r >= 0) {
		const struct network_wish w = { .name = of->network_id, .aliases = o.aliases };
		r = add(p, &w, e);
	}
	endpoint_options_done(&o);
	return r;
}

static void forget_own(struct network_wish *w)
{
	char **const own[] = { &w->ip, &w->ip6, &w->mac };

	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		free_ptr(own[i]);
}

/* The original is gone: the networks that it was made for. */
static int add_wished(struct plan *p, const struct run_opts *o, struct err *e)
{
	struct network_wishes w = { 0 };
	int r = network_wishes_of(o, &w, e);

	if (r >= 0 && !(p->endpoints = calloc(w.n, sizeof(*p->endpoints))))
		r = OUT_OF_MEMORY(e);
	for (size_t i = 0; r >= 0 && i < w.n; i++) {
		forget_own(&w.list[i]);
		r = add(p, &w.list[i], e);
	}
	network_wishes_done(&w);
	return r;
}

int plan_network_like(struct plan *p, const char *original, const struct run_opts *o, struct err *e)
{
	struct endpoint_record *list = NULL;
	size_t n = 0;
	int r;

	if (network_kind_of(o) != NETWORK_OWN)
		return 0;
	r = records_endpoints(p->en->records, original, NULL, &list, &n, e);
	if (r >= 0 && n && !(p->endpoints = calloc(n, sizeof(*p->endpoints))))
		r = OUT_OF_MEMORY(e);
	for (size_t i = 0; r >= 0 && i < n; i++)
		r = add_like(p, &list[i], e);
	if (r >= 0 && n == 0)
		r = add_wished(p, o, e);
	endpoint_records_free(list, n);
	return r;
}

void plan_network_done(struct plan *p)
{
	for (size_t i = 0; i < p->n_endpoints; i++)
		network_request_done(&p->endpoints[i]);
	free(p->endpoints);
}
