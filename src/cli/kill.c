/* kill.c: `berth kill`. */
#include "cli.h"

struct kill_args {
	char *signal;
	struct pick pick;
};
const struct opt kill_options[] = {
	{ "signal", 's', OPT_STRING, offsetof(struct kill_args, signal), "SIGNAL", "name or number (default KILL)" },
	PICK_ALL(struct kill_args, 'a'),
	PICK_LATEST(struct kill_args, 'l'),
	{ NULL },
};

static int kill_one(struct cli *c, const char *name, void *arg, struct err *e)
{
	const struct kill_args *a = arg;
	int sig = signal_parse(a->signal ? a->signal : "KILL"), r;

	if (sig < 0)
		return err_set(e, EINVAL, "--signal: there is no signal \"%s\"", a->signal);
	r = engine_kill(c->engine, name, sig, e);
	if (r >= 0)
		puts(name);
	return r;
}

int cmd_kill(struct cli *c, struct err *e)
{
	struct kill_args a = { 0 };
	int r = cli_parse(c, &a, 0, CLI_ANY, e);

	if (r == 0)
		r = cli_pick(c, &a.pick, PICK_UP, 0, e);
	r = r == 0 ? cli_each(c, kill_one, &a) : MIN(r, 0);
	opts_done(kill_options, &a);
	return r;
}
