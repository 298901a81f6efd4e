/* See network_own.h. */
#include "network_own.h"

#include "egress.h"
#include "engine_impl.h"
#include "network_cni.h"

/* ---- what it may open ---- */

int network_egress_check(const struct net_network *n, struct err *e)
{
	if (!streq(n->driver, "bridge"))
		return err_set(e, ENOTSUP,
			       "--egress: network %s: driver %s: what is sent there does not pass this host; use a network of "
			       "the driver bridge",
			       n->name, n->driver);
	return n->may_spoof
		       ? err_set(e, EINVAL,
				 "--egress: network %s: its addresses are not held to (berth.spoof-check=false); use another",
				 n->name)
		       : 0;
}

int network_egress_check_of(const struct network_record *n, struct err *e)
{
	struct net_plan holds = { .endpoints = calloc(1, sizeof(*holds.endpoints)), .n_endpoints = 1 };
	int r = holds.endpoints ? network_plan_of(n, &holds.endpoints[0].network, e) : OUT_OF_MEMORY(e);

	if (r >= 0)
		r = network_egress_check(&holds.endpoints[0].network, e);
	if (holds.endpoints)
		net_plan_done(&holds);
	return r;
}

/* ---- its resolver ---- */

static bool is_bridge(const struct net_endpoint *x) { return streq(x->network.driver, "bridge"); }

bool network_is_loopback(const char *address) { return str_after(address, "127.") || streq(address, "::1"); }

static int own_upstreams(const struct run_opts *o, char ***ret, struct err *e)
{
	for (char **d = o->dns; d && *d; d++)
		if (!network_is_loopback(*d) && strv_push(ret, *d) < 0)
			return OUT_OF_MEMORY(e);
	return 0;
}

/* Where it is on several networks that know names, or asks others than they do, or may not ask for everything. */
static void decide_own(struct net_resolver *own)
{
	size_t named = 0;

	for (size_t i = 0; i < own->n_endpoints; i++)
		named += own->endpoints[i].network.has_names;
	own->is_wanted = own->egress || named > 1 || (named == 1 && own->upstreams);
}

void network_own_free(struct net_resolver *own)
{
	struct net_plan holds = { .resolver = own };

	net_plan_done(&holds);
}

/* The next one, unless its network is of another driver. */
static int add_own(struct engine *en, const struct network_owner *w, const struct endpoint_record *p, struct net_resolver *own,
		   struct err *e)
{
	struct net_endpoint *one = calloc(1, sizeof(*one));
	struct net_plan holds = { .endpoints = one, .n_endpoints = 1 };
	int r = one ? network_plan_endpoint(en, w, p, one, e) : OUT_OF_MEMORY(e);

	if (r >= 0 && is_bridge(one)) {
		own->endpoints[own->n_endpoints++] = *one;
		*one = (struct net_endpoint){ 0 };
	}
	if (one)
		net_plan_done(&holds);
	return r;
}

/* With all its endpoints, but for the one that leaves. */
int network_own_make(struct engine *en, const struct network_owner *w, const struct endpoint_record *list, size_t n,
		     const char *leaves, struct net_resolver **ret, struct err *e)
{
	struct net_resolver *own = calloc(1, sizeof(*own));
	int r = 0;

	if (own)
		own->endpoints = calloc(n + 1, sizeof(*own->endpoints));
	if (!own || !own->endpoints)
		r = OUT_OF_MEMORY(e);
	for (size_t i = 0; i < n && r >= 0; i++)
		if (!leaves || !streq(list[i].network_id, leaves))
			r = add_own(en, w, &list[i], own, e);
	if (r >= 0)
		r = own_upstreams(w->o, &own->upstreams, e);
	if (r >= 0)
		r = egress_items(w->o->egress, &own->egress, e);
	if (r < 0) {
		network_own_free(own);
		return r;
	}
	decide_own(own);
	*ret = own;
	return 0;
}
