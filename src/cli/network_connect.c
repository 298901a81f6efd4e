/* network_connect.c: `berth network connect`, `disconnect`. */
#include "cli.h"

struct connect_args {
	bool force;
	char *ip, *ip6, *mac, **aliases;
};
#define AT(member) offsetof(struct connect_args, member)
const struct opt network_connect_options[] = {
	{ "alias", 0, OPT_LIST, AT(aliases), "NAME", "one more name that it is found by on this network" },
	{ "ip", 0, OPT_STRING, AT(ip), "ADDRESS", "its IPv4 address there; any that is free otherwise" },
	{ "ip6", 0, OPT_STRING, AT(ip6), "ADDRESS", "its IPv6 address there" },
	{ "mac-address", 0, OPT_STRING, AT(mac), "MAC", "its hardware address there" },
	{ NULL },
};
const struct opt network_disconnect_options[] = {
	{ "force", 'f', OPT_FLAG, AT(force), NULL, "what does not exist, or is not connected, is no error" },
	{ NULL },
};

int cmd_network_connect(struct cli *c, struct err *e)
{
	struct connect_args a = { 0 };
	int r = cli_parse(c, &a, 2, 2, e);

	if (r == 0) {
		const struct engine_connect_opts o = { .ip = a.ip, .ip6 = a.ip6, .mac = a.mac, .aliases = a.aliases };
		r = engine_network_connect(c->engine, c->operands[0], c->operands[1], &o, e);
	}
	opts_done(network_connect_options, &a);
	return MIN(r, 0);
}

int cmd_network_disconnect(struct cli *c, struct err *e)
{
	struct connect_args a = { 0 };
	int r = cli_parse(c, &a, 2, 2, e);

	if (r == 0)
		r = engine_network_disconnect(c->engine, c->operands[0], c->operands[1], e);
	if (r == -ENOENT && a.force) {
		*e = (struct err){ 0 };
		r = 0;
	}
	return MIN(r, 0);
}
