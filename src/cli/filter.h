/* filter: what --filter KEY=VALUE picks out of a list, by docker's rules. */
#pragma once

#include "cli.h"

/* Do all filters take this thing? Those of one key are alternatives, those of different keys conditions; of labels (keys that begin with
 * "label") every one must hold. matches: does this one, its key and value apart? */
bool filters_pass(char *const *filters, bool (*matches)(const void *thing, const char *key, const char *value),
		  const void *thing);
/* "NAME", or "NAME=VALUE". */
bool filter_label(const struct string_map *labels, const char *wanted);
/* Docker's: a regular expression (POSIX extended) that fits somewhere in the name, which may be written with a slash before it; one that
 * is none fits nothing. */
bool filter_name(const char *name, const char *wanted);
/* Each filter has one of these keys (ends with NULL), else -EINVAL and e names them. */
int filters_check(char *const *filters, const char *const *keys, struct err *e);
/* "true", "1": 1; "false", "0": 0; -EINVAL. */
int filter_bool(const char *value);
/* One of these words (ends with NULL), else -EINVAL and e names them. */
int filter_word(const char *key, const char *value, const char *const *words, struct err *e);
/* What the values of `key` are among the filters, one by one: the next one behind *at, or NULL; *at begins as the filters. */
const char *filter_next(char *const **at, const char *key);
