/* cli: the command line. One table (commands.h), one file a verb; a verb parses, calls the engine once, prints.
 *
 * Exit status: the container's own for run, start -a, attach and exec; 125 for Berth's own errors, 126 and 127 where the
 * command could not be executed or found; otherwise 0. */
#pragma once

#include "commands.h"
#include "engine.h"

#include <stdio.h>

struct cli {
	const char *root, *run; /* --root, --run or NULL */
	struct paths paths;     /* filled when the verb has CMD_STORE or CMD_ENGINE, and then */
	struct engine *engine;  /* open */
	const struct command *command;
	int argc; /* argv[0] is the verb; cli_parse leaves the operands */
	char **argv;
	char **operands;
	int n_operands;
	char **picked; /* what cli_pick has put into operands' place; or NULL */
	bool is_debug;
};

/* The whole program: returns the exit status. argv is permuted. */
int cli_main(int argc, char **argv);

enum { CLI_ANY = -1 };
/* For verbs: reads the options into args, checks the number of operands (max CLI_ANY = no limit) and opens the engine.
 * 0 = go on, 1 = help was printed and the verb returns 0, -errno. */
int cli_parse(struct cli *c, void *args, int min, int max, struct err *e);
/* Does deed for every operand; each failure is reported at once on its own line. Exit status 0, or 125 when one failed. */
int cli_each(struct cli *c, int (*deed)(struct cli *c, const char *operand, void *arg, struct err *e), void *arg);
/* --all and --latest of verbs that take containers. */
struct pick {
	bool all, latest;
};
#define PICK_ALL(type, letter)                                                                                       \
	{                                                                                                            \
		"all", letter, OPT_FLAG, offsetof(type, pick.all), NULL, "all containers that this can be done with" \
	}
#define PICK_LATEST(type, letter)                                                                                \
	{                                                                                                        \
		"latest", letter, OPT_FLAG, offsetof(type, pick.latest), NULL, "the newest container; name none" \
	}
/* For verbs that have parsed with min 0: the operands become the ids of the containers that --all (those in one of these states, as bits of
 * enum container_state) or --latest mean; behind the latter up to `others` operands may stand (CLI_ANY = any number). Without either at
 * least one operand has to be there. */
int cli_pick(struct cli *c, const struct pick *p, unsigned states, int others, struct err *e);
#define PICK_UP   (1u << CS_RUNNING | 1u << CS_PAUSED | 1u << CS_RESTARTING)
#define PICK_ANY  (~0u)
#define PICK_DOWN (PICK_ANY & ~PICK_UP)
/* "10m" is a time ago; 2026-01-02T03:04:05Z and seconds since the epoch are points in time. s NULL: nothing is done. */
int cli_read_time(const char *option, const char *s, uint64_t *ret_ns, struct err *e);
/* "berth stop: msg" on stderr; returns the exit status that fits. */
int cli_report(const struct cli *c, const struct err *e);

/* ---- help.c: all printed from the tables ---- */
void help_overall(FILE *f);
void help_command(FILE *f, const struct command *c);
void help_group(FILE *f, const char *group);
/* The verb of argv[0] or of argv[0..1] (*ret_words = 1 or 2); NULL when there is none. */
const struct command *command_find(int argc, char **argv, int *ret_words);
/* Is there "image ...", so that "image" is a group of verbs? */
bool command_is_group(const char *word);
/* One line: what is wrong with this verb, and the nearest right one. */
int command_unknown(int argc, char **argv, struct err *e);

/* ---- verbs' shared parts ---- */
/* stdout closed or full: -errno with e. */
int cli_flush(struct err *e);
