/* opts_print: what help and man pages say of options, from the rows that read them. */
#include <string.h>

#include "opts.h"

/* "  -e, --env NAME=VALUE" */
static void option_title(const struct opt *o, char *buf, size_t n)
{
	char letter[5] = "    ";

	if (o->letter)
		snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	snprintf(buf, n, "%s--%s%s%s", letter, o->name, o->arg ? " " : "", o->arg ? o->arg : "");
}

void opts_print_help(FILE *f, const struct opt *table)
{
	char title[96];
	int width = 0;

	for (const struct opt *o = table; o && o->name; o++) {
		option_title(o, title, sizeof(title));
		if (o->help)
			width = MAX(width, (int)strlen(title));
	}
	for (const struct opt *o = table; o && o->name; o++) {
		if (!o->help)
			continue;
		option_title(o, title, sizeof(title));
		fprintf(f, "  %-*s  %s\n", width, title, o->help);
	}
}

void man_put_escaped(FILE *f, const char *s)
{
	/* A '-' at the beginning of a line would make a list. */
	if (*s == '-')
		fputc('\\', f);
	for (; *s; s++) {
		if (strchr("_*\\<>#~", *s))
			fputc('\\', f);
		fputc(*s, f);
	}
}

void opts_print_man(FILE *f, const struct opt *table)
{
	for (const struct opt *o = table; o && o->name; o++) {
		if (!o->help)
			continue;
		if (o->letter)
			fprintf(f, "*-%c*, ", o->letter);
		fputs("*--", f);
		man_put_escaped(f, o->name);
		fputs("*", f);
		if (o->arg) {
			fputs(" _", f);
			man_put_escaped(f, o->arg);
			fputs("_", f);
		}
		fputs("\n\t", f);
		man_put_escaped(f, o->help);
		fputs(".\n\n", f);
	}
}
