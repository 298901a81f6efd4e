/* create.c: `berth create`. */
#include "run_more.h"

const struct opt create_options[] = {
	RUN_OPTION_ROWS,
	RUN_MORE_ROWS,
	{ NULL },
};

int cmd_create(struct cli *c, struct err *e)
{
	_cleanup_(run_args_done) struct run_args a;
	_cleanup_free_ char *id = NULL;
	int r;

	run_args_init(&a);
	r = cli_parse(c, &a, 1, CLI_ANY, e);
	if (r != 0)
		return MIN(r, 0);
	r = run_args_finish(&a, c, e);
	if (r >= 0)
		r = engine_create(c->engine, &a.o, &id, e);
	if (r < 0)
		return r;
	puts(id);
	return 0;
}
