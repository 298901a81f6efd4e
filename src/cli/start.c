/* start.c: `berth start` and `berth restart`. */
#include "cli.h"

struct start_args {
	bool attach, is_interactive, no_sig_proxy, all_restartable;
	char *detach_keys;
	struct pick pick;
};
const struct opt start_options[] = {
	{ "attach", 'a', OPT_FLAG, offsetof(struct start_args, attach), NULL, "show its output and wait for its end" },
	{ "interactive", 'i', OPT_FLAG, offsetof(struct start_args, is_interactive), NULL,
	  "pass our standard input on; implies --attach" },
	{ "sig-proxy", 0, OPT_FLAG_OFF, offsetof(struct start_args, no_sig_proxy), NULL, "pass our signals on (default true)" },
	{ "detach-keys", 0, OPT_STRING, offsetof(struct start_args, detach_keys), "KEYS",
	  "leave it with these keys (default ctrl-p,ctrl-q)" },
	{ "all-restartable", 0, OPT_FLAG, offsetof(struct start_args, all_restartable), NULL,
	  "what a restart policy wants to run, as after the host was started; names none" },
	PICK_ALL(struct start_args, 0),
	PICK_LATEST(struct start_args, 'l'),
	{ NULL },
};

static int start_one(struct cli *c, const char *name, void *arg, struct err *e)
{
	const struct start_opts o = { 0 };
	struct exit_status st;
	bool detached;
	int r = engine_start(c->engine, name, &o, &st, &detached, e);

	(void)arg;
	if (r >= 0)
		puts(name);
	return r;
}

static int start_attached(struct cli *c, const struct start_args *a, struct err *e)
{
	const struct start_opts o = {
		.attach = true, .want_stdin = a->is_interactive, .sig_proxy = !a->no_sig_proxy, .detach_keys = a->detach_keys
	};
	struct exit_status st = { 0 };
	bool detached = false;
	int r;

	if (c->n_operands != 1)
		return err_set(e, EINVAL, "one terminal can't be attached to %d containers; name one, or leave --attach out",
			       c->n_operands);
	r = engine_start(c->engine, c->operands[0], &o, &st, &detached, e);
	return r < 0 ? r : detached ? 0 : st.code;
}

/* One that can't be started must not keep the others from it. */
static int start_restartable(struct cli *c, const struct start_args *a, struct err *e)
{
	_cleanup_strv_ char **ids = NULL;
	int r;

	if (c->n_operands || a->attach || a->is_interactive || a->pick.all || a->pick.latest)
		return err_set(e, EINVAL, "--all-restartable takes no names, nor --all or --latest, and attaches to nothing");
	r = engine_restartable(c->engine, &ids, e);
	if (r < 0)
		return r;
	c->operands = ids;
	c->n_operands = (int)strv_len(ids);
	r = cli_each(c, start_one, NULL);
	c->operands = NULL;
	c->n_operands = 0;
	return r;
}

int cmd_start(struct cli *c, struct err *e)
{
	struct start_args a = { 0 };
	int r = cli_parse(c, &a, 0, CLI_ANY, e);

	if (r == 0 && !a.all_restartable && !a.pick.all && !a.pick.latest && !c->n_operands)
		r = err_set(e, EINVAL, "give at least one CONTAINER, --latest, --all or --all-restartable");
	else if (r == 0 && !a.all_restartable)
		r = cli_pick(c, &a.pick, PICK_DOWN, 0, e);
	if (r == 0 && a.all_restartable)
		r = start_restartable(c, &a, e);
	else if (r == 0)
		r = a.attach || a.is_interactive ? start_attached(c, &a, e) : cli_each(c, start_one, NULL);
	else
		r = MIN(r, 0);
	opts_done(start_options, &a);
	return r;
}

struct restart_args {
	int64_t timeout_s;
	char *signal;
	struct pick pick;
};
const struct opt restart_options[] = {
	{ "time", 't', OPT_SECONDS, offsetof(struct restart_args, timeout_s), "SECONDS",
	  "wait so long before it is killed (default 10)" },
	{ "timeout", 0, OPT_SECONDS, offsetof(struct restart_args, timeout_s), "SECONDS", NULL },
	{ "signal", 's', OPT_STRING, offsetof(struct restart_args, signal), "SIGNAL", "ask with this signal" },
	PICK_ALL(struct restart_args, 'a'),
	PICK_LATEST(struct restart_args, 'l'),
	{ NULL },
};

static int restart_one(struct cli *c, const char *name, void *arg, struct err *e)
{
	const struct restart_args *a = arg;
	int sig = a->signal ? signal_parse(a->signal) : 0, r;

	if (sig < 0)
		return err_set(e, EINVAL, "--signal: there is no signal \"%s\"", a->signal);
	r = engine_restart(c->engine, name, a->timeout_s, sig, e);
	if (r >= 0)
		puts(name);
	return r;
}

int cmd_restart(struct cli *c, struct err *e)
{
	struct restart_args a = { .timeout_s = SPEC_UNSET };
	int r = cli_parse(c, &a, 0, CLI_ANY, e);

	if (r == 0)
		r = cli_pick(c, &a.pick, PICK_ANY, 0, e);
	r = r == 0 ? cli_each(c, restart_one, &a) : MIN(r, 0);
	opts_done(restart_options, &a);
	return r;
}
