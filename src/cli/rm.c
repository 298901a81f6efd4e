/* rm.c: `berth rm`. */
#include "cli.h"

struct rm_args {
	bool force, volumes, ignores;
	struct pick pick;
};
const struct opt rm_options[] = {
	{ "force", 'f', OPT_FLAG, offsetof(struct rm_args, force), NULL,
	  "kill what still runs; what does not exist is no error" },
	{ "volumes", 'v', OPT_FLAG, offsetof(struct rm_args, volumes), NULL, "also remove its anonymous volumes" },
	{ "ignore", 'i', OPT_FLAG, offsetof(struct rm_args, ignores), NULL, "what does not exist is no error" },
	PICK_ALL(struct rm_args, 'a'),
	PICK_LATEST(struct rm_args, 'l'),
	{ NULL },
};

static int rm_one(struct cli *c, const char *name, void *arg, struct err *e)
{
	const struct rm_args *a = arg;
	int r = engine_remove(c->engine, name, a->force, a->volumes, e);

	if (r == -ENOENT && a->ignores)
		return 0;
	if (r == -ENOENT && a->force) { /* docker: said, but no failure */
		cli_report(c, e);
		return 0;
	}
	if (r >= 0)
		puts(name);
	return r;
}

int cmd_rm(struct cli *c, struct err *e)
{
	struct rm_args a = { 0 };
	int r = cli_parse(c, &a, 0, CLI_ANY, e);

	if (r == 0)
		r = cli_pick(c, &a.pick, PICK_ANY, 0, e);
	return r == 0 ? cli_each(c, rm_one, &a) : MIN(r, 0);
}
