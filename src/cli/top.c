/* top.c: `berth top`. */
#include "cli.h"

const struct opt top_options[] = { { NULL } };

int cmd_top(struct cli *c, struct err *e)
{
	int r = cli_parse(c, NULL, 1, CLI_ANY, e);

	if (r == 0)
		r = engine_top(c->engine, c->operands[0], c->operands + 1, e);
	return MIN(r, 0);
}
