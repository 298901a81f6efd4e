/* port.c: `berth port`: where the ports of a container are published. */
#include "cli.h"

#include <stdio.h>

const struct opt port_options[] = { { NULL } };

static void print_address(const struct net_port *p)
{
	const char *ip = p->host_ip ? p->host_ip : "0.0.0.0";

	printf(strchr(ip, ':') ? "[%s]:%u\n" : "%s:%u\n", ip, p->host_port);
}

static int print_all(const struct ports *p)
{
	for (size_t i = 0; i < p->n; i++) {
		printf("%u/%s -> ", p->list[i].port, p->list[i].protocol);
		print_address(&p->list[i]);
	}
	return 0;
}

/* "80", "53/udp" */
static int print_one(const struct ports *p, const char *wanted, const char *name, struct err *e)
{
	_cleanup_free_ char *whole = strchr(wanted, '/') ? strdup(wanted) : str_fmt("%s/tcp", wanted);
	size_t found = 0;

	if (!whole)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < p->n; i++) {
		char key[24];

		snprintf(key, sizeof(key), "%u/%s", p->list[i].port, p->list[i].protocol);
		if (!streq(key, whole))
			continue;
		print_address(&p->list[i]);
		found++;
	}
	return found ? 0 : err_set(e, ENOENT, "no public port '%s' published for %s", whole, name);
}

int cmd_port(struct cli *c, struct err *e)
{
	struct container_record rec = { 0 };
	struct ports ports = { 0 };
	int r = cli_parse(c, NULL, 1, 2, e);

	if (r == 0)
		r = engine_get(c->engine, c->operands[0], &rec, e);
	if (r == 0)
		r = engine_container_ports(&rec, &ports, e);
	if (r == 0)
		r = c->n_operands > 1 ? print_one(&ports, c->operands[1], rec.name, e) : print_all(&ports);
	ports_done(&ports);
	container_record_done(&rec);
	return MIN(r, 0);
}
