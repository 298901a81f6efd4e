/* engine: what `berth` does, one file a deed, each reading top-down. Daemonless: every function works from disk and from
 * the monitors that run; any may be the first to find a crashed container and sets its record right (reconcile.c). */
#pragma once

#include "image.h"
#include "isolation.h"
#include "monitor.h"
#include "networks.h"
#include "pods.h"
#include "ports.h"
#include "secret_store.h"
#include "volumes.h"

struct engine;
int engine_open(const struct paths *p, struct engine **ret, struct err *e);
/* The same without its store: enough for engine_run, which opens it while the monitor starts. p is borrowed. */
int engine_new(const struct paths *p, struct engine **ret, struct err *e);
void engine_close(struct engine *en);
DEFINE_CLEANUP(struct engine *, engine_close)
struct store *engine_store(struct engine *en);

enum { ATTACH_STDIN = 1, ATTACH_STDOUT = 2, ATTACH_STDERR = 4 };
/* Options of run and create; what the command line's table fills. SPEC_UNSET / NULL / 0 = not given. */
struct run_opts {
	char *image, *pod /* a pod to be in */;
	char **command;
	char *name, *isolation, *hostname, *workdir, *user, *entrypoint, *network, *pull, *stop_signal, *kernel, *cgroup_parent,
		*image_volume;
	bool is_detached, auto_remove, is_interactive, has_tty, use_init, is_readonly, is_privileged, no_sig_proxy, trace_startup,
		huge_pages, no_healthcheck;
	bool has_entrypoint;
	char **env, **labels, **cap_add, **cap_drop, **security_opt, **devices, **gpus, **cdi_dirs, **mounts, **volumes,
		**volumes_from, **tmpfs, **ulimits, **group_add, **sysctls, **storage_opt, **disks;
	char **device_read_bps, **device_write_bps, **device_read_iops, **device_write_iops;
	char *log_driver, **log_opts;
	char *restart; /* the policy, as given */
	char *health_cmd, *health_interval, *health_timeout, *health_start_period, *health_start_interval, *health_on_failure;
	int64_t health_retries;
	char *share; /* of a pod: "net,ipc,uts" */
	char *cidfile, *detach_keys, *platform, *userns, *pid_mode, *ipc_mode, *uts_mode, *cgroupns;
	int64_t memory, memory_swap, memory_reservation, shm_size, pids_limit, cpu_shares, cpu_quota, cpu_period, blkio_weight,
		oom_score_adj, memory_max, cpus_max; /* the last two: to which a running VM may grow */
	int64_t stop_timeout_s, timeout_s;           /* timeout: how long it may run */
	double cpus;
	char *cpuset_cpus, *cpuset_mems;
	bool oom_kill_disable;
	/* what most containers do without */
	char *pidfile, *domainname, *timezone, *umask;
	/* networks beyond the first, each as --network has it; what the first is to give */
	char **more_networks, **network_aliases, *ip, *ip6, *mac_address;
	char **dns, **dns_search, **dns_options, **add_hosts, **links, **publish, **expose, **egress;
	bool publish_all;
	char **secrets, **annotations, **unsetenv, **device_cgroup_rules, **blkio_weight_devices, **cgroup_conf;
	bool no_hosts, unsetenv_all, replaces, is_quiet;
	int64_t memory_swappiness;
	unsigned attach; /* which of our streams are the container's; 0 = all */
	/* not options: what is executed in the end, and the image's ports; filled in what a record keeps */
	char **args, **image_ports;
};
void run_opts_init(struct run_opts *o);
void run_opts_done(struct run_opts *o);

/* Makes the record and the bundle; *ret_id (caller frees). Pulls first, by o->pull ("missing", "always", "never"). */
int engine_create(struct engine *en, const struct run_opts *o, char **ret_id, struct err *e);
struct start_opts {
	bool attach, want_stdin, sig_proxy;
	bool drops_stdout, drops_stderr; /* what it says there is not printed */
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
	bool is_silent; /* no event: what it is for says what happens */
};
int engine_exec(struct engine *en, const char *name, const struct exec_opts *o, struct exit_status *ret_exit, bool *ret_detached,
		struct err *e);
int engine_attach(struct engine *en, const char *name, const struct start_opts *o, struct exit_status *ret_exit,
		  bool *ret_detached, struct err *e);
int engine_stop(struct engine *en, const char *name, int64_t timeout_s /* SPEC_UNSET */, int sig /* 0 = image's */,
		struct err *e);
