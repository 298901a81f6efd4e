/* run_args: what `run` and `create` share: their options' rows and how the rest of the command line is folded into run_opts. */
#pragma once

#include "cli.h"

struct run_args {
	struct run_opts o;
	char **env_files, **label_files;
	bool readonly_tmpfs, env_host, ignored;
};
void run_args_init(struct run_args *a);
/* A terminal without a keyboard is a mistake that would wait for ever (docker refuses it too). */
int terminal_check(bool has_tty, bool is_interactive, struct err *e);
/* Reads --env-file and --label-file, completes -e NAME from this process's environment, takes IMAGE and COMMAND. */
int run_args_finish(struct run_args *a, struct cli *c, struct err *e);
void run_args_done(struct run_args *a);
int run_set_vm(void *args, const char *value, struct err *e);
int run_set_network(void *args, const char *value, struct err *e);
/* The network of who names none: the default one, or what the site says; in a pod it is the pod's to say. */
int run_default_network(struct run_opts *o, struct err *e);
int run_set_missing(void *args, const char *value, struct err *e);
int run_set_volume_driver(void *args, const char *value, struct err *e);
int run_set_cpus(void *args, const char *value, struct err *e);
int run_set_entrypoint(void *args, const char *value, struct err *e);

/* One line on stderr where the user should know something of that wall, such as that the machine is emulated. */
int run_print_note(const char *isolation, struct err *e);

/* Lines "NAME=value" or "NAME" (from the environment); # begins a comment line. Adds to *v. */
int env_file_read(const char *path, char ***v, struct err *e);
/* The lines of several files before what is in *v, so that this overrides them (docker's order). */
int env_files_prepend(char *const *paths, char ***v, struct err *e);
/* Replaces "NAME" by "NAME=value" from this process's environment where it is set there; in place. */
int env_complete(char **v, struct err *e);

