/* stop.c: `berth stop`. */
#include "cli.h"

struct stop_args {
	int64_t timeout_s;
	char *signal;
	bool ignores;
	struct pick pick;
};
const struct opt stop_options[] = {
	{ "time", 't', OPT_SECONDS, offsetof(struct stop_args, timeout_s), "SECONDS",
	  "wait so long before it is killed (default 10); -1 = for ever" },
	{ "timeout", 0, OPT_SECONDS, offsetof(struct stop_args, timeout_s), "SECONDS", NULL },
	{ "signal", 's', OPT_STRING, offsetof(struct stop_args, signal), "SIGNAL",
	  "ask with this signal instead of the image's" },
	PICK_ALL(struct stop_args, 'a'),
	PICK_LATEST(struct stop_args, 'l'),
	{ "ignore", 'i', OPT_FLAG, offsetof(struct stop_args, ignores), NULL, "what does not exist is no error" },
	{ NULL },
};

static int stop_one(struct cli *c, const char *name, void *arg, struct err *e)
{
	const struct stop_args *a = arg;
	int sig = a->signal ? signal_parse(a->signal) : 0, r;

	if (sig < 0)
		return err_set(e, EINVAL, "--signal: there is no signal \"%s\"", a->signal);
	r = engine_stop(c->engine, name, a->timeout_s, sig, e);
	if (r == -ENOENT && a->ignores)
		return 0;
	if (r >= 0)
		puts(name);
	return r;
}

int cmd_stop(struct cli *c, struct err *e)
{
	struct stop_args a = { .timeout_s = SPEC_UNSET };
	int r = cli_parse(c, &a, 0, CLI_ANY, e);

	if (r == 0)
		r = cli_pick(c, &a.pick, PICK_UP, 0, e);
	r = r == 0 ? cli_each(c, stop_one, &a) : MIN(r, 0);
	opts_done(stop_options, &a);
	return r;
}
