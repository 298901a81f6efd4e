/* seal: this program's file, out of reach of the containers that it makes. */
#pragma once

#include "err.h"

#define SEAL_SELF "/proc/self/exe"
/* Of the clone that the program is executed from (linux/mount.h). It is known by them, as statfs(2) tells them (ST_RDONLY, ST_NOSUID, ST_NODEV). */
#define SEAL_MOUNT  (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define SEAL_STATFS 7
/* The verbs of verbs.h with VERB_ENTER, for seal_early.c, which can't read a table. */
#define SEAL_VERBS " create exec run "

/* Executes this program again, with argv, from a place that can't be written to, unless it already runs from one. Returns 0
 * there, where the file can't be executed any more either; does not return otherwise, save with an error. *ret_spent: the descriptor that it was executed by, or -1. It is of no more
 * use, but whoever closes the last one of a detached mount waits for an RCU grace period (0.1 to 0.3 ms), so the caller chooses
 * when. */
int seal_self(char **argv, int *ret_spent, struct err *e);
