/* pod_network.c: the networks of a pod. Its endpoints are the pod's from its record's beginning to its end; what is in the kernel is made with the
 * first container that runs and goes with the last (monitor/pod_net.c, pod_holder.c). */
#include <unistd.h>

#include "client.h"
#include "engine_impl.h"
#include "network_config.h"
#include "network_plan.h"
#include "network_wishes.h"

/* ---- a new one ---- */

int pod_network_check(const struct run_opts *o, struct err *e)
{
	bool shared[NS_COUNT];
	int r = pod_share_parse(o->share, shared, e);

	if (r >= 0)
		r = network_check(o, e);
	if (r >= 0 && network_kind_of(o) == NETWORK_CONTAINER)
		return err_set(e, EINVAL, "--network %s: a pod has a network of its own: give none, host or networks' names",
			       network_mode(o));
	if (r >= 0 && network_kind_of(o) == NETWORK_OWN && !shared[NS_NET])
		return err_set(e, EINVAL, "--network %s: the pod's containers don't share a network; --share net has them do so",
			       network_mode(o));
	return r;
}

/* Plugins tell only when they attach what a container's files have to say, and of a pod's there are several. */
static int check_driver(struct engine *en, const char *network_id, struct err *e)
{
	struct network_record n;
	int r = records_network_get(en->records, network_id, &n, e);

	if (r < 0)
		return r;
	if (streq(n.driver, "cni"))
		r = err_set(e, EOPNOTSUPP,
			    "network %s is of the driver cni, which pods can't be on: give the pod one of the driver bridge",
			    n.name);
	network_record_done(&n);
	return r;
}

int pod_network_request(struct engine *en, const struct run_opts *o, struct pod_record *p, struct err *e)
{
	struct plan plan = { .en = en, .o = o };
	int r = 0;

	memcpy(plan.id, p->id, ID_LEN + 1);
	if (network_kind_of(o) == NETWORK_OWN)
		r = plan_network(&plan, e);
	for (size_t i = 0; i < plan.n_endpoints && r >= 0; i++)
		r = check_driver(en, plan.endpoints[i].record.network_id, e);
	if (r < 0) {
		plan_network_done(&plan);
		return r;
	}
	p->endpoints = plan.endpoints;
	p->n_endpoints = plan.n_endpoints;
	return 0;
}

void pod_network_request_done(struct pod_record *p)
{
	for (size_t i = 0; i < p->n_endpoints; i++)
		network_request_done(&p->endpoints[i]);
	free(p->endpoints);
	p->endpoints = NULL;
	p->n_endpoints = 0;
}

/* ---- its plan ---- */

/* Names and short ids of its containers. */
static int members(struct engine *en, const char *pod_id, char ***ret, struct err *e)
{
	_cleanup_strv_ char **names = NULL;
	struct container_record *all = NULL;
	size_t n = 0;
	int r = records_container_list(en->records, true, &all, &n, e);

	for (size_t i = 0; r >= 0 && i < n; i++) {
		_cleanup_free_ char *id = strndup(all[i].id, 12);

		if (streq0(all[i].pod_id, pod_id) && all[i].state != CS_REMOVING &&
		    (!id || strv_push(&names, all[i].name) < 0 || strv_push(&names, id) < 0))
			r = OUT_OF_MEMORY(e);
	}
	engine_list_free(all, n);
	if (r >= 0)
		*ret = TAKE_PTR(names);
	return MIN(r, 0);
}

int pod_network_plan(struct engine *en, const struct pod_record *p, const struct run_opts *o, struct net_plan *ret, struct err *e)
{
	_cleanup_strv_ char **names = NULL;
	int r = members(en, p->id, &names, e);
	const struct network_owner w = { p->id, p->name, p->isolation, o, names };

	return r < 0 ? r : network_plan_of_owner(en, &w, ret, e);
}

/* 1, and the record and its options; 0: it is on no networks. */
static int find(struct engine *en, const char *pod_id, struct pod_record *ret, struct run_opts *ret_o, struct err *e)
{
	struct pod_record p;
	int r = records_pod_get(en->records, pod_id, &p, e);

	if (r < 0)
		return r;
	r = options_parse(p.options_json, ret_o, e);
	if (r >= 0 && network_kind_of(ret_o) == NETWORK_OWN) {
		*ret = p;
		return 1;
	}
	if (r >= 0)
		run_opts_done(ret_o);
	pod_record_done(&p);
	return MIN(r, 0);
}

