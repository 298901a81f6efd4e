/* The state files of one container's run (monitor.h lists them). Private to monitor/. */
#pragma once

#include "monitor.h"

/* The process that a state file names: this boot's, and no later one of its number. */
bool state_is_alive(int64_t pid, uint64_t start_time, const char *boot_id);
int state_boot_id(char ret[40]);

/* Makes RUN/containers/ID with monitor.json of this process in it, atomically. -EBUSY: another monitor has it. Remains of a
 * dead one are removed. *ret_rundirfd: the directory, readable. */
int state_claim(const struct paths *p, const char *id, int *ret_rundirfd, struct err *e);
/* vmm: what carries a VM out, or NULL. kernel: its name in the store, or NULL. */
int state_write_started(int rundirfd, pid_t pid, const char *vmm, const char *kernel, struct err *e);
int state_write_exited(int rundirfd, const struct exit_status *st, const char *error, struct err *e);
/* Between two lives: all but who the monitor is and where it listens goes. */
int state_rest(int rundirfd, struct err *e);
/* Removes the run directory and what is in it. */
int state_release(const struct paths *p, const char *id, struct err *e);
