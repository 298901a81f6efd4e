/* completion.c: `berth completion bash`: a script that holds the tables as they are in this build. Names of containers and
 * images are asked for when they are needed. */
#include "cli.h"

const struct opt completion_options[] = { { NULL } };

static void put_words(const struct opt *table)
{
	for (const struct opt *o = table; o && o->name; o++) {
		if (o->help)
			printf("--%s ", o->name);
	}
}

static void put_table(const char *name, void (*put)(const struct command *c))
{
	printf("\tcase \"$verb\" in\n");
	for (size_t i = 0; i < n_commands; i++) {
		if (commands[i].flags & CMD_HIDDEN)
			continue;
		printf("\t\"%s\") %s=\"", commands[i].name, name);
		put(&commands[i]);
		printf("\" ;;\n");
	}
	for (size_t i = 0; i < n_command_aliases; i++) {
		printf("\t\"%s\") %s=\"", command_aliases[i].words, name);
		put(command_aliases[i].command);
		printf("\" ;;\n");
	}
	printf("\tesac\n");
}

static void put_command_options(const struct command *c) { put_words(c->options); }

/* What the operands are: the first word of the table's "CONTAINER...", "IMAGE ...". */
static void put_command_kind(const struct command *c)
{
	fputs(str_after(c->operands, "CONTAINER") ? "container"
	      : str_after(c->operands, "IMAGE")   ? "image"
	      : str_after(c->operands, "KERNEL")  ? "kernel"
	      : str_after(c->operands, "NAME")    ? "both"
						  : "",
	      stdout);
}

/* The first words of all commands, and the second words behind each group. */
static void put_verbs(void)
{
	for (size_t i = 0; i < n_commands; i++) {
		if (!(commands[i].flags & CMD_HIDDEN) && !strchr(commands[i].name, ' '))
			printf("%s ", commands[i].name);
	}
	printf("container image kernel system help ");
}

static void put_second_words(const char *group)
{
	for (size_t i = 0; i < n_commands; i++) {
		const char *rest = str_after(commands[i].name, group);
		if (rest && *rest == ' ')
			printf("%s ", rest + 1);
	}
	for (size_t i = 0; i < n_command_aliases; i++) {
		const char *rest = str_after(command_aliases[i].words, group);
		if (rest && *rest == ' ')
			printf("%s ", rest + 1);
	}
}

static void put_bash(void)
{
	static const char *const groups[] = { "container", "image", "kernel", "system" };

	printf("# bash completion for berth; \"source <(berth completion bash)\"\n"
	       "_berth() {\n"
	       "\tlocal cur=\"${COMP_WORDS[COMP_CWORD]}\" verb=\"\" words=\"\" kind=\"\" i\n"
	       "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	       "\t\t[[ ${COMP_WORDS[i]} == -* ]] && continue\n"
	       "\t\tverb=\"${COMP_WORDS[i]}\"\n"
	       "\t\tbreak\n"
	       "\tdone\n"
	       "\tif [[ -z $verb ]]; then\n"
	       "\t\twords=\"");
	put_verbs();
	put_words(global_options);
	printf("\"\n\t\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n\t\treturn\n\tfi\n\tcase \"$verb\" in\n");
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
		printf("\t%s)\n\t\tif ((COMP_CWORD == i + 1)); then\n\t\t\tCOMPREPLY=($(compgen -W \"", groups[i]);
		put_second_words(groups[i]);
		printf("\" -- \"$cur\"))\n\t\t\treturn\n\t\tfi\n\t\tverb=\"%s ${COMP_WORDS[i+1]}\" ;;\n", groups[i]);
	}
	printf("\tesac\n\tif [[ $cur == -* ]]; then\n");
	put_table("words", put_command_options);
	printf("\telse\n");
	put_table("kind", put_command_kind);
	printf("\tcase \"$kind\" in\n"
	       "\tcontainer) words=\"$(berth ps -a --format '{{.Names}}' 2>/dev/null)\" ;;\n"
	       "\timage) words=\"$(berth images --format '{{.Repository}}:{{.Tag}}' 2>/dev/null)\" ;;\n"
	       "\tkernel) words=\"$(berth kernel ls -q 2>/dev/null)\" ;;\n"
	       "\tboth) words=\"$(berth ps -a --format '{{.Names}}' 2>/dev/null) $(berth images --format "
	       "'{{.Repository}}:{{.Tag}}' 2>/dev/null)\" ;;\n"
	       "\tesac\n"
	       "\tfi\n"
	       "\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	       "\t[[ ${#COMPREPLY[@]} -eq 0 && -z $words ]] && COMPREPLY=($(compgen -f -- \"$cur\"))\n"
	       "}\n"
	       "complete -F _berth berth\n");
}

int cmd_completion(struct cli *c, struct err *e)
{
	int r = cli_parse(c, NULL, 1, 1, e);

	if (r != 0)
		return MIN(r, 0);
	if (!streq(c->operands[0], "bash"))
		return err_set(e, EINVAL, "there is no completion for \"%s\"; bash is the one", c->operands[0]);
	put_bash();
	return 0;
}
