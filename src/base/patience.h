/* patience: a signal to the first process of a pid namespace that comes before its program has set the handler would be thrown
 * away for good (pid_is_deaf_at_work). Who starts fast is early: `stop` right behind `run -d` meets a shell that has not read its
 * trap yet. As long as the program works towards it without a pause, the signal waits a moment. For loops; `kill` of
 * berth-runtime does the same in place. */
#pragma once

#include "loop.h"

enum { PATIENCE_MS = 250, PATIENCE_NAP_MS = 1 };

/* Zero-initialised but for the first four, by its owner. */
struct patience {
	struct loop *loop;
	pid_t pid; /* not to be reaped before patience_end */
	void (*send)(void *arg, int sig);
	void *arg;
	struct loop_src *timer;
	uint64_t waiting; /* a bit a signal */
	unsigned naps;
};

/* true: it waits, and `send` is called within PATIENCE_MS. false: the caller sends it now; also where there is no memory to wait. */
bool patience_holds(struct patience *p, int sig);
/* What still waits is sent no more. */
void patience_end(struct patience *p);
