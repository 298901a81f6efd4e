/* vm_impl: what the files of the virtual machine's isolation share. Private to isolation. */
#pragma once

#include "isolation.h"
#include "link.h"
#include "pod_vm.h"

#define MIB (1ull << 20)
/* Guest RAM beyond what the workload may use: the kernel's image and page structures, its slabs, berth-init, page cache
 * enough to run from. Measured (docs/PERFORMANCE.md); grows with RAM because struct page takes 1/64 of it. */
#define VM_GUEST_OVERHEAD_BYTES (96 * MIB)
/* Host memory beyond guest RAM: QEMU itself (48 MiB measured) and virtiofsd; TCG adds its translation cache, which is given
 * this size instead of QEMU's default of 1 GiB. */
#define VM_HOST_OVERHEAD_BYTES (160 * MIB)
#define VM_TCG_CACHE_BYTES     (128 * MIB)

/* ---- kernel.c, kernel_store.c, kernel_fetch.c, initramfs.c ---- */
struct vm_kernel {
	char *name;    /* in the store; NULL: given by path */
	char *version; /* as messages call it */
	char *image;   /* what the VMM is given: an ELF kernel with PVH entry where possible, else a bzImage */
	char *modules; /* /lib/modules/VERSION of this kernel, or NULL: everything is built in */
	char *cache;   /* directory for its initramfs */
};
void vm_kernel_done(struct vm_kernel *k);
/* asked: a name of the store or a path; NULL: the default, which is fetched where there is none. */
int vm_kernel_find(const struct paths *p, const char *asked, struct vm_kernel *ret, struct err *e);
/* base: ROOT/kernels. -ENOENT (e as it was): there is none of that name; none at all. */
int vm_kernel_named(const char *base, const char *name, struct vm_kernel *ret, struct err *e);
int vm_kernel_default(const char *base, struct vm_kernel *ret, struct err *e);
bool vm_kernel_name_is_valid(const char *s);
/* The newest that the distribution has made, which is the default where nobody has chosen; NULL: none. Caller frees. */
char *vm_kernel_newest_fetched(const char *base);
/* Makes NAME of a directory that build-kernel has made, on the same file system. -EEXIST. */
int vm_kernel_take(const struct paths *p, const char *name, const char *from, struct err *e);
/* Downloads and unpacks the distribution's package into dirfd/name, which must not exist; *ret_boot and *ret_modules: paths of
 * its vmlinuz and modules directory inside. */
int vm_kernel_fetch(const char *dir, char **ret_vmlinuz, char **ret_modules, struct err *e);
/* The default that is there, or -ENOENT. */
int vm_kernel_cached(const struct paths *p, struct vm_kernel *ret, struct err *e);
/* An fd that holds the lock of ROOT/kernels, or -EWOULDBLOCK where somebody else has it and nobody `waits`. */
int vm_kernel_lock(const struct paths *p, bool waits, struct err *e);
/* What a killed maker has left in base; only under the lock. */
void vm_kernel_remove_stale(const char *base);
/* What vm_initramfs would make, a name in k->cache. */
int vm_initramfs_name(const struct paths *p, const struct vm_kernel *k, char **ret_name, struct err *e);
int vm_initramfs(const struct paths *p, const struct vm_kernel *k, char **ret_path, struct err *e);

/* A disk beyond the first container's image and writable layer: of a pod's other containers, or the user's own. */
struct vm_disk {
	const char *path; /* borrowed */
	bool is_readonly;
	const struct launch_disk *given; /* the user's; else NULL. Borrowed */
	bool is_device;                  /* and a block device of the host */
};
#define VM_MORE_DISKS_MAX 16
#define VM_DISK_SERIAL    12
/* What a guest may tell the user's disks by, "disk0" the first one: k of n. */
void vm_disk_serial(const struct vm_disk *disks, size_t k, char ret[VM_DISK_SERIAL]);

/* ---- qemu_args.c ---- */
struct qemu_config {
	const char *program, *id, *kernel, *initramfs; /* as the VMM sees them */
	bool has_kvm, is_volatile;
	bool is_verbose;        /* the kernel tells its whole story on the console */
	unsigned cpus, tsc_khz; /* tsc_khz: what an emulated CPU's counter runs at, 0 = let the kernel find out */
	uint64_t ram_bytes;
	int agent_fd, console_fd, qmp_fd;
	int image_fd, upper_fd;     /* open disks; upper_fd may be -1 */
	const struct vm_disk *more; /* in order behind those two: n_more, open from more_fd on */
	size_t n_more;
	int more_fd;
	int share_fd; /* connected vhost-user socket of virtiofsd, or -1 */
	bool has_huge_pages;
	const struct net_plan *network; /* NULL: none; its taps are open from taps_fd on */
	int taps_fd;
};
/* How many network cards its machine has room for beside so many disks in `more`. */
size_t qemu_room_for_cards(size_t n_more);
/* The whole command line; strv_free it. NULL on ENOMEM. */
char **qemu_args(const struct qemu_config *c);

