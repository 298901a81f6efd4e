/* vmm: a small virtual machine monitor on KVM, one process a VM. Sees only base, codec and spec.
 *
 * A VM is made of a plan (plain struct; JSON at the program's door), built, started, and ends in exactly one of the ways
 * that enum vmm_end names:
 *
 *   vmm_new    memory, interrupts, buses, devices, kernel and tables in RAM, vCPUs     BUILT
 *   vmm_run    vCPU threads run, the calling thread is the VM's event loop             RUNNING <-> PAUSED (vmm_pause, vmm_resume)
 *   (returns)  how it ended                                                            ENDED
 *   vmm_free   every thread joined, every descriptor of the VM closed
 *
 * Threads: the one that calls vmm_run is "the vmm thread". Every function here is for that thread (and for whoever runs
 * before or after vmm_run), except those that say otherwise. */
#pragma once

#include "codec.h"

struct vmm;

/* ---- the plan ---- */

/* What backs guest RAM. Huge pages make a boot and a run cheaper (an exit per 2 MiB, not per 4 KiB). */
enum vmm_pages {
	VMM_PAGES_THP,   /* transparent huge pages where the host gives them (the default) */
	VMM_PAGES_SMALL, /* 4 KiB only: the smallest resident size */
	VMM_PAGES_HUGE,  /* hugetlbfs, 2 MiB, reserved by the administrator; refused where there are none */
};

/* Whether the VM's threads get filters of system calls (thread.h), and how a violation ends the process. */
enum vmm_seccomp {
	VMM_SECCOMP_OFF,  /* for tests that are one process with many VMs */
	VMM_SECCOMP_KILL, /* SIGSYS; the kernel's log names thread and call. What every plan in JSON gets */
	VMM_SECCOMP_TRAP, /* standard error names thread and call: for who looks for a call that a list lacks */
};

/* One port of a virtio console. fd: a stream (socket, pipe, terminal), owned by the plan; -1: a port that nobody is at. */
struct vmm_port_plan {
	char *name; /* what the guest finds in /sys/class/virtio-ports; NULL: the console proper, hvc0 */
	int32_t fd;
};
struct vmm_console_plan {
	struct vmm_port_plan *ports;
	size_t n_ports; /* 1..VMM_PORTS_MAX */
};
#define VMM_PORTS_MAX 15u /* two queues each, and two for control: VIRTIO_QUEUES_MAX */
struct vmm_rng_plan {
	uint32_t bytes_per_second; /* 0: no limit */
};
/* per_second 0: no limit. burst: what may come at once; 0: a tenth of per_second. */
struct vmm_limit_plan {
	uint64_t per_second, burst;
};
/* A disk. What the file holds is the disk as it is, raw; its size (a multiple of 512) is the capacity. */
struct vmm_blk_plan {
	int32_t fd; /* regular file or block device, open for writing unless is_read_only; locked while the VM lives */
	bool is_read_only;
	bool holes_are_hints; /* a punched hole may keep what was there: zeroes are asked for as such (FALLOC_FL_ZERO_RANGE) */
	char *serial;         /* at most 20 bytes: /sys/block/vda/serial; NULL: empty */
	uint32_t queues;      /* 0: as many as CPUs, at most VMM_BLK_QUEUES_MAX */
	struct vmm_limit_plan bytes, ops;
};
#define VMM_BLK_QUEUES_MAX 8u
/* A file as the guest's memory (virtio/pmem.c). Read-only unless it says otherwise; then its size is whole 2 MiB. */
struct vmm_pmem_plan {
	int32_t fd; /* regular file; locked while the VM lives */
	bool is_writable;
};
#define VMM_PMEM_MAX (256ull << 30)

/* One queue of a tap device made with IFF_TAP | IFF_NO_PI | IFF_VNET_HDR (and IFF_MULTI_QUEUE where there are several), owned
 * by the plan; or a socket that keeps messages apart, on which each is a virtio header and a frame, as on a tap. */
struct vmm_tap_plan {
	int32_t fd;
};
struct vmm_net_plan {
	struct vmm_tap_plan *taps; /* of one device: a pair of queues each */
	size_t n_taps;             /* 1..VMM_TAPS_MAX */
	uint8_t mac[6];
	uint32_t mtu;                               /* what the guest is told; 0: nothing; else 68..65535 */
	struct vmm_limit_plan to_guest, from_guest; /* bytes, of the device, whatever the number of its queues */
};
#define VMM_TAPS_MAX 8u

