/* rootless: a user without root's rights has user and mount namespaces of his own, in which he is root, and all that Berth does for him is done
 * there: `berth` enters them first of all. There is one such pair a run directory, for what one command makes (mounts, processes, network
 * namespaces) another must be able to enter.
 *
 *   RUN/rootless        "PID START_TIME" of the process that holds the namespaces while nothing runs in them yet (berth-monitor --rootless)
 *   RUN/rootless.users  shared lock of every command and monitor in them; the holder waits for all of it, and goes
 *   RUN/rootless.lock   held while the namespaces are looked for or made
 *
 * Ids: the user's own is 0 inside, the ranges that /etc/subuid and /etc/subgid grant follow from 1 on (newuidmap(1)); with none there is
 * id 0 alone. */
#pragma once

#include "base.h"

/* Enters them, made where there are none; the working directory stays what it was. Does nothing for root. The caller has one thread.
 * p's directories exist. -EPERM with a remedy where the kernel or an LSM has user namespaces switched off for users. */
int rootless_enter(const struct paths *p, struct err *e);
/* A monitor's part: counts as one more user of them until this process ends. Does nothing outside of them. */
int rootless_keep(const char *run, struct err *e);
/* Whether this process is in them. */
bool rootless_is_inside(const char *run);
/* The file that all of them have locked, shared, the caller's to free; NULL outside of them. -ENOMEM */
int rootless_users_lock(const char *run, char **ret);
/* The holder: returns when nobody uses them any more. */
int rootless_hold(const char *run, struct err *e);