/* ---- vm_own.c: berth-vmm's plan ---- */
struct vm_own_config {
	unsigned cpus, cpus_max; /* cpus_max: so many are there, and off; 0: none more */
	uid_t uid;               /* whom it becomes */
	uint64_t ram_bytes, room_bytes;
	bool has_upper, has_shares, is_verbose;
	bool may_be_copied; /* by snapshot, fork */
	bool has_huge_pages;
	const struct vm_disk *more; /* n_more of them, from more_fd on */
	size_t n_more;
	int more_fd;
	const struct net_plan *network; /* NULL: none; its taps are open from taps_fd on */
	int taps_fd;
	bool is_restore; /* goes on from a saved state instead of booting a kernel */
};
/* The caller's; NULL: out of memory. */
struct json_object *vm_own_plan(const struct vm_own_config *c);

/* ---- vm_huge.c ---- */
/* Are so many bytes of reserved huge pages free? -ENOMEM with the remedy. pool: the kernel's directory of those of 2 MiB; NULL: its own. */
int vm_huge_check(uint64_t bytes, const char *pool, struct err *e);

/* ---- kvm_probe.c ---- */
/* How the probe reaches KVM; tests put something else there. call: ioctl(2). */
struct kvm_calls {
	const char *node;
	int (*call)(int fd, unsigned long request, unsigned long arg);
};
struct kvm_report {
	bool is_usable;
	unsigned ratio;   /* how many times slower than the host's CPU its guest ran, 0 = it did not run */
	char reason[160]; /* why it is not usable: "there is no /dev/kvm" */
};
/* Tries it with a guest that runs, in a child; takes a few ms where KVM is good, some 0.1 s where it emulates. Never fails: a
 * KVM that can't be tried is not usable. */
void kvm_probe(const struct kvm_calls *k, struct kvm_report *ret);
extern const struct kvm_calls kvm_calls_host;

/* ---- vm_choose.c ---- */
struct vm_choice {
	const struct vm_backend *backend;
	struct kvm_report kvm;
};
/* accel: BERTH_VM_ACCEL of the environment, or NULL. "tcg": QEMU, emulating; "qemu": QEMU, on KVM where it is usable; "kvm": an
 * error where KVM is not usable; "berth-vmm": the same. */
int vm_choose(const struct kvm_calls *kvm, const char *accel, struct vm_choice *ret, struct err *e);
int vm_choose_for_host(struct vm_choice *ret, struct err *e);
/* What the user should know about it, one line that the caller frees; NULL: nothing (or no memory to say it). */
char *vm_choice_note(const struct vm_choice *c);

/* ---- tsc.c ---- */
/* Frequency of the host's time stamp counter, which is the emulated CPU's as well (QEMU passes it through). Takes 4 ms. */
unsigned tsc_measure_khz(void);

/* ---- vm_console.c: the last bytes that the guest's kernel printed ---- */
#define CONSOLE_KEPT (16u << 10)
struct vm_console {
	char ring[CONSOLE_KEPT];
	size_t at;    /* next byte's place */
	bool is_full; /* older bytes have been overwritten */
};
void vm_console_add(struct vm_console *c, const char *p, size_t n);
/* The kept text, oldest first, NUL-terminated; caller frees. */
char *vm_console_text(const struct vm_console *c);
/* To the log, at debug. */
void vm_console_log(const struct vm_console *c);
/* Why a guest went down, from its console: "the guest kernel panicked: ...", "berth-init: ...", or NULL. Caller frees. */
char *vm_console_reason(const char *text);

/* ---- vm_death.c ---- */
struct vm_death {
	int status;               /* waitpid's */
	const char *guest_reason; /* what its console told, or NULL */
	const char *said;         /* the VMM's standard error, or NULL */
	bool is_host_oom, is_booting, has_kvm;
	const struct vm_backend *backend;
};
void vm_explain(const struct vm_death *d, struct err *e);

