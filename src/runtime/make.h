/* make: a container from its bundle, recorded; what `create` and `run` share. */
#pragma once

#include <signal.h>

#include "bundle.h"

struct made {
	pid_t pid;
	int pidfd;   /* of its first process, a child of the caller */
	int notify;  /* where it says that it is ready, with $NOTIFY_SOCKET, else -1 */
	int console; /* pty master where it has a terminal and no console socket, else -1 */
	/* MAKE_ATTACHED: what container_delete_made needs; the record is not locked. */
	struct held held;
	struct host host;
};
#define MADE_NONE ((struct made){ .pidfd = -1, .notify = -1, .console = -1, .held = HELD_NONE })
void made_done(struct made *m);
enum make {
	MAKE_CREATED,  /* waits on its start socket */
	MAKE_DETACHED, /* runs on return */
	MAKE_ATTACHED, /* the same, and the caller serves its terminal */
};
/* On failure nothing of it is left. */
int container_make(struct runtime *rt, const char *id, const struct create_opts *o, enum make how, struct made *ret,
		   struct err *e);
/* Stands in for its first process, a child of ours, until that has ended (foreground.h), then deletes it unless `keeps`. before: of
 * foreground_begin. m: with its record. -> exit status. Takes m's console. */
int container_attend(struct runtime *rt, bool keeps, struct made *m, const sigset_t *before, struct err *e);
/* Removes a container: kills what is left where `force`, else refuses one that runs. */
int container_delete(struct runtime *rt, const char *id, bool force, struct err *e);
/* The same by force, by whoever made it and has waited for it; one that has been deleted meanwhile, and perhaps made anew, is let be. */
int container_delete_made(struct made *m, struct err *e);
