/* output: lists of things as docker prints them: aligned columns, or --format. A row is a JSON object with docker's names. */
#pragma once

#include "template.h"

struct column {
	const char *title, *key;
};
struct listing {
	const struct column *columns; /* of the default table; ends with title NULL */
	const struct column *others;  /* further keys with titles, for "table {{.X}}"; ends with title NULL; may be NULL */
	const char *format;           /* --format or NULL */
	const char *quiet_key;        /* -q: print only this; NULL = not quiet */
};
/* Prints the array rows to stdout. */
int listing_print(const struct listing *l, struct json_object *rows, struct err *e);
/* One document by --format (NULL = indented JSON); "json" = on one line. */
int document_print(struct json_object *o, const char *format, struct err *e);
/* The same for people: "Name: value" lines. */
int document_print_lines(struct json_object *o, struct err *e);
