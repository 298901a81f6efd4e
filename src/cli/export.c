/* export.c: `berth export`. */
#include "cli.h"

#include <unistd.h>

struct export_args {
	char *output;
};
const struct opt export_options[] = {
	{ "output", 'o', OPT_STRING, offsetof(struct export_args, output), "FILE", "write there; standard output by default" },
	{ NULL },
};

int cmd_export(struct cli *c, struct err *e)
{
	struct export_args a = { 0 };
	int r = cli_parse(c, &a, 1, 1, e);

	if (r == 0 && !a.output && isatty(STDOUT_FILENO))
		r = err_set(e, EINVAL, "standard output is a terminal; give a file with -o FILE or a pipe");
	if (r == 0)
		r = engine_export(c->engine, c->operands[0], a.output ? a.output : "-",
				  isatty(STDERR_FILENO) ? "Exporting" : NULL, e);
	opts_done(export_options, &a);
	return MIN(r, 0);
}
