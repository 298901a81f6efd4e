/* opts: options as rows of a table. A row says how its text is read and which member of the verb's own struct it fills;
 * help, man pages and shell completion are printed from the same rows.
 *
 * Grammar (docker's): --name VALUE, --name=VALUE, -n VALUE, -nVALUE, -n=VALUE, bundled letters (-it), flags also as
 * --name=true|false; "--" ends the options. Long names must be exact: an abbreviation is refused, because it would change
 * its meaning as soon as another option is added. */
#pragma once

#include <stdio.h>

#include "err.h"
#include "util.h"

enum opt_type {
	OPT_FLAG,      /* bool = true */
	OPT_FLAG_OFF,  /* bool that says "not": --sig-proxy=false sets no_sig_proxy */
	OPT_STRING,    /* char *, the last one wins */
	OPT_LIST,      /* char **, each one adds */
	OPT_I64,       /* int64_t */
	OPT_BYTES,     /* int64_t, "512m" */
	OPT_BYTES_ANY, /* int64_t, "512m" or -1 = unlimited */
	OPT_DOUBLE,    /* double > 0 */
	OPT_SECONDS,   /* int64_t, "10" or "1m30s"; -1 = forever */
	OPT_TYPE_COUNT_,
};
struct opt {
	const char *name;
	char letter;
	enum opt_type type;
	size_t offset;
	const char *arg;  /* what help calls the value */
	const char *help; /* NULL = not listed: another name of an option that is */
	/* Instead of type: reads value (NULL when the option was given none and `type` is OPT_FLAG) into args. */
	int (*set)(void *args, const char *value, struct err *e);
};

/* Reads argv[1..argc) by table (ends with name NULL; may be NULL) into args. Operands are moved to the front of argv, which
 * is NULL-terminated behind them; *ret_n is their count. stop_at_operand: everything from the first operand on is an
 * operand (run IMAGE -x: -x is the command's). --help and -h without a row of their own set *ret_help. */
int opts_parse(const struct opt *table, bool stop_at_operand, int argc, char **argv, void *args, int *ret_n, bool *ret_help,
	       struct err *e);
/* OPT_DOUBLE's reader, for rows with their own. -EINVAL. */
int opt_read_double(const char *v, double *ret);
/* Frees the strings and lists that the table's rows own. */
void opts_done(const struct opt *table, void *args);

/* The rows that have a help text, as help lists them, and as scdoc's source of a man page. */
void opts_print_help(FILE *f, const struct opt *table);
void opts_print_man(FILE *f, const struct opt *table);
/* s with what scdoc reads as markup escaped. */
void man_put_escaped(FILE *f, const char *s);

/* The word of `words` (n of them) that `s` most likely meant, or NULL. */
const char *nearest_word(const char *s, const char *const *words, size_t n);
