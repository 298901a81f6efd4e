/* complete.c: the hidden `berth __complete -- WORD...`, which the scripts of completion.c ask. The words are the command line behind
 * "berth" up to the cursor; the last one is what there is of the word to complete, maybe "". Prints what could stand there (suggest_put),
 * and last a line of its own: ":files", ":directories" or ":", for what else fits. All of it is read from the tables of commands. */
#include "complete.h"

const struct opt complete_options[] = { { NULL } };

/* What the words before the cursor have said. */
struct question {
	const char *root;              /* --root, here or there */
	const char *group;             /* "pod", while its second word is missing */
	const struct command *command; /* NULL while there is none */
	const struct opt *open;        /* this option's value comes next */
	unsigned n_operands;
	bool is_help, is_lost; /* "help COMMAND"; no such command */
	bool is_ended;         /* no options any more */
};

/* ---- reading ---- */

static bool takes_value(const struct opt *o) { return o->type != OPT_FLAG && o->type != OPT_FLAG_OFF; }

static const struct opt *by_name(const struct opt *table, const char *name, size_t len)
{
	for (const struct opt *o = table; o && o->name; o++)
		if (strlen(o->name) == len && strncmp(o->name, name, len) == 0)
			return o;
	return NULL;
}

static const struct opt *by_letter(const struct opt *table, char letter)
{
	for (const struct opt *o = table; o && o->name; o++)
		if (o->letter && o->letter == letter)
			return o;
	return NULL;
}

static const struct opt *options_of(const struct question *q) { return q->command ? q->command->options : global_options; }

static void read_option(struct question *q, const char *word)
{
	const struct opt *o;
	const char *name = str_after(word, "--"), *equal = strchr(word, '=');

	if (!name) { /* letters: the last one may want a value, one before it has the rest for its own */
		for (const char *l = word + 1; *l && (o = by_letter(options_of(q), *l)); l++)
			if (takes_value(o)) {
				q->open = l[1] ? NULL : o;
				return;
			}
		return;
	}
	o = by_name(options_of(q), name, equal ? (size_t)(equal - name) : strlen(name));
	if (!o || !takes_value(o))
		return;
	if (!equal)
		q->open = o;
	else if (!q->command && streq(o->name, "root"))
		q->root = equal + 1;
}

static void read_verb(struct question *q, char *word)
{
	char group[32];
	char *one[] = { word, NULL }, *two[] = { group, word, NULL };
	int words;

	if (q->group) {
		snprintf(group, sizeof(group), "%s", q->group);
		q->command = command_find(2, two, &words);
		if (q->command && words != 2)
			q->command = NULL;
		q->group = NULL;
	} else {
		q->command = command_find(1, one, &words);
		if (!q->command && command_is_group(word)) {
			q->group = word;
			return;
		}
		if (!q->command && !q->is_help && streq(word, "help")) {
			q->is_help = true;
			return;
		}
	}
	q->is_lost = !q->command;
}

static void read_words(struct question *q, char *const *words, int n)
{
	for (int i = 0; i < n && !q->is_lost; i++) {
		if (q->open) {
			if (!q->command && streq(q->open->name, "root"))
				q->root = words[i];
			q->open = NULL;
		} else if (!q->is_ended && words[i][0] == '-' && words[i][1]) {
			if (streq(words[i], "--"))
				q->is_ended = true;
			else
				read_option(q, words[i]);
		} else if (!q->command) {
			read_verb(q, words[i]);
		} else {
			q->n_operands++;
			q->is_ended |= q->command->flags & CMD_STOP;
		}
	}
}

/* ---- answering ---- */

static void put_options(const struct suggest *s, const struct opt *table)
{
	for (const struct opt *o = table; o && o->name; o++) {
		_cleanup_free_ char *word = str_fmt("--%s", o->name);

		if (word && o->help)
			suggest_put(s, word, o->help);
	}
	suggest_put(s, "--help", "print what it does and its options");
}

static void put_verbs(const struct suggest *s, bool is_help)
{
	for (size_t i = 0; i < n_commands; i++) {
		const char *space = strchr(commands[i].name, ' ');
		_cleanup_free_ char *group = space ? strndup(commands[i].name, (size_t)(space - commands[i].name)) : NULL;
		bool is_first = space != NULL;

		if (commands[i].flags & CMD_HIDDEN)
			continue;
		for (size_t k = 0; group && is_first && k < i; k++)
			is_first = !(str_after(commands[k].name, group) && *str_after(commands[k].name, group) == ' ');
		if (!space)
			suggest_put(s, commands[i].name, commands[i].summary);
		else if (group && is_first)
			suggest_put(s, group, "a group of commands");
	}
	if (!is_help)
		suggest_put(s, "help", "what a command does, and its options");
}

