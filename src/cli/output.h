/* output: lists of things as docker prints them: aligned columns, or --format. A row is a JSON object with docker's names. */
#pragma once

#include "template.h"

struct cli;

struct column {
	const char *title, *key;
};
struct listing {
	const struct column *columns; /* of the default table; ends with title NULL */
	const struct column *others;  /* further keys with titles, for "table {{.X}}"; ends with title NULL; may be NULL */
	const char *format;           /* --format or NULL */
	const char *quiet_key;        /* -q: print only this; NULL = not quiet */
};
/* The array rows as text, lines, behind what is in out. */
int listing_render(const struct listing *l, struct json_object *rows, struct buf *out, struct err *e);
/* "Labels" of a row: "a=b,c=d" as docker prints it; .Label "a" in a template takes one. -ENOMEM. */
int listing_add_labels(struct json_object *row, const struct string_map *m);
/* The same as a map; NULL on ENOMEM. */
struct json_object *labels_json(const struct string_map *m);
/* "Size" of a row, which listing_sort compares as a number. -ENOMEM. */
int listing_add_size(struct json_object *row, uint64_t bytes, const char *text);
struct sort_key {
	const char *word, *key; /* of --sort; of rows, NULL: the order in which they are */
};
/* By --sort's word (NULL: as they are); keys ends with word NULL. -EINVAL for a word that is none of them. */
int listing_sort(struct json_object *rows, const struct sort_key *keys, const char *word, struct err *e);
/* Prints the array rows to stdout. */
int listing_print(const struct listing *l, struct json_object *rows, struct err *e);
#define CREATED_AT_LEN 64
/* "2026-01-02 03:04:05 +0000 UTC", as docker's lists have points in time. */
const char *created_at(uint64_t ns, char text[CREATED_AT_LEN]);
/* A stranger's text on one line, and no longer than docker's tables have it (45 characters) unless all of it is wanted; caller frees. NULL on
 * ENOMEM; s may be NULL. */
char *text_for_table(const char *s, bool no_trunc);
/* One document by --format (NULL = indented JSON); "json" = on one line. */
int document_print(struct json_object *o, const char *format, struct err *e);
/* One object by its name: *ret is the caller's, -errno with e otherwise. */
typedef int (*inspect_fn)(struct cli *c, const char *name, void *arg, struct json_object **ret, struct err *e);
/* Each operand looked up by find, and what was found printed: one array, with "json" on one line, or one text of the template each. All
 * that is found is printed, also when a name is wrong: docker prints the list and then the error. The exit status or -errno. */
int inspect_all(struct cli *c, const char *format, inspect_fn find, void *arg, struct err *e);
/* The same for people: "Name: value" lines. */
int document_print_lines(struct json_object *o, struct err *e);
