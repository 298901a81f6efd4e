/* setup: what the files of container/ share while one process is set up. Not for other folders: they see container.h.
 *
 * Theory of operation
 *
 *   caller (parent)                              child (PID 1 of the container, or an exec'd process)
 *   ---------------                              ------------------------------------------------------
 *   steps BEFORE: check, cgroup, inputs
 *   child_clone() ------- clone3 ------------>   steps CHILD: own mount tree, devices ... (no one else is in there yet)
 *   steps BESIDE: id maps                        ... which waits where it needs the parent's part (sync_wait)
 *   sync_ready() <------- READY, console ----    steps of user, capabilities
 *   = container_create returns
 *   container_start: START ------------------>   steps START: find the program, seccomp, execve
 *   <---- end of file (exec closed the socket) or FAILED + struct err
 *
 * With args.start_fd the caller says KEPT once it has recorded the pid (container_release) and may end when the child has answered
 * WAITS; the child then accepts on that socket, and the one who connects and says START (container_adopt, container_start) takes the caller's place.
 *
 * A namespace that must be entered before the first process is born in it (a joined pid, user or mount namespace, time offsets)
 * puts a short-lived stage process between the two, which clones the child as the caller's own (CLONE_PARENT).
 *
 * struct setup lives on the parent's stack; the child works on the copy that clone3 gave it, so nothing of what the child
 * does to it is seen by the parent. Both ends only talk through `sock`. */
#pragma once

#include <stdio.h>

#include "container.h"

enum state { STATE_NEW, STATE_CREATED, STATE_RUNNING, STATE_ENDED };

/* STATE_NEW -container_create-> CREATED -container_start-> RUNNING -container_reap-> ENDED; CREATED -container_reap-> ENDED.
 * container_destroy takes any. container_adopt begins with CREATED or RUNNING and ends with container_free. */
struct container {
	struct container_args args;
	char *id;
	enum state state;
	pid_t pid;
	int pidfd;
	int sock;              /* to the child, until its exec */
	int console;           /* pty master until taken */
	bool is_adopted;       /* another process's child, and not ours to wait for */
	struct cgroup *cgroup; /* NULL with args.no_cgroup */
	char *cgroup_path;     /* relative to the hierarchies' mount points */
	bool in_userns;        /* its namespaces belong to a user namespace of their own */
	uint64_t began_us;     /* clock_mono_us of container_create */
	int wait_status;
};

/* A process while it is being made. */
enum { STEP_MAX = 64 };
struct setup {
	struct container *c;
	const struct container_args *args;  /* the container's */
	const struct spec *spec;            /* = args->spec */
	const struct spec_process *process; /* spec->process, or the exec's */
	const struct seccomp_prog *seccomp;
	const int *stdio;
	bool is_exec;
	bool in_foreign_userns; /* without one of its own it is in one that somebody else has made */
	bool is_privileged;     /* may map any id and enter any namespace of its own user namespace */
	unsigned n_preserve_fds;
	bool no_new_keyring;
	const struct step *table; /* the ordered steps, see steps.c */

	int sock;                     /* this side's end */
	unsigned heard;               /* child: 1 << sync_kind of what the parent has said */
	int peer;                     /* the other side's, closed right after clone */
	int birth;                    /* stage: where it reports the birth of the child */
	int ns_fd[NS_COUNT];          /* namespaces to join, -1 = none */
	bool ns_is_callers[NS_COUNT]; /* of those: the one that the caller is in, the host's as a rule */
	int netfd;                    /* child: the network namespace that the parent has made beforehand; 0 = none */
	int rootfd;                   /* the new root: a mount, in the child O_PATH-like */
	int procfd;                   /* a procfs of the child's pid namespace; see procfs.c */
	int devfd;                    /* the container's /dev, -1 where it has none of Berth's making */
	int *file_fd;                 /* per args->files: a detached mount of it */
	int initfd;                   /* args->init_path, a read-only detached mount of it */
	int *bind_fd;                 /* per spec mount: source opened early for propagation, or -1; NULL = none */
	int console_master, console_slave;

	struct spec_user user; /* as resolved; see user.c */
	char *home;
	struct spec_caps caps;             /* the final sets */
	char **env;                        /* the process's, completed */
	char *program;                     /* path to exec, found in the container */
	bool has_joined;                   /* it is in its cgroups */
	bool may_be_chrooted, is_chrooted; /* see chroot.c */
	bool has_selinux;                  /* labels mean something here */
	bool has_oom_score;                /* it has given itself its oom_score_adj */
	bool cwd_pending;                  /* cwd could not be entered as root: once more as the user */

