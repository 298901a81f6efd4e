/* pull.c: `berth pull`. */
#include "cli.h"
#include "registry_options.h"

struct pull_args {
	struct registry_trust trust;
	bool quiet;
	char *platform;
};
const struct opt pull_options[] = {
	{ "quiet", 'q', OPT_FLAG, offsetof(struct pull_args, quiet), NULL, "no progress" },
	{ "platform", 0, OPT_STRING, offsetof(struct pull_args, platform), "OS/ARCH[/VARIANT]",
	  "another platform than this host's" },
	REGISTRY_OPTIONS(struct pull_args, trust),
	{ NULL },
};

int cmd_pull(struct cli *c, struct err *e)
{
	struct pull_args a = { 0 };
	_cleanup_free_ char *id = NULL;
	struct ref ref;
	int r = cli_parse(c, &a, 1, 1, e);

	if (r == 0) {
		const struct pull_opts o = { .is_quiet = a.quiet, .trust = a.trust, .platform = a.platform };
		r = engine_pull(c->engine, c->operands[0], &o, &id, e);
		if (r >= 0)
			r = ref_parse(c->operands[0], NULL, &ref, e);
		if (r >= 0) {
			_cleanup_free_ char *whole = ref_str(&ref);
			ref_done(&ref);
			puts(whole ? whole : c->operands[0]); /* as docker: the whole name, for scripts */
		}
	}
	opts_done(pull_options, &a);
	return MIN(r, 0);
}
