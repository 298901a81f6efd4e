/* exec.c: `berth exec`. */
#include "run_args.h"

const struct opt exec_options[] = {
	{ "detach", 'd', OPT_FLAG, offsetof(struct exec_opts, is_detached), NULL, "do not wait for it" },
	{ "interactive", 'i', OPT_FLAG, offsetof(struct exec_opts, is_interactive), NULL, "pass our standard input on" },
	{ "tty", 't', OPT_FLAG, offsetof(struct exec_opts, has_tty), NULL, "give it a terminal" },
	{ "env", 'e', OPT_LIST, offsetof(struct exec_opts, env), "NAME[=VALUE]",
	  "set an environment variable; without value: pass ours on" },
	{ "user", 'u', OPT_STRING, offsetof(struct exec_opts, user), "USER[:GROUP]", "instead of the container's user" },
	{ "workdir", 'w', OPT_STRING, offsetof(struct exec_opts, workdir), "DIR", "working directory" },
	{ "privileged", 0, OPT_FLAG, offsetof(struct exec_opts, is_privileged), NULL, "with all capabilities" },
	{ "detach-keys", 0, OPT_STRING, offsetof(struct exec_opts, detach_keys), "KEYS",
	  "leave it with these keys (default ctrl-p,ctrl-q)" },
	{ NULL },
};

int cmd_exec(struct cli *c, struct err *e)
{
	struct exec_opts o = { 0 };
	struct exit_status st = { 0 };
	bool detached = false;
	int r = cli_parse(c, &o, 2, CLI_ANY, e);

	if (r == 0)
		r = env_complete(o.env, e);
	else
		r = r > 0 ? 1 : r;
	if (r == 0 && !o.is_detached)
		r = terminal_check(o.has_tty, o.is_interactive, e);
	if (r == 0) {
		o.command = c->operands + 1; /* borrowed: opts_done knows only the table's members */
		r = engine_exec(c->engine, c->operands[0], &o, &st, &detached, e);
		r = r < 0 ? r : o.is_detached || detached ? 0 : st.code;
	} else {
		r = MIN(r, 0);
	}
	opts_done(exec_options, &o);
	return r;
}