	pid_t exec_pid;             /* parent: the exec'd process */
	uint64_t step_us[STEP_MAX]; /* end of each row of table, since c->began_us; 0 = not traced */
};
void setup_init(struct setup *s, struct container *c);
void setup_done(struct setup *s);

/* ---- steps.c ---- */
enum where {
	STEP_BEFORE, /* parent, before clone */
	STEP_BESIDE, /* parent, while the child works */
	STEP_CHILD,  /* child, up to READY */
	STEP_START,  /* child, after START; the last one does not return */
};
struct step {
	const char *name;
	enum where where;
	int (*apply)(struct setup *s, struct err *e);
};
extern const struct step create_steps[], exec_steps[]; /* end with .name NULL */
/* Runs the rows of `where` in order; an error is prefixed with the row's name. */
int steps_run(struct setup *s, enum where where, struct err *e);
struct sync_report;
/* Parent: what is no row has been reached. */
void steps_trace_stage(const struct container *c, const char *what);
/* Parent: hands the times in the child's report to args->trace. */
void steps_trace(const struct setup *s, const struct sync_report *rep, enum where where);

/* ---- sync.c: messages over the socket pair ---- */
enum sync_kind {
	SYNC_MAPPED = 1, /* parent: uid and gid maps are written */
	SYNC_CGROUP,     /* parent: the cgroups are made */
	SYNC_DEVICES,    /* parent: the network devices are there */
	SYNC_NETWORK,    /* parent: here is your network namespace; without one: make it yourself */
	SYNC_ROOT,       /* parent: the root is mounted, here it is */
	SYNC_HOOKED,     /* parent: hooks of the runtime have run */
	SYNC_KEPT,       /* parent: your pid is recorded, live on without me */
	SYNC_AGENT,      /* parent: the seccomp agent has the listener */
	SYNC_START,      /* parent: exec now */
	SYNC_BORN,       /* stage: pid of the child */
	SYNC_HOOKS,      /* child: asks for the hooks of the runtime */
	SYNC_READY,      /* child: all but START is done */
	SYNC_WAITS,      /* child: the answer to KEPT */
	SYNC_SECCOMP,    /* child: the filter is loaded; comes with the listener */
	SYNC_EXEC,       /* child: about to exec; sent only for the times in it */
	SYNC_FAILED,     /* child: err says why; it exits now */
	SYNC_KINDS,
};
struct sync_report {
	uint32_t kind;
	int32_t pid;
	struct err err;
	uint64_t step_us[STEP_MAX];
};
int sync_pair(int ret_fds[2], struct err *e);
struct sync_word {
	uint32_t kind;
};
int sync_send(int sock, enum sync_kind kind);
int sync_send_fd(int sock, enum sync_kind kind, int fd);
/* Child: blocks until the parent has said `kind`; what it says before that is kept, the root in s->rootfd, the network in s->netfd. -EPIPE when the
 * parent is gone. */
int sync_wait(struct setup *s, enum sync_kind kind, struct err *e);
/* Child with a start socket: waits for SYNC_KEPT, then for whoever connects and says SYNC_START, who takes the parent's place. */
int sync_wait_start(struct setup *s, struct err *e);
/* Child: report to the parent, with the console's master where fd >= 0. */
int sync_report(const struct setup *s, int sock, enum sync_kind kind, pid_t pid, const struct err *err, int fd);
/* Parent: next report; 0 = end of file (exec'd or died), 1 = report, -errno. *ret_fd: a passed fd or -1. */
int sync_next(int sock, struct sync_report *ret, int *ret_fd, struct err *e);

/* ---- child.c: making the process ---- */
int child_clone(struct setup *s, pid_t *ret_pid, int *ret_pidfd, struct err *e);
int child_kill_and_reap(pid_t pid, int pidfd);
int child_session(struct setup *s, struct err *e);

/* ---- placement.c: on which CPU the first process begins ---- */
/* Is a CPU taken at random likely to be idle, where so many threads run on so many CPUs? */
bool placement_pays(unsigned running, unsigned cpus);
/* Before it is made. Not wanted: this process is bound to some CPUs, or the host has too much to do. */
void placement_plan(struct placement *ret);
void placement_of_thread(const struct placement *p, pthread_attr_t *attr);
/* Moves pid, made just now, off this thread's CPU if it is there; its mask is what it was. Fails only where it could not be restored. */
int placement_apply(struct placement *p, pid_t pid, struct err *e);

