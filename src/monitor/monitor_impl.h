/* The monitor's inside: who owns what. Private to monitor/.
 *
 *   struct monitor 1 ── n struct proc      user processes: the container's own (channel 0 of every client), exec'd ones
 *                  1 ── n struct client    connections
 *   struct link    n of them between procs and clients: one client follows one process on one channel
 *
 * Flow control. Each link holds the credit that its client has left for each output stream. A process's output is read only
 * while every link that wants it has credit, so memory is bounded by FRAME_WINDOW per link and stream, and a slow client slows
 * the process as a slow pipe would. A client that gives no credit for STALL_MS while the main process waits for it is not slow
 * but stopped: it is cut off with an error, and the container goes on (an exec'd process belongs to its one client and waits).
 * Input is mirrored: a client may have FRAME_WINDOW bytes of STDIN under way; credit is given as the process takes them. */
#pragma once

#include "log_file.h"
#include "log_journal.h"
#include "monitor.h"
#include "state.h"

#define STALL_MS         10000
#define EXIT_GRACE_MS    300 /* for output that a stray process keeps open after the end of its parent */
#define CLIENTS_MAX      128
#define PROCS_MAX        1024
#define CLIENT_QUEUE_MAX (16u << 20) /* answers that a client asks for and doesn't read */

struct monitor;
struct proc;
struct client;

typedef int (*find_isolation)(const char *name, const struct isolation_ops **ret, struct err *e);

struct link {
	struct proc *proc;
	struct client *client;
	struct link *next_of_proc, *next_of_client;
	uint16_t channel;
	bool wants_in, wants[2]; /* [0] stdout, [1] stderr */
	uint32_t credit[2];
	struct buf in_queue; /* from the client, not yet taken by the process */
	bool in_eof;
	struct loop_src *stall;
};

struct output {
	struct proc *proc;
	int fd;               /* -1 = at its end */
	int index;            /* 0 stdout, 1 stderr */
	struct loop_src *src; /* NULL while held back; a timer while the kernel can't watch it */
};

struct proc {
	struct monitor *m;
	char id[ID_LEN + 1], *command; /* of an exec'd one, for events; happen.c; NULL: it is no event */
	struct proc *next;
	struct task task;
	struct output out[2];
	int in_fd; /* -1 = closed; with a tty a duplicate, since one fd can be in an epoll set once */
	struct loop_src *in_src;
	struct link *links;
	bool is_probe; /* health.c's */
	bool is_main, is_starting, is_started, has_exited, keep_stdin;
	bool is_without_client; /* the last that input could come from has left before it began */
	struct err start_error; /* exec: reported from inside ops->exec */
	struct err lost;        /* no != 0: some of its output could not be read */
	struct exit_status exit;
	struct loop_src *grace;
};

struct client {
	struct monitor *m;
	struct client *next;
	int fd;
	struct loop_src *src;
	struct buf in, out;
	struct link *links;
	unsigned n_pending; /* answers that the isolation still owes it */
	bool is_closing;    /* no more is read from it; goes when `out` is sent */
	bool is_dead;       /* to be freed by clients_reap */
};

/* What a monitor holds of its container's pod. */
struct pod_hold {
	bool is_held;
	int memory_fd; /* detached mount, <= 0 = none */
	struct shared_ns ns;
	char *cgroup;        /* the pod's */
	struct net_hold net; /* of its published ports: the sockets */
};

/* What it holds of other containers (join.c). */
struct join_hold {
	bool is_held;
	int fd[NS_COUNT]; /* -1 = none */
	int memory_fd;    /* detached mount, or -1 */
};

/* What it has of networks (net.c). */
struct net_part {
	bool is_begun;        /* there is something that a detach takes away */
	struct net_call call; /* under way */
	struct net_hold hold;
	struct net_plan plan; /* of a VM, for as long as it lives */
};

#define HEALTH_LOGS   5
#define HEALTH_OUTPUT 4096 /* bytes of each */
struct health_log {
	uint64_t start_ns, end_ns;
	int code; /* -1: it could not be run, or took too long */
	char *output;
};
struct health {
	enum container_health status; /* HEALTH_NONE: it is not checked */
	int64_t streak;               /* failures in a row */
	struct health_log logs[HEALTH_LOGS];
	size_t n_logs;
	struct loop_src *timer; /* to the next check, or the end of the time of the one that runs */
	struct proc *probe;     /* runs */
	struct buf output;
	uint64_t probe_began_ns, probe_began_us;
	bool is_paused, is_late; /* it was killed for its time */
};

