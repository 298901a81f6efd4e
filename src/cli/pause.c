/* pause.c: `berth pause` and `berth unpause`. */
#include "cli.h"

const struct opt pause_options[] = { { NULL } };
const struct opt unpause_options[] = { { NULL } };

static int pause_one(struct cli *c, const char *name, void *arg, struct err *e)
{
	const bool *on = arg;
	int r = engine_pause(c->engine, name, *on, e);

	if (r >= 0)
		puts(name);
	return r;
}

static int pause_all(struct cli *c, bool on, struct err *e)
{
	int r = cli_parse(c, NULL, 1, CLI_ANY, e);

	return r == 0 ? cli_each(c, pause_one, &on) : MIN(r, 0);
}

int cmd_pause(struct cli *c, struct err *e) { return pause_all(c, true, e); }
int cmd_unpause(struct cli *c, struct err *e) { return pause_all(c, false, e); }
