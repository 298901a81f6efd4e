/* cgroup_limits.h: between cgroup_table.c (which limit is which file), cgroup_cpu.c, cgroup_memory.c, cgroup_blkio.c (those
 * that take more than one number into one file) and cgroup_lists.c (lists of limits). */
#pragma once

#include "cgroup_impl.h"

/* One file to be written for one flag of the user's. */
struct cgroup_limit {
	const char *flag;
	const struct cgroup_place *place;
	const char *file;
};
/* Writes; a failure becomes a sentence that names flag, value and file. */
int cgroup_limit_put(const struct cgroup_limit *l, const char *value, struct err *e);
int cgroup_limit_error(const struct cgroup_limit *l, const char *value, int r, struct err *e);
/* p NULL: no such controller; else: no such limit in p's version. Returns -errno. */
int cgroup_limit_unsupported(const char *flag, enum cgroup_ctrl c, const struct cgroup_place *p, struct err *e);

/* A number that is given: neither absent nor 0, which the other OCI runtimes read as absent too. */
static inline bool cgroup_is_given(int64_t v) { return v != SPEC_UNSET && v != 0; }

/* A row of cgroup_table.c. */
struct cgroup_knob {
	const char *flag; /* as the user knows it, with its place in config.json */
	enum cgroup_ctrl ctrl;
	size_t offset;       /* int64_t in struct spec_resources */
	const char *v1, *v2; /* file; NULL = this version can't do it */
	int64_t lo, hi;      /* accepted values besides -1; 0, 0 = any */
	bool is_zero_given;
	bool is_no_limit_fine; /* where this version can't do it, -1 asks for nothing */
	/* What v2 wants instead of the number; NULL = the number, or "max" for -1. */
	uint64_t (*to_v2)(int64_t v);
	int (*put)(const struct cgroup_place *p, const struct cgroup_knob *k, const struct spec_resources *r, struct err *e);
};
/* The row's number, or what to_v2 makes of it, into its file. */
int cgroup_put_number(const struct cgroup_place *p, const struct cgroup_knob *k, const struct spec_resources *r, struct err *e);

/* .put of rows; one that serves several members stands in adjoining rows and is called once. */
int cgroup_put_memory(const struct cgroup_place *p, const struct cgroup_knob *k, const struct spec_resources *r, struct err *e);
int cgroup_put_kernel_memory(const struct cgroup_place *p, const struct cgroup_knob *k, const struct spec_resources *r,
			     struct err *e);
int cgroup_put_cpu_time(const struct cgroup_place *p, const struct cgroup_knob *k, const struct spec_resources *r, struct err *e);
int cgroup_put_cpu_weight(const struct cgroup_place *p, const struct cgroup_knob *k, const struct spec_resources *r,
			  struct err *e);
int cgroup_put_cpu_rt(const struct cgroup_place *p, const struct cgroup_knob *k, const struct spec_resources *r, struct err *e);
int cgroup_put_blkio_weight(const struct cgroup_place *p, const struct cgroup_knob *k, const struct spec_resources *r,
			    struct err *e);

/* memory.use_hierarchy (v1): before everything else, as it can't change later. */
int cgroup_apply_hierarchy(const struct cgroup *cg, const struct spec_resources *r, struct err *e);
int cgroup_apply_oom_kill(const struct cgroup *cg, const struct spec_resources *r, struct err *e);
bool cgroup_wants_blkio_lists(const struct spec_resources *r);
int cgroup_apply_blkio_lists(const struct cgroup *cg, const struct spec_resources *r, struct err *e);
uint32_t cgroup_wanted_by_lists(const struct spec_resources *r);
int cgroup_apply_lists(struct cgroup *cg, const struct spec_resources *r, struct err *e);
