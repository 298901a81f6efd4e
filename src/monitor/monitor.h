/* monitor: the parent of one container for as long as it lives: stdio, log, attach, exit. Single-threaded, one loop.
 *
 *   RUN/containers/ID/monitor.sock   frames (frame.h): attach, exec, signal, resize, stats
 *   RUN/containers/ID/monitor.json   {"pid","start_time","boot_id"}: written once before anything else
 *   RUN/containers/ID/started.json   {"pid","started_ns"[,"vmm","kernel"]}: written once a life; its presence = running
 *   RUN/containers/ID/exited.json    {"code","signal","oom","finished_ns","error"}: written once, durable before the record;
 *                                    with --rm only where record and directory could not be removed
 *   ROOT/containers/ID/health.json   docker's State.Health, replaced after each check; it stays when the container has ended
 * Files of the run are write-once (temp + rename to a new name): the state is which of them exist. The one writer is the monitor. Between two
 * lives (a restart policy) there is monitor.json alone, as at a start. */
#pragma once

#include "client.h"
#include "isolation.h"
#include "pod_vm.h"

#define MONITOR_GO 'G'

/* The end of one life of a container. */
struct life_end {
	struct exit_status st;
	const struct err
		*why;    /* the start's error, what broke the wall, or that output was lost; NULL when the process simply ended */
	bool is_first;   /* of this monitor: somebody has started it, not a policy */
	bool has_run;    /* the start did not fail */
	bool is_users;   /* asked for, by a signal that ends programs */
	bool is_last;    /* the monitor itself is to end, as at the host's shutdown: no other life, whatever the policy */
	uint64_t ran_ms; /* 0 without has_run */
	uint64_t waited_ms; /* before this life; 0: it is the first */
};

/* What a container is given of networks. */
struct monitor_network {
	struct net_plan plan;
	char *hosts, *resolv; /* the text of its /etc/hosts and /etc/resolv.conf */
};
void monitor_network_done(struct monitor_network *n);

struct monitor_config {
	const char *id;
	const struct paths *paths;
	int client_fd; /* the CLI's end of the first connection: already attached when the process starts; -1 = detached */
	/* The bundle may not be there yet: wait for the byte MONITOR_GO on client_fd before reading it. The end of the
	 * connection instead means that nothing was made: monitor_run then leaves nothing behind and returns 0. */
	bool waits_for_go;
	/* One of several that are made together, all or none: an eventfd that is readable from when all are to stay; 0 = none. If
	 * client_fd's connection ends before that, whoever makes them is gone or has given them up: the container is ended, and
	 * on_given_up called instead of on_exited, or after it, or with nothing begun yet. */
	int all_fd;
	void (*on_given_up)(void *arg);
	/* Where there is time before that byte: make a network namespace, which a container without one of another is given. */
	bool makes_network;
	/* Called at most once, while the container is being set up: what on_started and on_exited will need. May be NULL. */
	void (*meanwhile)(void *arg);
	struct timeline *timeline; /* marks of before monitor_run, and its own; printed with --trace-startup */
	/* Called each time that the process runs and started.json is written, before clients get FRAME_STARTED; may be NULL. */
	void (*on_started)(bool is_checked, void *arg); /* is_checked: its health is, and is "starting" */
	/* Called once the process has ended, output is drained and exited.json is written (not with --rm), before clients
	 * get FRAME_EXIT: main/berth-monitor.c gives the engine's bookkeeping (record the exit, --rm). *ret_again_ms (0 before): it is to
	 * be started again after so long; then all this is called once for each of its lives. */
	int (*on_exited)(const struct life_end *end, uint64_t *ret_again_ms, void *arg);
	/* It is not started again after all. is_users: somebody has stopped it while it waited. NULL where on_exited never asks for that. */
	int (*on_not_again)(bool is_users, void *arg);
	/* What it is given of networks, asked where launch.json says that it has some: at each start, and again at its end. */
	int (*network)(struct monitor_network *ret, void *arg, struct err *e);
	/* Its ports are published. May be NULL. */
	void (*on_ports)(const struct net_hold *h, void *arg);
	/* What it is called now, for the journal; the caller frees both. 0 or -errno. May be NULL. */
	int (*name)(char **ret_name, char **ret_image, void *arg);
	/* Its health has changed. May be NULL. */
	void (*on_health)(enum container_health health, void *arg);
	/* Something happened that people may want to follow: docker's word for it, and attributes (name, value, ..., NULL). May be NULL. */
	void (*on_event)(const char *action, const char *const *attrs, void *arg);
	/* Nothing happens for a while: what it takes to do the above can be let go of, and made again when it is needed. May be NULL. */
	void (*on_idle)(void *arg);
	void *arg;
};
/* Reads config.json and launch.json from ROOT/containers/ID, runs the container to its end. 0 or -errno. */
int monitor_run(const struct monitor_config *cfg, struct err *e);

/* What a monitor has to say to people: ROOT/containers/ID/monitor.log (and .1), one line a warning or error. NULL on ENOMEM. */
char *monitor_log_path(const struct paths *p, const char *id);
#define MONITOR_LOG_MAX (32u << 10) /* bytes of each of the two files */
/* All that is there, oldest first; *ret_lines is NULL when nothing was said. */
int monitor_log_read(const struct paths *p, const char *id, char ***ret_lines, struct err *e);

