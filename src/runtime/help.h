/* help: what --help and the man page say, from the tables. */
#pragma once

#include "verbs.h"

void help_overall(FILE *f);
void help_verb(const struct verb *v);
