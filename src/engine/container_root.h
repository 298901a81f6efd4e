/* container_root: a container's files, as it sees them, by one descriptor: for `cp`, `diff`, `export` and `commit`. */
#pragma once

#include "engine_impl.h"

struct container_root {
	int fd;   /* O_PATH: paths beneath it by root_open alone */
	int lock; /* of one that does not run: nobody starts it meanwhile */
	int pid;  /* pidfd of one that runs, whose mounts are seen; else -1 */
};
#define CONTAINER_ROOT_NONE                     \
	{                                       \
		.fd = -1, .lock = -1, .pid = -1 \
	}
/* Of one that runs: its own, with volumes and all that it has mounted. Of another: its layers, with its volumes, in a mount namespace
 * that this process moves into. A VM's files are its guest's: -EOPNOTSUPP, verb says what for. */
int container_root_open(struct engine *en, const struct container_record *c, const char *verb, struct container_root *ret,
			struct err *e);
/* The layers of one, without volumes or other mounts: its upper directory as root->fd, and what is below it, merged, or with_upper: all
 * of them merged, as *ret_fd; nothing can be written to. *ret_mounts (may be NULL):
 * "--mount PATH" for each place where it has something mounted. Running or not; nothing is locked unless it does not run. */
int container_layers_open(struct engine *en, const struct container_record *c, bool with_upper, const char *verb,
			  struct container_root *ret, int *ret_fd, char ***ret_mounts, struct err *e);
/* copy_vm.c: given: the call for berth-transfer but for the streams. */
struct transfer_call;
int copy_vm(struct engine *en, const struct container_record *c, const struct copy_opts *o, const struct transfer_call *given,
	    struct json_object **ret_answer, struct err *e);
void container_root_done(struct container_root *r);
#define _cleanup_container_root_ _cleanup_(container_root_done)