struct monitor {
	const struct monitor_config *cfg;
	find_isolation find;
	const struct isolation_ops *ops; /* NULL until found */
	struct loop *loop;
	struct host host;
	struct spec spec;
	struct launch launch;
	struct secrets secrets; /* no version: it has none */
	struct pod_hold pod;
	struct join_hold join;
	char *rundir;
	int rundirfd, listenfd;
	int network_fd; /* container_make_network's, 0 = none */
	struct net_part net;
	int mounts_fd; /* --rm: the process's mount namespace, see hold_mounts */
	int lifefd;    /* life_hold's: closed by the end of the process */
	struct loop_src *listen_src;
	uint64_t stall_ms;
	struct instance *instance;
	struct log_file *log;
	struct log_journal *journal;
	struct proc *procs, *main;
	struct client *clients;
	size_t n_clients, n_procs;
	struct client *starter; /* with all_fd: the first client, kept to the end; starter.c */
	bool is_given_up;
	struct client *holder;  /* at whose wish the VM is at rest (FRAME_QUIESCE) */
	bool is_coming_to_rest; /* its answer is owed */
	pid_t pidfile_pid;      /* what stands in --pidfile's file; 0: nothing of ours */
	bool is_started;
	bool is_main_done;      /* the main process has ended or never ran, and its output is drained */
	bool is_over;           /* the bookkeeping is done too: only clients that read slowly keep the monitor */
	struct err start_error; /* no != 0: never ran */
	struct exit_status exit;
	struct loop_src *end_timer, *kill_timer;
	struct loop_src *timeout; /* --timeout: the end of the time that it may run */
	bool is_ending_now;
	bool is_again;   /* not the first life */
	bool is_resting; /* between two lives: the timer below, or the end */
	bool is_users_end, is_last;
	struct health health;
	uint64_t began_us, waited_ms; /* of this life: clock_mono_us at its start, 0 = not yet; the rest before it */
	struct loop_src *rest_timer;
};

/* run.c */
/* monitor_run, with the walls and the patience given. */
int monitor_run_with(const struct monitor_config *cfg, find_isolation find, uint64_t stall_ms, struct err *e);
void monitor_mark(struct monitor *m, const char *what); /* a stage reached, for --trace-startup */
/* A signal for the main process; before it runs, one that ends a program gives the start up. */
int monitor_signal_main(struct monitor *m, int sig, struct err *e);

/* happen.c: events */
void happen_kill(struct monitor *m, int sig);
int happen_exec_named(
	struct proc *p,
	char *const *args);       /* before it is begun: gives it its id; args NULL: no event tells of it; -ENOMEM or so */
void happen_exec(struct proc *p); /* it was made and begun */
void happen_exec_end(struct proc *p);

/* idle.c */
void idle_begin(struct monitor *m); /* from now on memory is given back while nothing happens */

/* listen.c */
int monitor_listen(struct monitor *m, struct err *e);

/* start.c */
int monitor_load(struct monitor *m, struct err *e);
int monitor_adopt_first_client(struct monitor *m, struct err *e);
int monitor_start(struct monitor *m, struct err *e);

int monitor_reload(struct monitor *m, struct err *e); /* for another life: the plan may have been changed (update) */

/* timeout.c */
void timeout_begin(struct monitor *m); /* the main process runs */
void timeout_end(struct monitor *m);   /* it does no more; twice is fine */

/* health.c */
void health_begin(struct monitor *m); /* the main process runs */
void health_end(struct monitor *m);   /* it does no more; twice is fine */
void health_pause(struct monitor *m, bool on);
void health_output(struct proc *p, const char *data, size_t n);
void health_probe_done(struct proc *p);                        /* it is about to be freed */
void health_probe_failed(struct proc *p, const struct err *e); /* the same, and never ran */

/* again.c */
/* One life is over, and another is to begin after so long. */
void again_rest(struct monitor *m, uint64_t ms, const struct exit_status *st);
void again_give_up(struct monitor *m); /* it isn't, after all */

