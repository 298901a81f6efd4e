/* wait.c: `berth wait`. */
#include "cli.h"

const struct opt wait_options[] = { { NULL } };

static int wait_one(struct cli *c, const char *name, void *arg, struct err *e)
{
	int code, r = engine_wait(c->engine, name, &code, e);

	(void)arg;
	if (r >= 0)
		printf("%d\n", code);
	return r;
}

int cmd_wait(struct cli *c, struct err *e)
{
	int r = cli_parse(c, NULL, 1, CLI_ANY, e);

	return r == 0 ? cli_each(c, wait_one, NULL) : MIN(r, 0);
}
