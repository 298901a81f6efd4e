/* engine_impl: what the engine's own files share. Nobody outside src/engine includes it. */
#pragma once

#include <sys/resource.h>

#include "engine.h"

struct engine {
	const struct paths *paths; /* the caller's */
	struct store *store;
	struct records *records; /* the store's */
	char *doomed[2];         /* folders of a --rm container, renamed; removed when the engine is closed */
	struct timeline timeline;
};

/* ---- engine.c ---- */
int engine_open_store(struct engine *en, struct err *e); /* of engine_new's; nothing to do for engine_open's */

#define OUT_OF_MEMORY(e) err_set(e, ENOMEM, "out of memory")

/* ---- options.c: run_opts as the JSON that a record keeps ---- */
char *options_print(const struct run_opts *o);                            /* NULL on ENOMEM */
int options_parse(const char *text, struct run_opts *ret, struct err *e); /* text NULL = none given */
/* Values of enumerated options and whether they agree with each other. */
int options_check(const struct run_opts *o, struct err *e);
int options_check_guest(const struct run_opts *o, struct err *e); /* what a virtual machine can't */
int options_check_pod(const struct run_opts *o, struct err *e);   /* of a pod's */

/* ---- plan: a container on its way from options to files ----
 * Made by create.c, filled by one plan_* function a subject (their order is the table in create.c), then written out. */
struct plan {
	struct engine *en;
	const struct run_opts *o;
	const struct isolation_ops *isolation;
	bool is_vm;
	struct image image;
	struct pod_record pod; /* id NULL = in none */
	struct run_opts pod_o;
	bool pod_shares[NS_COUNT];
	char id[ID_LEN + 1];
	char *dir;                  /* ROOT/containers/ID */
	char *hostname;             /* as the process sees it, also where it is the host's */
	struct volume_use *volumes; /* by name */
	int *volume_locks;          /* of each (volumes_impl.h), until the record is there */
	size_t n_volumes;
	struct endpoint_request *endpoints;
	size_t n_endpoints;
	int image_fd; /* the image's files as a mount of their own, read-only; -1: nobody has asked yet */
	struct spec spec;
	struct launch launch;
	struct secrets secrets; /* of secrets.json */
};
int plan_pod(struct plan *p, struct err *e);     /* pod_plan.c: before all others: the isolation is the pod's */
int plan_process(struct plan *p, struct err *e); /* process.c: args, env, user, cwd, tty, rlimits */
/* A terminal of the caller's size, where it has one: its program finds it right from the beginning. */
void process_set_terminal(struct spec_process *p, bool has_tty);
int plan_security(struct plan *p, struct err *e);   /* security.c: capabilities, seccomp, privileged, no_new_privs, sysctls */
int plan_mounts(struct plan *p, struct err *e);     /* mounts.c: volumes, -v, --mount, --tmpfs, --shm-size, --read-only */
int plan_devices(struct plan *p, struct err *e);    /* devices.c: --device, --privileged's */
int plan_cdi(struct plan *p, struct err *e);        /* cdi_plan.c: --gpus, and --device by name */
int plan_resources(struct plan *p, struct err *e);  /* resources.c: memory, processors, pids, block devices */
int plan_namespaces(struct plan *p, struct err *e); /* namespaces.c: network, pid, ipc, uts, cgroup; cgroup path */
int plan_network(struct plan *p, struct err *e);    /* network_options.c: of one with networks of its own: its endpoints */
/* Of a copy: places of its own on the networks of the original, or if that is gone on those that it was made for (o). */
int plan_network_like(struct plan *p, const char *original, const struct run_opts *o, struct err *e);
void plan_network_done(struct plan *p);
int plan_files(struct plan *p, struct err *e); /* files.c: hostname, /etc/hosts, /etc/hostname, /etc/resolv.conf */
/* volumes_plan.c: the image's files, mounted the first time; owned by p. -> fd */
int plan_image_fd(struct plan *p, struct err *e);
void plan_volumes_undo(struct plan *p); /* after a failure: files of those that would have been this container's own */
void plan_volumes_done(struct plan *p);
/* platform_check.c: whether that image is what --platform asks for; the error where it is not; whether its programs can run here, with
 * docker's warning where nobody has asked for them */
