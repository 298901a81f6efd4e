/* ps_table: some processes of this host as ps(1) shows them. */
#pragma once

#include <sys/types.h>

#include "base.h"

/* Prints the heading and the rows of those of pids that ps lists, with the caller's options (NULL-terminated; none: -ef) to standard output.
 * -ENOENT: there is no ps; -EINVAL: with these options it prints no PID. */
int ps_table_print(const pid_t *pids, size_t n, char *const *options, struct err *e);
