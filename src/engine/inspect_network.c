/* inspect_network.c: what a container's inspection says of networks and ports: NetworkSettings, and of HostConfig and Config what was
 * asked for. Addresses and ports are shown while it runs, as docker does. */
#include <stdio.h>

#include "address.h"
#include "docker_json.h"
#include "inspect_network.h"
#include "network_config.h"
#include "network_plan.h"
#include "network_wishes.h"

static const char *const network_texts[] = { "MacAddress", "NetworkID",   "EndpointID",       "Gateway",
					     "IPAddress",  "IPv6Gateway", "GlobalIPv6Address" };

/* ---- one endpoint ---- */

/* "10.77.0.2/16" as docker has it: address and length apart. */
static void add_address(struct doc s, const char *with_prefix, const char *key, const char *key_len)
{
	_cleanup_free_ char *address = strndup(with_prefix, strcspn(with_prefix, "/"));
	const char *slash = strchr(with_prefix, '/');

	if (!address)
		*s.failed = true;
	doc_text(s, key, address);
	doc_int(s, key_len, slash ? atoi(slash + 1) : 0);
}

static void add_addresses(struct doc s, const struct net_endpoint *p)
{
	const char *const given[] = { p->given.gateway4, p->given.gateway6 };

	for (char *const *a = net_endpoint_addresses(p); a && *a; a++) {
		if (strchr(*a, ':'))
			add_address(s, *a, "GlobalIPv6Address", "GlobalIPv6PrefixLen");
		else
			add_address(s, *a, "IPAddress", "IPPrefixLen");
	}
	for (size_t i = 0; i < p->network.n_subnets; i++) {
		const char *gateway = p->network.subnets[i].gateway;
		if (gateway)
			doc_text(s, strchr(gateway, ':') ? "IPv6Gateway" : "Gateway", gateway);
	}
	for (size_t i = 0; i < ARRAY_SIZE(given); i++)
		if (given[i])
			doc_text(s, i ? "IPv6Gateway" : "Gateway", given[i]);
}

/* Of cni what its plugins say, and they may say nothing. */
static const char *mac_of(const struct net_endpoint *p)
{
	return streq(p->network.driver, "cni") ? p->given.mac ? p->given.mac : "" : p->mac;
}

static void add_empty(struct doc s)
{
	for (size_t i = 0; i < ARRAY_SIZE(network_texts); i++)
		doc_text(s, network_texts[i], "");
	doc_int(s, "IPPrefixLen", 0);
	doc_int(s, "GlobalIPv6PrefixLen", 0);
}

static void add_endpoint(struct doc networks, const char *name, const struct net_endpoint *p, bool is_up)
{
	struct doc s = doc_sub(networks, name);

	doc_null(s, "IPAMConfig");
	doc_null(s, "Links");
	doc_list(s, "Aliases", p && p->names ? p->names + 1 : NULL);
	doc_null(s, "DriverOpts");
	add_empty(s);
	if (p) {
		doc_text(s, "MacAddress", mac_of(p));
		doc_text(s, "NetworkID", p->network.id);
		doc_list(s, "DNSNames", p->names);
	} else {
		doc_null(s, "DNSNames");
	}
	if (p && is_up) {
		doc_text(s, "EndpointID", p->id);
		add_addresses(s, p);
	}
}

/* ---- ports ---- */

static void add_binding(struct json_object *list, const struct net_port *p, bool *failed)
{
	struct doc d = doc_new(failed);
	char port[12] = "";

	if (p->host_port)
		snprintf(port, sizeof(port), "%u", p->host_port);
	doc_text(d, "HostIp", p->host_ip ? p->host_ip : "0.0.0.0");
	doc_text(d, "HostPort", port);
	if (!list || json_object_array_add(list, d.o) < 0) {
		json_object_put(d.o);
		*failed = true;
	}
}

struct unpublished {
	struct doc to;
};