#define RUN_AT(member) offsetof(struct run_args, o.member)
#define RUN_OPTION_ROWS                                                                                                                                                                                \
	/* who and where */                                                                                                                                                                            \
	{ "name", 0, OPT_STRING, RUN_AT(name), "NAME", "name it; a generated name otherwise" },                                                                                                        \
		{ "isolation", 0, OPT_STRING, RUN_AT(isolation), "KIND", "container (default) or vm" },                                                                                                \
		{ "vm", 0, OPT_FLAG, 0, NULL, "the same as --isolation vm", run_set_vm },                                                                                                              \
		{ "rm", 0, OPT_FLAG, RUN_AT(auto_remove), NULL, "remove it when it has ended" },                                                                                                       \
		{ "restart",       0,        OPT_STRING,                                                                                                                                               \
		  RUN_AT(restart), "POLICY", "when it ends: no (default), always, unless-stopped or on-failure[:N]" },                                                                                 \
		{ "pull", 0, OPT_STRING, RUN_AT(pull), "WHEN", "fetch the image: missing (default), always or never" },                                                                                \
		{ "platform", 0, OPT_STRING, RUN_AT(platform), "OS/ARCH", "which platform of the image" },                                                                                             \
		{ "cidfile", 0, OPT_STRING, RUN_AT(cidfile), "FILE", "write the container's id to a new file" },                                                                                       \
		{ "label", 'l', OPT_LIST, RUN_AT(labels), "NAME=VALUE", "attach a label" },                                                                                                            \
		{ "label-file", 0, OPT_LIST, offsetof(struct run_args, label_files), "FILE", "attach the labels of a file" }, /* the process */                                                        \
		{ "interactive", 'i', OPT_FLAG, RUN_AT(is_interactive), NULL, "keep standard input open" },                                                                                            \
		{ "tty", 't', OPT_FLAG, RUN_AT(has_tty), NULL, "give it a terminal" },                                                                                                                 \
		{ "env", 'e', OPT_LIST, RUN_AT(env), "NAME[=VALUE]", "set an environment variable; without value: pass ours on" },                                                                     \
		{ "env-file", 0, OPT_LIST, offsetof(struct run_args, env_files), "FILE", "set the variables of a file" },                                                                              \
		{ "user", 'u', OPT_STRING, RUN_AT(user), "USER[:GROUP]", "names or numbers, looked up in the image" },                                                                                 \
		{ "group-add", 0, OPT_LIST, RUN_AT(group_add), "GROUP", "one more group of the user" },                                                                                                \
		{ "workdir", 'w', OPT_STRING, RUN_AT(workdir), "DIR", "working directory" },                                                                                                           \
		{ "entrypoint",      0, OPT_STRING, 0, "COMMAND", "instead of the image's ENTRYPOINT; \"\" for none",                                                                                  \
		  run_set_entrypoint },                                                                                                                                                                \
		{ "init", 0, OPT_FLAG, RUN_AT(use_init), NULL, "a small init as PID 1 that reaps and passes signals on" },                                                                             \
		{ "stop-signal", 0, OPT_STRING, RUN_AT(stop_signal), "SIGNAL", "what `stop` sends first" },                                                                                            \
		{ "log-driver",       0,        OPT_STRING,                                                                                                                                            \
		  RUN_AT(log_driver), "DRIVER", "where its output is kept: json-file (default), none or journald" },                                                                                   \
		{ "log-opt",    0,                                                                                                                                                                     \
		  OPT_LIST,     RUN_AT(log_opts),                                                                                                                                                      \
		  "NAME=VALUE", "json-file: max-size=SIZE (default 10m), max-file=N (default 3)" },                                                                                                    \
		{ "health-cmd",       0,         OPT_STRING,                                                                                                                                           \
		  RUN_AT(health_cmd), "COMMAND", "asks whether it is well: 0 is, by the image's shell" },                                                                                              \
		{ "health-interval", 0, OPT_STRING, RUN_AT(health_interval), "TIME", "between two such checks (default 30s)" },                                                                        \
		{ "health-timeout", 0, OPT_STRING, RUN_AT(health_timeout), "TIME", "a check may take (default 30s)" },                                                                                 \
		{ "health-retries",       0,   OPT_I64,                                                                                                                                                \
		  RUN_AT(health_retries), "N", "failures in a row that make it unhealthy (default 3)" },                                                                                               \
		{ "health-start-period",       0,      OPT_STRING,                                                                                                                                     \
		  RUN_AT(health_start_period), "TIME", "in which failures don't count (default 0s)" },                                                                                                 \
		{ "health-start-interval",       0,      OPT_STRING,                                                                                                                                   \
		  RUN_AT(health_start_interval), "TIME", "between two checks in it (default 5s)" },                                                                                                    \
		{ "no-healthcheck", 0, OPT_FLAG, RUN_AT(no_healthcheck), NULL, "without the image's health check" },                                                                                   \
		{ "stop-timeout", 0, OPT_SECONDS, RUN_AT(stop_timeout_s), "SECONDS", "how long `stop` waits before it kills" }, /* files */                                                            \
		{ "volume",                                                                                                                                                                            \
		  'v',                                                                                                                                                                                 \
		  OPT_LIST,                                                                                                                                                                            \
		  RUN_AT(volumes),                                                                                                                                                                     \
		  "[SOURCE:]PATH[:ro,...]",                                                                                                                                                            \
		  "mount a volume, or a host directory or file" },                                                                                                                                     \
		{ "mount",                                                                                                                                                                             \
		  0,                                                                                                                                                                                   \
		  OPT_LIST,                                                                                                                                                                            \
		  RUN_AT(mounts),                                                                                                                                                                      \
		  "type=volume|bind|tmpfs,...",                                                                                                                                                        \
		  "mount by named parts: source, target, readonly ..." },                                                                                                                              \
		{ "image-volume",       0,      OPT_STRING,                                                                                                                                            \
		  RUN_AT(image_volume), "KIND", "what the image's VOLUME becomes: anonymous (default), tmpfs, ignore" },                                                                               \
		{ "volumes-from", 0, OPT_LIST, RUN_AT(volumes_from), "CONTAINER[:ro]", "all mounts of another container" },                                                                            \
		{ "tmpfs", 0, OPT_LIST, RUN_AT(tmpfs), "PATH[:OPTIONS]", "an empty file system in memory" },                                                                                           \
		{ "read-only", 0, OPT_FLAG, RUN_AT(is_readonly), NULL, "the root file system can't be written" },                                                                                      \
		{ "shm-size", 0, OPT_BYTES, RUN_AT(shm_size), "SIZE", "of /dev/shm (default 64m)" },                                                                                                   \
		{ "storage-opt", 0, OPT_LIST, RUN_AT(storage_opt), "size=SIZE", "vm: of the disk that it writes to (default 10g)" },                                                                   \
		{ "disk",                                                                                                                                                                              \
		  0,                                                                                                                                                                                   \
		  OPT_LIST,                                                                                                                                                                            \
		  RUN_AT(disks),                                                                                                                                                                       \
		  "FILE[,OPTION...]",                                                                                                                                                                  \
		  "vm: a disk of yours: format=raw|qcow2, readonly, iops=N, bps=SIZE" },                                                                                                               \
		{ "device",                                                                                                                                                                            \
		  0,                                                                                                                                                                                   \
		  OPT_LIST,                                                                                                                                                                            \
		  RUN_AT(devices),                                                                                                                                                                     \
		  "HOST[:PATH[:rwm]]",                                                                                                                                                                 \
		  "give it a device of the host, by path or by name: vendor.com/class=name" }, /* names and network */                                                                                 \
		{ "pod", 0, OPT_STRING, RUN_AT(pod), "POD", "a container of this pod (berth pod create)" },                                                                                            \
		{ "hostname", 'h', OPT_STRING, RUN_AT(hostname), "NAME", "host name; the short id otherwise" },                                                                                        \
		{ "network",      0,                                                                                                                                                                   \
		  OPT_STRING,     0,                                                                                                                                                                   \
		  "NETWORK",      "bridge (default), none, host, container:NAME, or a network; several",                                                                                               \
		  run_set_network },                                                                                                                                                                   \
		{ "net", 0, OPT_STRING, 0, "NETWORK", NULL, run_set_network },                                                                                                                         \
		{ "publish",                                                                                                                                                                           \
		  'p',                                                                                                                                                                                 \
		  OPT_LIST,                                                                                                                                                                            \
		  RUN_AT(publish),                                                                                                                                                                     \
		  "[IP:][PORT:]PORT[/PROTOCOL]",                                                                                                                                                       \
		  "let the host's port be the container's (at 127.0.0.1)" },                                                                                                                           \
		{ "publish-all",       'P',  OPT_FLAG,                                                                                                                                                 \
		  RUN_AT(publish_all), NULL, "publish all exposed ports, each at a port that is free" },                                                                                               \
		{ "expose", 0, OPT_LIST, RUN_AT(expose), "PORT[/PROTOCOL]", "a port that it listens on" },                                                                                             \
		{ "network-alias", 0, OPT_LIST, RUN_AT(network_aliases), "NAME", "another name on its network" },                                                                                      \
		{ "net-alias", 0, OPT_LIST, RUN_AT(network_aliases), "NAME", NULL },                                                                                                                   \
		{ "ip", 0, OPT_STRING, RUN_AT(ip), "ADDRESS", "its IPv4 address" },                                                                                                                    \
		{ "ip6", 0, OPT_STRING, RUN_AT(ip6), "ADDRESS", "its IPv6 address" },                                                                                                                  \
		{ "mac-address", 0, OPT_STRING, RUN_AT(mac_address), "ADDRESS", "its MAC address" },                                                                                                   \
		{ "dns", 0, OPT_LIST, RUN_AT(dns), "ADDRESS", "a name server to ask in place of the host's" },                                                                                         \
		{ "dns-search", 0, OPT_LIST, RUN_AT(dns_search), "DOMAIN", "a domain in which short names are looked up" },                                                                            \
		{ "dns-option", 0, OPT_LIST, RUN_AT(dns_options), "OPTION", "an option of resolv.conf(5)" },                                                                                           \
		{ "dns-opt", 0, OPT_LIST, RUN_AT(dns_options), "OPTION", NULL },                                                                                                                       \
		{ "egress",                                                                                                                                                                            \
		  0,                                                                                                                                                                                   \
		  OPT_LIST,                                                                                                                                                                            \
		  RUN_AT(egress),                                                                                                                                                                      \
		  "none|allow=ITEM,...",                                                                                                                                                               \
		  "open nothing outside but domains, addresses and ranges, each with :PORT" },                                                                                                         \
		{ "add-host", 0, OPT_LIST, RUN_AT(add_hosts), "NAME:ADDRESS", "a line of its /etc/hosts; host-gateway is the host" },                                                                  \
		{ "link", 0, OPT_LIST, RUN_AT(links), "CONTAINER[:ALIAS]", "know another container by name" }, /* resources */                                                                         \
		{ "memory", 'm', OPT_BYTES, RUN_AT(memory), "SIZE", "memory limit" },                                                                                                                  \
		{ "memory-swap", 0, OPT_BYTES_ANY, RUN_AT(memory_swap), "SIZE", "memory and swap together; -1 = unlimited swap" },                                                                     \
		{ "memory-reservation", 0, OPT_BYTES, RUN_AT(memory_reservation), "SIZE", "soft memory limit" },                                                                                       \
		{ "memory-max",       0,      OPT_BYTES,                                                                                                                                               \
		  RUN_AT(memory_max), "SIZE", "vm: what `update` may give it while it runs (default: --memory)" },                                                                                     \
		{ "huge-pages", 0, OPT_FLAG, RUN_AT(huge_pages), NULL, "vm: its memory is of the host's reserved huge pages" },                                                                        \
		{ "oom-kill-disable", 0, OPT_FLAG, RUN_AT(oom_kill_disable), NULL, "pause instead of kill when memory is out" },                                                                       \
		{ "oom-score-adj", 0, OPT_I64, RUN_AT(oom_score_adj), "N", "-1000..1000: whom the host's OOM killer takes first" },                                                                    \
		{ "cpus", 0, OPT_DOUBLE, RUN_AT(cpus), "N", "processor time, in processors", run_set_cpus },                                                                                           \
		{ "cpus-max", 0, OPT_I64, RUN_AT(cpus_max), "N", "vm: likewise, processors (default --cpus)" },                                                                                        \
		{ "cpu-shares", 'c', OPT_I64, RUN_AT(cpu_shares), "N", "weight against others (default 1024)" },                                                                                       \
		{ "cpu-quota", 0, OPT_I64, RUN_AT(cpu_quota), "US", "processor time a period, in microseconds" },                                                                                      \
		{ "cpu-period", 0, OPT_I64, RUN_AT(cpu_period), "US", "the period of --cpu-quota" },                                                                                                   \
		{ "cpuset-cpus", 0, OPT_STRING, RUN_AT(cpuset_cpus), "LIST", "run only on these processors, such as 0-2,4" },                                                                          \
		{ "cpuset-mems", 0, OPT_STRING, RUN_AT(cpuset_mems), "LIST", "use only these memory nodes" },                                                                                          \
		{ "pids-limit", 0, OPT_I64, RUN_AT(pids_limit), "N", "processes and threads (default 2048); -1 = no limit" },                                                                          \
		{ "blkio-weight", 0, OPT_I64, RUN_AT(blkio_weight), "N", "10..1000: share of the disks' time" },                                                                                       \
		{ "device-read-bps", 0, OPT_LIST, RUN_AT(device_read_bps), "DEVICE:RATE", "read at most so many bytes a second" },                                                                     \
		{ "device-write-bps", 0, OPT_LIST, RUN_AT(device_write_bps), "DEVICE:RATE", "write at most so many bytes a second" },                                                                  \
		{ "device-read-iops", 0, OPT_LIST, RUN_AT(device_read_iops), "DEVICE:RATE", "at most so many reads a second" },                                                                        \
		{ "device-write-iops", 0, OPT_LIST, RUN_AT(device_write_iops), "DEVICE:RATE", "at most so many writes a second" },                                                                     \
		{ "ulimit", 0, OPT_LIST, RUN_AT(ulimits), "NAME=SOFT[:HARD]", "a limit of setrlimit(2), such as nofile=1024" },                                                                        \
		{ "cgroup-parent", 0, OPT_STRING, RUN_AT(cgroup_parent), "PATH", "the cgroup above (default /berth)" }, /* security */                                                                 \
		{ "cap-add", 0, OPT_LIST, RUN_AT(cap_add), "CAPABILITY", "add a capability, or ALL" },                                                                                                 \
		{ "cap-drop", 0, OPT_LIST, RUN_AT(cap_drop), "CAPABILITY", "take a capability away, or ALL" },                                                                                         \
		{ "security-opt",       0,        OPT_LIST,                                                                                                                                            \
		  RUN_AT(security_opt), "OPTION", "seccomp=unconfined|FILE, no-new-privileges[=false] ..." },                                                                                          \
		{ "privileged", 0, OPT_FLAG, RUN_AT(is_privileged), NULL, "no wall against the host's devices and settings" },                                                                         \
		{ "sysctl", 0, OPT_LIST, RUN_AT(sysctls), "NAME=VALUE", "a kernel setting of its namespaces" },                                                                                        \
		{ "pid", 0, OPT_STRING, RUN_AT(pid_mode), "MODE", "private (default), host or container:NAME" },                                                                                       \
		{ "ipc", 0, OPT_STRING, RUN_AT(ipc_mode), "MODE", "private (default), shareable, none, host or container:NAME" },                                                                      \
		{ "uts", 0, OPT_STRING, RUN_AT(uts_mode), "MODE", "private (default) or host" },                                                                                                       \
		{ "cgroupns", 0, OPT_STRING, RUN_AT(cgroupns), "MODE", "private (default) or host" },                                                                                                  \
		{ "userns", 0, OPT_STRING, RUN_AT(userns), "MODE", "host (default)" }, /* virtual machine */                                                                                           \
		{ "kernel", 0, OPT_STRING, RUN_AT(kernel), "KERNEL", "vm: boot this kernel, a name (kernel ls) or a file" },                                                                           \
		{ "trace-startup", 0, OPT_FLAG, RUN_AT(trace_startup), NULL, "print how long each step of the start took" }, /* docker's that are not there yet: said as such, not as a misspelling */ \
	{                                                                                                                                                                                              \
		"runtime", 0, OPT_STRING, 0, "RUNTIME", NULL, run_set_missing                                                                                                                          \
	}
