/* network_inspect.c: a network as docker's JSON. */
#include "docker_json.h"
#include "network_config.h"
#include "engine_impl.h"
#include "networks.h"

/* In the subnet's length, as docker has it: "10.78.0.2/24". */
static void put_address(struct doc d, const char *key, const struct network_config *c, bool has, const uint8_t a[16])
{
	char text[ADDRESS_TEXT];
	struct net_prefix p;

	for (size_t i = 0; has && i < c->n_subnets; i++)
		if (prefix_parse(c->subnets[i].subnet, &p, NULL) == 0 && prefix_holds(&p, a)) {
			_cleanup_free_ char *whole = str_fmt("%s/%u", address_print(a, text), prefix_written(&p));
			doc_put(d, key, whole ? json_object_new_string(whole) : NULL);
			return;
		}
	doc_text(d, key, "");
}

/* What plugins gave, while it is there. */
static int put_given(struct engine *en, struct doc d, const struct endpoint_record *p, struct err *e)
{
	struct endpoint_options o = { 0 };
	struct container_record c = { 0 };
	int r = records_container_get(en->records, p->container_id, &c, e);
	const char *of[2] = { "", "" };

	if (r >= 0)
		r = endpoint_options_of(p, &o, e);
	if (r < 0 && r != -ENOENT)
		return r;
	const bool is_up = r >= 0 && container_is_up(c.state);
	for (char **a = o.given.addresses; is_up && a && *a; a++)
		of[strchr(*a, ':') ? 1 : 0] = *a;
	doc_text(d, "MacAddress", is_up && o.given.mac ? o.given.mac : "");
	doc_text(d, "IPv4Address", of[0]);
	doc_text(d, "IPv6Address", of[1]);
	endpoint_options_done(&o);
	container_record_done(&c);
	return 0;
}

static int put_containers(struct engine *en, struct doc d, const struct network_record *n, const struct network_config *c,
			  struct err *e)
{
	struct doc all = doc_sub(d, "Containers");
	struct endpoint_record *list = NULL;
	size_t count = 0;
	int r = records_endpoints(en->records, NULL, n->id, &list, &count, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < count && r >= 0; i++) {
		struct doc one = doc_sub(all, list[i].container_id);
		doc_text(one, "Name", list[i].container_name);
		doc_text(one, "EndpointID", list[i].id);
		if (streq(n->driver, "cni")) {
			r = put_given(en, one, &list[i], e);
			continue;
		}
		doc_text(one, "MacAddress", list[i].mac);
		put_address(one, "IPv4Address", c, list[i].has_address4, list[i].address4);
		put_address(one, "IPv6Address", c, list[i].has_address6, list[i].address6);
	}
	endpoint_records_free(list, count);
	return MIN(r, 0);
}

static void put_ipam(struct doc d, const struct network_config *c)
{
	struct json_object *subnets = json_object_new_array();
	struct doc ipam = doc_sub(d, "IPAM");

	doc_text(ipam, "Driver", "default");
	doc_put(ipam, "Options", json_object_new_object());
	for (size_t i = 0; i < c->n_subnets; i++) {
		const struct network_subnet *s = &c->subnets[i];
		struct doc one = { json_object_new_object(), d.failed };
		doc_text(one, "Subnet", s->subnet);
		if (s->range)
			doc_text(one, "IPRange", s->range);
		if (s->gateway)
			doc_text(one, "Gateway", s->gateway);
		if (s->aux.keys && s->aux.keys[0])
			doc_map(one, "AuxiliaryAddresses", &s->aux);
		if (!one.o || json_object_array_add(subnets, one.o) < 0) {
			json_object_put(one.o);
			*d.failed = true;
		}
	}
	doc_put(ipam, "Config", subnets);
}

static int fill(struct engine *en, struct doc d, const struct network_record *n, const struct network_config *c, struct err *e)
{
	doc_text(d, "Name", n->name);
	doc_text(d, "Id", n->id);
	doc_time(d, "Created", n->created_ns);
	doc_text(d, "Scope", "local");
	doc_text(d, "Driver", n->driver);
	doc_bool(d, "EnableIPv4", true);
	doc_bool(d, "EnableIPv6", c->has_ipv6);
	put_ipam(d, c);
	doc_bool(d, "Internal", c->is_internal);
	doc_bool(d, "Attachable", c->is_attachable);
	doc_bool(d, "Ingress", false);
	doc_text(doc_sub(d, "ConfigFrom"), "Network", "");
	doc_bool(d, "ConfigOnly", false);
	int r = put_containers(en, d, n, c, e);
	doc_map(d, "Options", &c->options);
	doc_map(d, "Labels", &n->labels);
	return r;
}

int engine_network_inspect(struct engine *en, const char *name, struct json_object **ret, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct network_config c = { 0 };
	struct network_record n = { 0 };
	bool failed = false;
	int r = network_find(en, name, &n, e);

	if (r >= 0)
		r = network_config_of(&n, &c, e);
	if (r >= 0) {
		struct doc d = doc_new(&failed);
		o = d.o;
		r = fill(en, d, &n, &c, e);
	}
	network_config_done(&c);
	network_record_done(&n);
	if (r < 0)
		return r;
	if (failed)
		return OUT_OF_MEMORY(e);
	*ret = TAKE_PTR(o);
	return 0;
}

int engine_network_traits(const struct network_record *n, bool *ret_ipv6, bool *ret_internal, struct err *e)
{
	struct network_config c = { 0 };
	int r = network_config_of(n, &c, e);

	if (r < 0)
		return r;
	*ret_ipv6 = c.has_ipv6;
	*ret_internal = c.is_internal;
	network_config_done(&c);
	return 0;
}