static int add_unpublished(const char *protocol, uint32_t port, void *arg)
{
	struct unpublished *u = arg;
	char key[24];

	snprintf(key, sizeof(key), "%u/%s", port, protocol);
	if (!json_object_object_get_ex(u->to.o, key, NULL))
		doc_null(u->to, key);
	return 0;
}

/* {"80/tcp": [{"HostIp", "HostPort"}], "443/tcp": null} */
static void add_ports(struct doc d, const struct ports *p, const struct run_opts *o)
{
	char *const *const exposed[] = { o->image_ports, o->expose };
	struct unpublished u = { .to = d };

	for (size_t i = 0; i < p->n; i++) {
		struct json_object *list = NULL;
		char key[24];

		snprintf(key, sizeof(key), "%u/%s", p->list[i].port, p->list[i].protocol);
		if (!json_object_object_get_ex(d.o, key, &list)) {
			list = json_object_new_array();
			doc_put(d, key, list);
		}
		add_binding(list, &p->list[i], d.failed);
	}
	for (size_t k = 0; k < ARRAY_SIZE(exposed); k++)
		for (char *const *v = exposed[k]; v && *v; v++)
			ports_exposed(*v, add_unpublished, &u, NULL); /* an image may say what it likes */
}

/* ---- NetworkSettings ---- */

static const struct net_endpoint *first_of(const struct network_facts *f)
{
	return f->plan.n_endpoints ? &f->plan.endpoints[0] : NULL;
}

void network_inspect(struct doc d, const struct run_opts *own, const struct network_facts *f)
{
	const struct run_opts *o = f->is_pods ? &f->pod_o : own;
	struct doc s = doc_sub(d, "NetworkSettings"), networks;
	static const char *const texts[] = { "Bridge", "SandboxID", "SandboxKey", "EndpointID", "LinkLocalIPv6Address" };
	const struct net_endpoint *first = first_of(f);

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		doc_text(s, texts[i], "");
	doc_bool(s, "HairpinMode", false);
	doc_int(s, "LinkLocalIPv6PrefixLen", 0);
	add_empty(s);
	json_object_object_del(s.o, "NetworkID");
	if (first && f->is_up && streq(first->network.name, "bridge")) { /* docker's: these are the default network's */
		doc_text(s, "EndpointID", first->id);
		doc_text(s, "MacAddress", first->mac);
		add_addresses(s, first);
	}
	doc_null(s, "SecondaryIPAddresses");
	doc_null(s, "SecondaryIPv6Addresses");
	struct doc ports = doc_sub(s, "Ports");
	if (f->is_up)
		add_ports(ports, &f->ports, own);
	networks = doc_sub(s, "Networks");
	for (size_t i = 0; i < f->plan.n_endpoints; i++)
		add_endpoint(networks, f->plan.endpoints[i].network.name, &f->plan.endpoints[i], f->is_up);
	if (!first && network_kind_of(o) != NETWORK_CONTAINER)
		add_endpoint(networks, network_kind_of(o) == NETWORK_HOST ? "host" : "none", NULL, false);
}

/* ---- what was asked for ---- */

void network_inspect_wishes(struct doc s, const struct run_opts *o)
{
	struct network_wishes w = { 0 };
	struct ports asked = { 0 };
	struct run_opts none = { 0 };

	if (network_kind_of(o) == NETWORK_OWN && network_wishes_of(o, &w, NULL) < 0)
		*s.failed = true;
	doc_text(s, "NetworkMode", w.n ? w.list[0].name : network_mode(o));
	network_wishes_done(&w);
	for (char **p = o->publish; p && *p; p++)
		ports_add(&asked, *p, NULL);
	for (size_t i = 0; i < asked.n; i++) /* a range is shown by where it begins */
		asked.list[i].host_port_last = 0;
	add_ports(doc_sub(s, "PortBindings"), &asked, &none);
	ports_done(&asked);
	doc_put(s, "Dns", json_from_strv(o->dns));
	doc_put(s, "DnsOptions", json_from_strv(o->dns_options));
	doc_put(s, "DnsSearch", json_from_strv(o->dns_search));
	doc_put(s, "Egress", json_from_strv(o->egress));
	doc_list(s, "ExtraHosts", o->add_hosts);
	doc_list(s, "Links", o->links);
	doc_bool(s, "PublishAllPorts", o->publish_all);
}