/* ---- namespaces.c ---- */
struct ns_row {
	const char *oci, *proc;
	uint64_t clone_flag;
};
extern const struct ns_row ns_table[NS_COUNT];
extern const enum spec_ns ns_join_order[NS_COUNT];
bool ns_is_new(const struct spec *s, enum spec_ns n);
bool ns_may_take_network(const struct spec *s);           /* one made beforehand is as good as a new one */
bool ns_takes_network(const struct setup *s);             /* one made beforehand serves */
bool ns_mount_is_anothers(const struct setup *s);         /* not new: nothing is mounted, root.path is entered by chroot */
uint64_t ns_clone_flags(const struct spec *s);            /* for clone3: all new ones but the cgroup namespace */
bool ns_needs_stage(const struct setup *s);               /* some must be entered before birth */
int ns_open(struct setup *s, struct err *e);              /* opens the paths to join */
int ns_join_for_children(struct setup *s, struct err *e); /* stage: user, pid */
int ns_time_offsets(struct setup *s, struct err *e);      /* stage: a new time namespace for the child, with its offsets */
int ns_join(struct setup *s, struct err *e);              /* child: the others */
int ns_cgroup(struct setup *s, struct err *e);            /* child, once in its cgroups: the cgroup namespace */
static inline bool net_ahead_is_begun(const struct net_ahead *a) { return a && a->is_begun; }
int net_ahead_pass(struct setup *s, struct err *e); /* parent */
int net_by_thread(int *ret_fd, struct err *e);      /* a new one, its loopback up; the caller stays where it is */
int ns_net(struct setup *s, struct err *e);         /* child: the network namespace */

/* ---- userns.c ---- */
int userns_write_maps(struct setup *s, struct err *e); /* parent; then SYNC_MAPPED */
/* file: "uid_map" or "gid_map" of the process, which is in a new user namespace. */
int userns_write_map(pid_t pid, const char *file, const struct spec_idmap *m, size_t n, struct err *e);
int userns_wait_maps(struct setup *s, struct err *e); /* child without privilege: while /proc lets its parent write them */
int userns_enter(struct setup *s, struct err *e);     /* child: waits for the maps, becomes root of it */
int exec_userns_root(struct setup *s, struct err *e);
/* userns_own.c: both maps as a user without privilege may write them: its own id itself, any other through newuidmap and
 * newgidmap. is_config: errors name config.json's properties. */
int userns_write_own_maps(const struct spec *spec, bool is_config, pid_t pid, struct err *e);

/* ---- exec.c ---- */
int exec_join(struct setup *s, struct err *e); /* stage of an exec: into the container's namespaces */
int exec_procfs(struct setup *s, struct err *e);

/* ---- check.c ---- */
int check_spec(struct setup *s, struct err *e);

/* ---- cgroup_join.c ---- */
int record_early(struct setup *s, struct err *e); /* parent: args->record, where the cgroup is made early */
int record_beside(struct setup *s, struct err *e);
int cgroup_make_early(struct setup *s, struct err *e); /* parent */
int cgroup_make_beside(struct setup *s, struct err *e);
int cgroup_join_early(struct setup *s, struct err *e); /* child */
int cgroup_join(struct setup *s, struct err *e);       /* child */

/* ---- procfs.c: a private procfs, and writes to it ---- */
int procfs_open(struct setup *s, struct err *e);
/* One write to path ("self/attr/exec", "sys/net/...") below the child's procfs. */
int procfs_write(const struct setup *s, const char *path, const char *text);
/* /proc/PID/name of this process's own /proc, verified to be a procfs; pid 0 = the caller itself, before it has another tree. */
int procfs_write_pid(pid_t pid, const char *name, const char *text);
bool fd_is_procfs(int fd);

/* ---- chroot.c ---- */
int chroot_suspect(struct setup *s, struct err *e); /* parent */
int chroot_find(struct setup *s, struct err *e);
int chroot_leave(struct setup *s, struct err *e);
/* Of the mount at dirfd/path; path "" = dirfd's own. */
int mount_id(int dirfd, const char *path, uint64_t *ret);

/* ---- rootfs.c ---- */
int rootfs_make(struct setup *s, struct err *e); /* parent */
int rootfs_attach(struct setup *s, struct err *e);
int rootfs_pivot(struct setup *s, struct err *e);
int rootfs_of_exec(struct setup *s, struct err *e);

