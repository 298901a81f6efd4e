/* What the last plugin's ADD has answered: addresses, gateways, resolvers. Each comes to a file or to a record, and is looked at first. */
#include "cni_host.h"

static int wrong(struct err *e, const char *what, const char *value, const char *expected)
{
	return err_set(e, EPROTO, "the CNI plugins' result: %s \"%.80s\": expected %s", what, value ? value : "", expected);
}

static struct json_object *list_of(struct json_object *o, const char *key)
{
	struct json_object *list = NULL;

	return json_object_object_get_ex(o, key, &list) && json_object_is_type(list, json_type_array) ? list : NULL;
}

static size_t length(struct json_object *list) { return list ? json_object_array_length(list) : 0; }

/* The interface of the result that is inside; -1: it names none. */
static int find_inside(struct json_object *result, const char *ifname)
{
	struct json_object *list = list_of(result, "interfaces");

	for (size_t i = 0; i < length(list); i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		const char *sandbox = cni_conf_text(one, "sandbox");

		if (sandbox && *sandbox && streq0(cni_conf_text(one, "name"), ifname))
			return (int)i;
	}
	return -1;
}

static int set_gateway(const char *text, struct net_result *ret, struct err *e)
{
	struct address a;
	char **to;

	if (address_parse(text, false, &a) < 0)
		return wrong(e, "gateway", text, "an address");
	to = a.family == AF_INET ? &ret->gateway4 : &ret->gateway6;
	if (!*to && !(*to = strdup(text)))
		return err_set(e, ENOMEM, "out of memory");
	return 0;
}

static int read_ips(struct json_object *result, int inside, struct net_result *ret, struct err *e)
{
	struct json_object *list = list_of(result, "ips"), *v;
	int r = 0;

	for (size_t i = 0; i < length(list) && r >= 0; i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		const char *text = cni_conf_text(one, "address"), *gateway = cni_conf_text(one, "gateway");
		struct address a;

		if (inside >= 0 && json_object_object_get_ex(one, "interface", &v) && json_object_get_int(v) != inside)
			continue;
		if (!text || address_parse(text, true, &a) < 0)
			return wrong(e, "address", text, "one with its length, as 10.1.2.3/24");
		if (strv_push(&ret->addresses, text) < 0)
			return err_set(e, ENOMEM, "out of memory");
		if (gateway && *gateway)
			r = set_gateway(gateway, ret, e);
	}
	return r;
}

/* The way out, where it is not by what the addresses name. */
static int read_routes(struct json_object *result, struct net_result *ret, struct err *e)
{
	struct json_object *list = list_of(result, "routes");
	int r = 0;

	for (size_t i = 0; i < length(list) && r >= 0; i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		const char *to = cni_conf_text(one, "dst"), *by = cni_conf_text(one, "gw");

		if (to && by && *by && (streq(to, "0.0.0.0/0") || streq(to, "::/0")))
			r = set_gateway(by, ret, e);
	}
	return r;
}

static int read_words(struct json_object *list, const char *what, bool is_address, char ***ret, struct err *e)
{
	for (size_t i = 0; i < length(list); i++) {
		const char *text = json_object_get_string(json_object_array_get_idx(list, i));
		struct address a;

		if (!text || !*text || strlen(text) > 253 ||
		    text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_.:-")] ||
		    (is_address && address_parse(text, false, &a) < 0))
			return wrong(e, what, text, is_address ? "an address" : "a word of resolv.conf");
		if (strv_push(ret, text) < 0)
			return err_set(e, ENOMEM, "out of memory");
	}
	return 0;
}

static int read_dns(struct json_object *result, struct net_result *ret, struct err *e)
{
	struct json_object *dns = NULL;
	int r;

	if (!json_object_object_get_ex(result, "dns", &dns) || !json_object_is_type(dns, json_type_object))
		return 0;
	r = read_words(list_of(dns, "nameservers"), "resolver", true, &ret->dns, e);
	if (r >= 0)
		r = read_words(list_of(dns, "search"), "search domain", false, &ret->search, e);
	return r < 0 ? r : read_words(list_of(dns, "options"), "resolver's option", false, &ret->options, e);
}

/* Who asks for an address wants that one. */
static int check_asked(const struct net_endpoint *ep, const struct net_result *got, struct err *e)
{
	for (char **want = ep->addresses; want && *want; want++) {
		bool has = false;

		for (char **a = got->addresses; a && *a; a++)
			has |= strncmp(*a, *want, strlen(*want)) == 0 && (*a)[strlen(*want)] == '/';
		if (!has)
			return err_set(e, EADDRNOTAVAIL,
				       "network %s: its CNI plugins have given another address than %s, which was asked for",
				       ep->network.name, *want);
	}
	return 0;
}

int cni_result_read(struct json_object *result, const struct net_endpoint *ep, struct net_result *ret, struct err *e)
{
	const int inside = result ? find_inside(result, ep->name) : -1;
	const char *mac = NULL;
	uint8_t bytes[6];
	int r;

	if (!json_object_is_type(result, json_type_object))
		return err_set(e, EPROTO, "the CNI plugins of network %s have given no result", ep->network.name);
	if (inside >= 0)
		mac = cni_conf_text(json_object_array_get_idx(list_of(result, "interfaces"), (size_t)inside), "mac");
	if (mac && *mac && mac_parse(mac, bytes) < 0)
		return wrong(e, "MAC address", mac, "six bytes");
	if (mac && *mac && !(ret->mac = strdup(mac)))
		return err_set(e, ENOMEM, "out of memory");
	r = read_ips(result, inside, ret, e);
	if (r >= 0)
		r = read_routes(result, ret, e);
	if (r >= 0)
		r = read_dns(result, ret, e);
	return r < 0 ? r : check_asked(ep, ret, e);
}
