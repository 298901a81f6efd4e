/* sweep: what dead ones have left. Several stores may share a host: devices go only when the plan names them; elements go with their
 * device, and a bridge with its last port, whosever they were. */
#include "impl.h"

static bool is_kept(const struct net_plan *p, const char *device)
{
	for (char **k = p->keep; k && *k; k++)
		if (streq(*k, device))
			return true;
	return false;
}

static int remove_dead(struct nets *n, const struct net_plan *p, struct err *e)
{
	int first = 0;

	for (size_t i = 0; i < p->n_endpoints; i++) {
		const char *device = p->endpoints[i].device;
		struct link l;
		int r = is_kept(p, device) ? -ENODEV : link_find(&n->route, device, &l);

		if (!is_kept(p, device) && resolver_forget(p->state_dir, &p->endpoints[i], e) < 0 && !first)
			first = -e->no;

		if (r >= 0)
			r = link_delete(&n->route, l.index);
		if (r < 0 && r != -ENODEV && !first)
			first = err_set(e, -r, "remove the device %s: %s", device, strerror(-r));
	}
	return first;
}

static const struct link *find(const struct link *all, size_t n, const char *device)
{
	for (size_t i = 0; i < n; i++)
		if (streq(all[i].name, device))
			return &all[i];
	return NULL;
}

static int remove_elements(struct nets *n, const struct link *all, size_t count, struct err *e)
{
	_cleanup_(elements_done) struct elements v = { 0 }, lost = { 0 };
	int r = elements_list(&n->filter, &v);

	for (size_t i = 0; i < v.n && r >= 0; i++)
		if (!find(all, count, v.items[i].owner))
			r = elements_copy(&lost, &v.items[i]);
	if (r >= 0)
		r = elements_delete(&n->filter, &lost);
	return r < 0 && r != -ENOENT ? err_set(e, -r, "nf_tables: elements of devices that are gone: %s", strerror(-r)) : 0;
}

int sweep(struct nets *n, const struct net_plan *p, struct outcome *ret, struct err *e)
{
	_cleanup_free_ struct link *all = NULL;
	size_t count = 0;
	int r = remove_dead(n, p, e);

	ret->lingers = false;
	if (r < 0)
		return r;
	r = link_list(&n->route, 0, &all, &count);
	if (r < 0)
		return err_set(e, -r, "the host's devices: %s", strerror(-r));
	r = ruleset_is_there(&n->filter);
	if (r > 0)
		r = remove_elements(n, all, count, e);
	if (r >= 0)
		r = egress_sweep(n, NULL, e);
	for (size_t i = 0; i < count && r >= 0; i++)
		if (all[i].group == GROUP_BRIDGE)
			r = bridge_down_unused(n, all[i].name, e);
	if (r >= 0)
		r = resolver_sweep(n, p->state_dir, e);
	return r < 0 ? r : bridge_down_last(n, e);
}
