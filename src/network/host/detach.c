/* detach: the elements at once; the devices with their namespace or their VMM, and where these live on, a moment later. */
#include <stdio.h>

#include "rootless.h"

/* Ports whose number the plan does not know: all that are the endpoint's. */
static int owned_ports(struct nets *n, const struct net_endpoint *to, struct elements *v)
{
	_cleanup_(elements_done) struct elements all = { 0 };
	int r = elements_list(&n->filter, &all);

	for (size_t i = 0; i < all.n && r >= 0; i++)
		if (element_is_port(&all.items[i]) && streq(all.items[i].owner, to->device))
			r = elements_copy(v, &all.items[i]);
	return r == -ENOENT ? 0 : r;
}

static int ports_elements(struct nets *n, const struct net_plan *p, const struct net_endpoint *to, struct elements *v,
			  struct err *e)
{
	_cleanup_free_ struct published *list = NULL;
	size_t count = 0;
	bool is_known = !is_rootless(p);
	int r;

	for (size_t i = 0; i < p->n_ports; i++)
		is_known = is_known && p->ports[i].host_port && !p->ports[i].host_port_last;
	if (!is_known) {
		r = owned_ports(n, to, v);
		return r < 0 ? err_set(e, -r, "nf_tables: %s", strerror(-r)) : 0;
	}
	r = ports_published(p, to, &list, &count, e);
	for (size_t i = 0; i < count && r >= 0; i++)
		element_port(v, to->device, &list[i]);
	return r;
}

static int remove_elements(struct nets *n, const struct net_plan *p, struct err *e)
{
	_cleanup_(elements_done) struct elements v = { 0 };
	const struct net_endpoint *to = ports_endpoint(p);
	int r = p->n_ports && to ? ports_elements(n, p, to, &v, e) : 0, k;
	struct err ignored; /* the first error is the one to tell */

	for (size_t i = 0; i < p->n_endpoints && r >= 0; i++)
		r = endpoint_elements(&p->endpoints[i], &v, e);
	for (size_t i = 0; i < p->n_endpoints && r >= 0; i++)
		r = resolver_forget(p->state_dir, &p->endpoints[i], e);
	if (r < 0)
		return r;
	if (p->resolver)
		r = own_owned(n, p->endpoints, p->n_endpoints, &v);
	if (r >= 0)
		r = elements_delete(&n->filter, &v);
	if (r < 0 && r != -ENOENT)
		return err_set(e, -r, "nf_tables: %s %s", strerror(-r), n->filter.why);
	r = own_leave(n, p, e);
	k = egress_forget(n, p, r < 0 ? &ignored : e);
	return r < 0 ? r : k;
}

int detach_now(struct nets *n, const struct net_plan *p, struct err *e)
{
	int first = remove_elements(n, p, e);

	for (size_t i = 0; i < p->n_endpoints; i++) {
		const bool is_child = !streq(p->endpoints[i].network.driver, "bridge");
		struct link l;

		if (streq(p->endpoints[i].network.driver, "cni"))
			continue;
		int r = is_child ? child_remove(n, &p->endpoints[i]) : link_find(&n->route, p->endpoints[i].device, &l);

		if (r >= 0 && !is_child)
			r = link_delete(&n->route, l.index);
		if (r < 0 && r != -ENODEV && first >= 0)
			first = err_set(e, -r, "remove the device %s: %s", p->endpoints[i].device, strerror(-r));
	}
	return first;
}

int detach(struct nets *n, const struct net_plan *p, struct outcome *ret, struct err *e)
{
	int r;

	rootless_await_ways(p);
	r = linger_claim(p, ret, e);
	if (r < 0)
		return r;
	if (n->inside >= 0) /* it lives on, and is to lose the interface at once */
		return detach_now(n, p, e);
	r = remove_elements(n, p, e);
	if (r < 0)
		return r;
	ret->gone = p->n_endpoints ? calloc(p->n_endpoints, sizeof(*ret->gone)) : NULL;
	if (p->n_endpoints && !ret->gone)
		return err_set(e, ENOMEM, "detach: %s", strerror(ENOMEM));
	for (size_t i = 0; i < p->n_endpoints; i++) {
		/* By number: a device that is made anew meanwhile has the same name. And not by rtnetlink, which waits for namespaces that end. */
		const unsigned index = if_nametoindex(p->endpoints[i].device);

		if (index)
			ret->gone[ret->n_gone++] = index;
	}
	return 0;
}
