/* A place in the v2 hierarchy: the directory, with its controllers enabled in cgroup.subtree_control of every ancestor
 * (cgroup-v2.rst §2-4: top-down, and only in cgroups that hold no processes, the root excepted). */
#include <unistd.h>

#include "cgroup_impl.h"

/* The controllers as v2 names them; the others of enum cgroup_ctrl are no controllers there. */
static const struct {
	enum cgroup_ctrl ctrl;
	const char *name;
} names[] = {
	{ CG_CPU, "cpu" },   { CG_CPUSET, "cpuset" },   { CG_MEMORY, "memory" }, { CG_BLKIO, "io" },
	{ CG_PIDS, "pids" }, { CG_HUGETLB, "hugetlb" }, { CG_RDMA, "rdma" },
};

static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *at = list; (at = strstr(at, word)); at += n)
		if ((at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
			return true;
	return false;
}

/* Enables in the cgroup `dir` what its children are to have. One write a controller: where one is refused the error
 * names it. */
static int enable(const char *dir, void *arg, struct err *e)
{
	const uint32_t *want = arg;
	_cleanup_fd_ int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct cgroup_place p = { .fd = fd };
	char now[512], word[32] = "+";

	if (fd < 0)
		return err_set(e, errno, "open cgroup %s: %s", dir, strerror(errno));
	if (cgroup_read(&p, "cgroup.subtree_control", now, sizeof now) < 0)
		now[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		int r;
		if (!(*want & (1u << names[i].ctrl)) || has_word(now, names[i].name))
			continue;
		memcpy(word + 1, names[i].name, strlen(names[i].name) + 1);
		r = cgroup_write(&p, "cgroup.subtree_control", word);
		if (r == -EBUSY)
			return err_set(e, EBUSY,
				       "enable %s in %s/cgroup.subtree_control: processes live in that cgroup itself; "
				       "move them into a child of it",
				       names[i].name, dir);
		/* Above what is delegated nothing may be written, and not everything is delegated: a limit that then lacks its file
		 * is refused by name. */
		if (r == -EACCES || r == -EPERM || r == -ENOENT)
			continue;
		if (r < 0)
			return err_set(e, -r, "enable %s in %s/cgroup.subtree_control: %s", names[i].name, dir, strerror(-r));
	}
	return 0;
}

/* True when the new directory has all it needs: the ancestors were set up by an earlier container. */
static bool is_ready(const struct cgroup_place *p)
{
	char now[512];

	if (cgroup_read(p, "cgroup.controllers", now, sizeof now) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (p->ctrls & (1u << names[i].ctrl) && !has_word(now, names[i].name))
			return false;
	return true;
}

int cgroup_v2_make(struct cgroup_place *p, const char *base, struct err *e)
{
	if (mkdir(p->dir, 0755) < 0 && errno != EEXIST && errno != ENOENT)
		return err_set(e, errno, "make cgroup %s: %s%s", p->dir, strerror(errno), cgroup_refusal(errno));
	p->fd = open(p->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (p->fd < 0 || !is_ready(p)) {
		int r = cgroup_mkdir(p->dir, base, enable, &p->ctrls, e);
		if (r < 0)
			return r;
	}
	if (p->fd < 0)
		p->fd = open(p->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return p->fd < 0 ? err_set(e, errno, "open cgroup %s: %s", p->dir, strerror(errno)) : 0;
}
