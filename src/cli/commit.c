/* commit.c: `berth commit` and `berth import`. */
#include "cli.h"

#include <stdlib.h>
#include <unistd.h>

#define ROW_CHANGE                                                                                                            \
	{                                                                                                                     \
		"change", 'c', OPT_LIST, offsetof(struct commit_opts, changes), "INSTRUCTION",                                \
			"a Dockerfile instruction for the image's configuration: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, " \
			"LABEL, "                                                                                             \
			"ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR"                                                          \
	}
#define ROW_MESSAGE                                                                                                      \
	{                                                                                                                \
		"message", 'm', OPT_STRING, offsetof(struct commit_opts, message), "TEXT", "kept in the image's history" \
	}

const struct opt commit_options[] = {
	{ "author", 'a', OPT_STRING, offsetof(struct commit_opts, author), "TEXT", "who made it" },
	ROW_CHANGE,
	ROW_MESSAGE,
	{ "pause", 'p', OPT_FLAG_OFF, offsetof(struct commit_opts, no_pause), NULL,
	  "let its processes stand still meanwhile (default); --pause=false does not" },
	{ NULL },
};
const struct opt import_options[] = { ROW_CHANGE, ROW_MESSAGE, { NULL } };

int cmd_commit(struct cli *c, struct err *e)
{
	struct commit_opts o = { 0 };
	_cleanup_free_ char *id = NULL;
	int r = cli_parse(c, &o, 1, 2, e);

	o.progress = isatty(STDERR_FILENO) ? "Committing" : NULL;
	if (r == 0)
		r = engine_commit(c->engine, c->operands[0], c->n_operands > 1 ? c->operands[1] : NULL, &o, &id, e);
	if (r == 0 && id)
		puts(id);
	opts_done(commit_options, &o);
	return MIN(r, 0);
}

int cmd_import(struct cli *c, struct err *e)
{
	struct commit_opts o = { 0 };
	_cleanup_free_ char *id = NULL;
	int r = cli_parse(c, &o, 1, 2, e);

	o.progress = isatty(STDERR_FILENO) ? "Importing" : NULL;
	if (r == 0 && streq(c->operands[0], "-") && isatty(STDIN_FILENO))
		r = err_set(e, EINVAL, "standard input is a terminal; give a tar by a pipe or a file");
	if (r == 0)
		r = engine_import(c->engine, c->operands[0], c->n_operands > 1 ? c->operands[1] : NULL, &o, &id, e);
	if (r == 0 && id)
		puts(id);
	opts_done(import_options, &o);
	return MIN(r, 0);
}