int platform_wanted(const char *asked, const struct image *image, bool *ret_fits, struct err *e);
int platform_mismatch(const char *asked, const char *name, const struct image *image, struct err *e);
int platform_check(const struct plan *p, struct err *e);
int plan_bounds(struct plan *p, struct err *e);  /* volumes_quota.c: what it may not do to volumes of a limited size */
int plan_secrets(struct plan *p, struct err *e); /* secret_plan.c: --secret */
int plan_guest(struct plan *p, struct err *e);   /* guest_plan.c: disks, kernel, memory and processors of a VM */
int guest_given_disks(char *const *options, struct launch *l, struct err *e);  /* disks.c: --disk */
int guest_disk_size(char *const *options, uint64_t *ret_bytes, struct err *e); /* guest_plan.c: --storage-opt */

/* update.c: merges what is given into a container's options; *ret: the limits that it changes. */
int update_plan(const struct run_opts *given, struct run_opts *into, struct spec_resources *ret, struct err *e);

/* Whether that namespace is the pod's: 1 or 0; where the user asked for another one it is an error. */
int plan_is_pods(const struct plan *p, const char *option, const char *given, enum spec_ns ns, struct err *e);
int plan_pod_resources(struct plan *p, struct err *e);

/* Pieces with rules of their own, apart for the sake of their tests. */
int process_args(const struct run_opts *o, const struct image_config *ic, char ***ret, struct err *e);
int process_env(const struct run_opts *o, const struct image_config *ic, const char *hostname, char ***ret, struct err *e);
int process_rlimit(const char *text, struct spec_rlimit *ret, struct err *e);
/* Without --ulimit nofile the limits are the caller's own, but no more files than systemd lets a service open (R28): a shell's
 * limit may be a million, and with that a container's processes together could fill the kernel's table of open files. */
int process_bound_files(struct spec_process *proc, const struct rlimit *own, struct err *e);
/* major, minor: -1 = any */
int device_allow(struct spec_resources *r, char type, int64_t major, int64_t minor, const char *access, struct err *e);
int device_rule_add(struct spec_resources *r, const char *text, struct err *e); /* --device-cgroup-rule */
bool user_is_root(const char *user);
int caps_mask(const struct run_opts *o, uint64_t base, uint64_t *ret, struct err *e);
int mounts_set_shm_size(struct spec *s, int64_t bytes, struct err *e);
int resources_fill(const struct run_opts *o, struct spec_resources *r, struct err *e);
/* Where a user has no cgroup, what was not asked for is left out of r, and what was is refused; but for what a guest can be held to without. */
int resources_settle(const struct run_opts *o, bool is_vm, struct spec_resources *r, struct err *e);

/* ---- bundle.c ---- */
/* config.json and launch.json of ID. ret: initialised by the caller where it has an init function. */
int bundle_read_spec(struct engine *en, const char *id, struct spec *ret, struct err *e);
int bundle_read_launch(struct engine *en, const char *id, struct launch *ret, struct err *e);
int bundle_write(const struct plan *p, int dirfd, struct err *e);

/* One command at a time starts, sweeps or removes a container: -EWOULDBLOCK when another one is at it. Held until *ret_fd is
 * closed; *ret_fd is left as it is when there is no directory to lock. */
/* Another file in the place of one of the bundle's, whose directory is container_lock's; takes o, NULL = out of memory. */
int bundle_replace(int dirfd, const char *name, struct json_object *o, struct err *e);
int container_lock(struct engine *en, const char *id, int *ret_fd, struct err *e);
/* The same, waiting so long for whoever has it. */
#define LOCK_TIMEOUT_MS 30000
int container_lock_wait(struct engine *en, const char *id, int timeout_ms, int *ret_fd, struct err *e);

/* ---- pods.c, pod_verbs.c, pod_vm.c ---- */
int pod_vm_check(const struct run_opts *o, struct err *e);
int pod_vm_write(struct engine *en, const struct run_opts *o, const char *id, const char *rel, struct err *e);
/* ROOT/REL/NAME, new and durable, with its folder; o NULL = out of memory. */
int pod_write_json(struct engine *en, const char *rel, const char *name, struct json_object *o, struct err *e);
/* guest_plan.c: memory and processors, and how much more of them it may be given while it runs */
void guest_size(const struct run_opts *o, struct launch *l);
int guest_check_max(const struct run_opts *o, struct err *e);
int guest_refuse_max(const struct run_opts *o, struct err *e); /* of a container */
/* "net,ipc,uts", "none"; NULL = the default, all that can be. */
int pod_share_parse(const char *text, bool ret_shared[NS_COUNT], struct err *e);
/* ROOT/pods/ID and RUN/pods/ID. */
int pod_remove_files(struct engine *en, const char *id, struct err *e);
int pod_must_not_be_paused(struct engine *en, const struct container_record *c, struct err *e);

