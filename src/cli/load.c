/* load.c: `berth load` and `berth save`. */
#include "cli.h"

#include <unistd.h>

struct load_args {
	char *input;
	bool quiet;
};
const struct opt load_options[] = {
	{ "input", 'i', OPT_STRING, offsetof(struct load_args, input), "PATH",
	  "archive or OCI layout directory; standard input by default" },
	{ "quiet", 'q', OPT_FLAG, offsetof(struct load_args, quiet), NULL, "no progress" },
	{ NULL },
};

int cmd_load(struct cli *c, struct err *e)
{
	struct load_args a = { 0 };
	_cleanup_strv_ char **loaded = NULL;
	int r = cli_parse(c, &a, 0, 0, e);

	if (r == 0 && !a.input && isatty(STDIN_FILENO))
		r = err_set(e, EINVAL, "standard input is a terminal; give an archive with -i PATH or by a pipe");
	if (r == 0)
		r = engine_load(c->engine, a.input ? a.input : "-", a.quiet, &loaded, e);
	for (char **l = loaded; l && *l; l++)
		printf("Loaded image%s: %s\n", str_after(*l, "sha256:") ? " ID" : "", *l);
	opts_done(load_options, &a);
	return MIN(r, 0);
}

struct save_args {
	char *output, *format;
};
const struct opt save_options[] = {
	{ "output", 'o', OPT_STRING, offsetof(struct save_args, output), "PATH", "write there; standard output by default" },
	{ "format", 0, OPT_STRING, offsetof(struct save_args, format), "FORMAT",
	  "docker-archive (default), oci-archive or oci-dir" },
	{ NULL },
};

static int check_save(struct save_args *a, struct err *e)
{
	static const char *const formats[] = { "docker-archive", "oci-archive", "oci-dir" };

	if (a->format && streq(a->format, "oci")) { /* skopeo's word for a layout directory */
		free(a->format);
		a->format = strdup("oci-dir");
		if (!a->format)
			return err_set(e, ENOMEM, "out of memory");
	}
	bool known = !a->format;

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		known |= a->format && streq(a->format, formats[i]);
	if (!known)
		return err_set(e, EINVAL, "--format: \"%s\" is not known; docker-archive, oci-archive and oci-dir are",
			       a->format);
	if (!a->output && a->format && streq(a->format, "oci-dir"))
		return err_set(e, EINVAL, "--format oci-dir needs --output DIR");
	if (!a->output && isatty(STDOUT_FILENO))
		return err_set(e, EINVAL, "standard output is a terminal; give a file with -o PATH or a pipe");
	return 0;
}

int cmd_save(struct cli *c, struct err *e)
{
	struct save_args a = { 0 };
	int r = cli_parse(c, &a, 1, CLI_ANY, e);

	if (r == 0)
		r = check_save(&a, e);
	if (r == 0)
		r = engine_save(c->engine, c->operands, a.output ? a.output : "-", a.format ? a.format : "docker-archive", e);
	opts_done(save_options, &a);
	return MIN(r, 0);
}
