/* control: between control.c, which carries lines, and control_verbs.c, which knows what they mean. docs/FORMATS.md: the protocol. */
#pragma once

#include "codec.h"

struct vmm;

#define CONTROL_VERSION 1u
#define CONTROL_FDS_MAX 8u /* of a line; what it has no use for is closed after it */

struct control_fds {
	int fd[CONTROL_FDS_MAX];
	size_t n;
};
struct control_env {
	int statm_fd;       /* /proc/self/statm, or -1 */
	unsigned pauses;    /* that were asked for here and not taken back */
	const void *asker;  /* whose line is being answered */
	const void *pauser; /* with whose connection the pause ends; NULL: with nobody's */
	const void *taker;  /* with whose connection a snapshot is taken back; NULL: there is none to be kept */
};

/* ---- control_memory.c: what the guest has of memory ----
 * Asks the guest to have mem_bytes (0: what it booted with); what comes of it, and when, is the guest's doing. */
int control_resize(struct vmm *vm, uint64_t mem_bytes, struct json_object *reply, struct err *e);
/* Adds "balloon" and "memory" (the room to grow into) to the answer where there are such. */
int control_memory(struct vmm *vm, struct json_object *reply, struct err *e);

/* The answer to one line (without its end), whatever it is; NULL: out of memory. The descriptors stay the caller's. vmm thread. */
struct json_object *control_answer(struct vmm *vm, struct control_env *env, const char *line, size_t n,
				   const struct control_fds *fds);
