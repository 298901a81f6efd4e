/* commands.c: the tables of commands.h, and finding a verb in them. */
#include "cli.h"

#define X(fn, words, topic, operands, summary, flags) { words, topic, operands, summary, flags, fn##_options, cmd_##fn },
const struct command commands[] = { COMMANDS(X) };
#undef X
const size_t n_commands = ARRAY_SIZE(commands);

enum {
#define X(fn, ...) AT_##fn,
	COMMANDS(X)
#undef X
};
#define A(words, fn) { words, &commands[AT_##fn] },
const struct command_alias command_aliases[] = { COMMAND_ALIASES(A) };
#undef A
const size_t n_command_aliases = ARRAY_SIZE(command_aliases);

static const struct command *find_words(const char *words)
{
	for (size_t i = 0; i < n_commands; i++) {
		if (streq(commands[i].name, words))
			return &commands[i];
	}
	for (size_t i = 0; i < n_command_aliases; i++) {
		if (streq(command_aliases[i].words, words))
			return command_aliases[i].command;
	}
	return NULL;
}

const struct command *command_find(int argc, char **argv, int *ret_words)
{
	if (argc > 1) {
		_cleanup_free_ char *two = str_fmt("%s %s", argv[0], argv[1]);
		const struct command *c = two ? find_words(two) : NULL;
		if (c) {
			*ret_words = 2;
			return c;
		}
	}
	*ret_words = 1;
	return strchr(argv[0], ' ') ? NULL : find_words(argv[0]);
}

bool command_is_group(const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i < n_commands; i++) {
		if (strncmp(commands[i].name, word, n) == 0 && commands[i].name[n] == ' ')
			return true;
	}
	return false;
}

/* Verbs of docker and podman that nothing here is the same as. */
static const struct {
	const char *words, *instead;
} elsewhere[] = {
	{ "checkpoint",
	  "`berth snapshot create` saves a running virtual machine; of containers `berth-runtime checkpoint` does" },
	{ "container checkpoint",
	  "`berth snapshot create` saves a running virtual machine; of containers `berth-runtime checkpoint` does" },
	{ "container restore",
	  "`berth restore` brings a saved virtual machine back; of containers `berth-runtime restore` does" },
	{ "container clone", "`berth fork` makes running copies of a virtual machine; `berth commit` an image of a container" },
	{ "network update", "`berth network rm` and `berth network create` make one with other options" },
	{ "untag", "`berth rmi NAME` takes a name from an image" },
	{ "image untag", "`berth rmi NAME` takes a name from an image" },
	{ "build", "this version builds no images; `berth load` and `berth pull` take those that other tools build" },
	{ "buildx", "this version builds no images; `berth load` and `berth pull` take those that other tools build" },
	{ "image build", "this version builds no images; `berth load` and `berth pull` take those that other tools build" },
};

static const char *find_instead(int argc, char **argv)
{
	for (size_t i = 0; i < ARRAY_SIZE(elsewhere); i++) {
		const char *rest = str_after(elsewhere[i].words, argv[0]);
		if (rest && (!*rest || (*rest == ' ' && argc > 1 && streq(rest + 1, argv[1]))))
			return elsewhere[i].instead;
	}
	return NULL;
}

int command_unknown(int argc, char **argv, struct err *e)
{
	const char *names[ARRAY_SIZE(commands) + ARRAY_SIZE(command_aliases)];
	_cleanup_free_ char *asked = NULL;
	bool group = command_is_group(argv[0]);
	size_t n = 0;

	for (size_t i = 0; i < n_commands; i++) {
		if (!(commands[i].flags & CMD_HIDDEN) && !!strchr(commands[i].name, ' ') <= group)
			names[n++] = commands[i].name;
	}
	for (size_t i = 0; group && i < n_command_aliases; i++)
		names[n++] = command_aliases[i].words;
	if (group && argc < 2)
		return err_set(e, EINVAL, "%s needs a verb, such as \"berth %s %s\"", argv[0], argv[0],
			       streq(argv[0], "system") ? "info" : "ls");
	asked = group ? str_fmt("%s %s", argv[0], argv[1]) : strdup(argv[0]);
	if (!asked)
		return err_set(e, ENOMEM, "out of memory");
	const char *instead = find_instead(argc, argv);
	if (instead)
		return err_set(e, EINVAL, "there is no \"%s\": %s", asked, instead);
	const char *near = nearest_word(asked, names, n);
	if (near)
		return err_set(e, EINVAL, "unknown command \"%s\"; did you mean \"berth %s\"?", asked, near);
	return err_set(e, EINVAL, "unknown command \"%s\"; \"berth --help\" lists the known ones", asked);
}
