/* run.c: `berth run`. */
#include <strings.h>

#include "run_more.h"

static int set_attach(void *args, const char *value, struct err *e)
{
	static const struct {
		const char *name;
		unsigned bit;
	} streams[] = { { "stdin", ATTACH_STDIN }, { "stdout", ATTACH_STDOUT }, { "stderr", ATTACH_STDERR } };
	struct run_args *a = args;

	for (size_t i = 0; i < ARRAY_SIZE(streams); i++)
		if (strcasecmp(streams[i].name, value) == 0) {
			a->o.attach |= streams[i].bit;
			return 0;
		}
	return err_set(e, EINVAL, "\"%s\" is not stdin, stdout or stderr", value);
}

const struct opt run_options[] = {
	{ "detach", 'd', OPT_FLAG, RUN_AT(is_detached), NULL, "leave it running and print its id" },
	RUN_OPTION_ROWS,
	RUN_MORE_ROWS,
	{ "attach", 'a', OPT_STRING, 0, "STREAM", "only stdin, stdout or stderr; may be given again (default all of them)",
	  set_attach },
	{ "sig-proxy", 0, OPT_FLAG_OFF, RUN_AT(no_sig_proxy), NULL, "pass our signals on (default true)" },
	{ "detach-keys", 0, OPT_STRING, RUN_AT(detach_keys), "KEYS", "leave it with these keys (default ctrl-p,ctrl-q)" },
	{ NULL },
};

/* Once, before anything runs: what the user should know about the wall that was chosen, such as an emulated machine. */
int run_print_note(const char *isolation, struct err *e)
{
	const struct isolation_ops *ops;
	_cleanup_free_ char *note = NULL;
	struct host h = { 0 };
	int r;

	if (!isolation || streq(isolation, "container"))
		return 0;
	r = isolation_find(isolation, &ops, e);
	if (r >= 0)
		r = host_probe(&h, e);
	if (r < 0)
		return r;
	r = ops->available(&h, &note, e);
	host_done(&h);
	if (r >= 0 && note)
		fprintf(stderr, "berth: %s\n", note);
	return r;
}

int cmd_run(struct cli *c, struct err *e)
{
	_cleanup_(run_args_done) struct run_args a;
	_cleanup_free_ char *id = NULL;
	struct exit_status st = { 0 };
	bool detached = false;
	int r;

	run_args_init(&a);
	r = cli_parse(c, &a, 1, CLI_ANY, e);
	if (r != 0)
		return MIN(r, 0);
	r = run_args_finish(&a, c, e);
	if (r >= 0 && a.o.is_detached && a.o.attach)
		r = err_set(e, EINVAL, "conflicting options: -a and -d");
	if (r >= 0 && !a.o.is_detached)
		r = terminal_check(a.o.has_tty, a.o.is_interactive, e);
	if (r >= 0)
		r = run_print_note(a.o.isolation, e);
	if (r >= 0)
		r = engine_run(c->engine, &a.o, &id, &st, &detached, e);
	if (r < 0)
		return r;
	if (a.o.is_detached)
		puts(id);
	return a.o.is_detached || detached ? 0 : st.code;
}
