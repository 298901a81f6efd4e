/* OCI runtime specification 1.2, config.json, as plain structs. Absent optional numbers are INT64_MIN / "has_" flags as
 * each comment says; absent strings and lists are NULL. */
#pragma once

#include "codec.h"

#define SPEC_UNSET INT64_MIN

struct spec_user {
	uint32_t uid, gid;
	bool has_umask;
	uint32_t umask;
	uint32_t *additional_gids;
	size_t n_additional_gids;
	/* Berth's own `user.additionalGroups`: names of more groups, looked up like username below. */
	char **additional_groups;
	/* `user.username`: "name", "uid", "name:group", "uid:gid", as docker's -u. When set it is looked up in the root
	 * filesystem at start (container_resolve_user): overrides uid and gid, its groups join additional_gids. */
	char *username;
};
struct spec_rlimit {
	char *type;
	uint64_t soft, hard;
}; /* RLIMIT_*; UINT64_MAX = unlimited */
struct spec_caps {
	uint64_t bounding, effective, inheritable, permitted, ambient;
}; /* bit 1 << CAP_x */
/* Words of the document are kernel values here ("SCHED_FIFO" is SCHED_FIFO). */
struct spec_scheduler {
	uint64_t policy, flags; /* SCHED_*, SCHED_FLAG_* */
	int32_t nice, priority;
	uint64_t runtime_ns, deadline_ns, period_ns; /* SCHED_DEADLINE's */
};
struct spec_io_priority {
	uint64_t class; /* IOPRIO_CLASS_* */
	int32_t priority;
};
struct spec_affinity {
	char *initial, *final; /* lists of CPUs, see spec_list_parse */
};
struct spec_memory_policy {
	uint64_t mode, flags; /* MPOL_*, MPOL_F_* */
	char *nodes;
};
struct spec_personality {
	uint64_t domain; /* PER_* */
};
struct spec_process {
	bool terminal, no_new_privs;
	uint32_t console_rows, console_cols; /* 0 = not given */
	struct spec_user user;
	char **args, **env;
	char *cwd;
	bool has_caps;
	struct spec_caps caps;
	struct spec_rlimit *rlimits;
	size_t n_rlimits;
	int64_t oom_score_adj; /* SPEC_UNSET */
	char *apparmor_profile, *selinux_label;
	struct spec_scheduler *scheduler;     /* NULL = as the runtime's */
	struct spec_io_priority *io_priority; /* NULL = as the runtime's */
	struct spec_affinity exec_affinity;   /* of exec'd processes, never of the first */
	/* What was read but can't be given, a sentence each, for whoever reads the document to print: the specification wants
	 * warnings for capabilities without a meaning here, not errors; and of properties that it does not have, anywhere in
	 * the document. Never written. */
	char **warnings;
};
/* config.json's id mapping. */
struct spec_idmap {
	uint32_t container_id, host_id, size;
};
struct spec_mount {
	char *destination, *type, *source;
	char **options;
	struct spec_idmap *uid_mappings, *gid_mappings;
	size_t n_uid_mappings, n_gid_mappings;
};
enum spec_ns { NS_MOUNT, NS_PID, NS_NET, NS_IPC, NS_UTS, NS_USER, NS_CGROUP, NS_TIME, NS_COUNT };
struct spec_namespaces {
	bool wanted[NS_COUNT];
	char *path[NS_COUNT]; /* join this one instead of a new one */
};
/* linux.timeOffsets: by how much a new time namespace's clock is ahead. */
enum spec_clock { SPEC_MONOTONIC, SPEC_BOOTTIME, SPEC_CLOCK_COUNT };
struct spec_time_offset {
	int64_t secs;
	uint32_t nanosecs;
};
struct spec_net_device {
	char *host_name, *name; /* name inside, may hold one %d; NULL = the same */
};
struct spec_rdt {
	char *clos_id, *l3_schema, *mb_schema;
	char **schemata;
	bool monitoring, cmt, mbm; /* any of them asks for a monitoring group */
};
struct spec_device {
	char *path;
	char type;
	int64_t major, minor;
	bool has_mode;
	uint32_t mode, uid, gid;
};
struct spec_device_rule {
	bool allow;
	char type;
	int64_t major, minor;
	char access[4];
}; /* type 'a','b','c'; -1 = any */
struct spec_throttle {
	int64_t major, minor;
	uint64_t rate;
};
struct spec_weight_device {
	int64_t major, minor;
	int64_t weight, leaf_weight; /* SPEC_UNSET; 10..1000 */
};
struct spec_hugepage {
	char *page_size;
	uint64_t limit;
};
struct spec_net_prio {
	char *name; /* of the interface */
	uint32_t priority;
};
struct spec_rdma {
	char *device;
	bool has_handles, has_objects;
	uint32_t handles, objects;
};
struct spec_resources {
	struct spec_device_rule *devices;
	size_t n_devices;
	int64_t memory_limit, memory_reservation, memory_swap, memory_kernel, memory_kernel_tcp; /* SPEC_UNSET; -1 = unlimited */
	int64_t memory_swappiness;
	bool oom_kill_disable, check_before_update;
	bool has_use_hierarchy, use_hierarchy;
	int64_t cpu_shares, cpu_quota, cpu_period, cpu_idle, cpu_burst; /* SPEC_UNSET; quota -1 = unlimited; us */
	int64_t cpu_rt_runtime, cpu_rt_period;                          /* SPEC_UNSET; us */
	char *cpuset_cpus, *cpuset_mems;
	int64_t pids_limit;                      /* SPEC_UNSET; -1 = unlimited */
	int64_t blkio_weight, blkio_leaf_weight; /* SPEC_UNSET; 10..1000 */
	struct spec_weight_device *weight_devices;
	size_t n_weight_devices;
	struct spec_throttle *read_bps, *write_bps, *read_iops, *write_iops;
	size_t n_read_bps, n_write_bps, n_read_iops, n_write_iops;
	struct spec_hugepage *hugepages;
	size_t n_hugepages;
	bool has_class_id;
	uint32_t class_id; /* net_cls: 0xAAAABBBB is AAAA:BBBB of tc(8) */
	struct spec_net_prio *net_prios;
	size_t n_net_prios;
	struct spec_rdma *rdma;
	size_t n_rdma;
	struct string_map unified; /* cgroup v2 files */
};
struct spec_seccomp_arg {
	uint32_t index;
	uint64_t value, value_two;
	char *op;
};
struct spec_seccomp_rule {
	char **names;
	char *action;
	bool has_errno;
	uint32_t errno_ret;
	struct spec_seccomp_arg *args;
	size_t n_args;
};
struct spec_seccomp {
	char *default_action;
	bool has_default_errno;
	uint32_t default_errno;
	char **architectures, **flags;
	char *listener_path, *listener_metadata;
	struct spec_seccomp_rule *rules;
	size_t n_rules;
};
struct spec_hook {
	char *path;
	char **args, **env;
	int64_t timeout_s;
}; /* SPEC_UNSET */
enum spec_hook_kind {
	HOOK_PRESTART,
	HOOK_CREATE_RUNTIME,
	HOOK_CREATE_CONTAINER,
	HOOK_START_CONTAINER,
	HOOK_POSTSTART,
	HOOK_POSTSTOP,
	HOOK_COUNT
};
struct spec_hooks {
	struct spec_hook *list[HOOK_COUNT];
	size_t n[HOOK_COUNT];
};
/* "createRuntime" -> HOOK_CREATE_RUNTIME, or -EINVAL. */
int spec_hook_kind(const char *name);

