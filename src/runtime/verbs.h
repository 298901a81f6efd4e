/* verbs.h: the one table of what `berth-runtime` can be told. A row declares the verb's function (verb_X), its options
 * (X_options), and everything that help and the man page print. */
#pragma once

#include "runtime.h"
#include "trace.h"

enum {
	VERB_STOP = 1 << 0,  /* the first operand ends the options: what follows belongs to somebody else */
	VERB_ENTER = 1 << 1, /* makes processes in containers: runs from a read-only mount of itself (seal.c) */
	VERB_255 = 1 << 2,   /* ends with 255 where it fails, as runc's does: 1 could be the process's own */
	VERB_HIDDEN = 1 << 3,
};

/* X(function, word, operands, fewest, most (-1 = any), summary, flags) */
#define VERBS(X)                                                                                                \
	X(create, "create", "ID", 1, 1, "make a container that waits to be started", VERB_ENTER)                \
	X(start, "start", "ID", 1, 1, "start a created container", 0)                                           \
	X(state, "state", "ID", 1, 1, "print a container's state as JSON", 0)                                   \
	X(kill, "kill", "ID [SIGNAL]", 1, 2, "send a signal to a container's first process", 0)                 \
	X(delete, "delete", "ID", 1, 1, "remove a container and all that is left of it", 0)                     \
	X(run, "run", "ID", 1, 1, "create and start a container, and wait for it", VERB_ENTER)                  \
	X(exec, "exec", "ID [COMMAND [ARG...]]", 1, -1, "run one more process in a container",                  \
	  VERB_STOP | VERB_ENTER | VERB_255)                                                                    \
	X(ps, "ps", "ID [PS-OPTION...]", 1, -1, "list the processes of a container", VERB_STOP)                 \
	X(list, "list", "", 0, 0, "list the containers of a root", 0)                                           \
	X(pause, "pause", "ID", 1, 1, "freeze all processes of a container", 0)                                 \
	X(resume, "resume", "ID", 1, 1, "let a paused container go on", 0)                                      \
	X(update, "update", "ID", 1, 1, "give a container other limits", 0)                                     \
	X(events, "events", "ID", 1, 1, "print what a container uses, and when it runs out of memory", 0)       \
	X(checkpoint, "checkpoint", "ID", 1, 1, "save a running container's processes to files, and end it", 0) \
	X(restore, "restore", "ID", 1, 1, "make a container of the processes that checkpoint has saved", 0)     \
	X(spec, "spec", "", 0, 0, "write a config.json to begin with", 0)                                       \
	X(features, "features", "", 0, 0, "print what this runtime can do as JSON", 0)                          \
	X(man, "__man", "TEMPLATE", 1, 1, "print a man page's source", VERB_HIDDEN)

/* What the verbs' option tables fill; zero at first. */
struct create_opts {
	char *bundle, *console_socket, *pidfd_socket, *pid_file;
	bool no_pivot, no_new_keyring, traces;
	int64_t preserve_fds;
};
struct run_opts {
	struct create_opts create;
	bool is_detached, keeps, no_subreaper;
};
struct exec_opts {
	char *process_file, *console_socket, *pidfd_socket, *pid_file, *user, *cwd, *apparmor, *label;
	char **env, **caps, **gids, **cgroups;
	bool is_detached, has_tty, no_new_privs, ignore_paused, traces;
	int64_t preserve_fds;
};
struct list_opts {
	char *format;
	bool is_quiet;
};
struct spec_opts {
	char *bundle;
	bool is_rootless;
};
enum { UPDATE_NUMBERS = 14 };
struct update_opts {
	char *resources, *cpus, *mems, *l3_schema, *bw_schema;
	char *number[UPDATE_NUMBERS]; /* as given; which is which: update.c */
};
struct events_opts {
	uint64_t interval_ms; /* 0 = not given */
	bool is_once;
};
/* What checkpoint and restore tell CRIU; which of them takes which: their tables. */
struct criu_opts {
	char *image_path, *work_path, *parent_path, *page_server, *cgroups_mode, *lsm_profile, *lsm_mount_context;
	char **empty_ns;
	bool leaves_running, tcp_established, tcp_skip_in_flight, link_remap, ext_unix_sk, shell_job, lazy_pages, file_locks,
		pre_dump, auto_dedup;
	char *status_fd;
};
struct restore_opts {
	struct create_opts create;
	bool is_detached, no_subreaper;
	struct criu_opts criu;
};
union verb_opts {
	struct create_opts create;
	struct run_opts run;
	struct exec_opts exec;
	struct list_opts list;
	struct spec_opts spec;
	struct update_opts update;
	struct events_opts events;
	struct criu_opts checkpoint;
	struct restore_opts restore;
	bool kill_all, delete_force;
	char *ps_format;
};

struct runtime {
	char *root;       /* absolute; where containers are recorded */
	const char *criu; /* --criu: the program, or NULL; borrowed */
	bool is_rootless, systemd_cgroup;
	const struct verb *verb;
	char **operands;
	int n_operands;
	int spent; /* of seal_self: to be closed when there is time; -1 = none */
	struct trace trace;
};
struct verb {
	const char *name, *operands;
	int fewest, most;
	const char *summary;
	unsigned flags;
	const struct opt *options;
	int (*run)(struct runtime *rt, union verb_opts *opts, struct err *e);
};
extern const struct verb verbs[];
extern const size_t n_verbs;
extern const struct opt global_options[];

/* Options are read and freed by the caller of the verb, which returns the exit status or -errno. */
#define X(fn, ...)                              \
	extern const struct opt fn##_options[]; \
	int verb_##fn(struct runtime *rt, union verb_opts *opts, struct err *e);
VERBS(X)
#undef X
const struct verb *verb_find(const char *word);
int verb_unknown(const char *word, struct err *e);
