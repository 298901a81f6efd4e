/* See network_wishes.h. */
#include <stdio.h>

#include "network_wishes.h"

#include <arpa/inet.h>

#include "egress.h"
#include "engine_impl.h"
#include "network_plan.h"
#include "ports.h"

const char *network_mode(const struct run_opts *o)
{
	const char *v = o->network && *o->network ? o->network : "none", *name = str_after(v, "name=");

	if (streq(v, "default"))
		return "bridge";
	return name && (streq(name, "none") || streq(name, "host")) ? name : v;
}

enum network_kind network_kind_of(const struct run_opts *o)
{
	const char *mode = network_mode(o);

	if (streq(mode, "none"))
		return NETWORK_NONE;
	if (streq(mode, "host"))
		return NETWORK_HOST;
	return str_after(mode, "container:") ? NETWORK_CONTAINER : NETWORK_OWN;
}

/* ---- reading one ---- */

static void wish_done(struct network_wish *w)
{
	free(w->name);
	free(w->ip);
	free(w->ip6);
	free(w->mac);
	strv_free(w->aliases);
	*w = (struct network_wish){ 0 };
}

void network_wishes_done(struct network_wishes *w)
{
	for (size_t i = 0; i < w->n; i++)
		wish_done(&w->list[i]);
	free(w->list);
	*w = (struct network_wishes){ 0 };
}

static int set(char **to, const char *value, struct err *e)
{
	char *copy = strdup(value);

	if (!copy)
		return OUT_OF_MEMORY(e);
	free(*to);
	*to = copy;
	return 0;
}

static int read_member(const char *word, struct network_wish *w, struct err *e)
{
	const char *v;

	if ((v = str_after(word, "name=")))
		return set(&w->name, v, e);
	if ((v = str_after(word, "ip=")))
		return set(&w->ip, v, e);
	if ((v = str_after(word, "ip6=")))
		return set(&w->ip6, v, e);
	if ((v = str_after(word, "mac-address=")))
		return set(&w->mac, v, e);
	if ((v = str_after(word, "alias=")))
		return strv_push(&w->aliases, v) < 0 ? OUT_OF_MEMORY(e) : 0;
	return err_set(e, EINVAL, "--network: \"%s\": invalid field; name, alias, ip, ip6 and mac-address are known", word);
}

static int read_wish(const char *text, struct network_wish *w, struct err *e)
{
	_cleanup_strv_ char **words = strchr(text, '=') ? strv_split(text, ',') : NULL;
	int r = 0;

	if (!strchr(text, '='))
		return set(&w->name, text, e);
	if (!words)
		return OUT_OF_MEMORY(e);
	for (char **x = words; *x && r >= 0; x++)
		r = read_member(*x, w, e);
	if (r >= 0 && (!w->name || !*w->name))
		r = err_set(e, EINVAL, "--network: \"%s\": network name is missing", text);
	return r;
}

/* --ip and the like belong to the first; twice is once too much. */
static int take(const char *option, const char *value, char **to, struct err *e)
{
	if (!value || !*value)
		return 0;
	if (*to)
		return err_set(e, EINVAL, "conflicting options: cannot specify both %s and per-network %s", option, option + 2);
	return set(to, value, e);
}

static int add_first(const struct run_opts *o, struct network_wish *w, struct err *e)
{
	int r = take("--ip", o->ip, &w->ip, e);

	if (r >= 0)
		r = take("--ip6", o->ip6, &w->ip6, e);
	if (r >= 0)
		r = take("--mac-address", o->mac_address, &w->mac, e);
	for (char **a = o->network_aliases; r >= 0 && a && *a; a++)
		if (strv_push(&w->aliases, *a) < 0)
			r = OUT_OF_MEMORY(e);
	return r;
}

int network_wishes_of(const struct run_opts *o, struct network_wishes *ret, struct err *e)
{
	struct network_wishes w = { .list = calloc(strv_len(o->more_networks) + 1, sizeof(*w.list)), .n = 1 };
	int r = w.list ? read_wish(network_mode(o), &w.list[0], e) : OUT_OF_MEMORY(e);

	if (!w.list)
		return r;
	if (r >= 0)
		r = add_first(o, &w.list[0], e);
	for (char **m = o->more_networks; r >= 0 && m && *m; m++)
		r = read_wish(*m, &w.list[w.n++], e);
	if (r < 0) {
		network_wishes_done(&w);
		return r;
	}
	*ret = w;
	return 0;
}

/* ---- checks ---- */

/* Letters, digits, '-', '_' and '.', as names of containers are; hosts(5) and resolvers take no more. */
static bool is_host_name(const char *s)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";

	return *s && strlen(s) <= 253 && s[strspn(s, letters)] == 0;
}

static bool is_address(const char *s)
{
	unsigned char any[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, s, any) == 1 || inet_pton(AF_INET6, s, any) == 1;
}

