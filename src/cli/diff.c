/* diff.c: `berth diff`. */
#include "cli.h"

const struct opt diff_options[] = { { NULL } };

int cmd_diff(struct cli *c, struct err *e)
{
	int r = cli_parse(c, NULL, 1, 1, e);

	if (r == 0)
		r = engine_diff(c->engine, c->operands[0], e);
	return MIN(r, 0);
}