static void put_group(const struct suggest *s, const char *group)
{
	for (size_t i = 0; i < n_commands; i++) {
		const char *rest = str_after(commands[i].name, group);

		if (rest && *rest == ' ')
			suggest_put(s, rest + 1, commands[i].summary);
	}
	for (size_t i = 0; i < n_command_aliases; i++) {
		const char *rest = str_after(command_aliases[i].words, group);

		if (rest && *rest == ' ')
			suggest_put(s, rest + 1, command_aliases[i].command->summary);
	}
}

/* What stands for a word of a command's operands, or an option's value. */
static const struct {
	const char *word;
	unsigned names;
	const char *tail, *others;
} meanings[] = {
	{ "CONTAINER", NAMES_CONTAINER, "", ":" },
	{ "CONTAINER[:ro]", NAMES_CONTAINER, "", ":" },
	{ "CONTAINER:PATH", NAMES_CONTAINER, ":", ":files" },
	{ "PATH|-", NAMES_CONTAINER, ":", ":files" },
	{ "VM", NAMES_VM, "", ":" },
	{ "IMAGE", NAMES_IMAGE, "", ":" },
	{ "IMAGE|CONTAINER", NAMES_IMAGE | NAMES_CONTAINER, "", ":" },
	{ "POD", NAMES_POD, "", ":" },
	{ "VOLUME", NAMES_VOLUME, "", ":" },
	{ "NETWORK", NAMES_NETWORK, "", ":" },
	{ "SNAPSHOT", NAMES_SNAPSHOT, "", ":" },
	{ "KERNEL", NAMES_KERNEL, "", ":" },
	{ "SECRET", NAMES_SECRET, "", ":" },
	{ "NAME[,OPTION...]", NAMES_SECRET, "", ":" },
	{ "NAME...", NAMES_CONTAINER | NAMES_IMAGE | NAMES_VOLUME | NAMES_NETWORK, "", ":" },
	{ "[SOURCE:]PATH[:ro,...]", NAMES_VOLUME, ":", ":files" },
	{ "FILE", 0, "", ":files" },
	{ "FILE|URL|-", 0, "", ":files" },
	{ "PATH", 0, "", ":files" },
	{ "DIR", 0, "", ":directories" },
	{ "HOST[:PATH[:rwm]]", 0, "", ":files" },
};

#define UP      (1u << CS_RUNNING)
#define STARTED (1u << CS_RUNNING | 1u << CS_PAUSED | 1u << CS_RESTARTING)
/* Of which states the containers are that a verb has something to do with; others: of any. */
static const struct {
	const char *verb;
	unsigned states;
} verb_states[] = {
	{ "start", ~STARTED },     { "stop", STARTED },
	{ "kill", STARTED },       { "exec", UP },
	{ "attach", UP },          { "top", STARTED },
	{ "stats", STARTED },      { "port", STARTED },
	{ "pause", UP },           { "unpause", 1u << CS_PAUSED },
	{ "snapshot create", UP }, { "fork", UP },
	{ "vm inspect", STARTED }, { "network reload", 1u << CS_RUNNING | 1u << CS_PAUSED },
};

/* Values of which there are few. verb NULL: of any. */
static const struct {
	const char *verb, *option;
	const char *words[10];
} values[] = {
	{ "compare", "isolation", { "container", "vm", "vm-tcg" } },
	{ "compare", "only", { "start", "speed", "network", "memory", "walls" } },
	{ "compare", "need", { "untrusted", "own-kernel", "other-os", "density", "start-up" } },
	{ NULL, "isolation", { "container", "vm" } },
	{ NULL, "log-level", { "debug", "info", "warn", "error" } },
	{ NULL, "restart", { "no", "always", "unless-stopped", "on-failure" } },
	{ NULL, "pull", { "missing", "always", "never" } },
	{ NULL, "log-driver", { "json-file", "none", "journald" } },
	{ "network create", "driver", { "bridge", "macvlan", "ipvlan" } },
	{ "volume create", "driver", { "local" } },
	{ NULL, "network", { "none", "host" } },
	{ NULL, "net", { "none", "host" } },
	{ NULL, "pid", { "private", "host" } },
	{ NULL, "ipc", { "private", "host" } },
	{ NULL, "uts", { "private", "host" } },
	{ NULL, "cgroupns", { "private", "host" } },
	{ NULL, "userns", { "host" } },
	{ NULL, "image-volume", { "anonymous", "tmpfs", "ignore" } },
	{ NULL, "signal", { "TERM", "KILL", "HUP", "INT", "QUIT", "USR1", "USR2", "STOP", "CONT" } },
	{ NULL, "stop-signal", { "TERM", "KILL", "HUP", "INT", "QUIT", "USR1", "USR2" } },
	{ "inspect", "type", { "container", "image", "volume", "network" } },
	{ NULL, "volume-driver", { "local" } },
	{ NULL, "health-on-failure", { "none", "kill" } },
	{ "ps", "sort", { "created", "command", "id", "image", "names", "runningfor", "size", "status" } },
	{ "images", "sort", { "created", "id", "repository", "size", "tag" } },
	{ "save", "format", { "oci-archive", "docker-archive", "oci-dir" } },
	{ NULL, "format", { "json", "table" } },
};

