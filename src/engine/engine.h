/* engine: what `berth` does, one file a deed, each reading top-down. Daemonless: every function works from disk and from
 * the monitors that run; any may be the first to find a crashed container and sets its record right (reconcile.c). */
#pragma once

#include "image.h"
#include "isolation.h"
#include "monitor.h"
#include "pods.h"

struct engine;
int engine_open(const struct paths *p, struct engine **ret, struct err *e);
/* The same without its store: enough for engine_run, which opens it while the monitor starts. p is borrowed. */
int engine_new(const struct paths *p, struct engine **ret, struct err *e);
void engine_close(struct engine *en);
DEFINE_CLEANUP(struct engine *, engine_close)
struct store *engine_store(struct engine *en);

struct engine_volume {
	char *source, *target;
	bool is_readonly;
	char *propagation;
};
struct engine_tmpfs {
	char *target, *options;
};
struct engine_rlimit {
	char *name;
	uint64_t soft, hard;
};
/* Options of run and create; what the command line's table fills. SPEC_UNSET / NULL / 0 = not given. */
struct run_opts {
	char *image, *pod /* a pod to be in */;
	char **command;
	char *name, *isolation, *hostname, *workdir, *user, *entrypoint, *network, *pull, *stop_signal, *kernel, *cgroup_parent;
	bool is_detached, auto_remove, is_interactive, has_tty, use_init, is_readonly, is_privileged, no_sig_proxy, trace_startup,
		no_healthcheck;
	bool has_entrypoint;
	char **env, **labels, **cap_add, **cap_drop, **security_opt, **devices, **mounts, **volumes, **tmpfs, **ulimits,
		**group_add, **sysctls, **storage_opt, **disks;
	char **device_read_bps, **device_write_bps, **device_read_iops, **device_write_iops;
	char *share; /* of a pod: "net,ipc,uts" */
	char *cidfile, *detach_keys, *platform, *userns, *pid_mode, *ipc_mode, *uts_mode, *cgroupns;
	int64_t memory, memory_swap, memory_reservation, shm_size, pids_limit, cpu_shares, cpu_quota, cpu_period, blkio_weight,
		oom_score_adj, memory_max, cpus_max; /* the last two: to which a running VM may grow */
	int64_t stop_timeout_s;
	double cpus;
	char *cpuset_cpus, *cpuset_mems;
	bool oom_kill_disable;
	char **args; /* not an option: what is executed in the end; filled in what a record keeps */
};
void run_opts_init(struct run_opts *o);
void run_opts_done(struct run_opts *o);

/* Makes the record and the bundle; *ret_id (caller frees). Pulls first, by o->pull ("missing", "always", "never"). */
int engine_create(struct engine *en, const struct run_opts *o, char **ret_id, struct err *e);
struct start_opts {
	bool attach, want_stdin, sig_proxy;
	const char *detach_keys;
};
/* Starts a created or exited container. When attaching, returns after its end with *ret_exit. */
int engine_start(struct engine *en, const char *name, const struct start_opts *o, struct exit_status *ret_exit,
		 bool *ret_detached, struct err *e);
int engine_run(struct engine *en, const struct run_opts *o, char **ret_id, struct exit_status *ret_exit, bool *ret_detached,
	       struct err *e);
struct exec_opts {
	char *user, *workdir, *detach_keys;
	char **env, **command;
	bool is_interactive, has_tty, is_detached, is_privileged;
};
int engine_exec(struct engine *en, const char *name, const struct exec_opts *o, struct exit_status *ret_exit, bool *ret_detached,
		struct err *e);
int engine_attach(struct engine *en, const char *name, const struct start_opts *o, struct exit_status *ret_exit,
		  bool *ret_detached, struct err *e);
int engine_stop(struct engine *en, const char *name, int64_t timeout_s /* SPEC_UNSET */, int sig /* 0 = image's */,
		struct err *e);
