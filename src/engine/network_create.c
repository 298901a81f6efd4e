/* network_create.c: from what was asked for to a network's configuration: subnets with what belongs to each, the addresses that nobody
 * has named, the driver's options. Words of errors are docker's where it has some. */
#include "engine_impl.h"
#include "network_cni.h"
#include "network_config.h"
#include "network_create.h"

enum { MTU_MIN = 68, MTU_MIN6 = 1280, MTU_MAX = 65535 }; /* RFC 791, RFC 8200 section 5 */

/* ---- options ---- */

static int check_bool(const char *key, const char *value, struct err *e)
{
	return streq(value, "true") || streq(value, "false")
		       ? 0
		       : err_set(e, EINVAL, "network option %s=%s: it is true or false", key, value);
}

static int check_true(const char *key, const char *value, struct err *e)
{
	return streq(value, "true")
		       ? 0
		       : err_set(e, EOPNOTSUPP,
				 "network option %s=%s is not possible: put those who must not talk into networks of their own",
				 key, value);
}

static int check_mtu(const char *key, const char *value, struct err *e)
{
	uint64_t n;

	return str_to_u64(value, &n) == 0 && n >= MTU_MIN && n <= MTU_MAX
		       ? 0
		       : err_set(e, EINVAL, "network option %s=%s: an MTU is a number from %d to %d", key, value, MTU_MIN,
				 MTU_MAX);
}

static int check_device(const char *key, const char *value, struct err *e)
{
	size_t n = strlen(value);

	if (streq(value, "all") || streq(value, "default"))
		return err_set(e, EINVAL, "network option %s=%s: the kernel gives no interface that name; give another", key,
			       value);
	return n > 0 && n < DEVICE_MAX && !streq(value, ".") && !streq(value, "..") && !value[strcspn(value, "/: \t\n")]
		       ? 0
		       : err_set(e, EINVAL, "network option %s=%s: an interface's name has 1 to %d bytes without / : and spaces",
				 key, value, DEVICE_MAX - 1);
}

static int check_macvlan(const char *key, const char *value, struct err *e)
{
	return streq(value, "bridge") || streq(value, "private") || streq(value, "vepa") || streq(value, "passthru")
		       ? 0
		       : err_set(e, EINVAL, "network option %s=%s: the modes are bridge, private, vepa and passthru", key, value);
}

static int check_ipvlan(const char *key, const char *value, struct err *e)
{
	return streq(value, "l2") || streq(value, "l3") || streq(value, "l3s")
		       ? 0
		       : err_set(e, EINVAL, "network option %s=%s: the modes are l2, l3 and l3s", key, value);
}

static const struct {
	const char *name, *driver;
	int (*check)(const char *key, const char *value, struct err *e); /* NULL: whoever uses it does */
} known[] = {
	{ "com.docker.network.driver.mtu", "bridge", check_mtu },
	{ "com.docker.network.driver.mtu", "macvlan", check_mtu },
	{ "com.docker.network.driver.mtu", "ipvlan", check_mtu },
	{ "com.docker.network.bridge.name", "bridge", check_device },
	{ "com.docker.network.bridge.enable_ip_masquerade", "bridge", check_bool },
	{ "com.docker.network.bridge.enable_icc", "bridge", check_true },
	{ "berth.spoof-check", "bridge", check_bool },
	{ "parent", "macvlan", check_device },
	{ "macvlan_mode", "macvlan", check_macvlan },
	{ "parent", "ipvlan", check_device },
	{ "ipvlan_mode", "ipvlan", check_ipvlan },
	{ "conf", "cni", NULL },
	{ "timeout", "cni", NULL },
};

static int check_option(const char *driver, const char *key, const char *value, struct err *e)
{
	_cleanup_buf_ struct buf list = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (!streq(known[i].driver, driver))
			continue;
		if (streq(known[i].name, key))
			return known[i].check ? known[i].check(key, value, e) : 0;
		buf_fmt(&list, "%s%s", list.len ? ", " : "", known[i].name);
	}
	return err_set(e, EINVAL, "network option %s is unknown to the driver %s; it knows %s", key, driver,
		       list.data ? list.data : "none");
}

static int text_copy(const char *s, char **ret, struct err *e)
{
	if (s && !(*ret = strdup(s)))
		return OUT_OF_MEMORY(e);
	return 0;
}

static int set_options(const struct engine_network_opts *o, const char *driver, const char *id, struct network_config *c,
		       struct err *e)
{
	_cleanup_free_ char *device = str_fmt("berth-%.9s", id);
	bool has_bridge = streq(driver, "bridge");
	const char *given;
	int r = labels_add(o->options, &c->options, e);

