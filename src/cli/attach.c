/* attach.c: `berth attach`. */
#include "cli.h"

struct attach_args {
	bool no_stdin, no_sig_proxy;
	char *detach_keys;
	struct pick pick;
};
const struct opt attach_options[] = {
	{ "no-stdin", 0, OPT_FLAG, offsetof(struct attach_args, no_stdin), NULL, "do not pass our standard input on" },
	{ "sig-proxy", 0, OPT_FLAG_OFF, offsetof(struct attach_args, no_sig_proxy), NULL, "pass our signals on (default true)" },
	{ "detach-keys", 0, OPT_STRING, offsetof(struct attach_args, detach_keys), "KEYS",
	  "leave it with these keys (default ctrl-p,ctrl-q)" },
	PICK_LATEST(struct attach_args, 'l'),
	{ NULL },
};

int cmd_attach(struct cli *c, struct err *e)
{
	struct attach_args a = { 0 };
	struct exit_status st = { 0 };
	bool detached = false;
	int r = cli_parse(c, &a, 0, 1, e);

	if (r == 0)
		r = cli_pick(c, &a.pick, 0, 0, e);
	else
		r = r > 0 ? 1 : r;
	if (r == 0) {
		const struct start_opts o = {
			.attach = true, .want_stdin = !a.no_stdin, .sig_proxy = !a.no_sig_proxy, .detach_keys = a.detach_keys
		};
		r = engine_attach(c->engine, c->operands[0], &o, &st, &detached, e);
		r = r < 0 ? r : detached ? 0 : st.code;
	} else {
		r = MIN(r, 0);
	}
	opts_done(attach_options, &a);
	return r;
}
