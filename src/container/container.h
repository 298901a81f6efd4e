/* container: one process tree inside namespaces and cgroups, as an OCI runtime makes it. The monitor uses it on the host,
 * berth-init inside a guest, berth-runtime (later) behind its command line. Parse -> plan -> apply: struct spec is the
 * plan, steps.c holds THE ordered table of what is done to make it true; each step is timed and named in errors.
 *
 * The caller must be single-threaded (setns, clone3; but for the thread of net_ahead) and owns waiting: container_pidfd() becomes readable when the
 * process has ended, then container_reap(). */
#pragma once

#include <pthread.h>
#include <sched.h>

#include "spec.h"

struct container; /* opaque: pid, pidfd, cgroup, console master */

/* A compiled seccomp program; filters are struct sock_filter[]. */
struct seccomp_prog {
	void *filters;
	size_t n_filters;
	unsigned flags;
};
/* From the cache directory (NULL = no cache; made when missing) or compiled and cached. Key: the profile, libseccomp's version
 * (it numbers the calls), uname -m. spec->seccomp NULL gives an empty program. Unknown architectures, actions and
 * comparisons are errors that name them; unknown system calls are skipped, as by the other runtimes. What it means when
 * several rules name one call: seccomp_impl.h. */
int container_seccomp_get(const struct spec *s, const char *cache_dir, struct seccomp_prog *ret, struct err *e);
/* The same for the built-in profile (the next function's), which is made only where the cache lacks its filter: reading 8 KiB
 * of rules costs a start more than its network namespace. */
int container_seccomp_get_default(uint64_t caps, const char *cache_dir, struct seccomp_prog *ret, struct err *e);
/* Docker's default profile with Berth's changes (unknown calls answer ENOSYS; AF_ALG, AF_VSOCK, TIOCSTI refused),
 * widened by caps as Docker's is; caller frees with the spec. */
int container_seccomp_default(uint64_t caps, struct spec_seccomp **ret, struct err *e);
void seccomp_prog_done(struct seccomp_prog *p);
/* Puts it onto the calling process, for good. NULL and empty do nothing. Needs no_new_privs or CAP_SYS_ADMIN. *ret_listener:
 * the descriptor that notifications come from, close-on-exec, or -1 where the program has none; may be NULL when it can't have
 * one, else -EINVAL. */
int seccomp_prog_load(const struct seccomp_prog *p, int *ret_listener, struct err *e);

/* uid, gid and groups of "name", "name:group", "uid", "uid:gid" from etc/passwd and etc/group below rootfd (through
 * root_open; regular files up to 1 MiB only: R11-R14). *ret_home (may be NULL): the home directory or "/". */
int container_resolve_user(int rootfd, const char *user, struct spec_user *ret, char **ret_home, struct err *e);

/* Cgroup of a container: a directory in each v1 hierarchy that its limits need, or one on v2. */
struct cgroup;
/* path: relative to the hierarchies' mount points, "/berth/ID". Makes it and writes every limit; a limit that this host
 * can't set is an error that names the flag and the missing file. */
int cgroup_create(const struct host *h, const char *path, const struct spec_resources *r, struct cgroup **ret, struct err *e);
/* Same, in every v1 hierarchy that the host has, needed or not: other engines read statistics where /proc/PID/cgroup says. */
int cgroup_create_everywhere(const struct host *h, const char *path, const struct spec_resources *r, struct cgroup **ret,
			     struct err *e);
/* Existing one, for another process than its maker. */
int cgroup_open(const struct host *h, const char *path, struct cgroup **ret, struct err *e);
int cgroup_attach(struct cgroup *cg, pid_t pid, struct err *e); /* into every hierarchy */
/* The caller itself joins, single-threaded, before it leaves the host's user or cgroup namespace. On v1 this is hundreds of
 * times cheaper than cgroup_attach() on an idle host: writing 0 to `tasks` takes no cgroup_threadgroup_rwsem, whose RCU
 * grace period is 5-15 ms (kernel/cgroup/cgroup.c, cgroup_procs_write_start; Linux 5.15). */