/* ---- target.c: places below the new root where something is put ---- */
/* O_PATH fd of path, every component taken literally: a symlink or ".." is refused (R03, R09). Missing directories are made
 * where `mkdir`. -ELOOP for a symlink. */
int target_open_strict(int rootfd, const char *path, bool mkdir, mode_t mode);
enum target_kind { TARGET_DIR, TARGET_FILE };
/* The mount point for a mount of `kind` at path; made where missing. strict: as above, else symlinks resolve in the root. */
int target_make(int rootfd, const char *path, enum target_kind kind, bool strict, struct err *e);
/* path equals dir, or lies below it, both normalised textually. */
bool path_is_under(const char *path, const char *dir);
bool path_is_kernels(const char *path); /* /proc, /sys, /dev and below */

/* ---- mount_flags.c ---- */
struct mount_plan {
	uint64_t attrs;   /* MOUNT_ATTR_*, without atime */
	uint64_t cleared; /* those of "rw", "dev" ...: only a remount acts on them */
	uint64_t atime;   /* MOUNT_ATTR_{RELATIME,NOATIME,STRICTATIME} */
	bool has_atime;
	uint64_t rec_attrs; /* recursive ones ("rro") */
	uint64_t rec_atime; /* as atime ("rnoatime") */
	bool has_rec_atime;
	uint64_t propagation; /* MS_PRIVATE ..., 0 = not given */
	bool is_propagation_recursive;
	bool is_bind, is_recursive;
	bool is_idmap, is_idmap_recursive, is_remount, is_copyup;
	const char **data; /* what is left for the filesystem: borrowed strings, n_data */
	size_t n_data;
	const char **super; /* "sync" ...: for whole filesystems, so not for binds; borrowed, n_super */
	size_t n_super;
};
int mount_options_parse(char *const *options, struct mount_plan *ret, struct err *e);
void mount_plan_done(struct mount_plan *p);
/* "shared" ... of rootfsPropagation; 0 and *ret_recursive for NULL. */
int mount_propagation_parse(const char *s, uint64_t *ret, bool *ret_recursive, struct err *e);

/* ---- mount_api.c: the new mount API, with the kernel's own words in errors ---- */
/* A detached mount of a new filesystem instance; data are its options ("size=64k"), attrs MOUNT_ATTR_*. */
int fs_mount(const char *type, const char *source, const char *const *data, size_t n_data, uint64_t attrs, struct err *e);
int mount_clone(int dirfd, const char *path, bool recursive); /* open_tree(CLONE) -> fd or -errno */
int mount_attrs(int fd, bool recursive, uint64_t set, uint64_t clear, uint64_t propagation);
int mount_attach(int mountfd, int targetfd); /* moves it onto the target */

int fs_reconfigure(int mountfd, const char *const *data, size_t n_data, struct err *e);

/* ---- mounts.c, mount_cgroup.c, mount_idmap.c, copyup.c ---- */
int mounts_open_mapped(struct setup *s, struct err *e); /* parent */
int mounts_alloc_binds(struct setup *s, struct err *e);
/* A detached clone of a bind's source; relative ones begin at the bundle. */
int mount_open_source(struct setup *s, const struct spec_mount *m, const struct mount_plan *plan, struct err *e);
int mount_remount(struct setup *s, const struct spec_mount *m, const struct mount_plan *plan, struct err *e);
/* A detached bind of the host's own sysfs, mqueue or procfs, where a user namespace may have no new one: -EPERM and e untouched
 * where that is not the case. */
int mount_lend(const struct setup *s, const struct spec_mount *m, uint64_t attrs, struct err *e);
/* Copies what the directory `target` holds into the mount's root, and its owner, mode and times unless keep_mode. */
int copyup(int target, int mountfd, bool keep_mode, struct err *e);
int mounts_open_shared(struct setup *s, struct err *e);
int mounts_private(struct setup *s, struct err *e);
int mounts_apply(struct setup *s, struct err *e);
int mounts_apply_late(struct setup *s, struct err *e); /* and masks on them */
bool path_is_late(const struct spec *s, const char *path);
int mounts_propagation(struct setup *s, struct err *e);
int mount_cgroup(struct setup *s, int target, const struct mount_plan *plan, struct err *e);