int network_host_line(const char *text, const char *gateway, char **ret, struct err *e)
{
	const char *sep = text + strcspn(text, ":="), *address = *sep ? sep + 1 : "";
	_cleanup_free_ char *name = strndup(text, (size_t)(sep - text));
	_cleanup_free_ char *bare = *address == '[' ? strndup(address + 1, strcspn(address + 1, "]")) : strdup(address);

	if (!name || !bare)
		return OUT_OF_MEMORY(e);
	if (!*sep || !is_host_name(name))
		return err_set(e, EINVAL, "--add-host: bad format for add-host: \"%s\": NAME:ADDRESS is", text);
	if (streq(bare, "host-gateway") && !gateway)
		return err_set(e, EINVAL, "--add-host %s: host-gateway needs a network that has a gateway", text);
	if (!streq(bare, "host-gateway") && !is_address(bare))
		return err_set(e, EINVAL, "--add-host: invalid IP address in add-host: \"%s\"", bare);
	*ret = str_fmt("%s\t%s\n", streq(bare, "host-gateway") ? gateway : bare, name);
	return *ret ? 0 : OUT_OF_MEMORY(e);
}

/* A resolver on the host asks the servers of --dns for it. */
static int check_servers(char *const *dns, struct err *e)
{
	for (char *const *d = dns; d && *d; d++)
		if (!network_is_loopback(*d))
			return 0;
	return dns && *dns ? err_set(e, EINVAL,
				     "--dns %s: with --egress the host asks that server, so it can't be a loopback address; "
				     "name another, or none for those that the host asks",
				     *dns)
			   : 0;
}

static int check_egress(const struct run_opts *o, struct err *e)
{
	_cleanup_(egress_done) struct egress x = { 0 };
	_cleanup_strv_ char **items = NULL;
	int r = egress_items(o->egress, &items, e);

	if (r >= 0 && items)
		r = check_servers(o->dns, e);
	return r < 0 ? r : egress_parse(items, &x, e);
}

static int check_hosts(const struct run_opts *o, struct err *e)
{
	int r = 0;

	if (strv_len(o->add_hosts) && o->no_hosts)
		return err_set(e, EINVAL, "--add-host and --no-hosts can't be given together");
	for (char **h = o->add_hosts; r >= 0 && h && *h; h++) {
		_cleanup_free_ char *line = NULL;
		r = network_host_line(*h, "-", &line, e);
	}
	return r;
}

static int check_names(const struct run_opts *o, struct err *e)
{
	for (char **a = o->network_aliases; a && *a; a++)
		if (!is_host_name(*a))
			return err_set(e, EINVAL, "--network-alias: \"%s\" is not a host name", *a);
	for (char **d = o->dns; d && *d; d++)
		if (!is_address(*d))
			return err_set(e, EINVAL, "--dns: %s is not an ip address", *d);
	for (char **s = o->dns_search; s && *s; s++)
		if (!streq(*s, ".") && !is_host_name(*s))
			return err_set(e, EINVAL, "--dns-search: %s is not a valid domain", *s);
	for (char **x = o->dns_options; x && *x; x++)
		if (!**x || (*x)[strcspn(*x, " \t\n\r")])
			return err_set(e, EINVAL, "--dns-option: \"%s\" is not an option of resolv.conf(5)", *x);
	return check_hosts(o, e);
}

static int check_ports(const struct run_opts *o, struct err *e)
{
	struct ports p = { 0 };
	int r = 0;

	for (char **v = o->publish; r >= 0 && v && *v; v++)
		if ((r = ports_add(&p, *v, e)) < 0)
			r = err_push(e, r, "--publish %s", *v);
	ports_done(&p);
	for (char **v = o->expose; r >= 0 && v && *v; v++)
		r = ports_exposed(*v, NULL, NULL, e);
	return r;
}

/* Of what has no network of its own. */
int network_check_useless(const struct run_opts *o, struct err *e)
{
	enum network_kind kind = network_kind_of(o);
	const char *mode = network_mode(o);
	const struct {
		const char *option;
		bool is_given, is_ignored; /* docker ignores it with the host's network */
	} options[] = {
		{ "--publish", strv_len(o->publish) || o->publish_all, kind == NETWORK_HOST || kind == NETWORK_NONE },
		{ "--network-alias", strv_len(o->network_aliases), false },
		{ "--ip", o->ip && *o->ip, false },
		{ "--ip6", o->ip6 && *o->ip6, false },
		{ "--mac-address", o->mac_address && *o->mac_address, false },
		{ "--link", strv_len(o->links), false },
		{ "--egress", strv_len(o->egress), false },
		{ "a second --network", strv_len(o->more_networks), false },
	};

	for (size_t i = 0; kind != NETWORK_OWN && i < ARRAY_SIZE(options); i++) {
		if (!options[i].is_given)
			continue;
		if (!options[i].is_ignored)
			return err_set(e, EINVAL, "conflicting options: %s needs a network of its own, not --network %s",
				       options[i].option, mode);
		log_warn("network", "published ports are discarded with --network %s", mode);
	}
	return 0;
}

int network_check(const struct run_opts *o, struct err *e)
{
	struct network_wishes w = { 0 };
	int r = check_names(o, e);

	if (r >= 0)
		r = check_egress(o, e);
	if (r >= 0)
		r = check_ports(o, e);
	if (r >= 0 && (!o->pod || o->network)) /* in a pod it is not known yet whose network it has */
		r = network_check_useless(o, e);
	if (r >= 0 && network_kind_of(o) == NETWORK_OWN)
		r = network_wishes_of(o, &w, e);
	network_wishes_done(&w);
	return r;
}