int cgroup_attach_self(const struct cgroup *cg, struct err *e);
/* v2: directory fd for clone3(CLONE_INTO_CGROUP); -1 on v1. Owned by cg. */
int cgroup_clone_fd(const struct cgroup *cg);
/* From here on cg is one below it, for who joins: wanted is one "PATH", or v1's "CONTROLLER[,CONTROLLER...]:PATH" any number of
 * times, which leaves it where it is in the other hierarchies. -ENOENT: it is not there; none is made. */
int cgroup_descend(struct cgroup *cg, char *const *wanted, struct err *e);
int cgroup_update(struct cgroup *cg, const struct spec_resources *r, struct err *e);
/* Before cgroup_update: makes what r needs and the container did without so far, and moves its
 * processes there. */
int cgroup_grow(const struct host *h, struct cgroup *cg, const struct spec_resources *r, struct err *e);
int cgroup_freeze(struct cgroup *cg, bool frozen, struct err *e);
bool cgroup_is_frozen(const struct cgroup *cg);
const char *cgroup_freezer_dir(const struct cgroup *cg); /* absolute; NULL = it has none. Borrowed from cg */
int cgroup_kill(struct cgroup *cg, struct err *e);       /* thaws, kills all, waits until empty (bounded) */
/* Kills what is left and removes the directories; 0 also when they are gone already. Frees cg. */
int cgroup_remove(struct cgroup *cg, struct err *e);
/* Of the directories of this path those that have neither processes nor children. -> whether none is left: also where there was none. */
bool cgroup_remove_empty(const struct host *h, const char *path);
void cgroup_free(struct cgroup *cg);                     /* closes only */
bool cgroup_asks_limits(const struct spec_resources *r); /* anything but rules for devices */
uint64_t cgroup_weight_of_shares(int64_t shares);        /* v1's cpu.shares 2..262144 -> v2's cpu.weight 1..10000 */
/* What the hierarchy of v2 is mounted with for all ("rw,nsdelegate,memory_recursiveprot"), while somebody else mounts it: kept by one
 * process at a time, which others wait for, lest one keeps what another's has changed. */
struct cgroup_root {
	char *options;
	int lock;
};
void cgroup_root_keep(const struct host *h, struct cgroup_root *ret);
/* Sets the options where they are others by now, and lets others keep theirs. */
int cgroup_root_give_back(const struct host *h, struct cgroup_root *kept, struct err *e);
struct cgroup_stats {
	uint64_t mem_bytes, mem_peak_bytes, mem_limit_bytes, mem_cache_bytes, mem_inactive_file_bytes, cpu_ns, cpu_user_ns,
		cpu_system_ns, pids, pids_limit, oom_kills, throttled_periods, throttled_ns, io_read_bytes, io_write_bytes;
};
int cgroup_stats(struct cgroup *cg, struct cgroup_stats *ret, struct err *e);
struct json_object *cgroup_stats_json(const struct cgroup_stats *s);
/* The "data" of runc's `events --stats`, as an object that the caller puts. */
int cgroup_report(struct cgroup *cg, struct json_object **ret, struct err *e);
/* Out-of-memory events. The fd becomes readable when there may be one; then cgroup_oom_next: 1 = the limit was hit (v1) or a
 * process killed for it (v2), 0 = nothing of the kind, -ENODEV = the cgroup is gone, or (v2) nothing lives in it any more, which a
 * kill at the same moment hides: watch the process too. Owned by w. */
struct cgroup_oom;
int cgroup_oom_open(struct cgroup *cg, struct cgroup_oom **ret, struct err *e);
int cgroup_oom_fd(const struct cgroup_oom *w);
int cgroup_oom_next(struct cgroup_oom *w);
void cgroup_oom_free(struct cgroup_oom *w);
DEFINE_CLEANUP(struct cgroup_oom *, cgroup_oom_free)
int cgroup_pids(struct cgroup *cg, pid_t **ret_pids, size_t *ret_n); /* of the whole subtree */

