/* The streams between the monitor and a process behind namespaces. Private to isolation/container*.c. */
#pragma once

#include "isolation.h"

/* The process's ends; -1 each with a terminal. */
struct task_io {
	int theirs[3];
};
/* Pipes, the monitor's ends non-blocking and in t; without want_stdin the process reads /dev/null. With t->has_tty nothing is
 * made: task_io_set_console puts the pty's master in place once there is one. */
int task_io_open(struct task *t, bool want_stdin, struct task_io *ret, struct err *e);
int task_io_set_console(struct task *t, int master, struct err *e); /* takes master, also on failure */
void task_io_close_theirs(struct task_io *io);
void task_io_abandon(struct task *t); /* the monitor's ends, of a task that never ran */
