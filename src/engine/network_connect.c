/* network_connect.c: a container comes to a network, or leaves it. What it will have is the records' at once; of one that runs the
 * kernel's side follows, and where that fails the record is as it was. */
#include "engine_impl.h"
#include "network_cni.h"
#include "network_own.h"
#include "network_wishes.h"
#include "networks.h"

static int check_pods(struct engine *en, const struct container_record *c, struct err *e)
{
	int r = pod_network_is(en, c, e);

	return r <= 0 ? r
		      : err_set(e, EINVAL,
				"container %s has the network of pod %s, which is chosen with `berth pod create --network` for "
				"all of "
				"its containers and stays",
				c->name, c->pod_name ? c->pod_name : c->pod_id);
}

/* Whose network is not its own has none to come to. */
static int check_container(struct engine *en, const struct network_record *n, const struct container_record *c, struct err *e)
{
	static const char *const words[] = {
		[NETWORK_NONE] = "cannot be connected to multiple networks with one of the networks in private (none) mode",
		[NETWORK_HOST] = "cannot be disconnected from host network or connected to host network",
		[NETWORK_CONTAINER] = "shares another one's network namespace, and can't be connected to any other network",
	};
	struct run_opts o;
	int r = check_pods(en, c, e);

	if (r < 0)
		return r;
	r = engine_record_options(c, &o, e);
	if (r < 0)
		return r;
	if (network_kind_of(&o) != NETWORK_OWN)
		r = err_set(e, EINVAL, "container %s %s: it is made with --network %s", c->name, words[network_kind_of(&o)],
			    network_mode(&o));
	else if (strv_len(o.egress))
		r = network_egress_check_of(n, e);
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
		r = container_lock_wait(en, id, LOCK_TIMEOUT_MS, ret_lock, e);
		if (r < 0)
			return r;
		container_record_done(c);
		r = records_container_get(en->records, id, c, e);
	}
	return r;
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

/* Of one that runs. What has ended meanwhile, or waits to be started again, finds in its record what it is on. */
static int change_running(struct engine *en, const struct network_record *n, const struct container_record *c, bool connect,
			  bool *ret_asked, struct err *e)
{
	struct err why = { 0 };
	int r;

	*ret_asked = false;
	r = container_is_up(c->state) ? container_network_change(en, c->id, n->id, connect, ret_asked, &why) : 0;

	return r < 0 && r != -ESRCH ? err_set(e, -r, "%s", why.msg) : 0;
}

/* Where the kernel's side fails, what there may be of it goes, and then the record; which stays where it did not, so that there is something
 * to take off. */
static int attach(struct engine *en, const struct network_record *n, const struct container_record *c, struct err *e)
{
	struct err first = { 0 }, why = { 0 };
	bool is_asked, is_undoing;
	int r = change_running(en, n, c, true, &is_asked, &first), undone;

	if (r >= 0)
		return r;
	undone = is_asked ? change_running(en, n, c, false, &is_undoing, &why) : 0;
	if (undone >= 0)
		undone = records_endpoint_delete(en->records, n->id, c->id, &why);
	if (undone >= 0 || undone == -ENOENT)
		return err_set(e, first.no, "%s", first.msg);
	return err_set(e, first.no,
		       "%.200s; and the container is still on network %s, as that could not be undone (%.120s): `berth network "
		       "disconnect %s %s` takes it off",
		       first.msg, n->name, why.msg, n->name, c->name);
}

int engine_network_connect(struct engine *en, const char *network, const char *container, const struct engine_connect_opts *o,
			   struct err *e)
{
	struct container_record c = { 0 };
	struct network_record n = { 0 };
	_cleanup_fd_ int lock = -1;
	int r = find_both(en, network, container, &n, &c, &lock, e);

	if (r >= 0)
		r = check_container(en, &n, &c, e);
	if (r >= 0)
		r = network_cni_check_isolation(&n, streq0(c.isolation, "vm"), e);
	if (r >= 0)
		r = put(en, &n, &c, o, e);
	if (r >= 0)
		r = attach(en, &n, &c, e);
	container_record_done(&c);
	network_record_done(&n);
	return MIN(r, 0);
}

/* 1, or an error that says that it is not on it. */
static int check_connected(struct engine *en, const struct network_record *n, const struct container_record *c, struct err *e)
{
	struct endpoint_record *list = NULL;
	size_t count = 0;
	int r = records_endpoints(en->records, c->id, n->id, &list, &count, e);

	if (r < 0)
		return r;
	endpoint_records_free(list, count);
	return count ? 1 : err_set(e, ENOENT, "container %s is not connected to network %s", c->name, n->name);
}

int engine_network_disconnect(struct engine *en, const char *network, const char *container, struct err *e)
{
	struct container_record c = { 0 };
	struct network_record n = { 0 };
	_cleanup_fd_ int lock = -1;
	bool is_asked;
	int r = find_both(en, network, container, &n, &c, &lock, e);

	if (r >= 0)
		r = check_pods(en, &c, e);
	if (r >= 0)
		r = check_connected(en, &n, &c, e);
	if (r >= 0)
		r = change_running(en, &n, &c, false, &is_asked, e);
	if (r >= 0)
		r = records_endpoint_delete(en->records, n.id, c.id, e);
	container_record_done(&c);
	network_record_done(&n);
	return MIN(r, 0);
}