struct container_args {
	const struct spec *spec; /* borrowed for the container's life */
	const char *id;
	const struct host *host; /* borrowed; host_probe_cgroup is enough */
	int rootfd;              /* detached mount (fsmount/open_tree) to become "/"; -1 = bind spec->root_path */
	/* Makes that mount instead (rootfd is not looked at): called while the first process is already being set up, since an
	 * overlay takes as long to mount as a network namespace to make. NULL = rootfd. */
	int (*make_root)(void *arg, int *ret_rootfd, struct err *e);
	void *make_root_arg;
	const struct seccomp_prog *seccomp; /* NULL or empty = none */
	const struct launch_file *files;    /* injected, see launch.h */
	size_t n_files;
	const char *init_path; /* berth-init for --init, or NULL: the user's process is PID 1 itself */
	int stdio[3];          /* become 0, 1, 2; ignored when spec->process.terminal. Borrowed. */
	const char *bundle;    /* for the state that hooks get; may be NULL */
	bool no_cgroup;
	bool cgroup_everywhere; /* cgroup_create_everywhere() */
	/* Where not NULL: called beside the child before its cgroup is looked for, to have somebody else (a service manager)
	 * make the directory, with the child in it. */
	int (*make_scope)(pid_t pid, void *arg, struct err *e);
	void *make_scope_arg;
	/* Where not NULL: called in the parent before anything is made that outlives it (cgroup, scope), to have it written down. pid
	 * is the first process, or 0 where the cgroup is made before it (v2), after which it is called once more. */
	int (*record)(pid_t pid, void *arg, struct err *e);
	void *record_arg;
	/* Owned; 0 = none. Something whose closing takes long (the last descriptor of a detached mount: an RCU grace period): the child
	 * closes it at once, container_create while it waits for the child. */
	int spent_fd;
	bool die_with_parent; /* PR_SET_PDEATHSIG for the container's first process */
	bool starts_at_once; /* container_start follows in any case: the process need not wait for it, only the caller for the exec */
	/* From container_start_listen: the process outlives its maker (container_release) and is started by whoever connects
	 * (container_adopt). Borrowed; 0 = started by its maker. */
	int start_fd;
	/* From container_make_network, beforehand, for a spec that asks for a new network namespace and no user namespace: taken
	 * instead of a new one. Borrowed; 0 = none. */
	int network_fd;
	/* Begun by container_network_begin, taken from there while the process is being set up. Borrowed; NULL = none. */
	struct net_ahead *network;
	/* From shared_ns_memory: attached where the spec mounts a new tmpfs at SHARED_MEMORY, instead of that. Borrowed; 0 = none. */
	int memory_fd;
	/* Called once while the process is being set up, before it can run the program, for what the caller has to do anyway; its
	 * error is container_create's. May be NULL. */
	int (*meanwhile)(void *arg, struct err *e);
	void *meanwhile_arg;
	unsigned n_preserve_fds; /* the caller's 3 .. 3+n-1 stay open in the process */
	bool no_new_keyring;     /* keep the caller's session keyring */
	bool allows_ping;        /* ping without privilege in a new network namespace, unless the spec sets its sysctl */
	bool owns_network;       /* the caller's network, where the spec has none, is as much the container's as a new one */
	bool no_pivot;           /* chroot instead of pivot_root, for a root on an initramfs */
	/* Called per step where not NULL; ns since container_create began. */
	void (*trace)(const char *step, uint64_t ns, void *arg);
	void *trace_arg;
};
struct placement { /* placement.c's: which CPUs are worth a move */
	bool is_wanted;
	cpu_set_t others;
};
/* volumes.c: what s binds, in the root of its container, which does not run: rootfd is mounted in this process's mount namespace. Missing
 * places are made as a start would make them. */
