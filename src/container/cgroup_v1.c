/* A place in a v1 hierarchy: the directory, and what cpuset wants of its parents. (cgroup-v1/cgroups.rst, cpusets.rst) */
#include <unistd.h>

#include "cgroup_impl.h"

/* A new cpuset is empty, and nothing can join it until it has CPUs and memory nodes: each level takes its parent's unless
 * it has some (cpusets.rst §1.4; cgroup.clone_children would do it, but is a setting of the host's). */
static int copy_cpuset(const char *dir, const char *parent, struct err *e)
{
	static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };
	_cleanup_fd_ int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), pfd = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct cgroup_place own = { .fd = fd }, above = { .fd = pfd };
	char text[4096];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		ssize_t n = cgroup_read(&own, files[i], text, sizeof text);
		if (n > 0)
			continue;
		if (n == 0)
			n = cgroup_read(&above, files[i], text, sizeof text);
		if (n > 0)
			n = cgroup_write(&own, files[i], text);
		if (n < 0)
			return err_set(e, (int)-n, "copy %s from %s to %s: %s", files[i], parent, dir, strerror((int)-n));
	}
	return 0;
}

struct cpuset_walk {
	const char *base;
	char above[CGROUP_PATH_MAX];
};

static int cpuset_level(const char *dir, void *arg, struct err *e)
{
	struct cpuset_walk *w = arg;
	int r = streq(dir, w->base) ? 0 : copy_cpuset(dir, w->above, e);

	memcpy(w->above, dir, strlen(dir) + 1);
	return r;
}

int cgroup_v1_make(struct cgroup_place *p, const char *base, struct err *e)
{
	bool is_cpuset = p->ctrls & (1u << CG_CPUSET);
	struct cpuset_walk walk;
	int r = 0;

	if (is_cpuset) {
		walk.base = base;
		r = cgroup_mkdir(p->dir, base, cpuset_level, &walk, e);
		if (r == 0)
			r = copy_cpuset(p->dir, walk.above, e);
	} else if (mkdir(p->dir, 0755) < 0) {
		/* Usually only the last part is missing, or all of it on the first run. */
		r = errno == ENOENT || errno == EEXIST
			    ? cgroup_mkdir(p->dir, base, NULL, NULL, e)
			    : err_set(e, errno, "make cgroup %s: %s%s", p->dir, strerror(errno), cgroup_refusal(errno));
	}
	if (r < 0)
		return r;
	p->fd = open(p->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return p->fd < 0 ? err_set(e, errno, "open cgroup %s: %s", p->dir, strerror(errno)) : 0;
}
