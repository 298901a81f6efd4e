/* guest: what is spoken between the host (isolation/vm.c) and berth-init in the guest, and berth-init's own parts.
 * Transport: frames (frame.h) over a virtio-serial port named "dev.berth.agent" (QEMU) or vsock. After HELLO both ways the
 * host sends one FRAME_START on channel 0:
 *   { "config": config.json as the guest is to see it, "id": ..., "files": [...launch_file],
 *     "root": {"disk": "/dev/vda", "upper": "/dev/vdb"}, "disks": ["/dev/vdc"...], "shares": [{"tag","target"}],
 *     "interfaces": [{"name","mac","addresses","gateway4","gateway6","mtu"}], "init": bool, "volatile": bool,
 *     "seccomp": base64 of the compiled filter, "seccomp_flags": n, "time_ns": host clock, "entropy": base64 }
 * and is answered with FRAME_STARTED or FRAME_ERROR; then STDIN/STDOUT/... as frame.h says; FRAME_EXEC on channels 1.. .
 * One guest may hold several containers (a pod's): a channel's upper bits are the container's slot, and its channel 0 within the slot
 * what is said of channel 0 here. "pod": true: what the container mounted goes with it; "files_only": true: the container
 * does not run, and only its files are asked for (EXEC of GUEST_FILES); with "read_only": true they are not written to; "hostname": the guest's own, which it shares.
 * Before the host copies the VM it sends FRAME_QUIESCE: the container's processes are frozen, the answer (the same type; with a
 * reason where it could not be done) is the last that the agent sends, and the stream is empty until FRAME_RELEASE. In a copy, whose far end
 * is another host process, FRAME_RESTORE comes instead: the agent forgets what waits to be sent, exec'd processes' streams are
 * closed, the guest takes its identity, the container's processes go on, and the answer is as to FRAME_START.
 * When the main process has ended: output, FRAME_EXIT on channel 0; the host then sends FRAME_SHUTDOWN (sync, power off).
 *
 * FRAME_UPDATE is { "resources": as of OCI's linux.resources, "cpus": N } on channel 0, answered like FRAME_STATS in order.
 *
 * Neither side trusts the other: the host takes the guest for hostile (docs/THREATS.md), and the agent checks what it is
 * sent because a bug on the host should end with a message and not with a wedged guest. */
#pragma once

#include <stdio.h>

#include "container.h"

#define GUEST_PORT_NAME "dev.berth.agent"
/* channel = slot << GUEST_SLOT_SHIFT | channel of the container; a guest with one container has it in slot 0 */
#define GUEST_SLOT_SHIFT 10
#define GUEST_SLOT_MASK  ((1u << GUEST_SLOT_SHIFT) - 1)
#define GUEST_SLOTS      32
/* In the initramfs: modules in load order, one file name a line; the second list only when there are shares, the third only when there
 * are interfaces, the fourth once the container runs. */
#define GUEST_MODULES       "/m"
#define GUEST_MODULES_BOOT  "boot"
#define GUEST_MODULES_SHARE "share"
#define GUEST_MODULES_NET   "net"
#define GUEST_MODULES_LATE  "late"
#define GUEST_INIT          "/init"

struct guest_share {
	char *tag, *target;
};
/* A network card as the container sees it, known by its hardware address. Addresses have the length of their prefix. */
struct guest_interface {
	char *name, *mac; /* "eth0", "02:42:0a:4d:00:02" */
	char **addresses; /* "10.77.0.2/16"; NULL: none */
	char *gateway4, *gateway6;
	uint32_t mtu; /* 0: as it is */
};
#define GUEST_INTERFACES_MAX 8
struct guest_start {
	struct spec spec;
	char *id;
	struct launch_file *files;
	size_t n_files;
	char *root_disk, *upper_disk;
	char **disks; /* "/dev/vdc"...: the user's, which the container is given; may be NULL */
	struct guest_share *shares;
	size_t n_shares;
	struct guest_interface *interfaces; /* a pod's members all have the same: the guest is given them once */
	size_t n_interfaces;
	bool use_init, is_volatile;
	bool is_pod;
	bool serves_files; /* and nothing else: no process of the container's is started, its volumes are in its root */
	bool reads_only;   /* and its disk is not written to, unless it has to be set right first */
	char *hostname;    /* of a pod whose containers share one; else NULL */
	struct seccomp_prog seccomp;
	uint64_t time_ns;
	char *entropy_b64;
};
/* On failure nothing needs freeing. */
int guest_start_parse(const char *text, size_t len, struct guest_start *ret, struct err *e);
struct json_object *guest_start_json(const struct guest_start *s); /* NULL on ENOMEM */
void guest_start_done(struct guest_start *s);

