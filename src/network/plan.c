/* The JSON forms of plan.h. */
#include "plan.h"

#include "json_rows.h"

static const struct field subnet_rows[] = {
	JSON_ROW("subnet", FIELD_STRING, net_subnet, subnet, FIELD_REQUIRED),
	JSON_ROW("gateway", FIELD_STRING, net_subnet, gateway),
	JSON_STRICT,
};
static const struct field network_rows[] = {
	JSON_ROW("id", FIELD_STRING, net_network, id, FIELD_REQUIRED),
	JSON_ROW("name", FIELD_STRING, net_network, name, FIELD_REQUIRED),
	JSON_ROW("driver", FIELD_STRING, net_network, driver, FIELD_REQUIRED),
	JSON_ROW("device", FIELD_STRING, net_network, device),
	JSON_ROW("mode", FIELD_STRING, net_network, mode),
	JSON_ROW("cni", FIELD_STRING, net_network, cni),
	JSON_ROW("cniPath", FIELD_STRING, net_network, cni_path),
	JSON_ROW("cniSeconds", FIELD_U32, net_network, cni_seconds, FIELD_OMIT_EMPTY),
	JSON_LIST("subnets", net_network, subnets, net_subnet, subnet_rows),
	JSON_ROW("mtu", FIELD_U32, net_network, mtu, FIELD_OMIT_EMPTY),
	JSON_ROW("isInternal", FIELD_BOOL, net_network, is_internal, FIELD_OMIT_EMPTY),
	JSON_ROW("noMasquerade", FIELD_BOOL, net_network, no_masquerade, FIELD_OMIT_EMPTY),
	JSON_ROW("maySpoof", FIELD_BOOL, net_network, may_spoof, FIELD_OMIT_EMPTY),
	JSON_ROW("hasNames", FIELD_BOOL, net_network, has_names, FIELD_OMIT_EMPTY),
	JSON_ROW("upstreams", FIELD_STRV, net_network, upstreams, FIELD_OMIT_EMPTY),
	JSON_STRICT,
};
const struct field net_result_rows[] = {
	JSON_ROW("id", FIELD_STRING, net_result, id),
	JSON_ROW("mac", FIELD_STRING, net_result, mac),
	JSON_ROW("addresses", FIELD_STRV, net_result, addresses, FIELD_OMIT_EMPTY),
	JSON_ROW("gateway4", FIELD_STRING, net_result, gateway4),
	JSON_ROW("gateway6", FIELD_STRING, net_result, gateway6),
	JSON_ROW("dns", FIELD_STRV, net_result, dns, FIELD_OMIT_EMPTY),
	JSON_ROW("search", FIELD_STRV, net_result, search, FIELD_OMIT_EMPTY),
	JSON_ROW("options", FIELD_STRV, net_result, options, FIELD_OMIT_EMPTY),
	JSON_STRICT,
};
static const struct field endpoint_rows[] = {
	JSON_ROW("id", FIELD_STRING, net_endpoint, id, FIELD_REQUIRED),
	JSON_ROW("device", FIELD_STRING, net_endpoint, device, FIELD_REQUIRED),
	JSON_ROW("name", FIELD_STRING, net_endpoint, name, FIELD_REQUIRED),
	JSON_ROW("mac", FIELD_STRING, net_endpoint, mac),
	JSON_ROW("addresses", FIELD_STRV, net_endpoint, addresses, FIELD_OMIT_EMPTY),
	JSON_ROW("gateway4", FIELD_STRING, net_endpoint, gateway4),
	JSON_ROW("gateway6", FIELD_STRING, net_endpoint, gateway6),
	JSON_ROW("names", FIELD_STRV, net_endpoint, names, FIELD_OMIT_EMPTY),
	{ "given", FIELD_OBJECT, offsetof(struct net_endpoint, given), FIELD_OMIT_EMPTY, net_result_rows },
	{ "network", FIELD_OBJECT, offsetof(struct net_endpoint, network), FIELD_REQUIRED, network_rows },
	JSON_STRICT,
};
static const struct field resolver_rows[] = {
	JSON_ROW("isWanted", FIELD_BOOL, net_resolver, is_wanted, FIELD_OMIT_EMPTY),
	JSON_LIST("endpoints", net_resolver, endpoints, net_endpoint, endpoint_rows),
	JSON_ROW("upstreams", FIELD_STRV, net_resolver, upstreams, FIELD_OMIT_EMPTY),
	JSON_ROW("egress", FIELD_STRV, net_resolver, egress, FIELD_OMIT_EMPTY),
	JSON_STRICT,
};
static const struct field port_rows[] = {
	JSON_ROW("protocol", FIELD_STRING, net_port, protocol, FIELD_REQUIRED),
	JSON_ROW("hostIp", FIELD_STRING, net_port, host_ip),
	JSON_ROW("hostPort", FIELD_U32, net_port, host_port, FIELD_OMIT_EMPTY),
	JSON_ROW("hostPortLast", FIELD_U32, net_port, host_port_last, FIELD_OMIT_EMPTY),
	JSON_ROW("port", FIELD_U32, net_port, port, FIELD_REQUIRED),
	JSON_STRICT,
};
static const struct field plan_rows[] = {
	JSON_ROW("version", FIELD_U32, net_plan, version, FIELD_REQUIRED),
	JSON_ROW("id", FIELD_STRING, net_plan, id),
	JSON_ROW("stateDir", FIELD_STRING, net_plan, state_dir, FIELD_REQUIRED),
	JSON_ROW("usersLock", FIELD_STRING, net_plan, users_lock),
	JSON_ROW("isVm", FIELD_BOOL, net_plan, is_vm, FIELD_OMIT_EMPTY),
	JSON_ROW("queues", FIELD_U32, net_plan, queues, FIELD_OMIT_EMPTY),
	JSON_LIST("endpoints", net_plan, endpoints, net_endpoint, endpoint_rows),
	JSON_LIST("ports", net_plan, ports, net_port, port_rows),
	{ "resolver", FIELD_OBJECT_PTR, offsetof(struct net_plan, resolver), FIELD_OMIT_EMPTY, resolver_rows,
	  sizeof(struct net_resolver) },
	JSON_ROW("keep", FIELD_STRV, net_plan, keep, FIELD_OMIT_EMPTY),
	JSON_ROW("lost", FIELD_STRV, net_plan, lost, FIELD_OMIT_EMPTY),
	JSON_ROW("dns", FIELD_STRV, net_plan, dns, FIELD_OMIT_EMPTY),
	JSON_ROW("dnsSearch", FIELD_STRV, net_plan, dns_search, FIELD_OMIT_EMPTY),
	JSON_ROW("dnsOptions", FIELD_STRV, net_plan, dns_options, FIELD_OMIT_EMPTY),
	JSON_STRICT,
};
static const struct field answer_rows[] = {
	JSON_ROW("error", FIELD_I32, net_answer, error),
	JSON_ROW("message", FIELD_STRING, net_answer, message),
	JSON_ROW("taps", FIELD_U32, net_answer, taps, FIELD_OMIT_EMPTY),
	JSON_ROW("sockets", FIELD_U32, net_answer, sockets, FIELD_OMIT_EMPTY),
	JSON_LIST("ports", net_answer, ports, net_port, port_rows),
	JSON_LIST("results", net_answer, results, net_result, net_result_rows),
	JSON_STRICT,
};

