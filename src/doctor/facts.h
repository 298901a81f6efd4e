/* facts: what doctor's rules judge, gathered once: read from files below a directory that stands for "/" (a test's own, or the host's),
 * and asked of the kernel. Nothing here is an error: what can't be found out is as if it were not there. */
#pragma once

#include "base.h"
#include "doctor.h"

enum fact_ns { FACT_NS_MNT, FACT_NS_PID, FACT_NS_NET, FACT_NS_IPC, FACT_NS_UTS, FACT_NS_CGROUP, FACT_NS_USER, FACT_NS_COUNT };
extern const char *const fact_ns_names[FACT_NS_COUNT]; /* as in /proc/self/ns */

/* System calls that not every kernel has. */
enum fact_call {
	FACT_CALL_OPENAT2,
	FACT_CALL_CLONE3,
	FACT_CALL_PIDFD_OPEN,
	FACT_CALL_FSOPEN,
	FACT_CALL_MOUNT_SETATTR,
	FACT_CALL_CLOSE_RANGE,
	FACT_CALL_IO_URING,
	FACT_CALL_COUNT
};

/* Programs of others that Berth calls. */
enum fact_program {
	FACT_QEMU,
	FACT_VIRTIOFSD,
	FACT_QEMU_STORAGE,
	FACT_MKFS_EROFS,
	FACT_MKE2FS,
	FACT_CRIU,
	FACT_PS,
	FACT_APT,
	FACT_PASTA,
	FACT_PROGRAM_COUNT
};
extern const char *const fact_programs[FACT_PROGRAM_COUNT];

/* Of a user without root's rights, who has containers in namespaces of his own. */
struct facts_user {
	int ns_error;          /* errno of making user and mount namespaces; 0: they can be made */
	uint64_t uids, gids;   /* how many ids /etc/subuid and /etc/subgid grant besides his own */
	char *ids_trouble;     /* why these can't be read; NULL: none */
	const char *no_mapper; /* newuidmap or newgidmap, which is missing or may do nothing; NULL: both are well. Static */
	int tun_error;         /* errno of opening /dev/net/tun; 0: it opens */
	int kvm_error;         /* the same of /dev/kvm */
	char *run;             /* the run directory */
	int run_error;         /* errno of making or writing it; 0: none */
	uint32_t ctrls;        /* bit 1 << CG_x for each that is delegated */
	bool has_cgroup;
};

struct facts {
	/* facts_read */
	bool has_ns[FACT_NS_COUNT];
	int64_t max_user_ns;       /* -1: this kernel does not say */
	bool is_userns_restricted; /* kernel.apparmor_restrict_unprivileged_userns */
	bool is_userns_off;        /* kernel.unprivileged_userns_clone is 0 */
	bool has_overlay, has_seccomp, has_journal, has_systemd, is_smt_on, is_ksm_on;
	bool is_guest;                                 /* the CPU says that a hypervisor is below */
	bool is_nesting;                               /* kvm_intel or kvm_amd lets guests have guests */
	char *lsm;                                     /* "capability,landlock,apparmor"; NULL: unknown */
	char *vulnerable;                              /* "meltdown, mds"; NULL: none that the kernel names */
	uint64_t mem_total, mem_available, swap_total; /* bytes */
	int64_t pid_max, threads_max, inotify_instances;
	uint64_t huge_free; /* bytes, in pages of 2 MiB */
	/* facts_ask */
	struct host host;
	bool is_root, has_call[FACT_CALL_COUNT], has_program[FACT_PROGRAM_COUNT];
	char *container_trouble, *vm_trouble, *vm_note; /* NULL: none */
	char *missing;                                  /* programs of Berth's own that are not where they have to be */
	uint64_t nofile;                                /* hard limit */
	char *store;                                    /* where it is or would be */
	char *store_type;                               /* of its file system: "ext4"; NULL: unknown */
	uint64_t store_free, store_size;                /* bytes */
	char *kernel;                                   /* that VMs boot by default; NULL: the store has none */
	struct facts_user user;                         /* not of root */
};
void facts_read(struct facts *f, int slash);
int facts_ask(struct facts *f, const struct paths *p, struct err *e);
int facts_ask_user(struct facts_user *u, const struct paths *p, struct err *e);
void facts_done(struct facts *f);

/* What the table of rules makes of them. */
int rules_judge(const struct facts *f, struct doctor_finding **ret, size_t *ret_n, struct err *e);