struct spec {
	char *oci_version;
	struct spec_process process;
	char *root_path;
	bool root_readonly;
	char *hostname, *domainname;
	struct spec_mount *mounts;
	size_t n_mounts;
	struct spec_namespaces ns;
	struct spec_time_offset time_offsets[SPEC_CLOCK_COUNT]; /* zeros = none */
	struct spec_idmap *uid_mappings, *gid_mappings;
	size_t n_uid_mappings, n_gid_mappings;
	struct spec_device *devices;
	size_t n_devices;
	char *cgroups_path;
	struct spec_resources resources;
	struct spec_seccomp *seccomp;
	char *rootfs_propagation;
	char *mount_label; /* SELinux context of the files of new filesystems */
	char **masked_paths, **readonly_paths;
	struct string_map sysctl, annotations;
	struct spec_net_device *net_devices;
	size_t n_net_devices;
	struct spec_rdt *rdt;                     /* intelRdt; NULL = left alone */
	struct spec_memory_policy *memory_policy; /* NULL = as the runtime's */
	struct spec_personality *personality;     /* NULL = as the runtime's */
	struct spec_hooks hooks;
};
/* Accepts ociVersion 1.x. Errors name the JSON path. Known properties that this build can't honour are errors, never
 * silently dropped. */
int spec_parse(const char *text, size_t len, struct spec *ret, struct err *e);
struct json_object *spec_json(const struct spec *s); /* round-trips */
void spec_init(struct spec *s);                      /* zero + SPEC_UNSET where that is the empty value */
void spec_done(struct spec *s);
/* A `process` object alone (exec). */
int spec_process_parse(struct json_object *o, struct spec_process *ret, struct err *e);
struct json_object *spec_process_json(const struct spec_process *p);
void spec_process_init(struct spec_process *p);
void spec_process_done(struct spec_process *p);
/* A `linux.resources` object alone (update). Paths in errors begin at it. */
int spec_resources_parse(struct json_object *o, struct spec_resources *ret, struct err *e);
struct json_object *spec_resources_json(const struct spec_resources *r);
/* What `from` gives replaces what `into` has: numbers (0 leaves most as they are, like the other runtimes) and cpusets; lists
 * and v2 files stay into's. A result that contradicts itself is an error. */
int spec_resources_merge(struct spec_resources *into, const struct spec_resources *from, struct err *e);
void spec_resources_init(struct spec_resources *r);
void spec_resources_done(struct spec_resources *r);

/* For custom rows: a list of group ids; member is struct spec_user, whose additional_gids it becomes. */
int spec_gids_read(struct json_object *v, void *member, const char *path, struct err *e);
void spec_gids_free(void *member);
void spec_rdt_free(struct spec_rdt *r);                            /* NULL is fine */
const char *spec_net_device_name(const struct spec_net_device *d); /* inside the container */
/* The words of linux.memoryPolicy, in turn; NULL behind the last. */
const char *spec_memory_mode_word(size_t i);
const char *spec_memory_flag_word(size_t i);
bool spec_has_time_offsets(const struct spec *s);
/* "0-3,7" as a bit set of n_bits bits (a multiple of 64); "" is the empty one. -EINVAL for anything else. */
enum { SPEC_LIST_BITS = 8192 };
int spec_list_parse(const char *list, unsigned long *bits, size_t n_bits);

/* Docker's layout: the mounts, masked and read-only paths, default devices' rules, namespaces, capability set (security
 * defaults of docs/THREATS.md) and rlimits that `berth run` begins with. */
int spec_default(struct spec *ret, struct err *e);
/* Capabilities: "CAP_NET_RAW", "net_raw", "ALL" (ALL = mask of every known one). -EINVAL. */
int cap_parse(const char *name, uint64_t *ret_mask);
const char *cap_name(unsigned cap); /* "CAP_CHOWN" */