static int read_text(const char *text, size_t len, const struct field *rows, void *ret, const char *what, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	int r = json_parse(text, len, what, &o, e);

	if (r >= 0)
		r = json_read(o, rows, ret, "", e);
	if (r < 0)
		json_free_fields(rows, ret);
	return r < 0 ? err_push(e, r, "%s", what) : 0;
}

int net_plan_parse(const char *text, size_t len, struct net_plan *ret, struct err *e)
{
	struct net_plan p = { 0 };
	int r = read_text(text, len, plan_rows, &p, "network plan", e);

	if (r >= 0 && p.version != NET_PLAN_VERSION) {
		r = err_set(e, EINVAL, "network plan: version %u, where this build has %d", p.version, NET_PLAN_VERSION);
		net_plan_done(&p);
	}
	if (r >= 0)
		*ret = p;
	return MIN(r, 0);
}

struct json_object *net_plan_json(const struct net_plan *p) { return json_write(plan_rows, p); }

void net_plan_done(struct net_plan *p)
{
	json_free_fields(plan_rows, p);
	*p = (struct net_plan){ 0 };
}

char *const *net_endpoint_addresses(const struct net_endpoint *ep)
{
	return streq0(ep->network.driver, "cni") ? ep->given.addresses : ep->addresses;
}

void net_plan_cut(struct net_plan *p)
{
	struct net_plan rest = {
		.endpoints = p->endpoints, .n_endpoints = p->n_endpoints, .ports = p->ports, .n_ports = p->n_ports
	};
	struct net_endpoint *first = p->n_endpoints ? calloc(1, sizeof(*first)) : NULL;

	p->ports = NULL;
	p->n_ports = p->n_endpoints = 0;
	p->endpoints = first;
	if (first) {
		*first = rest.endpoints[0];
		rest.endpoints[0] = (struct net_endpoint){ 0 };
		p->n_endpoints = 1;
	}
	net_plan_done(&rest);
}

int net_answer_parse(const char *text, size_t len, struct net_answer *ret, struct err *e)
{
	struct net_answer a = { 0 };
	int r = read_text(text, len, answer_rows, &a, "berth-net's answer", e);

	if (r >= 0)
		*ret = a;
	return MIN(r, 0);
}

struct json_object *net_answer_json(const struct net_answer *a) { return json_write(answer_rows, a); }

void net_answer_done(struct net_answer *a)
{
	json_free_fields(answer_rows, a);
	*a = (struct net_answer){ 0 };
}

/* ---- lists of ports: an answer's, alone ---- */

struct json_object *net_ports_json(const struct net_port *list, size_t n)
{
	const struct net_answer a = { .ports = (struct net_port *)(uintptr_t)list, .n_ports = n };
	_cleanup_json_ struct json_object *o = net_answer_json(&a);
	struct json_object *ports = NULL;

	if (o && !json_object_object_get_ex(o, "ports", &ports))
		return json_object_new_array();
	return o ? json_object_get(ports) : NULL;
}

int net_ports_parse(const char *text, struct net_port **ret, size_t *ret_n, struct err *e)
{
	_cleanup_free_ char *whole = str_fmt("{\"ports\":%s}", text ? text : "[]");
	struct net_answer a = { 0 };
	int r = whole ? net_answer_parse(whole, strlen(whole), &a, e) : err_set(e, ENOMEM, "out of memory");

	if (r < 0)
		return r;
	*ret = a.ports;
	*ret_n = a.n_ports;
	return 0;
}

void net_ports_free(struct net_port *list, size_t n)
{
	struct net_answer a = { .ports = list, .n_ports = n };

	net_answer_done(&a);
}
