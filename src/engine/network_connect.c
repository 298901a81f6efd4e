/* network_connect.c: a container comes to a network, or leaves it. What it will have is the records' at once; of one that runs the
 * kernel's side follows, and where that fails the record is as it was. */
#include "engine_impl.h"
#include "network_config.h"
#include "networks.h"

enum { LOCK_WAIT_MS = 10000 };

/* Whose network is not its own has none to come to. */
static int check_container(const struct container_record *c, struct err *e)
{
	struct run_opts o;
	int r = engine_record_options(c, &o, e);

	if (r < 0)
		return r;
	const char *net = o.network ? o.network : "";
	if (c->pod_id)
		r = err_set(e, EINVAL, "container %s has the network of pod %s, which is set up with the pod", c->name,
			    c->pod_name ? c->pod_name : c->pod_id);
	else if (streq(net, "host"))
		r = err_set(e, EINVAL,
			    "container %s cannot be disconnected from host network or connected to host network: it is made with "
			    "--network host",
			    c->name);
	else if (streq(net, "none"))
		r = err_set(
			e, EINVAL,
			"container %s cannot be connected to multiple networks with one of the networks in private (none) mode",
			c->name);
	else if (strchr(net, ':'))
		r = err_set(
			e, EINVAL,
			"container %s sharing network namespace with another container or host cannot be connected to any other "
			"network",
			c->name);
	run_opts_done(&o);
	return MIN(r, 0);
}

/* Both, and the container's lock, so that it neither starts nor goes meanwhile. The network is no word like host. */
static int find_both(struct engine *en, const char *network, const char *container, struct network_record *n,
		     struct container_record *c, int *ret_lock, struct err *e)
{
	int r = network_find(en, network, n, e);

	if (r >= 0 && (streq(n->driver, "host") || streq(n->driver, "null")))
		r = err_set(
			e, EINVAL,
			"container cannot be disconnected from %s network or connected to %s network: it is chosen with run's "
			"--network %s",
			n->name, n->name, n->name);
	if (r >= 0)
		r = engine_get(en, container, c, e);
	if (r < 0)
		return r;
	_cleanup_free_ char *id = strdup(c->id);
	if (!id)
		return OUT_OF_MEMORY(e);
	if (!container_is_up(c->state)) { /* a running one's monitor may have it */
		r = container_lock_wait(en, id, LOCK_WAIT_MS, ret_lock, e);
		if (r < 0)
			return r;
		container_record_done(c);
		r = records_container_get(en->records, id, c, e);
	}
	return r;
}

static int change_running(const struct container_record *c, bool connect, struct err *e)
{
	return err_set(e, EOPNOTSUPP, "container %s runs: stop the container first, then %s it, and start it again", c->name,
		       connect ? "connect" : "disconnect");
}

static int put(struct engine *en, const struct network_record *n, const struct container_record *c,
	       const struct engine_connect_opts *o, struct err *e)
{
	struct endpoint_request q = { 0 };
	int r = network_request(n, o->ip, o->ip6, o->mac, o->aliases, &q, e);

	if (r < 0)
		return r;
	q.record.container_id = strdup(c->id);
	r = q.record.container_id ? records_endpoint_put(en->records, &q, e) : OUT_OF_MEMORY(e);
	network_request_done(&q);
	return r;
}

int engine_network_connect(struct engine *en, const char *network, const char *container, const struct engine_connect_opts *o,
			   struct err *e)
{
	struct container_record c = { 0 };
	struct network_record n = { 0 };
	_cleanup_fd_ int lock = -1;
	int r = find_both(en, network, container, &n, &c, &lock, e);

	if (r >= 0)
		r = check_container(&c, e);
	if (r >= 0 && container_is_up(c.state))
		r = change_running(&c, true, e);
	if (r >= 0)
		r = put(en, &n, &c, o, e);
	container_record_done(&c);
	network_record_done(&n);
	return MIN(r, 0);
}

int engine_network_disconnect(struct engine *en, const char *network, const char *container, struct err *e)
{
	struct container_record c = { 0 };
	struct network_record n = { 0 };
	_cleanup_fd_ int lock = -1;
	int r = find_both(en, network, container, &n, &c, &lock, e);

	if (r >= 0 && container_is_up(c.state))
		r = change_running(&c, false, e);
	if (r >= 0)
		r = records_endpoint_delete(en->records, n.id, c.id, e);
	if (r == -ENOENT && c.name && n.name)
		r = err_set(e, ENOENT, "container %s is not connected to network %s", c.name, n.name);
	container_record_done(&c);
	network_record_done(&n);
	return MIN(r, 0);
}