/* ---- vm_spec.c ---- */
#define VM_SHARE_TAG "berth"
#define VM_SHARE_DIR "/shares"
/* One bind mount that crosses the wall. */
#define VM_SHARE_NAME 32
struct vm_share {
	const char *source;
	bool is_readonly;
	char name[VM_SHARE_NAME]; /* its place: a number, in a pod's machine behind the container's id: "0123456789ab.0" */
	const char *trust;        /* berth-fs's word for it: "cached", "consistent"; NULL: neither */
};                                /* source is borrowed from the spec */
/* The spec as the guest is to see it: a shallow copy of *s that borrows all of its parts but `mounts`, which vm_spec_done
 * frees. *ret_shares: the bind mounts' sources, in order. Refuses what makes no sense behind this wall. */
int vm_spec_for_guest(const struct spec *s, const struct launch *l, struct spec *ret, struct vm_share **ret_shares, size_t *ret_n,
		      struct err *e);
void vm_spec_done(struct spec *guest);
/* The bind mounts' sources alone, in order; *ret is the caller's to free. -ENOMEM or 0. */
int vm_spec_shares(const struct spec *s, const struct launch *l, struct vm_share **ret, size_t *ret_n);

/* ---- vm_network.c ---- */
struct guest_interface;
/* What has to be so before a VM is started with these: cards and taps within bounds, as many taps as cards have queues. p may be NULL. */
int vm_network_check(const struct net_plan *p, const int *taps, size_t n_taps, struct err *e);
size_t vm_network_queues(const struct net_plan *p); /* of each card */
uint32_t vm_network_mtu(const struct net_endpoint *ep);
/* As the guest's documents have them. *ret is the caller's to free; its strings are p's. p NULL: none. -ENOMEM or 0. */
int vm_network_interfaces(const struct net_plan *p, struct guest_interface **ret, size_t *ret_n);

/* ---- vm_shares.c ---- */
/* Starts a server over the shares, in cg, confined, in a mount namespace of its own where read-only ones are mounted so. *ret_sock:
 * connected to it, for the VMM: vhost-user with virtiofsd, vmm/fs/wire.h with berth-fs. */
struct vm_shares_plan {
	const struct vm_share *shares;
	size_t n;
	bool by_virtiofsd;
	int said; /* berth-fs's standard error */
};
int vm_shares_start(const struct instance_config *cfg, const struct vm_shares_plan *p, struct cgroup *cg, pid_t *ret_pid,
		    int *ret_sock, struct err *e);

/* ---- vm_storage.c: qcow2 images for a VMM that knows raw disks only ---- */
#define VM_STORAGE_BYTES       (64 * MIB) /* of its memory: itself */
#define VM_STORAGE_IMAGE_BYTES (48 * MIB) /* and of each image, whose tables it keeps (32 MiB at most) and whose data passes */
struct vm_storage {
	pid_t pid; /* 0: none */
	int pidfd, said;
	/* Open until it has ended: to close a file of FUSE's is to ask the daemon, and wait for it (FUSE_FLUSH). */
	int disks[VM_GIVEN_MAX];
	size_t n;
	struct loop_src *src;
};
struct vm_storage_disk {
	const struct launch_disk *given;
	uint64_t file_max;
	int fd; /* in: the image; out: the disk that it holds, a file of its size, which is i->storage's */
};
/* Its command line: strv_free it; NULL: out of memory. */
char **vm_storage_args(const char *program, const struct vm_storage_disk *disks, size_t n);
/* Starts a qemu-storage-daemon over the images, confined, in i's cgroup: i->storage. Closes nothing of what it was given. After a failure
 * nothing of it is left. */
int vm_storage_start(struct instance *i, struct vm_storage_disk *disks, size_t n, struct err *e);
/* Tells of its end while the guest runs, which goes on with I/O errors. */
int vm_storage_watch(struct instance *i, struct err *e);
/* By itself, before its VMM? */
bool vm_storage_has_ended(const struct instance *i);
/* Has it close the images, once nobody uses them any more; safe to call twice. grace_ms 0: kills it. */
void vm_storage_end(struct instance *i, int grace_ms);

