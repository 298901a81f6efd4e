/* From a container's cgroup to one below it, for a process that is to have less than the whole of it (exec --cgroup): as runc's
 * `PATH` for every hierarchy, or `CONTROLLER[,CONTROLLER...]:PATH` for those of v1. It must be there in each that it is asked for:
 * a process that stayed behind would be in the caller's cgroup, out of the container's limits. */
#include <unistd.h>

#include "cgroup_impl.h"

struct wish {
	const char *path[CG_CTRL_COUNT + 1]; /* by place; NULL = stay */
};

/* As many names as there are, none of them a way up. "" and "/" are the container's own. */
static int check_below(const char *path, struct err *e)
{
	for (const char *s = path; *s;) {
		size_t n;

		s += strspn(s, "/");
		n = strcspn(s, "/");
		if ((n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.'))
			return err_set(e, EINVAL, "cgroup \"%.80s\": is not below the container's", path);
		s += n;
	}
	return 0;
}

static int wish_one(const struct cgroup *cg, const char *ctrl, size_t len, const char *path, struct wish *w, struct err *e)
{
	for (size_t i = 0; i < cg->n_places; i++)
		for (unsigned c = 0; c < CG_CTRL_COUNT; c++) {
			const char *name = cgroup_ctrl_name((enum cgroup_ctrl)c);

			if (cg->places[i].is_v2 || cg->places[i].fd < 0 || !(cg->places[i].ctrls & (1u << c)) ||
			    strlen(name) != len || strncmp(name, ctrl, len) != 0)
				continue;
			if (w->path[i] && !streq(w->path[i], path))
				return err_set(e, EINVAL, "cgroup %s:%.80s: its hierarchy is given another path too", name, path);
			w->path[i] = path;
			return 0;
		}
	return err_set(e, EINVAL, "cgroup \"%.*s\": the container is in no v1 hierarchy of that controller",
		       (int)(len > 40 ? 40 : len), ctrl);
}

static int wish_list(const struct cgroup *cg, const char *ctrls, const char *colon, struct wish *w, struct err *e)
{
	int r = 0;

	for (const char *s = ctrls; s <= colon && r == 0;) {
		size_t n = strcspn(s, ",:");

		r = wish_one(cg, s, n, colon + 1, w, e);
		s += n + 1;
	}
	return r;
}

static int read_wishes(const struct cgroup *cg, char *const *wanted, struct wish *w, struct err *e)
{
	int r = 0;

	for (size_t k = 0; wanted[k] && r == 0; k++) {
		const char *colon = strchr(wanted[k], ':');

		if (!colon && wanted[1])
			return err_set(e, EINVAL, "cgroup \"%.80s\": CONTROLLER: is missing, of one among several", wanted[k]);
		for (size_t i = 0; !colon && i < cg->n_places; i++)
			w->path[i] = wanted[k];
		if (colon)
			r = wish_list(cg, wanted[k], colon, w, e);
		if (r == 0)
			r = check_below(colon ? colon + 1 : wanted[k], e);
	}
	return r;
}

static int move_place(struct cgroup_place *p, const char *below, struct err *e)
{
	_cleanup_free_ char *dir = NULL;
	_cleanup_fd_ int fd = -1;

	below += strspn(below, "/");
	if (!*below)
		return 0;
	dir = str_fmt("%s/%s", p->dir, below);
	if (!dir)
		return err_set(e, ENOMEM, "out of memory");
	fd = openat(p->fd, below, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, errno, "cgroup %s: %s", dir, strerror(errno));
	fd_close(p->fd);
	p->fd = TAKE_FD(fd);
	free(p->dir);
	p->dir = TAKE_PTR(dir);
	return 0;
}

int cgroup_descend(struct cgroup *cg, char *const *wanted, struct err *e)
{
	struct wish w = { 0 };
	int r = read_wishes(cg, wanted, &w, e);

	for (size_t i = 0; i < cg->n_places && r == 0; i++)
		if (w.path[i] && cg->places[i].fd >= 0)
			r = move_place(&cg->places[i], w.path[i], e);
	return r;
}