/* Who a guest is that was copied while it ran: FRAME_RESTORE's document. */
struct guest_identity {
	char *entropy_b64;
	char *hostname; /* NULL: stays */
	char *machine_id, *boot_id;
	struct guest_interface *interfaces; /* by the names that its original has had from its start */
	size_t n_interfaces;
	uint64_t time_ns; /* CLOCK_REALTIME */
};
/* On failure nothing needs freeing. */
int guest_identity_parse(const char *text, size_t len, struct guest_identity *ret, struct err *e);
struct json_object *guest_identity_json(const struct guest_identity *id); /* NULL on ENOMEM */
void guest_identity_done(struct guest_identity *id);
/* In a guest: makes it so, in the namespaces of the process pid, which should stand still meanwhile. */
int guest_identity_take(const struct guest_identity *id, pid_t pid, struct err *e);
/* Its pieces, apart for the sake of their tests. */
int guest_identity_names(const struct guest_identity *id, pid_t pid, struct err *e);
char *guest_replace_word(const char *text, const char *from, const char *to); /* NULL on ENOMEM */
int guest_seed(const char *b64, struct err *e);

/* ---- the agent: the guest's end of the stream ---- */

/* One process as the agent drives it. fds are the agent's ends; with a terminal in == out, err == -1. */
struct agent_process {
	pid_t pid;
	int in, out, err;
	bool has_tty;
};
/* What the agent has done for it: the real ones are setup.c's; tests put plain processes behind the same agent. Each fills e on
 * failure; err.exit travels to the host. */
struct agent_ops {
	/* Owns what *s holds from here on, also on failure. */
	int (*start)(void *arg, unsigned slot, const struct guest_start *s, struct agent_process *ret, struct err *e);
	int (*exec)(void *arg, unsigned slot, const struct spec_process *p, struct agent_process *ret, struct err *e);
	/* is_main: the container's own process. pid has not been reaped. */
	int (*kill)(void *arg, unsigned slot, pid_t pid, bool is_main, int sig, struct err *e);
	/* pid is a zombie: reap it. */
	int (*reap)(void *arg, unsigned slot, pid_t pid, bool is_main, int *ret_wait_status, bool *ret_oom, struct err *e);
	int (*stats)(void *arg, unsigned slot, struct json_object **ret, struct err *e);
	/* Other limits of the container; cpus: how many processors the guest shall use, 0 = as many as now. */
	int (*update)(void *arg, unsigned slot, const struct spec_resources *r, unsigned cpus, struct err *e);
	/* All processes of the container stand still, or go on. */
	int (*freeze)(void *arg, unsigned slot, bool on, struct err *e);
	/* This guest is a copy: it becomes who the document says, while they stand still. */
	int (*restore)(void *arg, unsigned slot, const struct guest_identity *id, struct err *e);
};
/* Serves fd (a stream, made non-blocking) until SHUTDOWN (returns 0) or until the host goes away or breaks the protocol
 * (-errno). Reaps every child of this process, its own or adopted: the caller must have no others to wait for. */
int agent_run(int fd, const struct agent_ops *ops, void *arg, struct err *e);

/* ---- berth-init's parts: all for PID 1 of a guest ---- */

/* proc, sysfs, devtmpfs and cgroup2 mounted; fds 0 and 1 on /dev/null, 2 on the kernel's log; the root made one
 * that pivot_root accepts. */
int guest_mount_early(struct err *e);
/* Its piece, apart for the sake of its test: streams that any PID 1 should have, and no console held open. */
int guest_take_stdio(struct err *e);
/* Loads GUEST_MODULES/list in order; what is built in or loaded already is passed over. The files are deleted: they
 * only cost memory. */
