/* patience: a signal to the first process of a pid namespace that comes before its program has set the handler would be thrown
 * away for good (pid_is_deaf_at_work). Who starts fast is early: `stop` right behind `run -d` meets a shell that has not read its
 * trap yet. As long as the program works towards it without a pause, the signal waits a moment. By the clock that were no time at
 * all on a busy host, or with few --cpus: it is one of the program's own processor time. And of whoever waits: a guest takes for
 * processor time what its host keeps from it. For loops; `kill` of berth-runtime does the same in place. */
#pragma once

#include "loop.h"

enum {
	PATIENCE_MS = 250,       /* of the program's processor time */
	PATIENCE_MOST_MS = 5000, /* whatever it has had */
	PATIENCE_NAP_MS = 1,
};

/* Zero-initialised but for the first four, by its owner. */
struct patience {
	struct loop *loop;
	pid_t pid; /* not to be reaped before patience_end */
	void (*send)(void *arg, int sig);
	void *arg;
	struct loop_src *timer;
	uint64_t waiting; /* a bit a signal */
	uint64_t had_ms;  /* the processor time that the program had had when the first began to wait */
	unsigned naps;    /* since then */
};

/* Whether it has been waited for long enough: so many naps, since it had had so much processor time. */
bool patience_is_over(pid_t pid, unsigned naps, uint64_t had_ms);
/* true: it waits, and `send` is called within PATIENCE_MOST_MS. false: the caller sends it now; also where there is no memory to wait. */
bool patience_holds(struct patience *p, int sig);
/* What still waits is sent no more. */
void patience_end(struct patience *p);
