/* network.c: `berth network create`, `inspect`, `rm`, `prune`. */
#include "cli.h"
#include "filter.h"
#include "output.h"
#include "prune.h"

struct network_args {
	bool force, verbose, internal, ipv6, attachable;
	char *driver, *format, **labels, **options, **subnets, **gateways, **ranges, **aux, **filters;
};
#define AT(member) offsetof(struct network_args, member)
const struct opt network_create_options[] = {
	{ "driver", 'd', OPT_STRING, AT(driver), "DRIVER", "bridge (the default), macvlan, ipvlan or cni" },
	{ "opt", 'o', OPT_LIST, AT(options), "NAME=VALUE", "an option of the driver's" },
	{ "subnet", 0, OPT_LIST, AT(subnets), "SUBNET",
	  "addresses of the network, such as 10.78.0.0/24; one of IPv4, one of IPv6" },
	{ "gateway", 0, OPT_LIST, AT(gateways), "ADDRESS", "the host's own address in a subnet; the first one otherwise" },
	{ "ip-range", 0, OPT_LIST, AT(ranges), "SUBNET", "of a subnet what containers are given addresses of" },
	{ "aux-address", 0, OPT_LIST, AT(aux), "NAME=ADDRESS", "an address that somebody else has" },
	{ "internal", 0, OPT_FLAG, AT(internal), NULL, "no way out of it, and none in" },
	{ "ipv6", 0, OPT_FLAG, AT(ipv6), NULL, "IPv6 as well" },
	{ "attachable", 0, OPT_FLAG, AT(attachable), NULL, "noted; every network can be connected to" },
	{ "label", 0, OPT_LIST, AT(labels), "NAME=VALUE", "attach a label" },
	{ NULL },
};
const struct opt network_inspect_options[] = {
	{ "format", 'f', OPT_STRING, AT(format), "FORMAT", "json, or a template such as {{.IPAM.Config}}" },
	{ "verbose", 'v', OPT_FLAG, AT(verbose), NULL, "for docker's sake; all is shown anyway" },
	{ NULL },
};
const struct opt network_rm_options[] = {
	{ "force", 'f', OPT_FLAG, AT(force), NULL, "what does not exist is no error" },
	{ NULL },
};
const struct opt network_prune_options[] = {
	{ "filter", 0, OPT_LIST, AT(filters), "KEY=VALUE", "only some: label, label! or until" },
	{ "force", 'f', OPT_FLAG, AT(force), NULL, PRUNE_FORCE_HELP },
	{ NULL },
};

int cmd_network_create(struct cli *c, struct err *e)
{
	struct network_args a = { 0 };
	_cleanup_free_ char *id = NULL;
	int r = cli_parse(c, &a, 1, 1, e);

	if (r == 0) {
		const struct engine_network_opts o = {
			.name = c->operands[0],
			.driver = a.driver,
			.subnets = a.subnets,
			.gateways = a.gateways,
			.ranges = a.ranges,
			.aux = a.aux,
			.options = a.options,
			.labels = a.labels,
			.is_internal = a.internal,
			.has_ipv6 = a.ipv6,
			.is_attachable = a.attachable,
		};
		r = engine_network_create(c->engine, &o, &id, e);
		if (r >= 0)
			puts(id);
	}
	opts_done(network_create_options, &a);
	return MIN(r, 0);
}

static int find(struct cli *c, const char *name, void *arg, struct json_object **ret, struct err *e)
{
	(void)arg;
	return engine_network_inspect(c->engine, name, ret, e);
}

int cmd_network_inspect(struct cli *c, struct err *e)
{
	struct network_args a = { 0 };
	int r = cli_parse(c, &a, 1, CLI_ANY, e);

	r = r == 0 ? inspect_all(c, a.format, find, NULL, e) : MIN(r, 0);
	opts_done(network_inspect_options, &a);
	return r;
}

static int rm_one(struct cli *c, const char *name, void *arg, struct err *e)
{
	const struct network_args *a = arg;
	int r = engine_network_remove(c->engine, name, e);

	if (r == -ENOENT && a->force)
		return 0;
	if (r >= 0)
		puts(name);
	return r;
}

int cmd_network_rm(struct cli *c, struct err *e)
{
	struct network_args a = { 0 };
	int r = cli_parse(c, &a, 1, CLI_ANY, e);

	return r == 0 ? cli_each(c, rm_one, &a) : MIN(r, 0);
}

static bool matches(const void *thing, const char *key, const char *value)
{
	const struct network_record *n = thing;
	uint64_t ns = 0;
	struct err e = { 0 };

	if (streq(key, "until"))
		return cli_read_time("until", value, &ns, &e) == 0 && n->created_ns < ns;
	return filter_label(&n->labels, value) == streq(key, "label");
}

int prune_networks(struct cli *c, char *const *filters, struct err *e)
{
	struct network_record *list = NULL;
	size_t n = 0, gone = 0;
	int r = prune_check_filters(filters, e);

	if (r >= 0)
		r = engine_network_list(c->engine, &list, &n, e);
	for (size_t i = 0; r >= 0 && i < n; i++) {
		if (list[i].n_endpoints || engine_network_is_predefined(list[i].name) ||
		    !filters_pass(filters, matches, &list[i]))
			continue;
		r = engine_network_remove(c->engine, list[i].id, e);
		if (r == -EBUSY || r == -ENOENT) { /* used or gone meanwhile */
			r = 0;
			continue;
		}
		if (r >= 0)
			printf("%s%s\n", gone++ ? "" : "Deleted Networks:\n", list[i].name);
	}
	network_records_free(list, n);
	if (gone)
		puts("");
	return MIN(r, 0);
}

int cmd_network_prune(struct cli *c, struct err *e)
{
	struct network_args a = { 0 };
	int r = cli_parse(c, &a, 0, 0, e);

	if (r == 0 && (r = prune_asked("all networks that no container is on", a.force, e)) > 0)
		r = prune_networks(c, a.filters, e);
	opts_done(network_prune_options, &a);
	return MIN(r, 0);
}
