/* network_reload.c: `berth network reload`. */
#include "cli.h"

struct reload_args {
	struct pick pick;
};
const struct opt network_reload_options[] = {
	PICK_ALL(struct reload_args, 'a'),
	PICK_LATEST(struct reload_args, 'l'),
	{ NULL },
};

/* Of all, those that have no network of their own, or have just ended, are none that were meant. */
static int reload_one(struct cli *c, const char *name, void *arg, struct err *e)
{
	const struct reload_args *a = arg;
	_cleanup_free_ char *id = NULL;
	int r = engine_network_reload(c->engine, name, &id, e);

	if (r >= 0)
		puts(id);
	return a->pick.all && (r == -ESRCH || r == -ENONET || r == -ENOENT) ? 0 : r;
}

int cmd_network_reload(struct cli *c, struct err *e)
{
	struct reload_args a = { 0 };
	int r = cli_parse(c, &a, 0, CLI_ANY, e);

	if (r == 0)
		r = cli_pick(c, &a.pick, 1u << CS_RUNNING | 1u << CS_PAUSED, 0, e);
	return r == 0 ? cli_each(c, reload_one, &a) : MIN(r, 0);
}
