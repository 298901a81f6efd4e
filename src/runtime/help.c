/* help: see help.h. `__man TEMPLATE` prints the man page's source for scdoc: in the hand-written template the line @OPTIONS@ is
 * replaced by the global options, @VERBS@ by each verb with its own. Run by the build. */
#include "help.h"

#include <stdio.h>

#define TEMPLATE_MAX (256u << 10)

const struct opt man_options[] = { { NULL } };

void help_overall(FILE *f)
{
	fputs("Usage: berth-runtime [OPTION...] COMMAND ...\n\nRuns containers from OCI bundles, as runc does.\n\nCommands:\n",
	      f);
	for (size_t i = 0; i < n_verbs; i++)
		if (!(verbs[i].flags & VERB_HIDDEN))
			fprintf(f, "  %-10s  %s\n", verbs[i].name, verbs[i].summary);
	fputs("\nOptions:\n", f);
	opts_print_help(f, global_options);
}

void help_verb(const struct verb *v)
{
	printf("Usage: berth-runtime %s%s%s%s\n\n%c%s\n", v->name, v->options->name ? " [OPTION...]" : "",
	       *v->operands ? " " : "", v->operands, v->summary[0] - 'a' + 'A', v->summary + 1);
	if (v->options->name) {
		puts("\nOptions:");
		opts_print_help(stdout, v->options);
	}
}

static void put_verbs(void)
{
	for (size_t i = 0; i < n_verbs; i++) {
		const struct verb *v = &verbs[i];

		if (v->flags & VERB_HIDDEN)
			continue;
		printf("## %s%s ", v->name, v->options->name ? " [OPTION...]" : "");
		man_put_escaped(stdout, v->operands);
		printf("\n\n%c%s.\n\n", v->summary[0] - 'a' + 'A', v->summary + 1);
		opts_print_man(stdout, v->options);
	}
}

int verb_man(struct runtime *rt, union verb_opts *opts, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_strv_ char **lines = NULL;
	int r = file_read(AT_FDCWD, rt->operands[0], TEMPLATE_MAX, &text, NULL);

	(void)opts;
	if (r < 0)
		return err_set(e, -r, "%s: %s", rt->operands[0], strerror(-r));
	lines = strv_split(text, '\n');
	for (char **l = lines; l && *l; l++) {
		if (streq(*l, "@OPTIONS@"))
			opts_print_man(stdout, global_options);
		else if (streq(*l, "@VERBS@"))
			put_verbs();
		else if (l[1] || **l)
			puts(*l);
	}
	return lines ? 0 : err_set(e, ENOMEM, "out of memory");
}