int container_bind_volumes(int rootfd, const struct spec *s, struct err *e);

/* A network namespace with its loopback up, for container_args.network_fd: a kernel spends as long on one as on all others
 * together, so who waits for something before it can call container_create makes it meanwhile. Needs CAP_SYS_ADMIN over the
 * caller's own network namespace, to which it returns; *ret_fd is the caller's, close-on-exec. -ENOTRECOVERABLE: the way back
 * failed, and the caller stands in the new one. */
int container_make_network(int *ret_fd, struct err *e);
/* The same in a thread, beside what the caller has to do before container_create: begun where the spec asks for such a network (*a is zero before),
 * quietly not where that fails, since the container's first process then makes its own and has the error. container_create takes
 * it (container_args.network); whoever has begun it takes it in any case, before it goes: the descriptor, the caller's to close,
 * or -1 where there is none or it has been taken. */
struct net_ahead {
	struct placement placement;
	pthread_t thread;
	int fd, no; /* no: why there is none */
	bool is_begun;
};
void container_network_begin(struct net_ahead *a, const struct spec *s);
/* Begun even before, by the looks of config.json's text; container_network_begin, which must follow, puts right what was guessed wrong. */
void container_network_guess(struct net_ahead *a, const char *text, size_t len);
int container_network_take(struct net_ahead *a);
/* Namespaces that several containers share (a pod's), held by descriptors: nothing else keeps them. By kind; -1 = not shared. */
struct shared_ns {
	int fd[NS_COUNT]; /* [NS_MOUNT]: of a namespace with nothing but the memory of SHARED_MEMORY */
};
#define SHARED_MEMORY "/dev/shm"
#define SHARED_NS_NONE                                    \
	((struct shared_ns){                              \
		.fd = { -1, -1, -1, -1, -1, -1, -1, -1 }, \
	})
_Static_assert(NS_COUNT == 8, "a -1 for each kind in SHARED_NS_NONE");
/* Makes those of network, IPC and host name that s wants new: the loopback interface up, s's host name set, and with IPC a tmpfs as
 * s mounts it at SHARED_MEMORY. Close-on-exec; shared_ns_close them. Nothing is left behind on failure. */
int shared_ns_make(const struct spec *s, struct shared_ns *ret, struct err *e);
/* The memory, as a detached mount for one container (container_args.memory_fd), the caller's to close; -1 where none is shared. */
int shared_ns_memory(const struct shared_ns *n, int *ret_fd, struct err *e);
/* The same of another container's, whose mount namespace that is: what it has at SHARED_MEMORY, where that is a tmpfs (-ENOENT: it has
 * none). Whatever its options are there, here it has no setuid programs, devices or programs. */
int shared_ns_memory_of(int mount_ns, int *ret_fd, struct err *e);
void shared_ns_close(struct shared_ns *n);
/* Everything up to, not including, the user's exec: namespaces, cgroup, mounts, user, capabilities, seccomp are done by the
 * time this returns where possible; what must follow (seccomp, exec) is done in container_start. On failure nothing is
 * left behind (processes, cgroups, mounts). */
int container_create(const struct container_args *a, struct container **ret, struct err *e);
/* Lets the process exec. The exec's own failure is returned here, with err.exit 127 (not found) or 126 (can't be run). */
int container_start(struct container *c, struct err *e);
/* A container that starts in another process than the one that made it. Its first process, once ready, listens on a socket
 * in a directory that only its owner may enter, and takes the order to start from the first who gives it; who connects and
 * goes without a word changes nothing. The socket is closed by the exec, so that connecting answers -ECONNREFUSED from then on
 * (also where the process is gone) and tells "created" from "running" without any record. */
