/* container_root: a container's files, as it sees them, by one descriptor, or its layers: for `cp`, `diff`, `export` and `commit`. Of a
 * virtual machine both are streams from and to its agent. */
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
 * that this process moves into. Not of a VM. verb is for messages. */
int container_root_open(struct engine *en, const struct container_record *c, const char *verb, struct container_root *ret,
			struct err *e);
void container_root_done(struct container_root *r);
#define _cleanup_container_root_ _cleanup_(container_root_done)

/* ---- guest_files.c: the same of a virtual machine, by its agent ---- */

struct guest_files_wish {
	const char *verb;    /* GUEST_FILES_* */
	const char *path;    /* in the container; "" where the verb has none */
	const char *flags;   /* as guest.h has them */
	char *const *mounts; /* likewise; NULL: none */
	bool is_quiet;       /* a terminal is not told that it takes a while */
};
struct guest_files {
	pid_t pid;    /* of the process that passes the streams on; 0: none */
	int from, to; /* what the guest sends, and is sent */
	int report;   /* where that process tells what went wrong */
	bool is_idle; /* the machine does not run: that process keeps a guest of its own */
};
#define GUEST_FILES_NONE                            \
	{                                           \
		.from = -1, .to = -1, .report = -1, \
	}
int guest_files_open(struct engine *en, const struct container_record *c, const struct guest_files_wish *w,
		     struct guest_files *ret, struct err *e);
/* r, e: how berth-transfer has fared. The result of both: what broke the streams goes before what that made of their reader. */
int guest_files_close(struct guest_files *g, int r, struct err *e);

/* The container's config with the wish in place of its process: spec is of spec_init. */
int guest_files_spec(struct engine *en, const struct container_record *c, const struct guest_files_wish *w, struct spec *spec,
		     struct err *e);
/* guest_idle.c: guest_files_open of one that does not run; it takes the container's lock. */
int guest_idle_open(struct engine *en, const struct container_record *c, const struct guest_files_wish *w,
		    struct guest_files *ret, struct err *e);

/* ---- container_layers.c ---- */

enum layers_kind {
	LAYERS_CHANGES, /* for `diff` */
	LAYERS_UPPER,   /* for `commit` */
	LAYERS_ALL,     /* for `export`: merged */
};
/* A container's layers without volumes or other mounts, as a call of berth-transfer gets them. Nothing can be written to; nothing is
 * locked unless it does not run. */
struct container_layers {
	int fd, lower, lock; /* the upper directory and what is below it, merged; or all of them as fd */
	char **args;
	struct guest_files guest;
};
#define CONTAINER_LAYERS_NONE                                                 \
	{                                                                     \
		.fd = -1, .lower = -1, .lock = -1, .guest = GUEST_FILES_NONE, \
	}
/* stands_still: of a VM that runs: its processes do meanwhile. */
int container_layers_open(struct engine *en, const struct container_record *c, enum layers_kind kind, bool stands_still,
			  struct container_layers *ret, struct err *e);
/* Runs call (with verb, and what is the caller's own) on them, and closes them. */
struct transfer_call;
int container_layers_run(struct engine *en, struct container_layers *l, struct transfer_call *call, struct json_object **ret,
			 struct err *e);
void container_layers_done(struct container_layers *l);
#define _cleanup_container_layers_ _cleanup_(container_layers_done)
/* container_root.c: of one that does not run: its lock, unless it has been started since its record was read. */
int container_lock_idle(struct engine *en, const struct container_record *c, int *ret_lock, struct err *e);
/* Its layers from the top, as its start puts them together; strv_free. */
int container_layer_dirs(struct engine *en, const struct container_record *c, const struct launch *l, bool with_upper,
			 char ***ret, struct err *e);
static inline bool container_runs(const struct container_record *c) { return c->state == CS_RUNNING || c->state == CS_PAUSED; }
static inline bool container_is_vm(const struct container_record *c) { return streq0(c->isolation, "vm"); }
