/* jail_impl: between jail.c, jail_alone.c, jail_walls.c and fs/jail.c. */
#pragma once

#include "jail.h"

/* ---- jail_alone.c: namespaces, and the two processes that it takes ---- */

/* The caller goes on as the first process of a pid namespace, and in a user namespace where it may not make others; see jail.h
 * about the parent, which ends in here. *ret_lifeline: a descriptor that hangs up when the parent ends; -1: there is none. SIGTERM and
 * SIGINT are blocked from here on. */
int jail_be_first(uid_t uid, int *ret_lifeline, struct err *e);
/* The calling thread, and what it makes, gets all other namespaces of its own. */
int jail_be_alone(struct err *e);

/* ---- jail_walls.c ---- */

/* no_new_privs for the calling thread; nobody may look at the process. */
int jail_gain_nothing(struct err *e);
/* The user, groups, capabilities of the calling thread; the dumpability of the process. */
int jail_drop(uid_t uid, struct err *e);
/* Landlock. May it still signal processes that are not in the jail? */
int jail_deny(bool may_signal, struct err *e);
/* The same, but files below the directory may be used (LANDLOCK_ACCESS_FS_x). */
int jail_deny_but(int tree, uint64_t rights, struct err *e);
/* Closes all but these and standard error; 0 and 1 become /dev/null unless they are among them. */
int jail_keep_fds(const int32_t *fds, size_t n, struct err *e);
int jail_failed(struct err *e, const char *what); /* err_set of errno */