/* ---- network_change.c: of a container that runs, whose record has that endpoint. -ESRCH: it has ended. *ret_asked:
 * whether berth-net has come to do anything, also where it failed ---- */
int container_network_change(struct engine *en, const char *container_id, const char *network_id, bool connect, bool *ret_asked,
			     struct err *e);

/* ---- files.c ---- */
extern const char files_hosts_head[]; /* how /etc/hosts begins */
bool hostname_is_valid(const char *s);

/* ---- stop.c ---- */
/* The signal and the seconds that its end is asked for with. wished: 0 = the container's own; *timeout_s: SPEC_UNSET likewise. */
int stop_words(const struct container_record *c, int wished, int64_t *timeout_s, int *ret, struct err *e);

/* ---- events.c: of what has been done already, so that a failure is told on stderr and changes nothing ---- */
void note_event(struct engine *en, const struct container_record *c, const char *action); /* also of one that is gone */
void note_event_by_id(struct engine *en, const char *id, const char *action);
void note_image_event(struct engine *en, const char *action, const char *id, const char *name);

/* ---- restart.c ---- */
enum restart_when { RESTART_NO, RESTART_ON_FAILURE, RESTART_ALWAYS, RESTART_UNLESS_STOPPED };
struct restart_policy {
	enum restart_when when;
	int64_t max; /* on-failure: so many times; 0: no limit */
};
const char *restart_name(enum restart_when when);
/* "on-failure:3"; NULL and "" are "no". -EINVAL in docker's words. */
int restart_parse(const char *text, struct restart_policy *ret, struct err *e);
int restart_of(const struct container_record *c, struct restart_policy *ret, struct err *e);
/* After how many ms one that has ended so is started again; 0: it is not. c: as it was while it ran. */
uint64_t restart_wait(const struct restart_policy *p, const struct container_record *c, const struct life_end *end);
bool restart_after_boot(const struct restart_policy *p, const struct container_record *c);

/* ---- log_options.c ---- */
/* dir: the container's. */
int log_plan(const struct run_opts *o, const char *dir, struct launch *l, struct err *e);

/* ---- healthcheck.c ---- */
int health_check_options(const struct run_opts *o, struct err *e);
int health_plan(const struct run_opts *o, const struct image_config *ic, struct launch *l, struct err *e);

/* ---- names.c ---- */
char *name_generate(void); /* "adjective_noun" */

/* ---- reconcile.c ---- */
/* Compares a record with what its run files and processes say, sets the record right and c with it. *ret_gone: it was
 * auto_remove, has ended, and has been removed. */
int reconcile_one(struct engine *en, struct container_record *c, bool *ret_gone, struct err *e);
/* Ends and removes what the kernel may still have of one that has ended, and of its pod. With its lock, lest another one start it. */
int container_sweep(struct engine *en, const struct container_record *c, struct err *e);

/* ---- exec.c ---- */
/* Has p run in the container, on a connection of monitor_connect: attach_run goes on from there. */
int exec_request(int fd, const struct spec_process *p, uint16_t channel, const struct exec_opts *o, struct err *e);

/* ---- client.c: short conversations with a monitor, on a connection of monitor_connect ---- */
/* Asks for output, and says whether input will come; attach_run goes on from there. */
int client_want_streams(int fd, bool want_stdin, struct err *e);
int client_signal(int fd, int sig, struct err *e);
/* 1 and *ret_exit; 0 after timeout_ms (-1 = never). */
int client_wait_exit(int fd, int timeout_ms, struct exit_status *ret_exit, struct err *e);
/* Does the failure r of one of these, or of monitor_connect, say that there is no monitor (any more)? */
bool client_is_gone(int r);
/* monitor_connect, to one that may have just been spawned and does not listen yet. monitor: its pidfd, or -1. */
int client_connect(struct engine *en, const char *id, int monitor, int *ret_fd, struct err *e);
bool monitor_ends_within(int pidfd, int timeout_ms);
/* Does it run, or is a start under way? *ret_what: the word for that, NULL for neither. */
int container_life(struct engine *en, const struct container_record *c, const char **ret_what, struct err *e);