/* A stream that the guest gets when it connects to this port of the host, once. fd: a stream socket, owned by the plan. */
struct vmm_stream_plan {
	uint32_t port;
	int32_t fd;
};
struct vmm_vsock_plan {
	uint32_t guest_cid; /* VMM_CID_MIN..2^32 - 2 */
	/* A listening stream socket: who connects there says "CONNECT PORT\n", and gets "OK N\n" and the guest's PORT; -1. */
	int32_t listen_fd;
	/* A directory: a guest that connects to port P of the host gets the listening socket vsock_P in it; -1. The jail makes
	 * it the process's root, read-only, and sets is_root. */
	int32_t dir_fd;
	bool is_root;                    /* no member of the JSON */
	uint32_t connect_limit_ms;       /* for the guest's answer to a connection of the host's; 0: VMM_CONNECT_LIMIT_MS */
	struct vmm_stream_plan *streams; /* asked before dir_fd */
	size_t n_streams;                /* at most VMM_STREAMS_MAX */
};
#define VMM_CID_MIN          3u
#define VMM_STREAMS_MAX      16u
#define VMM_CONNECT_LIMIT_MS 5000u

/* Shared directories, of a file server that is a process of its own (fs/wire.h). */
struct vmm_fs_plan {
	char *tag;  /* by which the guest mounts it: 1 to 36 bytes */
	int32_t fd; /* the server's socket, connected, which keeps messages apart; owned by the plan */
};
#define VMM_FS_TAG_MAX 36u

/* Memory that the guest gives back, by itself and when asked (virtio/balloon.c). */
struct vmm_balloon_plan {
	bool reports;         /* free pages, as they come; in JSON true where nothing is said */
	bool deflates_on_oom; /* the guest may take the balloon's pages before it kills a process; likewise */
};

/* Room for a guest's memory to grow into while it runs (virtio/mem.c). */
struct vmm_mem_plan {
	uint64_t bytes; /* beyond mem_bytes: a multiple of VMM_ROOM_UNIT, at most VMM_ROOM_MAX */
};
#define VMM_ROOM_UNIT (128ull << 20) /* what Linux adds at once on x86-64 (memory_block_size_bytes) */
#define VMM_ROOM_MAX  (256ull << 30)

/* A device is the one member that is set. A new device adds its plan here and its row in virtio/devices.c and plan.c. */
struct vmm_device_plan {
	struct vmm_rng_plan *rng;
	struct vmm_console_plan *console;
	struct vmm_blk_plan *blk;
	struct vmm_pmem_plan *pmem;
	struct vmm_net_plan *net;
	struct vmm_vsock_plan *vsock;
	struct vmm_fs_plan *fs;
	struct vmm_balloon_plan *balloon;
	struct vmm_mem_plan *mem; /* one at most */
};

struct vmm_plan {
	int32_t kernel_fd; /* ELF (PVH or 64-bit) or bzImage; regular file */
	int32_t initrd_fd; /* -1: none */
	/* A VM from a snapshot: its two files (snapshot.h), read-only; kernel_fd and initrd_fd are then -1, and everything else of the
	 * plan is as it was, with other descriptors. -1: none. */
	int32_t state_fd, ram_fd;
	/* The guest is told of each restore (generation.h). For machines that may be copied: the devices for it cost a booting kernel some two
	 * milliseconds where 300 are a boot. Of no effect with state_fd: what was told before is told again. */
	bool tells_generation;
	bool tracks_writes; /* with state_fd: diff snapshots may be taken from the start */
	int32_t control_fd; /* stream socket, listening or connected (control.h); -1: none */
	int32_t serial_fd;  /* where the first serial port's output goes; -1: the guest has no serial port */
	int32_t kvm_fd;     /* /dev/kvm; 0, -1: not open yet, done by vmm_jail_enter or vmm_new */
	int32_t vm_fd; /* KVM's VM, set by vmm_jail_enter; -errno: it could not be made; 0: done by vmm_new. vmm_new takes it */
	int32_t statm_fd; /* the process's /proc/PID/statm, for metrics; set by vmm_jail_enter, beyond which there is no /proc; 0: none */
	char *cmdline;      /* the kernel's command line, whole; NULL: empty */
	uint64_t mem_bytes; /* VMM_MEM_MIN..VMM_MEM_MAX, a multiple of 2 MiB */
	uint32_t cpus;      /* 1..VMM_CPUS_MAX */
	uint32_t pages;     /* enum vmm_pages; "thp", "small", "huge" */
	/* Until the guest says that it is up (see vmm_note_started). 0: no limit. */
	uint32_t boot_limit_ms;
	struct vmm_device_plan *devices;
	size_t n_devices;
	uint32_t uid;              /* and gid, of the process in its jail where root starts it; 0: one that no other VM has */
	enum vmm_seccomp seccomp;  /* no member of the JSON */
	struct timeline *timeline; /* no member of the JSON: where the stages of the start are marked; NULL: nowhere */
};
static inline void vmm_mark(const struct vmm_plan *p, const char *what)
{
	if (p->timeline)
		timeline_mark(p->timeline, what);
}
/* The beginning of a plan's initializer: no descriptor is 0 by accident. */
#define VMM_PLAN_NO_FDS .kernel_fd = -1, .initrd_fd = -1, .state_fd = -1, .ram_fd = -1, .control_fd = -1, .serial_fd = -1
#define VMM_MEM_MIN     (32ull << 20)
#define VMM_MEM_MAX     (1ull << 40)
#define VMM_CPUS_MAX    64u