	for (size_t i = 0; r >= 0 && c->options.keys && c->options.keys[i]; i++)
		r = check_option(driver, c->options.keys[i], c->options.values[i], e);
	if (r < 0)
		return r;
	if (!device)
		return OUT_OF_MEMORY(e);
	given = map_get(&c->options, "com.docker.network.driver.mtu");
	if (given && o->has_ipv6 && strtoul(given, NULL, 10) < MTU_MIN6)
		return err_set(e, EINVAL, "com.docker.network.driver.mtu=%s: IPv6 needs %d or more", given, MTU_MIN6);
	if (streq(driver, "cni"))
		return network_cni_configure(o, c, e);
	if (!has_bridge && !map_get(&c->options, "parent"))
		return err_set(e, EINVAL, "%s needs the host's interface that it goes over: -o parent=INTERFACE", driver);
	given = map_get(&c->options, "com.docker.network.bridge.name");
	r = has_bridge ? text_copy(given ? given : device, &c->device, e)
		       : text_copy(map_get(&c->options, "parent"), &c->parent, e);
	if (r >= 0 && !has_bridge)
		r = text_copy(map_get(&c->options, streq(driver, "macvlan") ? "macvlan_mode" : "ipvlan_mode"), &c->mode, e);
	return r;
}

/* ---- subnets ---- */

static int read_address(const char *what, const char *text, uint8_t ret[16], struct err *e)
{
	return address_parse(text, ret) < 0 ? err_set(e, EINVAL, "invalid %s address: %s", what, text) : 0;
}

/* A prefix without bits behind it. */
static int read_prefix(const char *what, const char *text, struct net_prefix *ret, struct err *e)
{
	char want[PREFIX_TEXT];
	uint8_t a[16];

	if (prefix_parse(text, ret, a) < 0)
		return err_set(e, EINVAL, "invalid %s %s: an address and a length are needed, such as 10.78.0.0/24", what, text);
	return memcmp(a, ret->base, sizeof(a)) == 0
		       ? 0
		       : err_set(e, EINVAL, "invalid %s %s: it should be %s", what, text, prefix_print(ret, want));
}

/* Whose subnet holds that address, or NULL. */
static struct network_subnet *subnet_of(const struct network_config *c, const uint8_t a[16])
{
	struct net_prefix p;

	for (size_t i = 0; i < c->n_subnets; i++)
		if (prefix_parse(c->subnets[i].subnet, &p, NULL) == 0 && prefix_holds(&p, a))
			return &c->subnets[i];
	return NULL;
}

static bool has_family(const struct network_config *c, bool is6)
{
	struct net_prefix p;

	for (size_t i = 0; i < c->n_subnets; i++)
		if (prefix_parse(c->subnets[i].subnet, &p, NULL) == 0 && address_is4(p.base) != is6)
			return true;
	return false;
}

static int add_subnet(const struct net_prefix *p, struct network_config *c, struct err *e)
{
	struct network_subnet *more = reallocarray(c->subnets, c->n_subnets + 1, sizeof(*more));
	char text[PREFIX_TEXT];

	if (!more)
		return OUT_OF_MEMORY(e);
	c->subnets = more;
	more[c->n_subnets] = (struct network_subnet){ .subnet = strdup(prefix_print(p, text)) };
	return more[c->n_subnets++].subnet ? 0 : OUT_OF_MEMORY(e);
}

static int set_subnets(const struct engine_network_opts *o, const char *driver, struct network_config *c, struct err *e)
{
	for (char *const *s = o->subnets; s && *s; s++) {
		struct net_prefix p;
		int r = read_prefix("subnet", *s, &p, e);
		if (r < 0)
			return r;
		bool is6 = !address_is4(p.base);
		if (!network_is_place(&p))
			return err_set(e, EINVAL,
				       "invalid subnet %s: it is no network's (all, the host's own, or a group's addresses)", *s);
		if (p.bits > 126)
			return err_set(e, EINVAL, "invalid subnet %s: it has no room for anybody; a /%d or wider is needed", *s,
				       is6 ? 126 : 30);
		if (is6 && !o->has_ipv6)
			return err_set(e, EINVAL, "subnet %s is of IPv6, which is off: add --ipv6", *s);
		if (has_family(c, is6))
			return err_set(e, EINVAL, "%s driver doesn't support multiple subnets: one of IPv4 and one of IPv6",
				       driver);
		if ((r = add_subnet(&p, c, e)) < 0)
			return r;
	}
	return 0;
}

static int set_ranges(const struct engine_network_opts *o, struct network_config *c, struct err *e)
{
	for (char *const *t = o->ranges; t && *t; t++) {
		struct net_prefix p, whole;
		int r = read_prefix("ip-range", *t, &p, e);
		if (r < 0)
			return r;
		struct network_subnet *s = subnet_of(c, p.base);
		if (!s || prefix_parse(s->subnet, &whole, NULL) < 0 || p.bits < whole.bits)
			return err_set(e, EINVAL, "no matching subnet for range %s", *t);
		if (s->range)
			return err_set(e, EINVAL, "cannot configure multiple ranges (%s, %s) on the same subnet (%s)", *t,
				       s->range, s->subnet);
		if ((r = text_copy(*t, &s->range, e)) < 0)
			return r;
	}
	return 0;
}

/* That subnet's, and one that somebody can have. */
static struct network_subnet *host_of(const struct network_config *c, const uint8_t a[16])
{
	struct network_subnet *s = subnet_of(c, a);
	uint8_t first[16], last[16];
	struct net_prefix p;

