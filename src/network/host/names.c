/* names: endpoints that are there are known by other names from now on. */
#include "impl.h"

int names(struct nets *n, const struct net_plan *p, struct outcome *ret, struct err *e)
{
	int r = 0;

	ret->lingers = false;
	for (size_t i = 0; i < p->n_endpoints && r >= 0; i++) {
		struct link l;

		r = link_find(&n->route, p->endpoints[i].device, &l);
		if (r == -ENODEV) /* it has just gone, and its names with it */
			r = 0;
		else if (r < 0)
			err_set(e, -r, "device %s: %s", p->endpoints[i].device, strerror(-r));
		else
			r = resolver_names(p->state_dir, &p->endpoints[i], e);
	}
	return r;
}
