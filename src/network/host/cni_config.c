/* What plugins read: their part of the configuration, and of the plan what they say they can take (capabilities, CONVENTIONS of CNI). */
#include "cni_host.h"

static int add_text(struct json_object *o, const char *key, const char *text)
{
	return json_add(o, key, text ? json_object_new_string(text) : NULL);
}

/* {"hostPort", "containerPort", "protocol", "hostIP"}; the address is left out where it is every one. */
static struct json_object *port_mappings(const struct net_port *ports, size_t n)
{
	struct json_object *list = json_object_new_array();
	int r = list ? 0 : -ENOMEM;

	for (size_t i = 0; i < n && r >= 0; i++) {
		struct json_object *one = json_object_new_object();

		r = json_add(one, "hostPort", json_object_new_int((int)ports[i].host_port));
		if (r >= 0)
			r = json_add(one, "containerPort", json_object_new_int((int)ports[i].port));
		if (r >= 0)
			r = add_text(one, "protocol", ports[i].protocol);
		if (r >= 0 && ports[i].host_ip)
			r = add_text(one, "hostIP", ports[i].host_ip);
		if (r < 0 || json_object_array_add(list, one) < 0) {
			json_object_put(one);
			r = -ENOMEM;
		}
	}
	if (r < 0) {
		json_object_put(list);
		return NULL;
	}
	return list;
}

static struct json_object *dns(const struct net_plan *p)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();

	if (json_add(o, "servers", json_from_strv(p->dns)) < 0 || json_add(o, "searches", json_from_strv(p->dns_search)) < 0 ||
	    json_add(o, "options", json_from_strv(p->dns_options)) < 0)
		return NULL;
	return json_object_get(o);
}

struct json_object *cni_runtime(const struct net_plan *p, const struct net_endpoint *ep, const struct net_port *ports)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	int r = o ? 0 : -ENOMEM;

	if (r >= 0 && ports)
		r = json_add(o, "portMappings", port_mappings(ports, p->n_ports));
	if (r >= 0 && strv_len(ep->addresses))
		r = json_add(o, "ips", json_from_strv(ep->addresses));
	if (r >= 0 && ep->mac)
		r = add_text(o, "mac", ep->mac);
	if (r >= 0 && strv_len(ep->names))
		r = json_add(o, "aliases", json_from_strv(ep->names));
	if (r >= 0 && (p->dns || p->dns_search || p->dns_options))
		r = json_add(o, "dns", dns(p));
	return r < 0 ? NULL : json_object_get(o);
}

int cni_check_wishes(const struct net_plan *p, const struct net_endpoint *ep, struct json_object *conf, struct err *e)
{
	const char *network = ep->network.name;

	if (strv_len(ep->addresses) && !cni_conf_can(conf, "ips"))
		return err_set(e, EINVAL,
			       "network %s: no address can be asked for: none of its CNI plugins has the capability ips",
			       network);
	if (p->n_ports && cni_ports_endpoint(p) == ep && !cni_conf_can(conf, "portMappings"))
		return err_set(
			e, EINVAL,
			"network %s: ports can't be published: none of its CNI plugins has the capability portMappings (add "
			"{\"type\": \"portmap\", \"capabilities\": {\"portMappings\": true}} to its list)",
			network);
	return 0;
}

struct json_object *cni_plugin_config(struct json_object *conf, size_t i, struct json_object *runtime, struct json_object *prev)
{
	struct json_object *part = json_object_array_get_idx(cni_conf_plugins(conf), i), *copy = NULL;
	_cleanup_json_ struct json_object *o = NULL, *given = json_object_new_object();
	int r = json_object_deep_copy(part, &copy, NULL) < 0 ? -ENOMEM : 0;

	o = copy;
	if (r >= 0)
		r = add_text(o, "name", cni_conf_text(conf, "name"));
	if (r >= 0)
		r = add_text(o, "cniVersion", cni_conf_text(conf, "cniVersion"));
	json_object_object_foreach(runtime, key, value) if (r >= 0 && cni_plugin_can(part, key)) r =
		json_add(given, key, json_object_get(value));
	if (r >= 0 && given && json_object_object_length(given) > 0)
		r = json_add(o, "runtimeConfig", json_object_get(given));
	if (r >= 0 && prev)
		r = json_add(o, "prevResult", json_object_get(prev));
	return r < 0 || !given ? NULL : json_object_get(o);
}