/* end.c */
void dismiss_clients(struct monitor *m, const struct exit_status *st);
void monitor_leave(struct monitor *m, const struct exit_status *st); /* no more lives: takes down what the first one has found */

/* starter.c */
void starter_gone(struct monitor *m);

/* pod_net.c: the pod's networks, under its lock */
/* first: makes them; else this container's names are told. Its files say what there is. */
int pod_net_enter(struct pod_hold *p, struct monitor *m, bool first, struct err *e);
int pod_net_last(const char *pod_id, void *monitor, struct err *e); /* struct pod_last's */

/* pod.c */
/* For a container of a pod: finds or makes what the pod's containers share, holds it, and has m->spec join it. Nothing for others. */
int pod_join(struct pod_hold *p, struct monitor *m, struct err *e);
/* Its container has ended, and its wall is down: lets go of it all. Safe to call twice. */
void pod_leave(struct pod_hold *p, struct monitor *m);

/* end.c */
void monitor_main_done(struct monitor *m);
void monitor_maybe_leave(struct monitor *m); /* after a client or an exec'd process went */

/* proc.c */
struct proc *proc_new(struct monitor *m);
void proc_free(struct proc *p);
int proc_watch(struct proc *p, struct err *e); /* after start/exec: takes task's fds into the loop */
void proc_ended(struct proc *p, const struct exit_status *st);
void proc_resume_output(struct proc *p);
void proc_feed(struct proc *p);                         /* input: pass on what links hold */
void proc_gave_up(struct proc *p, const struct err *e); /* exec failed */
void proc_abandon(struct proc *p); /* exec'd, but its streams can't be taken over: ended, and freed when its end is seen */
/* The last frame on a channel: FRAME_EXIT; or, to a client that follows the output (l; NULL = it has no link) of which some is
 * lost, FRAME_ERROR. */
void proc_put_end(const struct proc *p, struct buf *b, const struct link *l, uint16_t channel, const struct exit_status *st);

/* link.c */
struct link *link_new(struct proc *p, struct client *c, uint16_t channel);
void link_free(struct link *l);
struct link *link_find(struct client *c, uint16_t channel);
void link_arm_stall(struct link *l);

/* client.c */
int client_add(struct monitor *m, int fd, struct client **ret, struct err *e); /* takes fd on success; says HELLO */
void client_flush(struct client *c);                                           /* sends what it can */
void client_drop(struct client *c, const char *why);                           /* at once; why NULL = it left by itself */
void client_refuse(struct client *c, uint16_t channel, const struct err *e, bool close_after);
void clients_reap(struct monitor *m);
void clients_free(struct monitor *m);

/* life.c */
/* Shows that this process is the monitor of the container whose bundle that is, until the process ends: the fd returned stays
 * open, and no other one of that file is ever closed (fcntl(2): that would drop the lock). */
int life_hold(int bundledirfd);

/* secrets.c: read; what a new life is given; into an environment */
int monitor_secrets_load(struct monitor *m, int dirfd, struct err *e);
int monitor_secrets_give(struct monitor *m, struct err *e);
int monitor_secrets_env(const struct monitor *m, char ***env, struct err *e);

/* join.c: puts the paths into m->spec. On failure too join_leave is to follow. */
/* net.c: begin and wait do nothing for a container without networks; leave also where begin or wait has failed, or never came. */
int net_begin(struct monitor *m, struct err *e);
void net_put_files(struct monitor *m, struct monitor_network *n); /* takes the texts that n has */
int net_wait(struct monitor *m, struct err *e);
void net_leave(struct monitor *m);
int join_others(struct join_hold *h, struct monitor *m, struct err *e);
void join_leave(struct join_hold *h);

/* pidfile.c; without --pidfile nothing is done */
int pidfile_write(struct monitor *m, struct err *e);
void pidfile_remove(struct monitor *m);

/* copy.c: a VM is brought to rest for who copies it, and pauses */
int copy_quiesce(struct client *c, const struct frame *f, struct err *e);
int copy_release(struct client *c, const struct frame *f, struct err *e);
int copy_pause(struct client *c, const struct frame *f, struct err *e);
void copy_client_gone(struct client *c);

/* requests.c */
int client_request(struct client *c, const struct frame *f, struct err *e); /* error = broken protocol: drop it */