/* ---- one subject a file ---- */
int dev_make(struct setup *s, struct err *e);      /* dev.c */
int dev_null_open(struct setup *s, struct err *e); /* O_PATH of a verified char 1:3 */
int init_open(struct setup *s, struct err *e);
int tty_open(struct setup *s, struct err *e);    /* tty.c */
int stdio_apply(struct setup *s, struct err *e); /* stdio.c */
int stdio_own(struct setup *s, struct err *e);
int files_store(struct setup *s, struct err *e); /* files.c */
int files_apply(struct setup *s, struct err *e);
int mask_apply(struct setup *s, struct err *e); /* mask.c */
int readonly_apply(struct setup *s, struct err *e);
int mask_apply_late(struct setup *s, struct err *e);
int sysctl_apply(struct setup *s, struct err *e); /* sysctl.c */
bool sysctl_is_allowed(const struct setup *s, const char *key);
int uts_apply(struct setup *s, struct err *e);        /* uts.c */
int net_loopback_up(struct err *e);                   /* of the caller's network namespace */
int net_apply(struct setup *s, struct err *e);        /* net.c */
bool net_is_lent(const struct setup *s);              /* the caller's, which is the container's own (args.owns_network) */
int net_devices_move(struct setup *s, struct err *e); /* net_device.c, parent; then SYNC_DEVICES */
int net_devices_wait(struct setup *s, struct err *e); /* child */
int rdt_apply(struct setup *s, struct err *e);        /* rdt.c, parent: groups of resctrl, and the process in them */
int rdt_join(struct setup *s, struct err *e);         /* an exec's process */
/* Of the container's own groups; basefd: a resctrl. Apart for its tests. */
int rdt_make(int basefd, const struct spec_rdt *r, const char *id, pid_t pid, struct err *e);
int rdt_remove(int basefd, const struct spec_rdt *r, const char *id, struct err *e);
int rdt_update(int basefd, const char *group, pid_t pid, const char *l3_schema, const char *mb_schema, struct err *e);
int caps_check(struct setup *s, struct err *e);   /* caps.c, parent: warns of what can't be granted */
bool caps_are_effective(uint64_t caps);           /* all of them, in this process */
int user_resolve(struct setup *s, struct err *e); /* user.c: spec's user -> s->user, HOME */
int user_become(struct setup *s, struct err *e);  /* caps.c: bounding set, groups, uid, ambient; SYS_ADMIN kept for seccomp */
int caps_final(struct setup *s, struct err *e);
int rlimits_apply(struct setup *s, struct err *e);   /* process.c */
int oom_score_apply(struct setup *s, struct err *e); /* parent */
int oom_score_own(struct setup *s, struct err *e);   /* child or stage without privilege, while it still may */
int keyring_apply(struct setup *s, struct err *e);
int scheduler_apply(struct setup *s, struct err *e); /* sched.c */
int io_priority_apply(struct setup *s, struct err *e);
int memory_policy_apply(struct setup *s, struct err *e);
int personality_apply(struct setup *s, struct err *e);
int affinity_initial(struct setup *s, struct err *e); /* stage of an exec */
int affinity_final(struct setup *s, struct err *e);
int cwd_make(struct setup *s, struct err *e);
int cwd_enter(struct setup *s, struct err *e);
int privs_apply(struct setup *s, struct err *e); /* umask, no_new_privs, death signal */
int lsm_check(struct setup *s, struct err *e);   /* lsm.c, parent */
int lsm_apply(struct setup *s, struct err *e);
int program_find_early(struct setup *s, struct err *e); /* program.c */
int program_find(struct setup *s, struct err *e);
int program_exec(struct setup *s, struct err *e); /* last step: seccomp, capabilities, execve */
/* state.c */
const char *state_version(const struct container_args *a);
struct json_object *state_json(const struct container_args *a, const char *status, pid_t pid); /* pid 0 = none; NULL on ENOMEM */
/* seccomp_notify.c. The child, which takes listener (-1 = none). */
int seccomp_listener_hand_over(struct setup *s, int listener, struct err *e);
/* The parent: gives the agent the listener (borrowed) that came over sock from `process`, and says so to the process. */
int seccomp_listener_pass(struct container *c, pid_t process, int sock, int listener, struct err *e);
int hooks_run_runtime(struct setup *s, struct err *e); /* hooks.c, parent */
int hooks_wait(struct setup *s, struct err *e);        /* child: asks for them, then runs createContainer */
int hooks_start_container(struct setup *s, struct err *e);
