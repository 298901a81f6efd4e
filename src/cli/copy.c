/* copy.c: `berth cp`. */
#include "cli.h"

#include <stdlib.h>
#include <unistd.h>

struct cp_args {
	bool archive, follow_link, quiet;
};
const struct opt cp_options[] = {
	{ "archive", 'a', OPT_FLAG, offsetof(struct cp_args, archive), NULL,
	  "keep owner and group by their numbers, with set-id bits; else what is copied out is the caller's own, what is copied "
	  "in "
	  "the container's root's" },
	{ "follow-link", 'L', OPT_FLAG, offsetof(struct cp_args, follow_link), NULL,
	  "copy what a symlink given as source leads to" },
	{ "quiet", 'q', OPT_FLAG, offsetof(struct cp_args, quiet), NULL, "say nothing; so it is where no terminal is" },
	{ NULL },
};

/* "CONTAINER:PATH" -> 1 and both; a path of this host: 0. As docker: what begins with "/" or "." is a path, whatever it contains. */
static int split(const char *arg, char **ret_container, const char **ret_path, struct err *e)
{
	const char *colon = strchr(arg, ':');

	*ret_path = arg;
	if (*arg == '/' || *arg == '.' || !colon)
		return 0;
	if (colon == arg)
		return err_set(e, EINVAL, "\"%s\" names no container", arg);
	if (!(*ret_container = strndup(arg, (size_t)(colon - arg))))
		return err_set(e, ENOMEM, "out of memory");
	*ret_path = colon + 1;
	return 1;
}

static int check_streams(const struct copy_opts *o, struct err *e)
{
	if (streq(o->source, "-") && o->is_out)
		return err_set(e, EINVAL, "\"-\" is no path in a container");
	if (o->is_out && streq(o->dest, "-") && isatty(STDOUT_FILENO))
		return err_set(e, EINVAL, "standard output is a terminal; send the tar to a file or a pipe");
	if (!o->is_out && streq(o->source, "-") && isatty(STDIN_FILENO))
		return err_set(e, EINVAL, "standard input is a terminal; give a tar by a pipe or a file");
	return 0;
}

static int copy(struct cli *c, const struct cp_args *a, struct err *e)
{
	_cleanup_free_ char *from = NULL, *to = NULL;
	bool is_quiet = a->quiet || !isatty(STDERR_FILENO);
	struct copy_opts o = { .keeps_owner = a->archive, .follows_link = a->follow_link };
	uint64_t bytes = 0;
	char size[16];
	int r = 0;

	for (int i = 0; i < 2 && r >= 0; i++)
		if (!*c->operands[i])
			r = err_set(e, EINVAL, i ? "destination can not be empty" : "source can not be empty");
	if (r >= 0)
		r = split(c->operands[0], &from, &o.source, e);
	if (r >= 0)
		r = split(c->operands[1], &to, &o.dest, e);
	if (r < 0)
		return r;
	if (from && to)
		return err_set(e, EOPNOTSUPP,
			       "copying between containers is not supported; use \"berth cp %s - | berth cp - %s\"",
			       c->operands[0], c->operands[1]);
	if (!from && !to)
		return err_set(e, EINVAL, "must specify at least one container source: CONTAINER:PATH");
	o.is_out = from;
	o.progress = is_quiet ? NULL : o.is_out ? "Copying from container -" : "Copying to container -";
	r = check_streams(&o, e);
	if (r >= 0)
		r = engine_copy(c->engine, from ? from : to, &o, &bytes, e);
	if (r >= 0 && !is_quiet && !(o.is_out && streq(o.dest, "-")))
		fprintf(stderr, "Successfully copied %s to %s\n", str_human_size(bytes, size), c->operands[1]);
	return r;
}

int cmd_cp(struct cli *c, struct err *e)
{
	struct cp_args a = { 0 };
	int r = cli_parse(c, &a, 2, 2, e);

	if (r == 0)
		r = copy(c, &a, e);
	opts_done(cp_options, &a);
	return MIN(r, 0);
}