/* ---- vm.c ---- */
struct vm_jail;
/* The far ends of what a VMM is connected to, and its disks; -1: none. */
struct vm_ends {
	int agent, console, control, share, err, image, upper, more[VM_MORE_DISKS_MAX];
	bool is_lent[VM_MORE_DISKS_MAX]; /* of `more`: somebody else's to close */
};
/* What is different from one VMM to another. Everything else is the same code: cgroup, jail, link, tasks, clocks, deaths. */
struct vm_backend {
	const char *name;             /* as inspect shows it */
	bool needs_virtiofsd;         /* for volumes; else they are berth-fs's */
	bool has_control;             /* listens on VM_CONTROL_SOCKET */
	bool knows_qcow2;             /* else a qemu-storage-daemon makes raw disks of them */
	uint64_t host_overhead_bytes; /* of its process, beyond guest RAM */
	uint64_t stacks_bytes;        /* of its threads; of its addresses, hardly any of its memory */
	/* Starts it by vm_process_jail. t: the caller closes them. disk_bytes: the largest that is writable. */
	int (*spawn)(struct instance *i, const struct vm_ends *t, uint64_t disk_bytes, struct err *e);
	int (*pause)(struct instance *i, bool paused, struct err *e);
	bool can_grow; /* what the launch has of vm_mem_max and vm_cpus_max is there for a running guest, and it has a balloon */
	/* It has exited by itself, and nobody knows better. */
	void (*explain_exit)(const struct vm_death *d, struct err *e);
};
extern const struct vm_backend vm_backend_qemu, vm_backend_own;
/* ---- vm_network.c: for back-ends ---- */
/* Adds i's taps to the descriptors of its jail, from `first` on inside. How many they are. */
size_t vm_network_give(const struct instance *i, int first, int (*fds)[2]);

enum vm_phase { VM_NEW, VM_BOOTING, VM_STARTING, VM_RUNNING, VM_ENDED };
struct vm_task;
struct stats_request;
struct instance {
	struct instance_config cfg;
	enum vm_phase phase;
	const struct vm_backend *backend;
	bool has_kvm, is_paused, is_host_oom; /* the last: what ended it was its cgroup's limit */
	struct spec guest_spec;
	struct vm_share *shares;
	size_t n_shares;
	struct vm_boot boot; /* as of this start */
	struct cgroup *cg;
	pid_t vmm, fsd;
	int vmm_pidfd;
	int agent_fd, console_fd, control_fd, stderr_fd; /* control: the VMM's own socket, QMP or berth-vmm's */
	int fsd_pidfd;
	struct loop_src *fsd_src, *vmm_src, *control_src, *console_src, *stderr_src, *boot_timer, *kill_timer;
	struct link link;
	bool has_link, qmp_ready;
	struct vm_console console;
	struct buf said; /* the VMM's stderr, bounded */
	struct vm_task *tasks;
	uint16_t last_channel;
	struct stats_request *stats, **stats_tail;
	uint64_t boot_ms;
	struct vm_size *size; /* being changed */
	uint64_t grown_bytes; /* of the room: what the VMM's limit allows for */
	/* A pod's machine (pod_vm.c). */
	void (*on_pod_lost)(void *arg, const struct err *why); /* cfg.arg */
	const struct vm_disk *more;
	size_t n_more;
	struct vm_disk given[VM_GIVEN_MAX]; /* what `more` is outside of a pod */
	struct vm_storage storage;
	/* A container in one: where its disks are, and what it shares. */
	bool in_pod, pod_shares[NS_COUNT];
	char *pod_hostname;
	struct pod_vm_place place;
	bool is_restore; /* goes on from state_fd and memory_fd, which are -1 otherwise */
	int state_fd, memory_fd;
	struct vm_hold {
		bool is_on, is_asked;
		void (*cb)(struct instance *i, const struct err *e, void *arg); /* NULL: called, or nobody waits any more */
		void *arg;
		struct loop_src *timer;
	} hold;
};
void vm_trace(struct instance *i, const char *step);
/* ---- vm_process.c: the VMM as a process ---- */
int vm_process_start(struct instance *i, struct err *e);
/* For back-ends: fills in what is the same for all, starts the program, and puts it into its cgroup. */
int vm_process_jail(struct instance *i, struct vm_jail *j, struct err *e);
/* What the workload may use of the guest's memory, as it was started. */
uint64_t vm_workload_bytes(const struct launch *l);
/* The memory of a guest whose workload may use so much. */
uint64_t vm_ram_for(uint64_t workload_bytes);
/* A disk that the VMM can't open itself. */
bool vm_is_served(const struct instance *i, const struct vm_disk *d);
/* Kills what runs and reaps it; safe to call twice. */
void vm_process_end(struct instance *i, int grace_ms);
/* ---- vm_cgroup.c: what the host holds it to; i->cg stays NULL where a user without root's rights has no cgroup ---- */
#define VM_PROCS_MAX 512 /* threads of VMM and server */
int vm_cgroup_make(struct instance *i, struct err *e);
/* cg NULL: there is none. */
int vm_cgroup_attach(struct cgroup *cg, pid_t pid, struct err *e);
/* Of r, what the guest itself can't be held to; the rest of it is unset. */
int vm_cgroup_update(struct instance *i, const struct spec_resources *r, struct err *e);
/* What the VMM may have of memory that is no file's, where no cgroup limits it; 0: one does. */
uint64_t vm_data_max(const struct instance *i);
/* Of the VMM alone in a user namespace. */
int vm_cgroup_freeze(struct instance *i, bool is_frozen, struct err *e);
/* Before those in it are waited for: cgroup v1's freezer keeps even who was killed. */
void vm_cgroup_thaw(struct instance *i);
/* The VMM's limit for a guest with so much memory. */
int vm_limit_memory(struct instance *i, uint64_t ram_bytes, struct err *e);
/* ---- vm_process.c ---- */
/* The VMM has ended or is of no use: says why to everybody who waits. */
void vm_lost(struct instance *i, const struct err *why);
/* The main process runs, or why it does not. */
void vm_main_started(struct instance *i, const struct err *e);
/* ---- vm.c: for pod_vm.c ---- */
/* The machine alone: chosen, booting, nothing in it yet. The link is the caller's. */
int vm_start_machine(struct instance *i, struct err *e);
/* ---- vm_qmp.c ---- */
/* One QMP command and its answer. */
int vm_qmp(struct instance *i, const char *command, struct err *e);
/* ---- vm_task.c: the streams of processes in the guest ---- */
int vm_task_new(struct instance *i, uint16_t channel, struct task *t, void (*on_started)(struct task *t, const struct err *e),
		struct err *e);
