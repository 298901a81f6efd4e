/* isolation: one ops table for every kind of wall. The monitor drives it on its one thread and loop; it neither knows nor
 * cares whether a namespace or a virtual machine is behind. */
#pragma once

#include "container.h"
#include "image.h"
#include "plan.h"

struct instance;

struct exit_status {
	int code;
	int signal;
	bool oom;
}; /* code already by shell convention (128+n, 137 on OOM) */

/* One user process: the container's main one, or an exec'd one. io fds are the monitor's ends, non-blocking and
 * close-on-exec: with a tty in == out (one fd, the pty master or a socketpair), err == -1. They belong to the monitor from
 * the moment start() or exec() has returned 0: it closes them, in after close_stdin() (for a pipe or a socketpair the close
 * itself is the end of input, so close_stdin may have nothing to do; on a pty it writes the VEOF character). The monitor sets
 * has_tty, on_exit and arg before the call; in, out, err and impl are the isolation's to set. */
struct task {
	int in, out, err;
	bool has_tty;
	/* Exactly once, after the process has ended. Output may still be readable in out/err until EOF. */
	void (*on_exit)(struct task *t, const struct exit_status *st);
	/* no != 0 from on_exit on: how it has ended is not known, and this is why: the wall itself broke (the VMM died), or the kernel
	 * does not tell. The exit status is then the nearest that can be said. */
	struct err lost;
	void *arg;  /* the monitor's */
	void *impl; /* the isolation's */
};

struct instance_config {
	const struct spec *spec; /* borrowed for the instance's life */
	const struct launch *launch;
	const struct host *host;
	const struct paths *paths;
	struct loop *loop;
	int rundirfd; /* RUN/containers/ID, for sockets and such; all of it is removed by the monitor */
	const char *rundir;
	uint16_t tty_rows, tty_cols;
	int memory_fd; /* shared_ns_memory's of its pod, borrowed; 0 = none */
	bool serves_files; /* of a VM: boots it for the files of its disk; no process of the container's is started, spec's is not looked at */
	bool reads_only; /* and only reads them: nothing is written to its disk that need not be */
	int network_fd;  /* a network namespace made beforehand (container_make_network), borrowed; 0 = none */
	/* Its networks; NULL: none. Borrowed for the instance's life. A container is given its interfaces with network_fd; of a VM, which makes
	 * them itself, taps are its cards: n_endpoints * queues descriptors in that order, borrowed until start() has returned. Of a
	 * container in a pod's VM: as of its pod, whose machine has the taps. */
	const struct net_plan *network;
	const int *taps;
	size_t n_taps;
	/* Called once during start(), before the user's process can run, at a time when something else is waited for: for what has
	 * to be done anyway. Its error is start()'s. */
	int (*meanwhile)(void *arg, struct err *e);
	/* The start's outcome, exactly once when start() returned 0: NULL = the user's process runs. May be called from inside
	 * start(); never when start() itself fails. arg is the one below, in all. */
	void (*on_started)(void *arg, const struct err *e);
	void (*trace)(const char *step, uint64_t us,
		      void *arg); /* a stage reached, by clock_mono_us; NULL = no --trace-startup */
	void *arg;
};

