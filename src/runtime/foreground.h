/* foreground: this command as the stand-in of a process in a container, until that ends. */
#pragma once

#include "bundle.h"

/* Blocks the signals that foreground_wait passes on, from before there is a process. */
int foreground_begin(sigset_t *ret_before, struct err *e);
/* Passes signals on to pidfd and, where console >= 0 (owned), pumps between it and our 0 and 1, which is in raw mode meanwhile.
 * pid is a child of ours. *ret_status as from waitpid. */
int foreground_wait(pid_t pid, int pidfd, int console, const sigset_t *before, int *ret_status, struct err *e);
