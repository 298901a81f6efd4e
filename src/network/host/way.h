/* way: one pasta(1), which carries what passes between the host and the network namespace of a user without root's rights, by a tap in that. A
 * process of ours stands beside it, its parent: it ends the pasta when whoever it is for has gone, and when it is killed itself, the kernel
 * does (PR_SET_PDEATHSIG). Nothing of a way is left but in these two processes. */
#pragma once

#include "address.h"

#define WAY_PROGRAM "pasta"

struct way {
	char device[16];   /* the tap's name */
	const char *netns; /* path of the namespace */
	struct address own4, own6, gateway4, gateway6;
	char **options; /* of pasta's, besides */
	/* It ends when this is readable or hung up. -1: when `is_over` says so, which is asked each time that a process in which `wait` runs
	 * has ended. Both are called in the process beside. */
	int until;
	void (*wait)(const struct way *w);
	bool (*is_over)(const struct way *w);
	void (*at_end)(const struct way *w);
	int keep; /* a file that it has open until then, and writes the pasta's process id to; -1: none */
	const void *arg;
};
/* In the host's network namespace. It carries when this returns; the tap is there, down and without addresses. */
int way_start(const struct way *w, struct err *e);