/* Other limits, at once and from now on: of the options those for memory, processors, processes and disks. */
int engine_update(struct engine *en, const char *name, const struct run_opts *given, struct err *e);
int engine_kill(struct engine *en, const char *name, int sig, struct err *e);
int engine_remove(struct engine *en, const char *name, bool force, bool volumes, struct err *e);
/* on: all its processes, or the whole VM, stand still. */
int engine_pause(struct engine *en, const char *name, bool on, struct err *e);
int engine_wait(struct engine *en, const char *name, int *ret_exit_code, struct err *e);
int engine_logs(struct engine *en, const char *name, const struct log_query *q, int out, int errfd, struct err *e);
/* Docker's JSON shapes. */
int engine_inspect_container(struct engine *en, const char *name, struct json_object **ret, struct err *e);
int engine_inspect_image(struct engine *en, const char *name, struct json_object **ret, struct err *e);
int engine_info(struct engine *en, struct json_object **ret, struct err *e);
/* ps: records made true first. */
int engine_list(struct engine *en, bool all, struct container_record **ret, size_t *ret_n, struct err *e);
void engine_list_free(struct container_record *list, size_t n);
/* What a listed container was created with; run_opts_done it. */
int engine_record_options(const struct container_record *c, struct run_opts *ret, struct err *e);
/* One, made true first. -ENOENT: "no such container: X". */
int engine_get(struct engine *en, const char *name, struct container_record *ret, struct err *e);
/* Guest kernels (isolation.h). Users: ids of the containers that run on it or, asked for by name, will; strv_free it. */
int engine_kernel_users(struct engine *en, const char *name, char ***ret_ids, struct err *e);
int engine_kernel_inspect(struct engine *en, const char *name, struct json_object **ret, struct err *e);
/* -EBUSY where it has users or is the default, unless forced. */
int engine_kernel_remove(struct engine *en, const char *name, bool force, struct err *e);
const struct paths *engine_paths(const struct engine *en);
/* Runs berth-transfer; progress goes to stderr. */
struct pull_opts {
	bool is_quiet, plain_http, tls_skip_verify;
	const char *platform;
};
int engine_pull(struct engine *en, const char *name, const struct pull_opts *o, char **ret_image_id, struct err *e);
int engine_load(struct engine *en, const char *path /* "-" = stdin */, bool is_quiet, char ***ret_loaded, struct err *e);
int engine_save(struct engine *en, char *const *names, const char *path /* "-" */, const char *format, struct err *e);
/* For main/berth-monitor.c: records the end of ID, removes it when auto_remove. */
int engine_note_exit(struct engine *en, const char *id, const struct exit_status *st, const struct err *start_error,
		     struct err *e);
/* Removes containers' directories that no record knows, stale run state, and what store_gc finds. */
int engine_sweep(struct engine *en, struct err *e);
int engine_note_started(struct engine *en, const char *id, struct err *e);
/* Record, directory and run state of ID go, whatever of them there is; nothing of it may run. */
int engine_forget(struct engine *en, const char *id, struct err *e);

/* ---- virtual machines on berth-vmm ---- */
int engine_vm_inspect(struct engine *en, const char *name, struct json_object **ret, struct err *e);
struct engine_snapshot_opts {
	const char *name; /* NULL: the beginning of its id */
	bool is_diff;     /* of memory only what was written since the last that tracks, which it needs from then on; tracks */
	bool tracks;      /* what the VM writes from here on is counted, so that the next may be a diff */
};
struct engine_snapshot_info {
	char *id, *name;
	char *parent_name;             /* of a diff */
	uint64_t size_bytes, pause_us; /* on the disk; how long the VM stood still */
};
void engine_snapshot_info_done(struct engine_snapshot_info *i);
/* Saves a running VM, which goes on. Durable when it returns 0; else nothing is left of it, and what is counted is counted as before. */
int engine_snapshot_create(struct engine *en, const char *vm, const struct engine_snapshot_opts *o,
			   struct engine_snapshot_info *ret, struct err *e);
int engine_snapshot_list(struct engine *en, struct snapshot_record **ret, size_t *ret_n,
			 struct err *e); /* snapshot_records_free */
int engine_snapshot_inspect(struct engine *en, const char *name, struct json_object **ret, struct err *e);
int engine_snapshot_remove(struct engine *en, const char *name, struct err *e);
/* Each damaged one is told through cb; count or -errno. */
int engine_snapshot_check(struct engine *en, void (*cb)(const char *problem, void *arg), void *arg, struct err *e);
/* A new VM that goes on where the snapshot was taken. name NULL: one is made up. */
int engine_restore(struct engine *en, const char *snapshot, const char *name, char **ret_id, struct err *e);
struct fork_opts {
	unsigned count;   /* 1..FORK_MAX */
	const char *name; /* of the only one, or NAME-1, NAME-2...; NULL: made up */
};
#define FORK_MAX 1000u
/* New VMs that go on from where a running one is, beside it. *ret_ids: strv. All or none. */
int engine_fork(struct engine *en, const char *name, const struct fork_opts *o, char ***ret_ids, uint64_t *ret_pause_us,
		struct err *e);