	if (!s || prefix_parse(s->subnet, &p, NULL) < 0)
		return NULL;
	prefix_hosts(&p, first, last);
	return memcmp(a, first, 16) >= 0 && memcmp(a, last, 16) <= 0 ? s : NULL;
}

static int set_gateways(const struct engine_network_opts *o, struct network_config *c, struct err *e)
{
	for (char *const *t = o->gateways; t && *t; t++) {
		char text[ADDRESS_TEXT];
		uint8_t a[16];
		int r = read_address("gateway", *t, a, e);
		if (r < 0)
			return r;
		struct network_subnet *s = host_of(c, a);
		if (!s)
			return err_set(e, EINVAL, "no matching subnet for gateway %s", *t);
		if (s->gateway)
			return err_set(e, EINVAL, "cannot configure multiple gateways (%s, %s) for the same subnet (%s)", *t,
				       s->gateway, s->subnet);
		if ((r = text_copy(address_print(a, text), &s->gateway, e)) < 0)
			return r;
	}
	return 0;
}

static int set_aux(const struct engine_network_opts *o, struct network_config *c, struct err *e)
{
	for (char *const *t = o->aux; t && *t; t++) {
		const char *eq = strchr(*t, '=');
		_cleanup_free_ char *name = strndup(*t, eq ? (size_t)(eq - *t) : 0);
		char text[ADDRESS_TEXT];
		uint8_t a[16];
		if (!name)
			return OUT_OF_MEMORY(e);
		if (!*name)
			return err_set(e, EINVAL, "--aux-address %s: NAME=ADDRESS is needed", *t);
		int r = read_address("aux-address", eq + 1, a, e);
		if (r < 0)
			return r;
		struct network_subnet *s = host_of(c, a);
		if (!s)
			return err_set(e, EINVAL, "no matching subnet for aux-address %s", eq + 1);
		address_print(a, text);
		if (s->gateway && streq(s->gateway, text))
			return err_set(e, EADDRINUSE, "Address already in use: aux-address %s is the gateway", *t);
		if (map_set(&s->aux, name, text) < 0)
			return OUT_OF_MEMORY(e);
	}
	return 0;
}

static bool is_aux(const struct network_subnet *s, const char *text)
{
	for (char **v = s->aux.values; v && *v; v++)
		if (streq(*v, text))
			return true;
	return false;
}

/* A gateway for each that has none: its first address that is nobody's. */
static int choose_gateways(struct network_config *c, struct err *e)
{
	for (size_t i = 0; i < c->n_subnets; i++) {
		struct network_subnet *s = &c->subnets[i];
		char text[ADDRESS_TEXT];
		uint8_t a[16], last[16];
		struct net_prefix p;
		if (s->gateway)
			continue;
		if (prefix_parse(s->subnet, &p, NULL) < 0)
			return err_set(e, EINVAL, "invalid subnet %s", s->subnet);
		prefix_hosts(&p, a, last);
		while (is_aux(s, address_print(a, text)) && memcmp(a, last, 16) < 0)
			address_next(a);
		if (is_aux(s, text))
			return err_set(e, EADDRINUSE, "subnet %s has no address left for a gateway", s->subnet);
		int r = text_copy(text, &s->gateway, e);
		if (r < 0)
			return r;
	}
	return 0;
}

int network_choose_rest(struct engine *en, bool is_default, struct network_config *c, struct err *e)
{
	_cleanup_free_ struct net_prefix *taken = NULL;
	size_t n = 0;
	const bool is_ours = !c->cni; /* plugins know their addresses themselves */
	bool needs[2] = { is_ours && !has_family(c, false), c->has_ipv6 && !has_family(c, true) };
	int r = needs[0] || needs[1] ? network_taken(en, &taken, &n, e) : 0;

	for (int is6 = 0; is6 < 2 && r >= 0; is6++) {
		struct net_prefix p;
		if (!needs[is6])
			continue;
		r = network_choose_subnet(is6, is_default, taken, n, &p, e);
		if (r >= 0)
			r = add_subnet(&p, c, e);
	}
	return r < 0 ? r : choose_gateways(c, e);
}

int network_configure(const struct engine_network_opts *o, const char *driver, const char *id, struct network_config *ret,
		      struct err *e)
{
	struct network_config c = { .is_internal = o->is_internal, .has_ipv6 = o->has_ipv6, .is_attachable = o->is_attachable };
	int r = set_options(o, driver, id, &c, e);

	if (r >= 0 && !(o->subnets && *o->subnets) && ((o->gateways && *o->gateways) || (o->ranges && *o->ranges)))
		r = err_set(e, EINVAL, "every ip-range or gateway must have a corresponding subnet");
	if (r >= 0)
		r = set_subnets(o, driver, &c, e);
	if (r >= 0)
		r = set_ranges(o, &c, e);
	if (r >= 0)
		r = set_gateways(o, &c, e);
	if (r >= 0)
		r = set_aux(o, &c, e);
	if (r < 0) {
		network_config_done(&c);
		return r;
	}
	*ret = c;
	return 0;
}
