/* rmi.c: `berth rmi`. */
#include "cli.h"

struct rmi_args {
	bool force;
};
const struct opt rmi_options[] = {
	{ "force", 'f', OPT_FLAG, offsetof(struct rmi_args, force), NULL,
	  "also when a container uses it; what does not exist is no error" },
	{ NULL },
};

static void print_line(const char *line, void *arg)
{
	(void)arg;
	puts(line);
}

static int rmi_one(struct cli *c, const char *name, void *arg, struct err *e)
{
	const struct rmi_args *a = arg;
	int r = image_remove(engine_store(c->engine), name, a->force, print_line, NULL, e);

	if (r == -ENOENT && a->force) { /* docker: said, but no failure */
		cli_report(c, e);
		return 0;
	}
	return r;
}

int cmd_rmi(struct cli *c, struct err *e)
{
	struct rmi_args a = { 0 };
	int r = cli_parse(c, &a, 1, CLI_ANY, e);

	return r == 0 ? cli_each(c, rmi_one, &a) : MIN(r, 0);
}