/* Reads and checks the plan's JSON (docs/FORMATS.md). Every descriptor it names must be open; they are the plan's from here
 * on and vmm_plan_done closes them. Unknown keys are refused: a wish that nobody would heed is worse than an error. */
int vmm_plan_parse(const char *json, size_t len, struct vmm_plan *ret, struct err *e);
/* The same as JSON, for who starts a berth-vmm; json_object_put it. NULL: out of memory. */
struct json_object *vmm_plan_json(const struct vmm_plan *p);
/* The checks of vmm_plan_parse alone, for plans made in C. */
int vmm_plan_check(const struct vmm_plan *p, struct err *e);
void vmm_plan_done(struct vmm_plan *p);
/* Every descriptor of a plan: they are checked, kept in the jail, and closed by this list. -> how many; -1 among them: none. */
#define VMM_PLAN_FDS_MAX 1024u
size_t vmm_plan_fds(const struct vmm_plan *p, int32_t ret[VMM_PLAN_FDS_MAX]);
/* Of the file behind guest RAM: mem_bytes, and the room to grow into. */
uint64_t vmm_plan_room(const struct vmm_plan *p);
static inline uint64_t vmm_plan_ram(const struct vmm_plan *p) { return p->mem_bytes + vmm_plan_room(p); }
/* The vsock whose guest may connect to sockets of a directory, or NULL. */
struct vmm_vsock_plan *vmm_plan_sockets(const struct vmm_plan *p);

/* ---- life ---- */

enum vmm_end {
	VMM_RUNNING,      /* not ended */
	VMM_POWERED_OFF,  /* the guest switched itself off (ACPI S5) */
	VMM_RESET,        /* the guest asked for a reset; berth-vmm never reboots a guest in place */
	VMM_TRIPLE_FAULT, /* a vCPU shut down */
	VMM_GUEST_PANIC,  /* the guest kernel said so on the panic port */
	VMM_BOOT_HANG,    /* no sign of life within boot_limit_ms */
	VMM_STOPPED,      /* vmm_stop: asked for from outside */
	VMM_FAILED,       /* KVM or the VMM itself failed; the reason tells what */
	VMM_ENDS,
};
struct vmm_result {
	enum vmm_end end;
	char reason[256]; /* one line, "vCPU 1: KVM_EXIT_FAIL_ENTRY 0x80000021"; empty where the end says it all */
};
/* The word for an end ("powered-off"), and the exit status that berth-vmm ends with for it (0 for powered off). */
const char *vmm_end_name(enum vmm_end end);
int vmm_end_status(enum vmm_end end);
/* Which end a berth-vmm's exit status tells; VMM_ENDS: none. */
enum vmm_end vmm_end_of_status(int status);

