/* fork.c: `berth restore` and `berth fork`: virtual machines that go on where another one is or was. */
#include "cli.h"

struct fork_args {
	char *name;
	int64_t count;
	bool quiet;
};
const struct opt restore_options[] = {
	{ "name", 0, OPT_STRING, offsetof(struct fork_args, name), "NAME", "the new VM's name (default: one is made up)" },
	{ NULL },
};
const struct opt fork_options[] = {
	{ "count", 'n', OPT_I64, offsetof(struct fork_args, count), "N", "how many (default 1)" },
	{ "name", 0, OPT_STRING, offsetof(struct fork_args, name), "NAME",
	  "the new VM's name; of several NAME-1, NAME-2 and so on (default: made up)" },
	{ "quiet", 'q', OPT_FLAG, offsetof(struct fork_args, quiet), NULL, "do not say how long the VM was paused" },
	{ NULL },
};

int cmd_restore(struct cli *c, struct err *e)
{
	struct fork_args a = { 0 };
	_cleanup_free_ char *id = NULL;
	int r = cli_parse(c, &a, 1, 1, e);

	if (r == 0)
		r = engine_restore(c->engine, c->operands[0], a.name, &id, e);
	if (id)
		puts(id);
	opts_done(restore_options, &a);
	return MIN(r, 0);
}

static int fork_all(struct cli *c, const struct fork_args *a, struct err *e)
{
	const struct fork_opts o = { .count = (unsigned)a->count, .name = a->name };
	_cleanup_strv_ char **ids = NULL;
	uint64_t pause_us = 0;
	int r;

	if (a->count < 1 || a->count > (int64_t)FORK_MAX)
		return err_set(e, EINVAL, "--count %lld: 1 to %u", (long long)a->count, FORK_MAX);
	r = engine_fork(c->engine, c->operands[0], &o, &ids, &pause_us, e);
	if (r < 0)
		return r;
	for (char **id = ids; id && *id; id++)
		puts(*id);
	if (!a->quiet)
		fprintf(stderr, "%s stood still for %.1f ms\n", c->operands[0], (double)pause_us / 1000);
	return 0;
}

int cmd_fork(struct cli *c, struct err *e)
{
	struct fork_args a = { .count = 1 };
	int r = cli_parse(c, &a, 1, 1, e);

	if (r == 0)
		r = fork_all(c, &a, e);
	opts_done(fork_options, &a);
	return MIN(r, 0);
}
