/* top.c: `berth top`. */
#include "cli.h"

struct top_args {
	struct pick pick;
};
const struct opt top_options[] = {
	PICK_LATEST(struct top_args, 'l'),
	{ NULL },
};

int cmd_top(struct cli *c, struct err *e)
{
	struct top_args a = { 0 };
	int r = cli_parse(c, &a, 0, CLI_ANY, e);

	if (r == 0)
		r = cli_pick(c, &a.pick, 0, CLI_ANY, e);
	if (r == 0)
		r = engine_top(c->engine, c->operands[0], c->operands + 1, e);
	return MIN(r, 0);
}
