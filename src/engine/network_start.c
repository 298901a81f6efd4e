/* network_start.c: what a monitor asks when it starts and ends its container. */
#include "engine_impl.h"
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

static int fill(struct engine *en, const struct container_record *c, struct monitor_network *n, struct err *e)
{
	_cleanup_free_ char *hostname = NULL;
	struct run_opts o;
	int r = engine_record_options(c, &o, e);

	if (r < 0)
		return r;
	r = own_hostname(en, c->id, &hostname, e);
	if (r >= 0)
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

int engine_note_ports(struct engine *en, const char *id, const struct net_hold *h, struct err *e)
{
	_cleanup_json_ struct json_object *o = net_ports_json(h->ports, h->n_ports);
	const char *text = o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE) : NULL;

	return text ? records_container_ports(en->records, id, text, e) : OUT_OF_MEMORY(e);
}
