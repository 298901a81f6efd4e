/* audit_impl: what the files of `berth audit` share; nobody else includes it. */
#pragma once

#include "cli.h"
#include "walls.h"

struct audit_args {
	char *format, *isolation;
	bool is_privileged, is_readonly, use_init;
	char *user, *network, *pull, *platform, *kernel, *userns, *pid_mode, *ipc_mode, *uts_mode, *cgroupns, *memory;
	char **cap_add, **cap_drop, **security_opt, **devices, **volumes, **mounts, **tmpfs, **ulimits, **sysctls, **group_add;
};
/* From OPTIONS_OF_RUN on they are run's, which is given them as they are. */
#define OPTIONS_OF_RUN 2
/* One way, as it was seen. */
struct seen {
	const char *name, *accelerator;
	struct walls_inside inside;
	struct walls_outside outside;
};
#define WAYS_MAX 2
/* What all ways are gathered in. */
struct audit {
	struct cli *c;
	const char *subject;
	char *self, *probe; /* this program, and the probe's */
	struct walls_host host;
	struct seen seen[WAYS_MAX];
	size_t n_seen;
	struct comparison table;
	struct json_object *ways;
};

static inline int no_memory(struct err *e) { return err_set(e, ENOMEM, "out of memory"); }
/* The options that are run's, as it is given them. -ENOMEM. */
int audit_add_options(char ***argv, const struct audit_args *args);
/* An image, in each isolation that was asked for: 0, or the exit status of the berth that has told why on standard error, or -errno with e. */
int audit_ways(struct audit *a, const struct audit_args *args, struct err *e);
/* A container that runs; the same results. */
int audit_running(struct audit *a, const struct container_record *c, struct err *e);