/* What a container uses at present, as it says itself: of a VM the figures of inside. */
struct container_stats {
	bool is_known; /* false: it does not run, or is a VM that stands still */
	uint64_t when_us, cpu_ns;
	uint64_t mem_bytes,
		mem_limit_bytes; /* without what is only cached files and goes when asked; the host's where there is no limit */
	uint64_t net_rx_bytes, net_tx_bytes, io_read_bytes, io_write_bytes, pids;
};
int engine_stats(struct engine *en, const struct container_record *c, struct container_stats *ret, struct err *e);
/* What has happened and what happens (events.c). from_now: nothing of the past, whatever since_ns. until_ns 0: for ever. cb's non-zero
 * result ends it and is returned. What was dropped before it could be told is told on stderr as a number. */
struct event_query {
	uint64_t since_ns, until_ns;
	bool from_now;
};
int engine_events(struct engine *en, const struct event_query *q, int (*cb)(const struct event *v, void *arg), void *arg,
		  struct err *e);
/* The names of the networks that a container is on, "none" and "host" included; strv_free it. */
int engine_container_networks(struct engine *en, const struct container_record *c, char ***ret, struct err *e);
/* Its ports that are published now; ports_done it. */
int engine_container_ports(const struct container_record *c, struct ports *ret, struct err *e);
/* For a monitor: what its container is given of networks (monitor_config), and what of its ports is published from now on. */
int engine_network(struct engine *en, const char *id, struct monitor_network *ret, struct err *e);
int engine_note_ports(struct engine *en, const char *id, const struct net_hold *h, struct err *e);
/* An event of a container that records.h does not know of by itself. */
int engine_note_event(struct engine *en, const char *id, const char *action, const char *extra_json, struct err *e);
/* Ids of what is to run now that the host has been started (restart policies), oldest first; strv_free it. */
int engine_restartable(struct engine *en, char ***ret_ids, struct err *e);
/* stop and start in one. */
int engine_restart(struct engine *en, const char *name, int64_t timeout_s, int sig, struct err *e);
/* Other limits, at once and from now on: of the options those for memory, processors, processes and disks. */
int engine_update(struct engine *en, const char *name, const struct run_opts *given, struct err *e);
int engine_kill(struct engine *en, const char *name, int sig, struct err *e);
int engine_remove(struct engine *en, const char *name, bool force, bool volumes, struct err *e);
/* on: all its processes, or the whole VM, stand still. */
int engine_pause(struct engine *en, const char *name, bool on, struct err *e);
struct copy_opts {
	const char *source, *dest; /* one in the container, by is_out; "-" = a tar on standard input or output */
	const char *progress;      /* what to call it on the terminal; NULL: say nothing */
	bool is_out;
	bool keeps_owner, follows_link;
};
/* Files of a container, by docker's rules; *ret_bytes: of their content. */
int engine_copy(struct engine *en, const char *name, const struct copy_opts *o, uint64_t *ret_bytes, struct err *e);
/* "A /path", "C /path", "D /path" on standard output: what it has changed in its files. */
int engine_diff(struct engine *en, const char *name, struct err *e);
/* A tar of all its files, without volumes. path: "-" = standard output; progress as of copy_opts. */
int engine_export(struct engine *en, const char *name, const char *path, const char *progress, struct err *e);
struct commit_opts {
	char *author, *message;
	char **changes;       /* Dockerfile instructions */
	bool no_pause;        /* commit: of a running one */
	const char *progress; /* as of copy_opts */
};
/* An image of what the container has changed, on top of its own image's layers. new_name: NULL = without one. *ret_id: "sha256:...". */
int engine_commit(struct engine *en, const char *name, const char *new_name, const struct commit_opts *o, char **ret_id,
		  struct err *e);
/* An image of one layer: the tar at path ("-" = standard input; http:// and https:// too). */
int engine_import(struct engine *en, const char *path, const char *new_name, const struct commit_opts *o, char **ret_id,
		  struct err *e);