struct isolation_ops {
	const char *name;
	const char *no_connect; /* why no network can come or go while it runs, and what to do; NULL: it can */
	/* Can this host do it? Error = why not, with the remedy. *ret_note (may stay NULL, caller frees): one plain line for
	 * the user, e.g. that the VM is emulated. */
	int (*available)(const struct host *h, char **ret_note, struct err *e);
	int (*new)(const struct instance_config *cfg, struct instance **ret, struct err *e);
	/* Begins; main's fds are set when this returns 0. */
	int (*start)(struct instance *i, struct task *main, struct err *e);
	/* Likewise for one more process; its exec failure arrives as on_failed instead of on_exit. */
	int (*exec)(struct instance *i, const struct spec_process *p, struct task *t,
		    void (*on_started)(struct task *t, const struct err *e), struct err *e);
	/* SIGKILL to an exec'd process is for its whole process group. */
	int (*signal)(struct instance *i, struct task *t, int sig, struct err *e);
	int (*resize)(struct instance *i, struct task *t, uint16_t rows, uint16_t cols, struct err *e);
	int (*close_stdin)(struct instance *i, struct task *t, struct err *e);
	int (*pause)(struct instance *i, bool paused, struct err *e);
	/* Of a VM that is about to be copied: what runs in it stands still, and whoever speaks with it is silent, until release (which
	 * may also come before the callback, which then never does). When it returns 0, cb is called once: e NULL = it is so. NULL
	 * where there is no VM. */
	int (*hold)(struct instance *i, void (*cb)(struct instance *i, const struct err *e, void *arg), void *arg, struct err *e);
	void (*release)(struct instance *i);
	/* When it returns 0, calls back once, possibly at once, with JSON (cgroup_stats_json's form, plus what the wall itself
	 * costs on the host); the callback borrows it. */
	int (*stats)(struct instance *i,
		     void (*cb)(struct instance *i, struct json_object *stats, const struct err *e, void *arg), void *arg,
		     struct err *e);
	/* Other limits while it runs: what r gives, without device rules; borrowed. When it returns 0, calls back once, possibly at once:
	 * e NULL = they hold. */
	int (*update)(struct instance *i, const struct spec_resources *r,
		      void (*cb)(struct instance *i, const struct err *e, void *arg), void *arg, struct err *e);
	/* What carries a VM out, for `inspect`: "berth-vmm", "qemu, on KVM"; NULL where there is no VM. */
	const char *(*vmm)(const struct instance *i);
	/* The VM's kernel by its name in the store; NULL: no VM, or a kernel given by path. */
	const char *(*kernel)(const struct instance *i);
	pid_t (*pid)(const struct instance *i); /* host pid that `inspect` shows: the container's PID 1, or the VMM */
	/* Ends everything at once and frees. Blocks for at most a few seconds. */
	void (*destroy)(struct instance *i);
	/* After a crash: kills and removes what an instance of that id has left (cgroups, processes), knowing only the id. */
	int (*sweep)(const struct host *h, const struct paths *p, const char *id, struct err *e);
};

/* ROOT/pods/ID/config.json: host name, shared namespaces, memory, cgroup path and its limits. ret: of spec_init. */
int pod_read_plan(const struct paths *p, const char *pod_id, struct spec *ret, struct err *e);

/* NULL-terminated: { &isolation_container, &isolation_vm }. */
extern const struct isolation_ops *const isolations[];
extern const struct isolation_ops isolation_container, isolation_vm;
/* -EINVAL names the known ones. */
int isolation_find(const char *name, const struct isolation_ops **ret, struct err *e);

/* The filter of a container's processes: of the built-in profile, of config.json's, or none. */
int isolation_seccomp(const struct spec *s, const struct launch *l, struct seccomp_prog *ret, struct err *e);

/* vm: prepares, from the engine, what a VM needs and caches it below ROOT/kernels and ROOT/vm: the guest kernel, the initramfs,
 * this container's writable disk. */
struct vm_boot {
	char *kernel, *initramfs; /* paths */
	char *name;               /* the kernel's in the store; NULL: it was given by path */
};
void vm_boot_done(struct vm_boot *b);
/* asked: a name of the store or a path; NULL: the default, fetched from the distribution where there is none. */
int vm_prepare(const struct paths *p, const char *asked, struct vm_boot *ret, struct err *e);

