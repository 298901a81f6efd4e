/* run_more: options of `run` and `create` that most containers do without, as docker or podman have them. */
#pragma once

#include "run_args.h"

/* clang-format off */
#define RUN_MORE_ROWS                                                                                                          \
	{ "pidfile", 0, OPT_STRING, RUN_AT(pidfile), "FILE", "while it runs, its pid on the host stands there; a VM's is its VMM's" }, \
	{ "replace", 0, OPT_FLAG, RUN_AT(replaces), NULL, "remove a container of that name first" },                              \
	{ "secret", 0, OPT_LIST, RUN_AT(secrets), "NAME[,OPTION...]", "a secret as a file (type=env: a variable): target, uid, gid, mode" }, \
	{ "timeout", 0, OPT_SECONDS, RUN_AT(timeout_s), "SECONDS", "kill it when it has run so long (default 0: never)" },         \
	{ "health-on-failure", 0, OPT_STRING, RUN_AT(health_on_failure), "ACTION", "when it becomes unhealthy: none (default) or kill" }, \
	{ "env-host", 0, OPT_FLAG, offsetof(struct run_args, env_host), NULL, "pass all of our environment on" },                 \
	{ "volume-driver", 0, OPT_STRING, 0, "DRIVER", "local is the only one", run_set_volume_driver },                          \
	{ "quiet", 'q', OPT_FLAG, RUN_AT(is_quiet), NULL, "say nothing while the image is fetched" },                             \
	{ "annotation", 0, OPT_LIST, RUN_AT(annotations), "KEY=VALUE", "attach an annotation for the runtime" },                  \
	{ "domainname", 0, OPT_STRING, RUN_AT(domainname), "NAME", "NIS domain name" },                                           \
	{ "no-hosts", 0, OPT_FLAG, RUN_AT(no_hosts), NULL, "/etc/hosts is the image's" },                                         \
	{ "tz", 0, OPT_STRING, RUN_AT(timezone), "ZONE", "time zone, such as Europe/Berlin; local: the host's" },                 \
	{ "umask", 0, OPT_STRING, RUN_AT(umask), "OCTAL", "of its processes (default 0022)" },                                    \
	{ "unsetenv", 0, OPT_LIST, RUN_AT(unsetenv), "NAME", "without this variable of the image's" },                            \
	{ "unsetenv-all", 0, OPT_FLAG, RUN_AT(unsetenv_all), NULL, "without any of the image's, and without PATH and the like" }, \
	{ "read-only-tmpfs", 0, OPT_FLAG, offsetof(struct run_args, readonly_tmpfs), NULL,                                        \
	  "with --read-only: /run, /tmp and /var/tmp in memory" },                                                                \
	{ "memory-swappiness", 0, OPT_I64, RUN_AT(memory_swappiness), "N", "0..100: how soon its memory is swapped (cgroup v1)" }, \
	{ "blkio-weight-device", 0, OPT_LIST, RUN_AT(blkio_weight_devices), "DEVICE:WEIGHT", "10..1000: share of that disk's time" }, \
	{ "device-cgroup-rule", 0, OPT_LIST, RUN_AT(device_cgroup_rules), "RULE", "devices it may use, such as 'c 10:200 rwm'" }, \
	{ "gpus", 0, OPT_LIST, RUN_AT(gpus), "all|N|device=ID", "GPUs of NVIDIA's, by the names nvidia.com/gpu=ID" },               \
	{ "cdi-spec-dir", 0, OPT_LIST, RUN_AT(cdi_dirs), "DIR", "where devices' names are described (default /etc/cdi and /var/run/cdi)" }, \
	{ "cgroup-conf", 0, OPT_LIST, RUN_AT(cgroup_conf), "FILE=VALUE", "a file of its cgroup (v2), such as memory.high=1073741824" }, \
	{ "disable-content-trust", 0, OPT_FLAG, offsetof(struct run_args, ignored), NULL, NULL }
/* clang-format on */