struct vm_task *vm_task_find(struct instance *i, uint16_t channel);
uint16_t vm_task_channel(const struct vm_task *vt);
void vm_task_free(struct vm_task *vt);
void vm_tasks_lost(struct instance *i, const struct err *why);
/* A frame for one process: data, credit, STARTED, ERROR, EXIT. */
int vm_task_frame(struct instance *i, const struct frame *f, struct err *e);
/* ---- vm_link.c ---- */
int vm_link_start(struct instance *i, struct err *e);
/* ---- vm_hold.c ---- */
int vm_hold(struct instance *i, void (*cb)(struct instance *i, const struct err *e, void *arg), void *arg, struct err *e);
void vm_release(struct instance *i);
/* FRAME_QUIESCE from the guest. */
int vm_hold_answer(struct instance *i, const struct frame *f, struct err *e);
void vm_hold_lost(struct instance *i, const struct err *why);
/* ---- vm_restore.c ---- */
/* Is there something to go on from? Opens it. */
int vm_restore_open(struct instance *i, int *ret_state, int *ret_memory, struct err *e);
/* To the guest, as soon as it goes on: who it is now. */
int vm_restore_greet(struct instance *i, struct err *e);
/* It runs: no start needs the files any more. */
void vm_restore_done(struct instance *i);
/* ---- vm_stats.c ---- */
int vm_stats(struct instance *i, void (*cb)(struct instance *i, struct json_object *stats, const struct err *e, void *arg),
	     void *arg, struct err *e);
/* One more request in the same order, which was or will be sent by the caller. */
int vm_request_update(struct instance *i, int64_t memory_limit, void (*cb)(struct instance *i, const struct err *e, void *arg),
		      void *arg, struct err *e);
void vm_stats_answer(struct instance *i, const struct frame *f);
void vm_stats_lost(struct instance *i, const struct err *why);
/* ---- vm_size.c ---- */
/* The guest shall have ram_bytes; calls back once, later, when it has, or can't have, or does nothing about it: also when another size is
 * asked for meanwhile (ECANCELED). Of what is below its boot's size the callback tells only that the balloon was asked. */
int vm_set_size(struct instance *i, uint64_t ram_bytes, void (*done)(struct instance *i, const struct err *e, void *arg),
		void *arg, struct err *e);
void vm_size_lost(struct instance *i, const struct err *why);
void vm_size_done(struct instance *i); /* and nobody is called back */
/* ---- vm_update.c ---- */
int vm_update(struct instance *i, const struct spec_resources *r, void (*cb)(struct instance *i, const struct err *e, void *arg),
	      void *arg, struct err *e);
/* The guest has said that they hold. */
void vm_update_done(struct instance *i, int64_t memory_limit);