/* The store's kernels (kernel_store.c). */
enum vm_kernel_source { VM_KERNEL_FETCHED, VM_KERNEL_HOST, VM_KERNEL_BUILT };
struct vm_kernel_info {
	char *name, *version, *image;
	char *modules;                  /* NULL: built in */
	char *key, *package, *compiler; /* of a built one; else NULL */
	enum vm_kernel_source source;
	uint64_t bytes, created_ns;
	bool is_default; /* what a VM boots that does not say */
	bool is_elf;     /* entered directly; else it unpacks itself at each boot */
};
void vm_kernel_info_done(struct vm_kernel_info *i);
/* By name; vm_kernels_free it. */
int vm_kernels(const struct paths *p, struct vm_kernel_info **ret, size_t *ret_n, struct err *e);
void vm_kernels_free(struct vm_kernel_info *list, size_t n);
/* -ENOENT: "no such kernel: X; ...". Likewise the next two. */
int vm_kernel_info(const struct paths *p, const char *name, struct vm_kernel_info *ret, struct err *e);
/* The default from now on, for VMs that start and name none. */
int vm_kernel_use(const struct paths *p, const char *name, struct err *e);
/* Whoever boots it has it open. Where it was the default, there is one as if nobody had chosen. */
int vm_kernel_remove(const struct paths *p, const char *name, struct err *e);
struct vm_kernel_build_opts {
	const char *name;   /* NULL: its version and the beginning of its key */
	const char *config; /* a configuration of the user's own; NULL: Berth's */
	int64_t jobs;       /* 0: as many as CPUs */
	bool is_quiet;      /* no progress on stderr */
};
/* Builds a kernel of the distribution's source (guest/build-kernel) and takes it into the store. *ret_name: caller frees. Where
 * the very same is there already, nothing is built. */
int vm_kernel_build(const struct paths *p, const struct vm_kernel_build_opts *o, char **ret_name, struct err *e);
int vm_make_disk(const struct paths *p, const char *path, uint64_t bytes, struct err *e);
/* A disk of the user's own (vm_given.c), open as what it was said to be. */
struct vm_given {
	int fd;
	bool is_device;    /* a block device of the host */
	uint64_t bytes;    /* of the disk that the guest sees; 0: a device's own */
	uint64_t file_max; /* how large its file may become */
};
/* Never finds out the format: what is said to be raw must not begin as a qcow2 image does, and a qcow2 image must name no other file. */
int vm_given_open(const struct launch_disk *d, struct vm_given *ret, struct err *e);
/* Against everybody else who uses the file, as long as ret->fd or a copy of it is open. -EBUSY. */
int vm_given_lock(const struct launch_disk *d, int fd, struct err *e);
#define VM_GIVEN_MAX 16
/* Networks that a VM can be on, and taps that all its cards may have together. */
#define VM_NETWORKS_MAX 8
#define VM_TAPS_MAX     16
/* Where the guest has the k-th of them: "/dev/vdc". */
void vm_given_name(const struct launch *l, size_t k, char ret[16]);
/* Why VMs run on QEMU here: "there is no /dev/kvm". NULL: they don't, or no memory. Caller frees. */
char *vm_reason_for_qemu(void);
/* The memory of a VM with that plan, whole, as it boots; and what it has room for beyond that. A snapshot's memory is both together. */
uint64_t vm_ram_bytes(const struct launch *l);
#define VM_RAM_MAX (1ull << 40) /* VMM_MEM_MAX */
uint64_t vm_room_bytes(const struct launch *l);
/* Of limits that a VM is to have where its user has no cgroup: -EPERM names one that nothing else can hold, with the remedy. */
int vm_check_no_cgroup(const struct spec_resources *r, struct err *e);
/* Has this host a user and a group to spare for each VM? -EPERM with the remedy. */
int vm_check_user(struct err *e);
/* How many of the host's directories a VM with that spec shares. */
size_t vm_count_shares(const struct spec *s);
/* Copies a guest's disk, or the like: by reflink where the file system can, else what is not a hole. on_bytes (may be NULL): how much
 * has been copied so far. to: empty, open for writing. 0 or -errno. */
int vm_copy_disk(int from, int to, void (*on_bytes)(uint64_t done, void *arg), void *arg);
/* In ROOT/containers/ID, before the first start of a VM that is a copy: it goes on from these instead of booting. They are removed
 * once it runs. */
#define VM_RESTORE_STATE  "state"
#define VM_RESTORE_MEMORY "memory"
/* In RUN/containers/ID, of a VM on berth-vmm: its control socket (docs/FORMATS.md). */
#define VM_CONTROL_SOCKET "vmm.sock"

/* Removes what of all that no start will ask for again: older kernels of the distribution, unless one of the names in kept;
 * initramfs of other builds, templates of disks (made again in a moment), what a killed maker left. Something being made right
 * now is left alone. */
int vm_prune(const struct paths *p, char *const *kept, struct err *e);
