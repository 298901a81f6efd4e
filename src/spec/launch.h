/* launch.json: what the engine tells the monitor beyond config.json. One writer: the engine, before the monitor starts. */
#pragma once

#include "codec.h"

#define LAUNCH_VERSION 1

/* A small file that Berth puts into the container (/etc/hosts, /etc/hostname, /etc/resolv.conf). Written into a private
 * tmpfs and bind-mounted onto its path on both sides of the wall. */
struct launch_file {
	char *path, *content;
	bool is_base64; /* content is bytes, not text */
	uint32_t mode, uid, gid;
};
/* The bytes of its content, and a NUL that is not counted; the caller frees. 0, -EINVAL or -ENOMEM. */
int launch_file_bytes(const struct launch_file *f, char **ret, size_t *ret_len);

/* A disk of the user's own that a VM is given (--disk). */
struct launch_disk {
	char *path;   /* absolute: a regular file, or where it is raw a block device */
	char *format; /* "raw", "qcow2": as it was said; never found out */
	bool is_readonly;
	uint64_t iops, bps; /* at most so many operations and bytes a second; 0: no limit */
};

/* A namespace of another container's, which must run when this one starts. */
struct launch_join {
	char *kind;      /* "pid", "ipc", "network" */
	char *id, *name; /* the other's; the name for people */
};

struct launch {
	uint32_t version;
	char *id, *name, *isolation; /* "container", "vm" */
	char **layers;               /* unpacked layer directories, uppermost first; absolute */
	char *upper, *work;          /* writable layer; absolute */
	bool is_volatile;            /* --rm: overlay "volatile", disks without flush */
	bool auto_remove, open_stdin, stdin_once;
	/* How to find out whether it is well; health_args NULL: it is not asked. health_test: the same in docker's form. */
	char **health_test, **health_args;
	uint64_t health_interval_ms, health_timeout_ms, health_start_period_ms, health_start_interval_ms;
	uint32_t health_retries;
	char *health_on_failure; /* "kill": ended as it becomes unhealthy; NULL: it goes on */
	uint64_t timeout_ms;     /* a life that lasts so long is ended; 0: it may last */
	char *log_path;          /* NULL = no log, or another driver's */
	char *log_driver;        /* "json-file", "none", "journald"; NULL = as log_path says */
	uint64_t log_max_bytes;
	uint32_t log_max_files;
	bool use_init;           /* --init: berth-init reaps as PID 1 */
	char *pidfile;           /* the monitor writes the host's pid there while it runs; absolute; NULL = nowhere */
	uint64_t trace_began_us; /* --trace-startup: the command's beginning, clock_mono_us; 0 = no trace */
	/* The built-in seccomp profile, for the bounding set: left out of config.json, whose most it would be. Never together with
	 * the latter's linux.seccomp. */
	bool seccomp_default;
	char *seccomp_cache; /* directory for compiled filters */
	struct launch_file *files;
	size_t n_files;
	/* vm only */
	char *image_disk; /* read-only EROFS of the layers */
	char *upper_disk; /* this container's ext4 */
	struct launch_disk *disks;
	size_t n_disks;
	char *kernel, *initramfs;
	char *kernel_name; /* the one of the store that was asked for; NULL: kernel is a file's path, or the default of each start */
	uint32_t vm_cpus;
	uint64_t vm_mem_bytes;
	uint32_t vm_cpus_max; /* what a running one may be given; 0: no more than it starts with */
	uint64_t vm_mem_max;
	bool vm_huge_pages; /* reserved ones of the host's (vm.nr_hugepages) */
	char *vm_backend;   /* "qemu"; NULL = choose */
	bool host_network;
	bool has_network; /* interfaces on networks: the monitor asks which, at each start */
	/* Where the container has secrets, and the variables that are. What is in them is in secrets.json alone, which the monitor reads at
	 * each start (secrets.h). */
	char **secret_paths, **secret_env;
	struct launch_join *joins;
	size_t n_joins;
	char *pod;            /* id of the pod whose namespaces and cgroup it shares: ROOT/pods/ID has them; NULL = none */
	bool has_pod_network; /* its network is the pod's, which is on networks: the monitor asks which, at each start */
};
int launch_parse(const char *text, size_t len, struct launch *ret, struct err *e); /* version checked: newer is refused */
struct json_object *launch_json(const struct launch *l);
void launch_done(struct launch *l);