int container_start_listen(int dirfd, const char *name);  /* listening fd or -errno */
int container_start_connect(int dirfd, const char *name); /* fd for container_adopt or -errno */
/* After container_create with start_fd: lets it live without this process, and frees c. Until then it ends with its maker,
 * so that one whose pid nobody has recorded can't be left. */
int container_release(struct container *c, struct err *e);
/* A container that another process has made, by what was recorded of it. */
struct container_handle {
	pid_t pid;
	uint64_t start_time;     /* pid_start_time(), lest the pid be somebody else's by now */
	const char *cgroup_path; /* NULL or "" = none */
	int start_fd;            /* from container_start_connect, owned from here on; -1 = it runs already */
};
/* a: spec, id, host and bundle are used. container_start (the maker's duties end with it: poststart hooks are the caller's),
 * container_kill, container_exec and container_cgroup work on it; it ends with container_free. -ESRCH: it has ended. */
int container_adopt(const struct container_args *a, const struct container_handle *rec, struct container **ret, struct err *e);
void container_free(struct container *c); /* closes only: the container goes on */
DEFINE_CLEANUP(struct container *, container_free)
/* Runs the host's hooks of one kind, with the state as JSON on their stdin. status: OCI's word, pid: 0 = none. One that fails
 * ends the row; of poststart and poststop it is logged only, and never an error. */
int hooks_run(const struct container_args *a, enum spec_hook_kind kind, const char *status, pid_t pid, struct err *e);
/* The groups of resctrl that were made for a container (intelRdt); container_destroy does it too. 0 where there are none. */
int container_rdt_remove(const struct spec *s, const char *id, struct err *e);
/* Other schemas (NULL or "" = as they are) for a container that runs: in the group that its spec has put it into, or where that has no
 * intelRdt in one of its id, made where missing, to which its threads move. That one container_rdt_remove_updated removes; 0 where
 * there is none. -ENOTSUP names what this host lacks. */
int container_rdt_update(const struct spec *s, const char *id, pid_t pid, const char *l3_schema, const char *mb_schema,
			 struct err *e);
int container_rdt_remove_updated(const char *id, struct err *e);
pid_t container_pid(const struct container *c);
int container_pidfd(const struct container *c);  /* owned by c */
int container_take_console(struct container *c); /* pty master, -1 without terminal; ownership moves to the caller */
struct cgroup *container_cgroup(struct container *c);
int container_kill(struct container *c, int sig, struct err *e);
/* After pidfd is readable (else it waits): status as from waitpid, and whether the kernel's OOM killer struck in its cgroup,
 * which is asked only of a container that did not end with 0. */
int container_reap(struct container *c, int *ret_wait_status, bool *ret_oom, struct err *e);
/* Kills and reaps what is left, removes the cgroup, frees. NULL is fine. */
void container_destroy(struct container *c);
DEFINE_CLEANUP(struct container *, container_destroy)

/* A root on which somebody else is to make the spec's mounts: has their mount points made where they are missing, in rootfd's tree
 * (nothing is mounted there) and in the sources of binds that others lie on. bundle: where relative sources begin. */
int container_make_targets(const struct spec *s, int rootfd, const char *bundle, struct err *e);
bool mount_is_bind(const struct spec_mount *m);

/* The i-th word of config.json that this build understands, NULL behind the last. */
const char *mount_option_word(size_t i);
const char *seccomp_action_word(size_t i);
const char *seccomp_operator_word(size_t i);
const char *seccomp_arch_word(size_t i);
const char *seccomp_flag_word(size_t i);

/* A further process in a running container. */
struct container_exec_args {
	const struct spec_process *process; /* has_caps false = the container's own set */
	const struct seccomp_prog *seccomp;
	int stdio[3];
	unsigned n_preserve_fds;
	bool no_new_keyring;
};
/* pid is a child of the caller; the exec's failure is returned as in container_start. *ret_console: master or -1. */
int container_exec(struct container *c, const struct container_exec_args *a, pid_t *ret_pid, int *ret_pidfd, int *ret_console,
		   struct err *e);
