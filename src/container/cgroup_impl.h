/* cgroup_impl.h: what the cgroup*.c files share; nobody else includes it.
 *
 * A container's cgroup is a set of places, one a controller: a directory in that controller's v1 hierarchy, the one v2
 * directory, or nowhere. Every file below asks `which place has this controller`, so a hybrid host (some controllers on
 * v1, some on v2) needs no code of its own. Places are opened once and used through their fds. */
#pragma once

#include "container.h"

#define CGROUP_PATH_MAX 4096

/* One directory. Controllers mounted together share a place. */
struct cgroup_place {
	char *dir; /* absolute: mount point + cgroup path */
	int fd;    /* O_PATH; -1 when the directory is not there */
	bool is_v2;
	uint32_t ctrls; /* bit 1 << CG_x */
};
struct cgroup {
	struct cgroup_place places[CG_CTRL_COUNT + 1]; /* v1 hierarchies, then perhaps v2 */
	size_t n_places;
	char *path; /* as given, "/berth/ID" */
};

/* The place of controller c, or NULL when the host has none or this cgroup did not need it. */
const struct cgroup_place *cgroup_place_of(const struct cgroup *cg, enum cgroup_ctrl c);
const struct cgroup_place *cgroup_v2_place(const struct cgroup *cg);
/* A place to find the processes in and to freeze: freezer's on v1, the v2 directory, else the first. NULL = none. */
const struct cgroup_place *cgroup_main_place(const struct cgroup *cg);
/* Makes the directory of p and what is missing above it; base is the hierarchy's mount point. Sets p->fd. */
int cgroup_v1_make(struct cgroup_place *p, const char *base, struct err *e);
int cgroup_v2_make(struct cgroup_place *p, const char *base, struct err *e);
/* mkdir -p of dir below base, calling each(arg, parent dir) for every ancestor from base downwards first (may be NULL). */
int cgroup_mkdir(const char *dir, const char *base, int (*each)(const char *parent, void *arg, struct err *e), void *arg,
		 struct err *e);

/* What to add to an error of mkdir in a hierarchy: "" or why it was refused. */
const char *cgroup_refusal(int no);

/* Of the place and all below it. Caller frees. */
int cgroup_place_pids(const struct cgroup_place *p, pid_t **ret_pids, size_t *ret_n);

/* ---- cgroup_kthread.c ---- */
/* Moves the kernel threads of a v2 place, and of all below it, to the hierarchy's root. -> how many, or -errno. */
int cgroup_put_out_kthreads(const struct cgroup_place *p);
bool cgroup_stat_is_kthread(const char *stat); /* /proc/PID/stat */

/* One word or line into a file of a place. */
int cgroup_write(const struct cgroup_place *p, const char *file, const char *text);
/* A file's content with the end of line removed; size bytes at most (truncated). -> length or -errno. */
ssize_t cgroup_read(const struct cgroup_place *p, const char *file, char *buf, size_t size);
bool cgroup_has_file(const struct cgroup_place *p, const char *file);

/* Which controllers beyond the ones that every container gets r asks for. */
uint32_t cgroup_wanted_ctrls(const struct spec_resources *r);
/* Writes what r sets, in the order of the table. */
int cgroup_apply(struct cgroup *cg, const struct spec_resources *r, struct err *e);
/* Device rules. is_new: nothing was written there before. */
int cgroup_apply_devices(struct cgroup *cg, const struct spec_resources *r, bool is_new, struct err *e);

/* cgroup_report()'s "blkio" into o. 0 or -ENOMEM. */
int cgroup_report_io(struct json_object *o, const struct cgroup *cg);

/* A list of rules in its shortest form: what happens to a device that no exception names, then exceptions to that. Each
 * exception's allow is the opposite of default_allow, except in ordered lists that only eBPF can express. */
struct device_policy {
	bool default_allow;
	struct spec_device_rule *rules;
	size_t n;
};
/* OCI 1.2 §config-linux-devices: rules apply in order, later ones win; nothing is allowed before the first one; the default
 * devices are always allowed (added here when the policy denies by default). */
int device_policy_make(const struct spec_device_rule *rules, size_t n, struct device_policy *ret, struct err *e);
void device_policy_done(struct device_policy *p);

struct bpf_insn;
/* Assembles the program; *ret is malloc'd. */
int device_bpf_assemble(const struct device_policy *p, struct bpf_insn **ret, size_t *ret_n);
/* Loads it and puts it on the v2 directory, in place of one that was there. */
int device_bpf_attach(int cgroup_path_fd, const struct device_policy *p, struct err *e);
