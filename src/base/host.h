/* What this host offers, probed once and printable (`berth info`), so that tests can fake an old kernel. */
#pragma once

#include "err.h"
#include "util.h"

enum cgroup_layout { CGROUP_NONE, CGROUP_V1, CGROUP_HYBRID, CGROUP_V2 };

/* v1 hierarchies, by controller. Table order = enum order; see host_cgroup.c. */
enum cgroup_ctrl {
	CG_CPU,
	CG_CPUACCT,
	CG_CPUSET,
	CG_MEMORY,
	CG_DEVICES,
	CG_FREEZER,
	CG_BLKIO,
	CG_PIDS,
	CG_HUGETLB,
	CG_NET_CLS,
	CG_NET_PRIO,
	CG_PERF_EVENT,
	CG_RDMA,
	CG_CTRL_COUNT
};
const char *cgroup_ctrl_name(enum cgroup_ctrl c);

struct host {
	enum cgroup_layout cgroup;
	/* Mount point of each controller's v1 hierarchy ("/sys/fs/cgroup/cpu"), NULL where the controller is not on v1;
	 * co-mounted controllers share one path. */
	char *cgroup_v1[CG_CTRL_COUNT];
	char *cgroup_v2;          /* "/sys/fs/cgroup" or ".../unified", NULL where absent */
	uint32_t cgroup_v2_ctrls; /* bit 1 << CG_x for each in cgroup.controllers */
	bool has_swap_accounting; /* memory.memsw.* or memory.swap.max present */
	bool has_kvm_node;        /* /dev/kvm opens */
	bool has_hw_virt;         /* vmx or svm in /proc/cpuinfo: a stock kernel runs on the CPU itself */
	int landlock_abi;         /* 0 = none */
	int n_cpus;
	uint64_t mem_bytes;
	uint64_t caps_bounding; /* this process's own bounding set */
	char kernel[65];        /* uname -r */
	char os_name[65];       /* PRETTY_NAME of /etc/os-release */
};

/* Light: a few statfs where the cgroups are in their usual places, else a reading of /proc/self/mountinfo: fit for the fast path. */
int host_probe_cgroup(struct host *h, struct err *e);
/* The same, but of a user namespace's cgroups only those that it may use: CGROUP_NONE where nothing is delegated to the user. The mount point of
 * v2 is the delegated cgroup then, as if there were nothing above it. */
int host_probe_cgroup_ours(struct host *h, struct err *e);
/* What the line above does to what host_probe has found. */
int host_narrow_cgroup(struct host *h, struct err *e);
/* The same for a user who is in no user namespace yet. */
int host_narrow_cgroup_to_user(struct host *h, struct err *e);
/* What to say to somebody who has none. */
#define NOT_DELEGATED                                                                                     \
	"none is delegated to this user in this session (systemd: Delegate=yes of user@UID.service, and " \
	"`systemd-run --user --scope berth ...` from a session outside of it)"
/* What to say behind the error of a procfs that a user namespace may not mount. */
#define PROC_COVERED " (parts of this host's /proc are covered, so that no user namespace may have a whole one)"
/* Of .cgroup_v2, into .cgroup_v2_ctrls; -errno. */
int host_read_controllers(struct host *h);
/* The same as the first from mountinfo in any case: what the other must agree with. */
int host_probe_cgroup_mounts(struct host *h, struct err *e);
/* Everything else. */
int host_probe(struct host *h, struct err *e);
void host_done(struct host *h);
