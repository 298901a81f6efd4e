/* rmi.c: `berth rmi`. */
#include "cli.h"

struct rmi_args {
	bool force, all, ignores, ignored;
};
const struct opt rmi_options[] = {
	{ "force", 'f', OPT_FLAG, offsetof(struct rmi_args, force), NULL,
	  "also when a container uses it; what does not exist is no error" },
	{ "all", 'a', OPT_FLAG, offsetof(struct rmi_args, all), NULL, "all images; name none" },
	{ "ignore", 'i', OPT_FLAG, offsetof(struct rmi_args, ignores), NULL, "what does not exist is no error" },
	{ "no-prune", 0, OPT_FLAG, offsetof(struct rmi_args, ignored), NULL, NULL },
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

	if (r == -ENOENT && a->ignores)
		return 0;
	if (r == -ENOENT && a->force) { /* docker: said, but no failure */
		cli_report(c, e);
		return 0;
	}
	return r;
}

static int take_all(struct cli *c, struct err *e)
{
	_cleanup_strv_ char **ids = NULL;
	struct image_record *list = NULL;
	size_t n = 0;
	int r;

	if (c->n_operands)
		return err_set(e, EINVAL, "--all names the images; leave \"%s\" out", c->operands[0]);
	r = records_image_list(store_records(engine_store(c->engine)), &list, &n, e);
	for (size_t i = 0; i < n; i++) {
		if (r >= 0 && strv_push(&ids, list[i].id) < 0)
			r = err_set(e, ENOMEM, "out of memory");
		image_record_done(&list[i]);
	}
	free(list);
	if (r < 0)
		return r;
	c->n_operands = (int)strv_len(ids);
	c->operands = c->picked = TAKE_PTR(ids);
	return 0;
}

int cmd_rmi(struct cli *c, struct err *e)
{
	struct rmi_args a = { 0 };
	int r = cli_parse(c, &a, 0, CLI_ANY, e);

	if (r == 0 && a.all)
		r = take_all(c, e);
	else if (r == 0 && !c->n_operands)
		r = err_set(e, EINVAL, "an operand is missing; usage: berth rmi [OPTION...] %s", c->command->operands);
	return r == 0 ? cli_each(c, rmi_one, &a) : MIN(r, 0);
}