/* ---- pods: what their containers share at run time ----
 * ROOT/pods/ID/config.json is the plan (an OCI document: host name, namespaces, memory, cgroup path and its limits). Made by the first
 * container's monitor, held by the monitors of all that run, by descriptors; the last one takes it down.
 *   RUN/pods/ID/CONTAINER   {"pid","start_time","boot_id","net","ipc","uts","memory","sockets"}: written once by that container's
 *                           monitor; the last five are its descriptors
 * Of a pod on networks, the first one has berth-net make what there is in the kernel, and the last one has it taken away; that no port
 * is another's meanwhile is held by all (sockets). */
/* A process of its own that holds the pod's virtual machine (isolation/pod_vm.h): returns once monitors can connect to it. On failure it
 * has told why on stderr; -EBUSY: there is one already. */
struct pod_holder_config {
	const char *id;
	const struct paths *paths;
	const struct pod_vm_member *members;
	size_t n_members;
	const struct net_plan *network; /* of its cards and ports; NULL: none */
	/* Its ports are published; in the holder's process. */
	void (*on_ports)(const struct net_hold *h, const struct pod_holder_config *c);
};
int pod_holder_start(const struct pod_holder_config *c, struct err *e);
/* What there is to be done when nobody holds a pod any more: called under its lock, so that none begins meanwhile. */
struct pod_last {
	int (*fn)(const char *pod_id, void *arg, struct err *e);
	void *arg;
};
/* After a crash: forgets monitors that are dead; with the last one goes the pod's cgroup, and last (NULL: nothing) is done. */
int pod_sweep(const struct paths *p, const char *pod_id, const struct pod_last *last, struct err *e);
/* All of RUN/pods. */
int pod_sweep_all(const struct paths *p, const struct pod_last *last, struct err *e);
/* All processes of the pod at once; one whose containers don't run has nothing to freeze (-ESRCH). */
int pod_freeze(const struct paths *p, const char *pod_id, bool frozen, struct err *e);
bool pod_is_frozen(const struct paths *p, const char *pod_id);

/* ---- client side, used by the engine and the CLI ---- */
/* Connects to a running container's monitor, HELLO exchanged. -ENOENT / -ECONNREFUSED: no monitor. */
int monitor_connect(const struct paths *p, const char *id, int *ret_fd, struct err *e);
/* One request and its answer on a connection that is not (yet) attached: sends the frame and reads up to the FRAME_OK,
 * FRAME_STARTED or FRAME_ERROR of that channel, not a byte more, so attach_run can go on from there. FRAME_EXEC (channel >= 1;
 * payload: OCI process object, and "berth": {"stdin": bool, "detach": bool} in it), FRAME_SIGNAL, FRAME_STATS, FRAME_UPDATE, FRAME_ATTACH.
 * FRAME_RESIZE has no answer: use attach_run. *ret_reply (may be NULL): the payload, NUL-terminated, caller frees. */
int monitor_request(int fd, enum frame_type type, uint16_t channel, const void *payload, size_t len, char **ret_reply,
		    struct err *e);
/* On the socketpair that the monitor was started with: waits for the start's outcome. The start's own error is returned,
 * with err.exit 125, 126 or 127; -EPIPE where the monitor ended without a word. For detached runs, which then close fd. */
int monitor_wait_started(int fd, struct err *e);
/* Waits for the main process's end on a connection from monitor_connect or a socketpair that isn't attached. */
int monitor_wait_exit(int fd, struct exit_status *ret, struct err *e);
/* Truth about ID from its run files and pid: */
enum monitor_truth { MONITOR_NONE, MONITOR_STARTING, MONITOR_RUNNING, MONITOR_EXITED, MONITOR_DIED };
struct monitor_state {
	enum monitor_truth truth;
	pid_t monitor_pid, pid;
	uint64_t started_ns, finished_ns;
	struct exit_status exit;
	char error[504];
	char vmm[32];     /* what carries the VM out, or empty */
	char kernel[129]; /* the VM's kernel, by its name in the store, or empty */
};
/* The process that is the monitor of ID, also after its container has ended and its files are gone: 1 and *ret_pidfd (the
 * caller closes it), 0 when there is none. */
int monitor_pidfd(const struct paths *p, const char *id, int *ret_pidfd, struct err *e);
int monitor_inspect(const struct paths *p, const char *id, struct monitor_state *ret, struct err *e);

/* Terminal or pipe <-> monitor: pumps 0, 1 and 2 until FRAME_EXIT or detach. fd: from monitor_connect, after FRAME_ATTACH or
 * FRAME_EXEC, or the spawn's socketpair, which is attached from the start; a start's error is returned as by
 * monitor_wait_started. Does not close fd. *ret_detached: left by the detach keys; then *ret_exit is not written. */
struct attach_opts {
	uint16_t channel; /* 0 = the main process */
	bool want_stdin, has_tty, sig_proxy;
	bool drops_stdout, drops_stderr;
	const char *detach_keys; /* "ctrl-p,ctrl-q" */
};
int attach_run(int fd, const struct attach_opts *o, struct exit_status *ret_exit, bool *ret_detached, struct err *e);

/* Logs: ROOT/containers/ID/container.log[.1...], docker's json-file lines. */
struct log_query {
	bool follow, timestamps, want_stdout, want_stderr;
	int64_t tail; /* -1 all */
	uint64_t since_ns, until_ns;
};
/* Writes to fds out and err; follow ends when the container's monitor has ended. */
int logs_print(const struct paths *p, const char *id, const char *log_path, const struct log_query *q, int out, int err,
	       struct err *e);