int engine_rename(struct engine *en, const char *name, const char *new_name, struct err *e);
/* Its processes, as ps(1) with these options prints them, on standard output. */
int engine_top(struct engine *en, const char *name, char *const *options, struct err *e);
/* What wait waits for; any of several. */
enum wait_for {
	WAIT_ENDED = 1 << 0,     /* it does not run (also: not yet) */
	WAIT_NEXT_EXIT = 1 << 1, /* an end from now on */
	WAIT_REMOVED = 1 << 2,
	WAIT_CREATED = 1 << 3,
	WAIT_RUNNING = 1 << 4,
	WAIT_PAUSED = 1 << 5,
	WAIT_RESTARTING = 1 << 6,
	WAIT_REMOVING = 1 << 7,
	WAIT_HEALTHY = 1 << 8,
	WAIT_UNHEALTHY = 1 << 9,
};
#define WAIT_NO_CODE -1 /* what was waited for is no end */
/* interval_ms: how long it may go unnoticed at most where nobody tells of it. */
int engine_wait(struct engine *en, const char *name, unsigned for_what, uint64_t interval_ms, int *ret_exit_code, struct err *e);
int engine_logs(struct engine *en, const char *name, const struct log_query *q, int out, int errfd, struct err *e);
/* Docker's JSON shapes. */
int engine_inspect_container(struct engine *en, const char *name, struct json_object **ret, struct err *e);
int engine_inspect_image(struct engine *en, const char *name, struct json_object **ret, struct err *e);
int engine_info(struct engine *en, struct json_object **ret, struct err *e);
/* What it has written, the sum of the lengths of files (of a VM: what its disk takes), and that with its image's files. */
int engine_container_size(struct engine *en, const struct container_record *c, uint64_t *ret_rw, uint64_t *ret_root,
			  struct err *e);
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
/* How a registry may be spoken to. */
struct registry_trust {
	bool plain_http, tls_skip_verify;
};
/* Runs berth-transfer; progress goes to stderr. */
struct pull_opts {
	struct registry_trust trust;
	bool is_quiet;
	const char *platform;
};
int engine_pull(struct engine *en, const char *name, const struct pull_opts *o, char **ret_image_id, struct err *e);
/* server NULL: docker.io. The registry is asked first; what it does not take is not kept (-EACCES). */
struct login_opts {
	struct registry_trust trust;
	const char *user, *password;
};
struct login_place {
	char *file, *helper; /* helper: who keeps the password in the file's place, or NULL */
};
void login_place_done(struct login_place *p);
int engine_login(struct engine *en, const char *server, const struct login_opts *o, struct login_place *ret, struct err *e);
int engine_logout(struct engine *en, const char *server, char **ret_name, bool *ret_found, struct err *e);
/* What registries have. text: "[REGISTRY/]TERM"; or with tags an image's name, whose repository's tags are listed. *ret: an array as of
 * berth-transfer's search (search.h); *ret_name: what its names lie below, "REGISTRY/" or "", or the repository whose tags they are; both the
 * caller's. */
struct search_opts {
	struct registry_trust trust;
	unsigned limit;
	bool tags;
};
int engine_search(struct engine *en, const char *text, const struct search_opts *o, struct json_object **ret, char **ret_name,
		  struct err *e);
/* The image called name goes to the registry that the reference `to` names; the same pointer: to its own name's. */
struct push_opts {
	struct registry_trust trust;
	bool is_quiet;
};
struct pushed {
	char *ref, *digest; /* whole; the manifest's */
	uint64_t manifest_bytes;
};
void pushed_done(struct pushed *p);
int engine_push(struct engine *en, const char *name, const char *to, const struct push_opts *o, struct pushed *ret,
		struct err *e);
int engine_load(struct engine *en, const char *path /* "-" = stdin */, bool is_quiet, char ***ret_loaded, struct err *e);
int engine_save(struct engine *en, char *const *names, const char *path /* "-" */, const char *format, struct err *e);
/* For main/berth-monitor.c: records the end of ID, removes it when auto_remove; monitor_config's on_exited. */
int engine_note_exit(struct engine *en, const char *id, const struct life_end *end, uint64_t *ret_again_ms, struct err *e);
/* What waits to be started again won't be. */
int engine_note_not_again(struct engine *en, const char *id, bool is_users, struct err *e);
/* Removes containers' directories that no record knows, stale run state, and what store_gc finds. */
int engine_sweep(struct engine *en, struct err *e);
/* What a container has written, on the disk. */
int engine_container_bytes(struct engine *en, const struct container_record *c, uint64_t *ret, struct err *e);
/* What is in a volume, and how many containers use it. */
int engine_volume_bytes(struct engine *en, const char *name, uint64_t *ret_bytes, size_t *ret_links, struct err *e);
/* Everything that is kept, against what it should be (check.c): the database, the store, containers, pods, volumes, saved VMs, leftovers.
 * o->image: of that image alone the blobs and layers. Findings that are not repaired, or -errno. */
int engine_check(struct engine *en, const struct check_opts *o, struct err *e);
int engine_note_started(struct engine *en, const char *id, bool is_checked, struct err *e);
/* What it is called, and what it was made from; caller frees. */
int engine_name(struct engine *en, const char *id, char **ret_name, char **ret_image, struct err *e);
int engine_note_health(struct engine *en, const char *id, enum container_health health, struct err *e);
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
