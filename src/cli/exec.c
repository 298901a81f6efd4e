/* exec.c: `berth exec`. */
#include "run_args.h"

struct exec_args {
	struct exec_opts o;
	char **env_files;
	struct pick pick;
};
#define AT(member) offsetof(struct exec_args, o.member)
const struct opt exec_options[] = {
	{ "detach", 'd', OPT_FLAG, AT(is_detached), NULL, "do not wait for it" },
	{ "interactive", 'i', OPT_FLAG, AT(is_interactive), NULL, "pass our standard input on" },
	{ "tty", 't', OPT_FLAG, AT(has_tty), NULL, "give it a terminal" },
	{ "env", 'e', OPT_LIST, AT(env), "NAME[=VALUE]", "set an environment variable; without value: pass ours on" },
	{ "env-file", 0, OPT_LIST, offsetof(struct exec_args, env_files), "FILE", "set the variables of a file" },
	{ "user", 'u', OPT_STRING, AT(user), "USER[:GROUP]", "instead of the container's user" },
	{ "workdir", 'w', OPT_STRING, AT(workdir), "DIR", "working directory" },
	{ "privileged", 0, OPT_FLAG, AT(is_privileged), NULL, "with all capabilities" },
	{ "detach-keys", 0, OPT_STRING, AT(detach_keys), "KEYS", "leave it with these keys (default ctrl-p,ctrl-q)" },
	PICK_LATEST(struct exec_args, 'l'),
	{ NULL },
};

static int check(struct cli *c, struct exec_args *a, struct err *e)
{
	int r = cli_pick(c, &a->pick, 0, CLI_ANY, e);

	if (r >= 0 && c->n_operands < 2)
		r = err_set(e, EINVAL, "an operand is missing; usage: berth exec [OPTION...] %s", c->command->operands);
	if (r >= 0)
		r = env_files_prepend(a->env_files, &a->o.env, e);
	if (r >= 0)
		r = env_complete(a->o.env, e);
	return r >= 0 && !a->o.is_detached ? terminal_check(a->o.has_tty, a->o.is_interactive, e) : r;
}

int cmd_exec(struct cli *c, struct err *e)
{
	struct exec_args a = { 0 };
	struct exit_status st = { 0 };
	bool detached = false;
	int r = cli_parse(c, &a, 0, CLI_ANY, e);

	if (r == 0)
		r = check(c, &a, e);
	else
		r = r > 0 ? 1 : r;
	if (r == 0) {
		a.o.command = c->operands + 1; /* borrowed: opts_done knows only the table's members */
		r = engine_exec(c->engine, c->operands[0], &a.o, &st, &detached, e);
		r = r < 0 ? r : a.o.is_detached || detached ? 0 : st.code;
	} else {
		r = MIN(r, 0);
	}
	opts_done(exec_options, &a);
	return r;
}
