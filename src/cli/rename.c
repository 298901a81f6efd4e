/* rename.c: `berth rename`. */
#include "cli.h"

const struct opt rename_options[] = { { NULL } };

int cmd_rename(struct cli *c, struct err *e)
{
	int r = cli_parse(c, NULL, 2, 2, e);

	if (r == 0)
		r = engine_rename(c->engine, c->operands[0], c->operands[1], e);
	return MIN(r, 0);
}
