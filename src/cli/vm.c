/* vm.c: `berth vm inspect`. */
#include "cli.h"
#include "output.h"

struct vm_args {
	char *format;
};
const struct opt vm_inspect_options[] = {
	{ "format", 'f', OPT_STRING, offsetof(struct vm_args, format), "FORMAT", "json, or a template such as {{.VMM}}" },
	{ NULL },
};

static int inspect_one(struct cli *c, const char *name, void *arg, struct err *e)
{
	const struct vm_args *a = arg;
	_cleanup_json_ struct json_object *o = NULL;
	int r = engine_vm_inspect(c->engine, name, &o, e);

	if (r < 0)
		return r;
	return a->format ? document_print(o, a->format, e) : document_print_lines(o, e);
}

int cmd_vm_inspect(struct cli *c, struct err *e)
{
	struct vm_args a = { NULL };
	int r = cli_parse(c, &a, 1, CLI_ANY, e);

	r = r == 0 ? cli_each(c, inspect_one, &a) : MIN(r, 0);
	opts_done(vm_inspect_options, &a);
	return r;
}
