/* make: a container from its bundle, recorded; what `create` and `run` share. */
#pragma once

#include "bundle.h"

struct made {
	pid_t pid;
	int pidfd;   /* of its first process, a child of the caller */
	int console; /* pty master where it has a terminal and no console socket, else -1 */
};
/* is_detached: nobody here will serve a terminal. On failure nothing of it is left. */
int container_make(struct runtime *rt, const char *id, const struct create_opts *o, bool is_detached, struct made *ret,
		   struct err *e);
/* Starts a created container: the lock is taken meanwhile. */
int container_begin(struct runtime *rt, const char *id, struct err *e);
/* Removes a container: kills what is left where `force`, else refuses one that runs. */
int container_delete(struct runtime *rt, const char *id, bool force, struct err *e);
