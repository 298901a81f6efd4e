/* network_change.c: a container that runs comes onto a network, or goes from it. Its record has the endpoint before that, and until after
 * it. */
#include <stdio.h>
#include <unistd.h>

#include "client.h"
#include "engine_impl.h"
#include "network_cni.h"
#include "network_plan.h"

static int open_namespace(struct engine *en, const struct container_record *c, int *ret, struct err *e)
{
	struct monitor_state m = { 0 };
	char path[48];
	int r = monitor_inspect(en->paths, c->id, &m, e), fd;

	if (r < 0)
		return r;
	if (m.truth == MONITOR_DIED) /* or can't be looked at: that is no end */
		return err_set(e, EAGAIN, "container %s: its monitor is not there, or can't be looked at: try again", c->name);
	if (m.truth != MONITOR_RUNNING || m.pid <= 0)
		return err_set(e, ESRCH, "container %s has ended at this moment", c->name);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)m.pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, errno == ENOENT ? ESRCH : errno, "container %s: %s: %s", c->name, path, strerror(errno));
	*ret = fd;
	return 0;
}

static int change(struct engine *en, const struct container_record *c, const struct net_plan *plan, bool connect, bool *ret_asked,
		  struct err *e)
{
	_cleanup_fd_ int ns = -1;
	struct net_hold given = { 0 };
	struct net_call call;
	int r = open_namespace(en, c, &ns, e);

	if (r >= 0)
		r = net_call_begin(en->paths, connect ? "attach" : "detach", plan, ns, &call, e);
	*ret_asked = r >= 0;
	if (r >= 0)
		r = net_call_end(&call, &given, e);
	if (r >= 0 && connect)
		r = network_cni_note(en, c->id, &given, e);
	net_hold_done(&given);
	return r;
}

int container_network_change(struct engine *en, const char *container_id, const char *network_id, bool connect, bool *ret_asked,
			     struct err *e)
{
	struct container_record c;
	const struct isolation_ops *ops;
	struct net_plan plan = { 0 };
	int r = records_container_get(en->records, container_id, &c, e);

	*ret_asked = false;
	if (r < 0)
		return r;
	r = isolation_find(c.isolation, &ops, e);
	if (r >= 0 && ops->no_connect)
		r = err_set(e, EOPNOTSUPP, "container %s: %s", c.name, ops->no_connect);
	if (r >= 0)
		r = network_plan_one(en, &c, network_id, !connect, &plan, e);
	if (r >= 0)
		r = change(en, &c, &plan, connect, ret_asked, e);
	net_plan_done(&plan);
	container_record_done(&c);
	return r;
}
