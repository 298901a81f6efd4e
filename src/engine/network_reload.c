/* network_reload.c: what somebody has flushed or changed of the networks of a container that runs comes again, without a restart. */
#include <signal.h>

#include "client.h"
#include "engine_impl.h"
#include "network_plan.h"
#include "networks.h"
#include "ports.h"

/* Its pid; 0: it does not run. With --rm no file tells of the end, but the process is no more. */
static int look(struct engine *en, const struct container_record *c, pid_t *ret, struct err *e)
{
	struct monitor_state m = { 0 };
	int r = monitor_inspect(en->paths, c->id, &m, e);

	if (r >= 0 && m.truth == MONITOR_DIED)
		r = err_set(e, EAGAIN, "container %s: its monitor is not there, or can't be looked at: try again", c->name);
	*ret = r >= 0 && m.truth == MONITOR_RUNNING && kill(m.pid, 0) == 0 ? m.pid : 0;
	return r;
}

/* The ports as they are published, in the place of those that were asked for: free ones have their numbers. */
static int take_ports(const struct container_record *c, struct net_plan *plan, struct err *e)
{
	struct ports now;
	int r = engine_container_ports(c, &now, e);

	if (r < 0)
		return r;
	net_ports_free(plan->ports, plan->n_ports);
	plan->ports = now.list;
	plan->n_ports = now.n;
	return 0;
}

static int make_plan(struct engine *en, const struct container_record *c, struct net_plan *ret, struct err *e)
{
	struct net_plan plan;
	int r = network_plan_make(en, c, &plan, e);

	if (r < 0)
		return r;
	r = plan.n_endpoints ? take_ports(c, &plan, e)
			     : err_set(e, ENONET, "container %s has no network of its own: there is nothing to reload", c->name);
	if (r < 0)
		net_plan_done(&plan);
	else
		*ret = plan;
	return r;
}

/* One that ended meanwhile has taken its own away by itself: what came behind that goes, unless it has begun anew. */
static int take_back(struct engine *en, const struct container_record *c, const struct net_plan *plan, struct err *e)
{
	_cleanup_fd_ int lock = -1;
	struct err why = { 0 };
	int r = container_lock_wait(en, c->id, LOCK_TIMEOUT_MS, &lock, &why);

	if (r >= 0)
		r = net_call(en->paths, "detach", plan, e);
	else
		log_debug("network", "container %s: %s", c->name, why.msg);
	return err_set(e, ESRCH, "container %s has ended at this moment", c->name);
}

static int reload(struct engine *en, const struct container_record *c, struct err *e)
{
	struct net_plan plan = { 0 };
	pid_t before = 0, after = 0;
	struct err why = { 0 };
	int r = look(en, c, &before, e), k;

	if (r >= 0 && before == 0)
		r = err_set(e, ESRCH, "container %s is not running: its networks are set up when it starts", c->name);
	if (r >= 0)
		r = make_plan(en, c, &plan, e);
	if (r < 0)
		return r;
	k = net_call(en->paths, "reload", &plan, &why);
	r = look(en, c, &after, e);
	if (after == 0)
		r = take_back(en, c, &plan, e);
	else if (after == before && k < 0)
		r = err_set(e, -k, "container %s: %s", c->name, why.msg);
	net_plan_done(&plan);
	return r;
}

int engine_network_reload(struct engine *en, const char *container, char **ret_id, struct err *e)
{
	_cleanup_free_ char *id = NULL;
	struct container_record c;
	int r = engine_get(en, container, &c, e);

	if (r < 0)
		return r;
	id = strdup(c.id);
	if (!id)
		r = OUT_OF_MEMORY(e);
	if (r >= 0)
		r = reload(en, &c, e);
	container_record_done(&c);
	if (r >= 0)
		*ret_id = TAKE_PTR(id);
	return MIN(r, 0);
}