int guest_load_modules(const char *list, struct err *e);
/* The late ones, by a child that runs when nobody else wants to; agent_run reaps it. Not having them is no error. */
void guest_load_late_modules(void);
/* Opens the virtio-serial port of that name, waiting for it for at most timeout_ms. -> fd */
int guest_open_port(const char *name, unsigned timeout_ms, struct err *e);
/* Limits that a process inherits on a usual host, the loopback interface. */
int guest_tune(struct err *e);
/* Switches processors on or off until n are on; the first always is (cpus.c). */
int guest_set_cpus(unsigned n, struct err *e);
int guest_set_clock(uint64_t time_ns, struct err *e);
int guest_add_entropy(const void *p, size_t n, struct err *e);
/* Read-only image disk below a writable ext4 disk (upper NULL = read-only): detached overlay mount. -> *ret_rootfd */
int guest_mount_root(unsigned slot, const struct guest_start *s, int *ret_rootfd, struct err *e);
/* What a container has changed and what is below it, O_PATH, while its root is mounted. -EOPNOTSUPP: it has no layer of its own. */
int guest_layers_open(unsigned slot, int *ret_upper, int *ret_lower, struct err *e);
/* All of it merged, without what is mounted in it: a detached mount that can only be read. */
int guest_merged_open(unsigned slot, int *ret_fd, struct err *e);
/* Written out and unmounted; for a pod's container that has ended. */
void guest_unmount_root(unsigned slot);
/* hold.c: a process whose root is the container's, with its volumes, until it is killed; for s->serves_files. rootfd: a detached mount. */
int guest_hold_root(int rootfd, const struct guest_start *s, pid_t *ret_pid, struct err *e);
/* A pod's: memory that containers share, of the size that s has for SHARED_MEMORY; *ret_fd: a detached mount for one of them. */
int guest_shared_memory(const struct guest_start *s, int *ret_fd, struct err *e);
int guest_mount_shares(const struct guest_start *s, struct err *e);
/* interfaces.c: the cards that a guest was given, by the numbers that they keep whatever their names become. */
struct guest_cards {
	size_t n;
	struct guest_card {
		char name[16]; /* at its start */
		int index;
	} card[GUEST_INTERFACES_MAX];
};
/* Finds each card by its hardware address, waiting for it for some seconds, and gives it all that the list says; links are up then.
 * For the caller's network namespace, in which nobody else does the like. On failure some may have theirs. */
int guest_interfaces_start(const struct guest_interface *list, size_t n, struct guest_cards *ret, struct err *e);
/* In a copy: the same cards by the names that they had at the start, with everything that the list says instead of what they have. */
int guest_interfaces_again(const struct guest_interface *list, size_t n, const struct guest_cards *were, struct err *e);
extern const struct field guest_interface_rows[]; /* of the documents that have them */
/* disks.c: gives the container its disks: nodes and leave to use them, in s->spec. */
int guest_add_disks(struct guest_start *s, struct err *e);
/* The container has ended: waits until nothing of it has one of them mounted, and what was written has reached the host. */
void guest_settle_disks(const struct guest_start *s);
/* The ops of a real guest, and their state. */
struct guest;
int guest_new(struct guest **ret, struct err *e);
void guest_free(struct guest *g);
DEFINE_CLEANUP(struct guest *, guest_free)
extern const struct agent_ops guest_agent_ops; /* arg: struct guest * */
/* Flushes what must outlive the guest and turns it off. Does not return. */
_noreturn_ void guest_power_off(bool is_volatile);
bool guest_is_volatile(const struct guest *g);

/* PID 1 inside a container (--init): runs argv, hands signals on, reaps, returns the exit status for the caller to end with
 * (128 + signal; 126, 127 when argv can't be run). */
int reaper_run(char *const *argv);

/* ---- files.c ---- */
/* What stands for a program's name in an EXEC that asks for files, not for a program: {GUEST_FILES, verb, PATH, FLAGS, MOUNT...}. Standard
 * output and input are files_stream's. FLAGS: "a" owners are kept, "L" a link at the end is followed, "p" the container's processes stand
 * still until all is sent. MOUNT: a place where something is mounted (struct upper). */
#define GUEST_FILES       "\001files"
#define GUEST_FILES_OUT   "out"   /* PATH of the container's root, with all that is mounted in it */
#define GUEST_FILES_IN    "in"    /* what comes goes there */
#define GUEST_FILES_DIFF  "diff"  /* the changes of its layer, without mounts; no PATH: "" */
#define GUEST_FILES_LAYER "layer" /* likewise its layer's nodes */
#define GUEST_FILES_ALL   "all"   /* likewise all layers merged */
struct files_job {
	unsigned slot;
	pid_t pid;    /* whose root is the container's */
	bool is_idle; /* it does not run: what is written is on its disk before that is told */
};
int guest_files(const struct files_job *job, char *const *args, const int stdio[3], pid_t *ret_pid, struct err *e);
bool guest_files_stands_still(char *const *args);

/* ---- processes.c ---- */
/* Likewise of one that asks which processes the container has: {GUEST_PROCESSES}; standard output is the table of ps -ef. */
#define GUEST_PROCESSES "\001processes"
int guest_processes(struct container *c, const int stdio[3], pid_t *ret_pid, struct err *e);
/* procfd: /proc. Heading and a line for each that is still there. -EPROTO. */
int processes_print(int procfd, const pid_t *pids, size_t n, FILE *f);