static const char *put_meaning(const struct suggest *s, const struct question *q, const char *word, size_t len)
{
	unsigned states = 0;

	for (size_t i = 0; q->command && i < ARRAY_SIZE(verb_states); i++)
		if (streq(verb_states[i].verb, q->command->name))
			states = verb_states[i].states;
	for (size_t i = 0; i < ARRAY_SIZE(meanings); i++) {
		if (strlen(meanings[i].word) != len || strncmp(meanings[i].word, word, len) != 0)
			continue;
		suggest_names(s, q->root, meanings[i].names, states, meanings[i].tail);
		return meanings[i].others;
	}
	return ":";
}

static const char *put_values(const struct suggest *s, const struct question *q, const struct opt *o)
{
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		if (!streq(values[i].option, o->name) ||
		    (values[i].verb && (!q->command || !streq(values[i].verb, q->command->name))))
			continue;
		for (const char *const *w = values[i].words; *w; w++)
			suggest_put(s, *w, "");
		return ":";
	}
	return put_meaning(s, q, o->arg, strlen(o->arg));
}

/* "IMAGE [COMMAND [ARG...]]": the word for operand number q->n_operands. One with "..." stands for all that follow too. Names in
 * brackets are mostly new ones. */
static const char *put_operands(const struct suggest *s, const struct question *q)
{
	const char *at = q->command->operands, *end;
	size_t len;

	if (streq(q->command->name, "completion") && q->n_operands == 0) {
		for (const char *const *w = completion_shells; *w; w++)
			suggest_put(s, *w, "");
		return ":";
	}
	for (unsigned i = 0; *at; i++) {
		end = at + strcspn(at, " ");
		len = (size_t)(end - at);
		bool many = len > 3 && str_after(at + strcspn(at, ". "), "...") != NULL;
		if (i == q->n_operands || many) {
			if (len > 5 && (strncmp(at, "[CONTAINER", 10) == 0 || strncmp(at, "[SECRET", 7) == 0 ||
					strncmp(at, "[IMAGE", 6) == 0)) {
				at++;
				len = strcspn(at, ".] ");
			} else if (many && strncmp(at, "NAME", 4) != 0) {
				len -= 3;
			}
			return put_meaning(s, q, at, len);
		}
		at = end + strspn(end, " ");
	}
	return ":";
}

static const char *answer(const struct question *q, const char *begun)
{
	struct suggest s = { .prefix = "", .begun = begun };
	_cleanup_free_ char *prefix = NULL;
	const char *equal = strchr(begun, '=');
	const struct opt *o;

	if (q->is_lost)
		return ":";
	if (q->open)
		return put_values(&s, q, q->open);
	if (*begun == '-' && !q->is_ended && !q->group && !q->is_help) {
		if (!equal || !str_after(begun, "--")) {
			put_options(&s, options_of(q));
			return ":";
		}
		o = by_name(options_of(q), begun + 2, (size_t)(equal - begun - 2));
		prefix = strndup(begun, (size_t)(equal + 1 - begun));
		if (!o || !prefix)
			return ":";
		s = (struct suggest){ .prefix = prefix, .begun = equal + 1 };
		if (takes_value(o))
			return put_values(&s, q, o);
		suggest_put(&s, "true", "");
		suggest_put(&s, "false", "");
		return ":";
	}
	if (q->group)
		put_group(&s, q->group);
	else if (!q->command)
		put_verbs(&s, q->is_help);
	else if (!q->is_help)
		return put_operands(&s, q);
	return ":";
}

int cmd_complete(struct cli *c, struct err *e)
{
	struct question q = { .root = c->root };
	int r = cli_parse(c, NULL, 1, CLI_ANY, e);

	if (r != 0)
		return MIN(r, 0);
	read_words(&q, c->operands, c->n_operands - 1);
	puts(answer(&q, c->operands[c->n_operands - 1]));
	return 0;
}