/* KVM_CREATE_VM of /dev/kvm: a descriptor, or -errno. */
int vmm_create_vm(int fd_kvm);
/* Everything up to the first instruction. The plan must live as long as the VM. -errno with e filled; -ENODEV: no KVM. */
int vmm_new(const struct vmm_plan *plan, struct vmm **ret, struct err *e);
/* Runs the VM to its end. 0 and *ret, or -errno where it never ran. */
int vmm_run(struct vmm *vm, struct vmm_result *ret, struct err *e);
void vmm_free(struct vmm *vm);
DEFINE_CLEANUP(struct vmm *, vmm_free)

/* Ends the VM: the first end counts, later ones are ignored. reason may be NULL. Any thread, async-signal-unsafe. */
void vmm_end(struct vmm *vm, enum vmm_end end, const char *reason, ...) _printf_(3, 4);
#define vmm_stop(vm) vmm_end((vm), VMM_STOPPED, NULL)
/* The guest has shown that it is up: it wrote the start word to VMM_PORT_START, or opened a console port. Any thread. */
void vmm_note_started(struct vmm *vm);
/* Parks every vCPU outside of the guest, with no half-done access (vcpu.h); returns when all are. Nests; vmm thread. */
void vmm_pause(struct vmm *vm);
void vmm_resume(struct vmm *vm);

/* ---- snapshots (snapshot.h) ---- */
/* What is written may be counted from a snapshot on, so that a later one may hold nothing but that (a diff). It costs an exit for each 4 KiB that is
 * written first after a snapshot, and no memory is mapped in huge pages meanwhile. */
enum vmm_track {
	VMM_TRACK_AS_IS, /* what is counted goes on being counted, and from where it was */
	VMM_TRACK_ON,    /* from this one on */
	VMM_TRACK_OFF,
};
struct vmm_snapshot_opts {
	bool is_diff;      /* only what was written since the last one with VMM_TRACK_ON, or restored with tracks_writes */
	bool is_fleeting;  /* the files need not outlive the host: no fsync */
	bool is_tentative; /* with VMM_TRACK_ON: until vmm_snapshot_keep says so, it can be taken back */
	enum vmm_track track;
};
struct vmm_snapshot_info {
	uint8_t id[16];
	uint64_t written_bytes, pause_us;
};
/* Two empty files, open for writing; durable when this returns 0. Else they are empty, and the VM is as before: running, or
 * paused where it was paused. vmm thread, while vmm_run turns. */
int vmm_snapshot(struct vmm *vm, const struct vmm_snapshot_opts *o, int state_fd, int ram_fd, struct vmm_snapshot_info *ret,
		 struct err *e);
/* Who asked for a tentative snapshot has it, or has not: then the VM counts, or doesn't, as if it had never been taken. While neither is said
 * another one with VMM_TRACK_ON or _OFF is refused (-EBUSY). Nothing to be done is fine. vmm thread. */
void vmm_snapshot_keep(struct vmm *vm);
void vmm_snapshot_take_back(struct vmm *vm);

#define VMM_SNAPSHOT_ID_BYTES 16u
struct vmm_snapshot_facts {
	uint8_t id[VMM_SNAPSHOT_ID_BYTES];
	uint8_t base[VMM_SNAPSHOT_ID_BYTES]; /* of a diff: the snapshot that it goes on from */
	bool is_diff;
	uint64_t mem_bytes; /* of the VM */
	uint32_t cpus;
};
/* A snapshot's two files: whole, of each other, and such as this program reads? Of memory itself nothing is
 * read, of a diff its list of pages. -EBADMSG with what is wrong. */
int vmm_snapshot_check(int state_fd, int ram_fd, struct vmm_snapshot_facts *ret, struct err *e);
/* Only whose state it is, by its head alone. */
int vmm_snapshot_id(int state_fd, uint8_t ret[VMM_SNAPSHOT_ID_BYTES], struct err *e);
#define VMM_SNAPSHOT_VERSION 2u /* 1: with SHA-256 sums, and without an I/O APIC */
/* Merges a diff's memory file into a copy of its base's, which is the diff's whole memory then, to be loaded with the diff's
 * state. No VM may use ram_fd. The diff's list of pages is checked first; an error after that says that ram_fd is lost. is_fleeting:
 * ram_fd need not outlive the host. */
int vmm_snapshot_merge(int diff_fd, int ram_fd, bool is_fleeting, struct err *e);

/* The loop that vmm_run turns: for control sockets and timers of whoever embeds the VM. */
struct loop *vmm_loop(struct vmm *vm);
