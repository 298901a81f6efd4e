/* jail_impl: between jail.c, jail_alone.c and fs/jail.c. */
#pragma once

#include "jail.h"

/* ---- jail_alone.c: namespaces, and the two processes that it takes ---- */

/* Puts the process into namespaces of its own; see jail.h about the parent, which ends in here. *ret_lifeline: a descriptor that
 * hangs up when the parent ends; -1: there is none. SIGTERM and SIGINT are blocked from here on. */
int jail_be_alone(uid_t uid, int *ret_lifeline, struct err *e);

/* ---- jail.c ---- */

/* The user, groups, capabilities, dumpability. */
int jail_drop(uid_t uid, struct err *e);
/* Landlock. May it still signal processes that are not in the jail? */
int jail_deny(bool may_signal, struct err *e);
/* The same, but files below the directory may be used (LANDLOCK_ACCESS_FS_x). */
int jail_deny_but(int tree, uint64_t rights, struct err *e);
/* Closes all but these and standard error; 0 and 1 become /dev/null unless they are among them. */
int jail_keep_fds(const int32_t *fds, size_t n, struct err *e);
int jail_failed(struct err *e, const char *what); /* err_set of errno */
