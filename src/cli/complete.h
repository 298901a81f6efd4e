/* complete: what could stand where the cursor is, for the completion of shells (completion.c). Nothing is started, made or changed by
 * it, and nothing said: what can't be read has no names. */
#pragma once

#include "cli.h"

/* Those that completion.c has a script for; ends with NULL. */
extern const char *const completion_shells[];

/* Kinds of what has a name: bits. */
enum {
	NAMES_CONTAINER = 1 << 0,
	NAMES_VM = 1 << 1, /* of the containers only these */
	NAMES_IMAGE = 1 << 2,
	NAMES_VOLUME = 1 << 3,
	NAMES_POD = 1 << 4,
	NAMES_SNAPSHOT = 1 << 5,
	NAMES_KERNEL = 1 << 6,
	NAMES_SECRET = 1 << 7,
	NAMES_NETWORK = 1 << 8,
};
struct suggest {
	const char *prefix; /* stands before each: "--isolation=" */
	const char *begun;  /* what there is of the word behind it: only what begins so is printed */
};
/* A line "WORD<TAB>about" on stdout. */
void suggest_put(const struct suggest *s, const char *word, const char *about);
/* The names of such kinds. root: of the store, or NULL. states: of containers, 1 << enum container_state; 0 = any.
 * tail: stands behind each ("" or ":"). */
void suggest_names(const struct suggest *s, const char *root, unsigned kinds, unsigned states, const char *tail);
