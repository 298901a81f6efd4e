/* network_start.c: what a monitor asks when it starts and ends its container. */
#include "engine_impl.h"
#include "network_cni.h"
#include "network_plan.h"

static int own_hostname(struct engine *en, const char *id, char **ret, struct err *e)
{
	_cleanup_(spec_done) struct spec s;
	int r;

	spec_init(&s);
	r = bundle_read_spec(en, id, &s, e);
	if (r < 0)
		return r;
	*ret = s.hostname ? strdup(s.hostname) : strndup(id, 12);
	return *ret ? 0 : OUT_OF_MEMORY(e);
}

/* Of a container whose host name is its pod's: that; else as above. */
static int hostname_of(struct engine *en, const struct container_record *c, const struct run_opts *pod, char **ret, struct err *e)
{
	_cleanup_(spec_done) struct spec s;
	bool shared[NS_COUNT] = { false };
	int r = pod ? pod_share_parse(pod->share, shared, e) : 0;

	if (r < 0 || !shared[NS_UTS])
		return r < 0 ? r : own_hostname(en, c->id, ret, e);
	spec_init(&s);
	r = pod_read_plan(en->paths, c->pod_id, &s, e);
	if (r >= 0 && !(*ret = strdup(s.hostname ? s.hostname : c->pod_name)))
		r = OUT_OF_MEMORY(e);
	return r;
}

static int fill(struct engine *en, const struct container_record *c, struct monitor_network *n, struct err *e)
{
	_cleanup_free_ char *hostname = NULL;
	struct run_opts o;
	int r = pod_network_of(en, c, &n->plan, &o, e);
	bool is_pods = r > 0;

	if (r == 0)
		r = engine_record_options(c, &o, e);
	if (r < 0)
		return r;
	r = hostname_of(en, c, is_pods ? &o : NULL, &hostname, e);
	if (r >= 0 && !is_pods)
		r = network_plan_make(en, c, &n->plan, e);
	if (r >= 0)
		r = network_hosts_text(en, &o, &n->plan, hostname, &n->hosts, e);
	if (r >= 0)
		r = network_resolv_text(&o, &n->plan, &n->resolv, e);
	run_opts_done(&o);
	return r;
}

int engine_network(struct engine *en, const char *id, struct monitor_network *ret, struct err *e)
{
	struct monitor_network n = { 0 };
	struct container_record c;
	int r = records_container_get(en->records, id, &c, e);

	if (r < 0)
		return r;
	r = fill(en, &c, &n, e);
	container_record_done(&c);
	if (r < 0) {
		monitor_network_done(&n);
		return r;
	}
	*ret = n;
	return 0;
}

static const char *ports_json(const struct net_hold *h, struct json_object **ret)
{
	*ret = net_ports_json(h->ports, h->n_ports);
	return *ret ? json_object_to_json_string_ext(*ret, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE) : NULL;
}

int engine_pod_note_ports(struct engine *en, const char *pod_id, const struct net_hold *h, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	const char *text = ports_json(h, &o);

	return text ? records_pod_ports(en->records, pod_id, text, e) : OUT_OF_MEMORY(e);
}

static int note_ports(struct engine *en, const char *id, const struct net_hold *h, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	const char *text = ports_json(h, &o);

	struct container_record c;
	int r = text ? records_container_get(en->records, id, &c, e) : OUT_OF_MEMORY(e);

	if (r < 0)
		return r;
	r = pod_network_is(en, &c, e);
	if (r >= 0)
		r = r > 0 ? records_pod_ports(en->records, c.pod_id, text, e) : records_container_ports(en->records, id, text, e);
	container_record_done(&c);
	return r;
}

int engine_note_ports(struct engine *en, const char *id, const struct net_hold *h, struct err *e)
{
	int r = h->n_ports ? note_ports(en, id, h, e) : 0;

	return r < 0 ? r : network_cni_note(en, id, h, e);
}
