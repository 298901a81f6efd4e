/* cgroup_limits.h: between cgroup_table.c (single numbers) and cgroup_lists.c (lists of limits). */
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

uint32_t cgroup_wanted_by_lists(const struct spec_resources *r);
int cgroup_apply_lists(struct cgroup *cg, const struct spec_resources *r, struct err *e);