/* 1 and what it is given, with its options; 0: it is on no networks. */
static int plan_by_id(struct engine *en, const char *pod_id, struct net_plan *ret, struct run_opts *ret_o, struct err *e)
{
	struct pod_record p;
	int r = find(en, pod_id, &p, ret_o, e);

	if (r <= 0)
		return r;
	r = pod_network_plan(en, &p, ret_o, ret, e);
	pod_record_done(&p);
	if (r < 0)
		run_opts_done(ret_o);
	return r < 0 ? r : 1;
}

int pod_network_is(struct engine *en, const struct container_record *c, struct err *e)
{
	struct pod_record p;
	struct run_opts o;
	int r = c->pod_id ? find(en, c->pod_id, &p, &o, e) : 0;

	if (r > 0) {
		pod_record_done(&p);
		run_opts_done(&o);
	}
	return r;
}

int engine_pod_network(struct engine *en, const char *pod_id, struct net_plan *ret, struct err *e)
{
	struct run_opts o;
	int r = plan_by_id(en, pod_id, ret, &o, e);

	if (r > 0)
		run_opts_done(&o);
	return r;
}

int pod_network_of(struct engine *en, const struct container_record *c, struct net_plan *ret, struct run_opts *ret_o,
		   struct err *e)
{
	return c->pod_id ? plan_by_id(en, c->pod_id, ret, ret_o, e) : 0;
}

/* ---- what is left of one ---- */

static int call(struct engine *en, const char *pod_id, const char *verb, struct err *e)
{
	struct net_plan plan;
	struct run_opts o;
	int r = plan_by_id(en, pod_id, &plan, &o, e);

	if (r <= 0)
		return r;
	r = net_call(en->paths, verb, &plan, e);
	net_plan_done(&plan);
	run_opts_done(&o);
	return r < 0 ? err_push(e, r, "networks of pod %.12s", pod_id) : 0;
}

/* One without a record has none of its own: what is nobody's goes with network_sweep_all. */
static int take_down(const char *pod_id, void *arg, struct err *e)
{
	struct err why = { 0 };
	int r = call(arg, pod_id, "detach", &why);

	return r < 0 && r != -ENOENT ? err_set(e, -r, "%s", why.msg) : 0;
}

int pod_sweep_networks(struct engine *en, const char *pod_id, struct err *e)
{
	const struct pod_last last = { take_down, en };

	return pod_sweep(en->paths, pod_id, &last, e);
}

int pod_sweep_all_networks(struct engine *en, struct err *e)
{
	const struct pod_last last = { take_down, en };

	return pod_sweep_all(en->paths, &last, e);
}

static bool runs(struct engine *en, const char *pod_id)
{
	static const char *const kinds[] = { "pods", "containers" /* its machine's holder */ };
	bool is_there = false;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		_cleanup_free_ char *path = str_fmt("%s/%s/%s", en->paths->run, kinds[i], pod_id);
		is_there |= path && access(path, F_OK) == 0;
	}
	return is_there;
}

void pod_network_forget(struct engine *en, const char *pod_id)
{
	struct err e = { 0 };
	int r = runs(en, pod_id) ? call(en, pod_id, "names", &e) : 0;

	if (r < 0 && r != -ENOENT)
		log_warn("network", "%s", e.msg);
}

/* ---- for listings ---- */

bool pod_is_up(const struct engine_pod *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->members[i].state == CS_RUNNING || p->members[i].state == CS_PAUSED)
			return true;
	return false;
}

int engine_pod_networks(struct engine *en, const struct engine_pod *p, char ***ret, struct ports *ret_ports, struct err *e)
{
	struct endpoint_record *list = NULL;
	_cleanup_strv_ char **names = NULL;
	struct ports ports = { 0 };
	size_t n = 0;
	int r = records_endpoints(en->records, p->record.id, NULL, &list, &n, e);

	for (size_t i = 0; r >= 0 && i < n; i++)
		if (strv_push(&names, list[i].network_name) < 0)
			r = OUT_OF_MEMORY(e);
	if (r >= 0 && n == 0 && strv_push(&names, network_kind_of(p->o) == NETWORK_HOST ? "host" : "none") < 0)
		r = OUT_OF_MEMORY(e);
	if (r >= 0 && pod_is_up(p))
		r = net_ports_parse(p->record.ports_json, &ports.list, &ports.n, e);
	endpoint_records_free(list, n);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(names);
	*ret_ports = ports;
	return 0;
}
