/* port.c: `berth port`: there are no published ports yet, so there is nothing to list; a port that is asked for is not there. */
#include "cli.h"

const struct opt port_options[] = { { NULL } };

int cmd_port(struct cli *c, struct err *e)
{
	struct container_record rec = { 0 };
	int r = cli_parse(c, NULL, 1, 2, e);

	if (r == 0)
		r = engine_get(c->engine, c->operands[0], &rec, e);
	if (r == 0 && c->n_operands > 1)
		r = err_set(e, ENOENT, "no public port '%s%s' published for %s", c->operands[1],
			    strchr(c->operands[1], '/') ? "" : "/tcp", rec.name);
	container_record_done(&rec);
	return MIN(r, 0);
}
