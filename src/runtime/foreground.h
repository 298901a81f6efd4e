/* foreground: this command as the stand-in of a process in a container, until that ends. */
#pragma once

#include "bundle.h"

/* Blocks the signals that foreground_wait passes on, from before there is a process; adopts: orphans of the process become this
 * one's children, and are reaped. */
int foreground_begin(bool adopts, sigset_t *ret_before, struct err *e);
struct attended {
	pid_t pid; /* a child of ours */
	int pidfd;
	int notify;  /* from notify_listen: its readiness is told on; -1 = none */
	int console; /* owned: pumped to and from our 0 and 1, in raw mode meanwhile; -1 = none */
};
/* Passes signals on to it until it has ended. *ret_status as from waitpid. */
int foreground_wait(const struct attended *a, const sigset_t *before, int *ret_status, struct err *e);
