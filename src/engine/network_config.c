/* See network_config.h. */
#include "network_config.h"

#include "json_rows.h"

static const struct field subnet_rows[] = {
	JSON_ROW("subnet", FIELD_STRING, network_subnet, subnet, FIELD_REQUIRED),
	JSON_ROW("gateway", FIELD_STRING, network_subnet, gateway),
	JSON_ROW("range", FIELD_STRING, network_subnet, range),
	JSON_ROW("aux", FIELD_MAP, network_subnet, aux, FIELD_OMIT_EMPTY),
	JSON_END,
};
static const struct field config_rows[] = {
	JSON_LIST("subnets", network_config, subnets, network_subnet, subnet_rows),
	JSON_ROW("options", FIELD_MAP, network_config, options, FIELD_OMIT_EMPTY),
	JSON_ROW("device", FIELD_STRING, network_config, device),
	JSON_ROW("parent", FIELD_STRING, network_config, parent),
	JSON_ROW("mode", FIELD_STRING, network_config, mode),
	JSON_ROW("cni", FIELD_STRING, network_config, cni),
	JSON_ROW("cniPath", FIELD_STRING, network_config, cni_path),
	JSON_ROW("cniSeconds", FIELD_U32, network_config, cni_seconds, FIELD_OMIT_EMPTY),
	JSON_ROW("isInternal", FIELD_BOOL, network_config, is_internal, FIELD_OMIT_EMPTY),
	JSON_ROW("hasIpv6", FIELD_BOOL, network_config, has_ipv6, FIELD_OMIT_EMPTY),
	JSON_ROW("isAttachable", FIELD_BOOL, network_config, is_attachable, FIELD_OMIT_EMPTY),
	JSON_END,
};
static const struct field endpoint_rows[] = {
	JSON_ROW("aliases", FIELD_STRV, endpoint_options, aliases, FIELD_OMIT_EMPTY),
	JSON_ROW("address4", FIELD_STRING, endpoint_options, address4),
	JSON_ROW("address6", FIELD_STRING, endpoint_options, address6),
	JSON_ROW("mac", FIELD_STRING, endpoint_options, mac),
	{ "given", FIELD_OBJECT, offsetof(struct endpoint_options, given), FIELD_OMIT_EMPTY, net_result_rows },
	JSON_END,
};

/* text NULL: nothing was kept. */
static int read_text(const char *text, const struct field *rows, void *ret, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	int r = text ? json_parse(text, strlen(text), "record", &o, e) : 0;

	if (r < 0 || !text)
		return r;
	r = json_read(o, rows, ret, "", e);
	if (r < 0)
		json_free_fields(rows, ret);
	return MIN(r, 0);
}

static char *print_text(const struct field *rows, const void *from)
{
	_cleanup_json_ struct json_object *o = json_write(rows, from);

	return o ? strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN)) : NULL;
}

int network_config_of(const struct network_record *n, struct network_config *ret, struct err *e)
{
	struct network_config c = { 0 };
	int r = read_text(n->config_json, config_rows, &c, e);

	if (r < 0)
		return err_push(e, r, "network %s", n->name);
	*ret = c;
	return 0;
}

char *network_config_print(const struct network_config *c) { return print_text(config_rows, c); }

void network_config_done(struct network_config *c)
{
	json_free_fields(config_rows, c);
	*c = (struct network_config){ 0 };
}

int endpoint_options_of(const struct endpoint_record *p, struct endpoint_options *ret, struct err *e)
{
	struct endpoint_options o = { 0 };
	int r = read_text(p->options_json, endpoint_rows, &o, e);

	if (r < 0)
		return err_push(e, r, "endpoint %.12s", p->id);
	*ret = o;
	return 0;
}

char *endpoint_options_print(const struct endpoint_options *o) { return print_text(endpoint_rows, o); }

void endpoint_options_done(struct endpoint_options *o)
{
	json_free_fields(endpoint_rows, o);
	*o = (struct endpoint_options){ 0 };
}

int network_config_ranges(const struct network_config *c, struct net_range **ret, struct err *e)
{
	_cleanup_free_ struct net_range *list = calloc(c->n_subnets + 1, sizeof(*list));

	if (!list)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < c->n_subnets; i++) {
		struct net_prefix p;
		if (prefix_parse(c->subnets[i].subnet, &p, NULL) < 0)
			return err_set(e, EINVAL, "invalid subnet %s", c->subnets[i].subnet);
		memcpy(list[i].first, p.base, sizeof(p.base));
		prefix_last(&p, list[i].last);
	}
	*ret = TAKE_PTR(list);
	return 0;
}

/* ---- as berth-net is told ---- */

static bool is_off(const struct network_config *c, const char *option)
{
	const char *value = map_get(&c->options, option);

	return value && streq(value, "false");
}

static int copy(const char *s, char **ret) { return s && !(*ret = strdup(s)) ? -ENOMEM : 0; }

static int plan_subnets(const struct network_config *c, struct net_network *ret)
{
	ret->subnets = calloc(c->n_subnets + 1, sizeof(*ret->subnets));
	if (!ret->subnets)
		return -ENOMEM;
	for (size_t i = 0; i < c->n_subnets; i++) {
		ret->n_subnets = i + 1;
		if (copy(c->subnets[i].subnet, &ret->subnets[i].subnet) < 0 ||
		    copy(c->subnets[i].gateway, &ret->subnets[i].gateway) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int plan_fill(const struct network_record *n, const struct network_config *c, struct net_network *ret, struct err *e)
{
	const char *mtu = map_get(&c->options, "com.docker.network.driver.mtu");
	uint64_t bytes = 0;

	if (copy(n->id, &ret->id) < 0 || copy(n->name, &ret->name) < 0 || copy(n->driver, &ret->driver) < 0 ||
	    copy(c->parent ? c->parent : c->device, &ret->device) < 0 || copy(c->mode, &ret->mode) < 0 ||
	    copy(c->cni, &ret->cni) < 0 || copy(c->cni_path, &ret->cni_path) < 0 || plan_subnets(c, ret) < 0)
		return err_set(e, ENOMEM, "out of memory");
	if (mtu && (str_to_u64(mtu, &bytes) < 0 || bytes > UINT32_MAX))
		return err_set(e, EINVAL, "network %s: com.docker.network.driver.mtu=%s is no number", n->name, mtu);
	ret->mtu = (uint32_t)bytes;
	ret->cni_seconds = c->cni_seconds;
	ret->is_internal = c->is_internal;
	ret->no_masquerade = is_off(c, "com.docker.network.bridge.enable_ip_masquerade");
	ret->may_spoof = is_off(c, "berth.spoof-check");
	ret->has_names = streq(n->driver, "bridge") && !streq(n->name, NETWORK_DEFAULT);
	return 0;
}

int network_plan_of(const struct network_record *n, struct net_network *ret, struct err *e)
{
	struct net_endpoint *one = calloc(1, sizeof(*one));
	struct net_plan whole = { .endpoints = one, .n_endpoints = 1 }; /* what frees a part of one */
	struct network_config c = { 0 };
	int r;

	if (!one)
		return err_set(e, ENOMEM, "out of memory");
	r = network_config_of(n, &c, e);
	if (r >= 0)
		r = plan_fill(n, &c, &one->network, e);
	network_config_done(&c);
	if (r >= 0) {
		*ret = one->network;
		one->network = (struct net_network){ 0 };
	}
	net_plan_done(&whole);
	return MIN(r, 0);
}