static int add_exposed(const char *protocol, uint32_t port, void *arg)
{
	struct doc *to = arg;
	char key[24];

	snprintf(key, sizeof(key), "%u/%s", port, protocol);
	doc_sub(*to, key);
	return 0;
}

/* What the image says, --expose, and all that is published. */
void network_inspect_exposed(struct doc s, const struct run_opts *o)
{
	char *const *const exposed[] = { o->image_ports, o->expose };
	struct ports asked = { 0 };
	struct doc set;

	for (char **p = o->publish; p && *p; p++)
		ports_add(&asked, *p, NULL);
	if (asked.n || strv_len(o->image_ports) || strv_len(o->expose)) {
		set = doc_sub(s, "ExposedPorts");
		for (size_t k = 0; k < ARRAY_SIZE(exposed); k++)
			for (char *const *v = exposed[k]; v && *v; v++)
				ports_exposed(*v, add_exposed, &set, NULL);
		for (size_t i = 0; i < asked.n; i++)
			add_exposed(asked.list[i].protocol, asked.list[i].port, &set);
	}
	ports_done(&asked);
}

/* ---- facts ---- */

void network_facts_done(struct network_facts *f)
{
	net_plan_done(&f->plan);
	ports_done(&f->ports);
	if (f->is_pods)
		run_opts_done(&f->pod_o);
}

int network_facts_get(struct engine *en, const struct container_record *c, struct network_facts *ret, struct err *e)
{
	struct network_facts f = { .is_up = c->state == CS_RUNNING || c->state == CS_PAUSED };
	int r = pod_network_of(en, c, &f.plan, &f.pod_o, e);

	f.is_pods = r > 0;
	if (r == 0)
		r = network_plan_make(en, c, &f.plan, e);
	if (r >= 0)
		r = net_ports_parse(c->ports_json, &f.ports.list, &f.ports.n, e);
	if (r < 0) {
		network_facts_done(&f);
		return r;
	}
	*ret = f;
	return 0;
}

/* ---- for listings ---- */

int engine_container_networks(struct engine *en, const struct container_record *c, char ***ret, struct err *e)
{
	struct endpoint_record *list = NULL;
	_cleanup_strv_ char **names = NULL;
	struct run_opts o;
	size_t n = 0;
	int r = engine_record_options(c, &o, e);

	if (r < 0)
		return r;
	r = pod_network_is(en, c, e);
	if (r >= 0)
		r = records_endpoints(en->records, r > 0 ? c->pod_id : c->id, NULL, &list, &n, e);
	for (size_t i = 0; r >= 0 && i < n; i++)
		if (strv_push(&names, list[i].network_name) < 0)
			r = OUT_OF_MEMORY(e);
	if (r >= 0 && n == 0 && network_kind_of(&o) != NETWORK_CONTAINER &&
	    strv_push(&names, network_kind_of(&o) == NETWORK_HOST ? "host" : "none") < 0)
		r = OUT_OF_MEMORY(e);
	endpoint_records_free(list, n);
	run_opts_done(&o);
	if (r >= 0)
		*ret = TAKE_PTR(names);
	return MIN(r, 0);
}

int engine_container_ports(const struct container_record *c, struct ports *ret, struct err *e)
{
	*ret = (struct ports){ 0 };
	return container_is_up(c->state) ? net_ports_parse(c->ports_json, &ret->list, &ret->n, e) : 0;
}
