/* pause.c: `berth pause` and `berth unpause`. */
#include "cli.h"

struct pause_args {
	struct pick pick;
};
const struct opt pause_options[] = {
	PICK_ALL(struct pause_args, 'a'),
	PICK_LATEST(struct pause_args, 'l'),
	{ NULL },
};
const struct opt unpause_options[] = {
	PICK_ALL(struct pause_args, 'a'),
	PICK_LATEST(struct pause_args, 'l'),
	{ NULL },
};

static int pause_one(struct cli *c, const char *name, void *arg, struct err *e)
{
	const bool *on = arg;
	int r = engine_pause(c->engine, name, *on, e);

	if (r >= 0)
		puts(name);
	return r;
}

static int pause_each(struct cli *c, bool on, struct err *e)
{
	struct pause_args a = { 0 };
	int r = cli_parse(c, &a, 0, CLI_ANY, e);

	if (r == 0)
		r = cli_pick(c, &a.pick, on ? 1u << CS_RUNNING : 1u << CS_PAUSED, 0, e);
	return r == 0 ? cli_each(c, pause_one, &on) : MIN(r, 0);
}

int cmd_pause(struct cli *c, struct err *e) { return pause_each(c, true, e); }
int cmd_unpause(struct cli *c, struct err *e) { return pause_each(c, false, e); }
