/* help.c: help, completion and the generated parts of man pages, all from the tables of commands and options. */
#include "cli.h"

static const char *const topics[] = {
	[TOPIC_RUN] = "Containers and virtual machines",
	[TOPIC_POD] = "Pods",
	[TOPIC_VM] = "Virtual machines",
	[TOPIC_NETWORK] = "Networks",
	[TOPIC_VOLUME] = "Volumes",
	[TOPIC_IMAGE] = "Images",
	[TOPIC_SYSTEM] = "System",
};
_Static_assert(ARRAY_SIZE(topics) == TOPIC_COUNT, "every topic needs its title");

void help_overall(FILE *f)
{
	fputs("Usage: berth [OPTION...] COMMAND ...\n\n"
	      "One OCI image, run as a container (berth run IMAGE) or as a virtual machine\n"
	      "(berth run --isolation vm IMAGE).\n",
	      f);
	for (int t = 0; t < TOPIC_COUNT; t++) {
		fprintf(f, "\n%s:\n", topics[t]);
		for (size_t i = 0; i < n_commands; i++) {
			if ((int)commands[i].topic == t && !(commands[i].flags & CMD_HIDDEN))
				fprintf(f, "  %-16s  %s\n", commands[i].name, commands[i].summary);
		}
	}
	fputs("\nOptions:\n", f);
	opts_print_help(f, global_options);
	fputs("\n\"berth COMMAND --help\" tells more about a command; \"container ls\", \"image rm\" and such work as well.\n",
	      f);
}

void help_group(FILE *f, const char *group)
{
	const char *rest;

	fprintf(f, "Usage: berth %s COMMAND ...\n\nCommands:\n", group);
	for (size_t i = 0; i < n_commands; i++)
		if ((rest = str_after(commands[i].name, group)) && *rest == ' ')
			fprintf(f, "  %-10s  %s\n", rest + 1, commands[i].summary);
	for (size_t i = 0; i < n_command_aliases; i++)
		if ((rest = str_after(command_aliases[i].words, group)) && *rest == ' ')
			fprintf(f, "  %-10s  %s; the same as berth %s\n", rest + 1, command_aliases[i].command->summary,
				command_aliases[i].command->name);
	fprintf(f, "\n\"berth %s COMMAND --help\" tells more about a command.\n", group);
}

void help_command(FILE *f, const struct command *c)
{
	fprintf(f, "Usage: berth %s%s%s%s\n\n%c%s\n", c->name, c->options && c->options->name ? " [OPTION...]" : "",
		*c->operands ? " " : "", c->operands, c->summary[0] - 'a' + 'A', c->summary + 1);
	if (c->options && c->options->name) {
		fputs("\nOptions:\n", f);
		opts_print_help(f, c->options);
	}
}
