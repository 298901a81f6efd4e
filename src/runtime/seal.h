/* seal: this program's file, out of reach of the containers that it makes. */
#pragma once

#include "err.h"

/* Executes this program again, with argv, from a place that can't be written to, unless it already runs from one. Returns 0
 * there; does not return otherwise, save with an error. */
int seal_self(char **argv, struct err *e);