/* ---- create.c ---- */
/* NAME=VALUE words into m. */
int labels_add(char *const *words, struct string_map *m, struct err *e);
/* engine_create of checked options, with an id of the caller's (id_new). */
int create_container(struct engine *en, const struct run_opts *o, const char *id, struct err *e);

/* The record of a new container; without a name it gets one. */
int container_put(struct engine *en, struct container_record *c, struct err *e);
/* ROOT/containers/ID, new. */
int make_container_dir(const struct plan *p, int *ret_dirfd, struct err *e);

/* ---- usage.c ---- */
/* What the files below a directory take of the disk; nothing is followed. depth: 0. */
uint64_t bytes_of(int dirfd, const char *name, int depth);
/* The sum of the lengths of the files below a directory, of one with several names once, as docker counts; nothing is followed. 0 where it is
 * not there. -ENOMEM. */
int lengths_of(int dirfd, const char *name, uint64_t *ret);

/* ---- sweep.c ---- */
/* Who is told of leftovers, each by its path; nothing is removed then. In the place of it NULL: they are removed. */
struct leftovers {
	void (*found)(const char *path, void *arg);
	void *arg;
};
/* What engine_sweep would remove, but for what the store collects (store_leftovers). -EBUSY: something is being made. */
int engine_leftovers(struct engine *en, const struct leftovers *l, struct err *e);
/* DIR/NAME is a leftover: tells l, or removes it. */
int leftover(const struct leftovers *l, int dirfd, const char *dir, const char *name, struct err *e);

/* ---- snapshot_store.c ---- */
/* Removes saved VMs that no record knows; nobody can be taking one: the caller holds the store's lock exclusively. */
int snapshots_sweep(struct engine *en, const struct leftovers *l, struct err *e);

/* ---- start.c ---- */
/* A monitor that waits for its container to be made. */
struct waiting_monitor {
	pid_t pid;
	int fd; /* the first client's end; -1 = none */
};
struct monitor_opts {
	bool shows_stderr; /* it may write to our stderr */
	bool new_network;  /* the container will want a network namespace that is nobody else's */
	int all_fd;        /* one of several, all or none: monitor_config's; 0 = none */
};
/* Spawns the monitor of ID. Then either of: */
int monitor_prepare(struct engine *en, const char *id, const struct monitor_opts *o, struct waiting_monitor *ret, struct err *e);
/* record and bundle are there: it starts the container; this follows it as o says */
int monitor_go(struct waiting_monitor *w, bool has_tty, const struct start_opts *o, struct exit_status *ret_exit,
	       bool *ret_detached, struct err *e);
/* the same, but returns at once: monitor_wait_started(w->fd) follows it */
int monitor_order(const struct waiting_monitor *w, struct err *e);
/* nothing was made: it ends without a trace; returns when it has. Takes one that is gone (fd -1) too. */
void monitor_dismiss(struct waiting_monitor *w);
/* ---- pull.c ---- */
/* engine_pull for a caller that holds the store's lock. */
int pull_locked(struct engine *en, const char *name, const struct pull_opts *o, char **ret_image_id, struct err *e);

/* ---- kernel.c ---- */
/* Names of the store's kernels that containers have asked for or run on; strv_free it. */
int kernel_names_used(struct engine *en, char ***ret, struct err *e);

/* ---- remove.c ---- */
int remove_files(const struct paths *p, const char *id, struct err *e);
/* The same for who is waited for: on return both folders have names that nobody looks for, and engine_close removes them. A
 * crash before that leaves them to `system prune`. */
int remove_files_later(struct engine *en, const char *id, struct err *e);
/* Files, volumes of its own where asked for, and the record last. died: how it has ended, where that is not recorded yet; or NULL. */
int remove_rest(struct engine *en, const char *id, bool volumes, const struct container_record *died, struct err *e);
#define DOOMED_RUN ".rm-" /* in RUN/containers */
/* Likewise: of a guest that serves the files of a machine that does not run. What one that was killed has left goes; the caller has
 * the container's lock. */
#define GUEST_FILES_RUN ".files-"
int guest_idle_sweep(struct engine *en, const char *id, struct err *e);
char *container_dir(const struct paths *p, const char *id);
