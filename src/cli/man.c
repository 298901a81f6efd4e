/* man.c: the hidden `berth __man COMMAND TEMPLATE`: prints a man page's source (scdoc). The template is hand-written; the lines
 * @SYNOPSIS@ and @OPTIONS@ in it are replaced by what the tables say, and @COMMANDS@ by the list of commands.
 * Run by the build. COMMAND is a verb with '-' for ' ' ("image-prune"), or "berth". */
#include "cli.h"

const struct opt man_options[] = { { NULL } };

#define TEMPLATE_MAX (256u << 10)

static void put_synopsis(const struct command *c)
{
	printf("*berth %s*", c->name);
	if (c->options && c->options->name)
		fputs(" [_OPTION_...]", stdout);
	if (*c->operands) {
		fputs(" ", stdout);
		man_put_escaped(stdout, c->operands);
	}
	putchar('\n');
}

static void put_commands(void)
{
	for (size_t i = 0; i < n_commands; i++) {
		_cleanup_free_ char *page = strdup(commands[i].name);
		if (!page || commands[i].flags & CMD_HIDDEN)
			continue;
		for (char *c = page; *c; c++)
			*c = *c == ' ' ? '-' : *c;
		printf("*berth %s*\n\t", commands[i].name);
		man_put_escaped(stdout, commands[i].summary);
		printf("; see *berth-%s*(1).\n\n", page);
	}
}

static const struct command *find_page(const char *page)
{
	for (size_t i = 0; i < n_commands; i++) {
		const char *a = commands[i].name, *b = page;
		while (*a && (*a == *b || (*a == ' ' && *b == '-'))) {
			a++;
			b++;
		}
		if (!*a && !*b)
			return &commands[i];
	}
	return NULL;
}

int cmd_man(struct cli *c, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	const struct command *about;
	int r = cli_parse(c, NULL, 2, 2, e);

	if (r != 0)
		return MIN(r, 0);
	about = streq(c->operands[0], "berth") ? NULL : find_page(c->operands[0]);
	if (!about && !streq(c->operands[0], "berth"))
		return err_set(e, ENOENT, "there is no command for the page \"%s\"", c->operands[0]);
	r = file_read(AT_FDCWD, c->operands[1], TEMPLATE_MAX, &text, NULL);
	if (r < 0)
		return err_set(e, -r, "%s: %s", c->operands[1], strerror(-r));
	_cleanup_strv_ char **lines = strv_split(text, '\n');
	for (char **l = lines; l && *l; l++) {
		if (streq(*l, "@OPTIONS@"))
			opts_print_man(stdout, about ? about->options : global_options);
		else if (streq(*l, "@SYNOPSIS@") && about)
			put_synopsis(about);
		else if (streq(*l, "@COMMANDS@"))
			put_commands();
		else if (l[1] || **l)
			puts(*l);
	}
	return lines ? 0 : err_set(e, ENOMEM, "out of memory");
}
