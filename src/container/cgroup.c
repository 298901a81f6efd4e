/* A container's cgroup from its making to its closing: which places it needs on this host, and joining them. The rest is
 * in its siblings: cgroup_v1.c and cgroup_v2.c (directories), cgroup_table.c (limits), cgroup_devices.c, cgroup_end.c
 * (freeze, kill, remove), cgroup_stats.c. Called by steps.c on the host, by berth-init in a guest. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup_impl.h"

/* Always made where the host has them: needed to count, to limit, to pause and to end a container. */
#define ALWAYS \
	((1u << CG_MEMORY) | (1u << CG_CPU) | (1u << CG_CPUACCT) | (1u << CG_PIDS) | (1u << CG_DEVICES) | (1u << CG_FREEZER))
/* Of the controllers in cgroup.controllers these are enabled without being asked for; io only for its statistics. */
#define ALWAYS_V2 ((1u << CG_MEMORY) | (1u << CG_CPU) | (1u << CG_PIDS) | (1u << CG_BLKIO))

enum { MKDIR_TRIES = 20 };

const struct cgroup_place *cgroup_v2_place(const struct cgroup *cg)
{
	for (size_t i = 0; i < cg->n_places; i++)
		if (cg->places[i].is_v2)
			return cg->places[i].fd >= 0 ? &cg->places[i] : NULL;
	return NULL;
}

const struct cgroup_place *cgroup_place_of(const struct cgroup *cg, enum cgroup_ctrl c)
{
	for (size_t i = 0; i < cg->n_places; i++)
		if (cg->places[i].fd >= 0 && cg->places[i].ctrls & (1u << c))
			return &cg->places[i];
	return NULL;
}

const struct cgroup_place *cgroup_main_place(const struct cgroup *cg)
{
	const struct cgroup_place *p = cgroup_place_of(cg, CG_FREEZER);

	for (size_t i = 0; !p && i < cg->n_places; i++)
		if (cg->places[i].fd >= 0)
			p = &cg->places[i];
	return p;
}

int cgroup_write(const struct cgroup_place *p, const char *file, const char *text) { return file_write(p->fd, file, text); }

ssize_t cgroup_read(const struct cgroup_place *p, const char *file, char *buf, size_t size)
{
	_cleanup_fd_ int fd = openat(p->fd, file, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = fd_read_full(fd, buf, size - 1);
	if (n < 0)
		return n;
	while (n > 0 && buf[n - 1] == '\n')
		n--;
	buf[n] = '\0';
	return n;
}

bool cgroup_has_file(const struct cgroup_place *p, const char *file) { return faccessat(p->fd, file, F_OK, 0) == 0; }

/* config.json comes from outside: no way out of the hierarchy (R15), nothing that names the root. */
static int check_path(const char *path, struct err *e)
{
	const char *s = path;

	if (path[0] != '/' || strlen(path) >= CGROUP_PATH_MAX - 256)
		return err_set(e, EINVAL, "cgroup path \"%.80s\": must be absolute and shorter than %d bytes", path,
			       CGROUP_PATH_MAX - 256);
	while (*s == '/') {
		const char *name = ++s;
		while (*s && *s != '/')
			s++;
		size_t n = (size_t)(s - name);
		if (n == 0 || (n == 1 && name[0] == '.') || (n == 2 && name[0] == '.' && name[1] == '.') || n > NAME_MAX)
			return err_set(e, EINVAL, "cgroup path \"%.80s\": every part must be a name, not empty, \".\" or \"..\"",
				       path);
	}
	return 0;
}

const char *cgroup_refusal(int no)
{
	return no == EACCES || no == EPERM || no == EROFS ? " (only what is delegated to this user may be used)" : "";
}

static int mkdir_all(const char *dir, const char *base, int (*each)(const char *parent, void *arg, struct err *e), void *arg,
		     struct err *e)
{
	char part[CGROUP_PATH_MAX];
	size_t at = strlen(base), len = strlen(dir);
	int r = 0;

	if (len >= sizeof part)
		return err_set(e, ENAMETOOLONG, "cgroup %s: path too long", dir);
	memcpy(part, dir, len + 1);
	while (at < len) {
		part[at] = '\0';
		if (at > strlen(base) && mkdir(part, 0755) < 0 && errno != EEXIST)
			return err_set(e, errno, "make cgroup %s: %s%s", part, strerror(errno), cgroup_refusal(errno));
		if (each && (r = each(part, arg, e)) < 0)
			return r;
		part[at] = '/';
		at++;
		at += strcspn(part + at, "/");
	}
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return err_set(e, errno, "make cgroup %s: %s%s", dir, strerror(errno), cgroup_refusal(errno));
	return 0;
}

/* A parent that has no other child may be removed (cgroup_remove_empty) between its making and its child's. */
int cgroup_mkdir(const char *dir, const char *base, int (*each)(const char *parent, void *arg, struct err *e), void *arg,
		 struct err *e)
{
	int r = -ENOENT;

	for (int tries = 0; r == -ENOENT && tries < MKDIR_TRIES; tries++)
		r = mkdir_all(dir, base, each, arg, e);
	return r;
}

static struct cgroup_place *place_add(struct cgroup *cg, const char *base, bool is_v2, uint32_t ctrls)
{
	struct cgroup_place *p = &cg->places[cg->n_places];

	p->dir = str_fmt("%s%s", base, cg->path);
	if (!p->dir)
		return NULL;
	p->fd = -1;
	p->is_v2 = is_v2;
	p->ctrls = ctrls;
	cg->n_places++;
	return p;
}

/* Decides where each wanted controller lives; nothing is made yet. A controller that the host lacks gets no place: the
 * limit that needs it is then refused by name when it is applied. */
static int plan_places(const struct host *h, struct cgroup *cg, uint32_t wanted)
{
	uint32_t v2 = 0;

	for (unsigned c = 0; c < CG_CTRL_COUNT; c++) {
		struct cgroup_place *shared = NULL;
		if (!(wanted & (1u << c)))
			continue;
		if (!h->cgroup_v1[c]) {
			v2 |= 1u << c;
			continue;
		}
		for (unsigned k = 0; k < c; k++)
			if (wanted & (1u << k) && h->cgroup_v1[k] && streq(h->cgroup_v1[k], h->cgroup_v1[c]))
				for (size_t i = 0; i < cg->n_places && !shared; i++)
					if (cg->places[i].ctrls & (1u << k))
						shared = &cg->places[i];
		if (shared)
			shared->ctrls |= 1u << c;
		else if (!place_add(cg, h->cgroup_v1[c], false, 1u << c))
			return -ENOMEM;
	}
	/* On v2 devices (eBPF), freezer and accounting are no controllers of their own: every directory has them. */
	v2 &= h->cgroup_v2_ctrls | (1u << CG_DEVICES) | (1u << CG_FREEZER) | (1u << CG_CPUACCT);
	if (h->cgroup_v2 && v2 && !place_add(cg, h->cgroup_v2, true, v2))
		return -ENOMEM;
	return 0;
}

static int cgroup_new(const struct host *h, const char *path, uint32_t wanted, struct cgroup **ret, struct err *e)
{
	struct cgroup *cg;
	int r = check_path(path, e);

	if (r < 0)
		return r;
	cg = calloc(1, sizeof *cg);
	if (!cg || !(cg->path = strdup(path)) || plan_places(h, cg, wanted) < 0) {
		cgroup_free(cg);
		return err_set(e, ENOMEM, "cgroup %s: out of memory", path);
	}
	*ret = cg;
	return 0;
}

static const char *base_of(const struct host *h, const struct cgroup_place *p)
{
	for (unsigned c = 0; !p->is_v2 && c < CG_CTRL_COUNT; c++)
		if (p->ctrls & (1u << c))
			return h->cgroup_v1[c];
	return h->cgroup_v2;
}

static int create(const struct host *h, const char *path, const struct spec_resources *r, uint32_t wanted, struct cgroup **ret,
		  struct err *e)
{
	struct cgroup *cg = NULL;
	int x;

	wanted |= ALWAYS | cgroup_wanted_ctrls(r);
	if (h->cgroup == CGROUP_V2)
		wanted |= ALWAYS_V2;
	x = cgroup_new(h, path, wanted, &cg, e);
	if (x < 0)
		return x;
	for (size_t i = 0; x >= 0 && i < cg->n_places; i++) {
		struct cgroup_place *p = &cg->places[i];
		x = p->is_v2 ? cgroup_v2_make(p, base_of(h, p), e) : cgroup_v1_make(p, base_of(h, p), e);
	}
	if (x >= 0)
		x = cgroup_apply(cg, r, e);
	if (x >= 0)
		x = cgroup_apply_devices(cg, r, true, e);
	if (x < 0) {
		struct err ignored = { 0 }; /* the first error is the one to report */
		/* Made, and then could not be opened: cgroup_remove takes such a place for one that is not there. */
		for (size_t i = 0; i < cg->n_places; i++)
			if (cg->places[i].fd < 0)
				rmdir(cg->places[i].dir);
		(void)cgroup_remove(cg, &ignored);
		return x;
	}
	*ret = cg;
	return 0;
}

int cgroup_create(const struct host *h, const char *path, const struct spec_resources *r, struct cgroup **ret, struct err *e)
{
	return create(h, path, r, 0, ret, e);
}

int cgroup_create_everywhere(const struct host *h, const char *path, const struct spec_resources *r, struct cgroup **ret,
			     struct err *e)
{
	uint32_t v1 = 0;

	for (unsigned c = 0; c < CG_CTRL_COUNT; c++)
		v1 |= h->cgroup_v1[c] ? 1u << c : 0;
	return create(h, path, r, v1, ret, e);
}

int cgroup_open(const struct host *h, const char *path, struct cgroup **ret, struct err *e)
{
	struct cgroup *cg = NULL;
	size_t found = 0;
	int r = cgroup_new(h, path, UINT32_MAX >> (32 - CG_CTRL_COUNT), &cg, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < cg->n_places; i++) {
		struct cgroup_place *p = &cg->places[i];
		p->fd = open(p->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
		found += p->fd >= 0;
		if (p->fd < 0 && errno != ENOENT)
			r = err_set(e, errno, "open cgroup %s: %s", p->dir, strerror(errno));
	}
	if (r == 0 && !found)
		r = err_set(e, ENOENT, "cgroup %s: not in any hierarchy", path);
	if (r < 0) {
		cgroup_free(cg);
		return r;
	}
	*ret = cg;
	return 0;
}

bool cgroup_remove_empty(const struct host *h, const char *path)
{
	struct cgroup *cg = NULL;
	bool is_gone = true;

	if (cgroup_new(h, path, UINT32_MAX >> (32 - CG_CTRL_COUNT), &cg, NULL) < 0)
		return false;
	for (size_t i = 0; i < cg->n_places; i++)
		if (rmdir(cg->places[i].dir) < 0 && errno != ENOENT) /* EBUSY: it is in use */
			is_gone = false;
	cgroup_free(cg);
	return is_gone;
}

void cgroup_free(struct cgroup *cg)
{
	if (!cg)
		return;
	for (size_t i = 0; i < cg->n_places; i++) {
		fd_close(cg->places[i].fd);
		free(cg->places[i].dir);
	}
	free(cg->path);
	free(cg);
}

static int join(const struct cgroup *cg, const char *who, bool is_self, struct err *e)
{
	for (size_t i = 0; i < cg->n_places; i++) {
		const struct cgroup_place *p = &cg->places[i];
		const char *file = is_self && !p->is_v2 ? "tasks" : "cgroup.procs";
		int r = p->fd < 0 ? 0 : cgroup_write(p, file, who);
		if (r < 0)
			return err_set(e, -r, "join cgroup %s (%s): %s", p->dir, file, strerror(-r));
	}
	return 0;
}

int cgroup_attach(struct cgroup *cg, pid_t pid, struct err *e)
{
	char who[24];

	snprintf(who, sizeof who, "%d", (int)pid);
	return join(cg, who, false, e);
}

int cgroup_attach_self(const struct cgroup *cg, struct err *e) { return join(cg, "0", true, e); }

int cgroup_clone_fd(const struct cgroup *cg)
{
	/* The v2 directory of a hybrid host is one place of several: entering it at clone would not spare the writes. */
	return cg->n_places == 1 && cg->places[0].is_v2 ? cg->places[0].fd : -1;
}

int cgroup_update(struct cgroup *cg, const struct spec_resources *r, struct err *e)
{
	int x = cgroup_apply(cg, r, e);

	return x < 0 || r->n_devices == 0 ? x : cgroup_apply_devices(cg, r, false, e);
}

/* ---- growing ---- */

static bool has_pid(const pid_t *pids, size_t n, pid_t pid)
{
	for (size_t i = 0; i < n; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

/* One look at who is missing in `p`. -> how many were moved, or -errno. */
static int move_missing(struct cgroup *cg, const struct cgroup_place *p, struct err *e)
{
	_cleanup_free_ pid_t *all = NULL, *there = NULL;
	size_t n_all = 0, n_there = 0;
	int moved = 0, r = cgroup_pids(cg, &all, &n_all);

	if (r == 0)
		r = cgroup_place_pids(p, &there, &n_there);
	for (size_t i = 0; r == 0 && i < n_all; i++) {
		char who[24];
		if (has_pid(there, n_there, all[i]))
			continue;
		snprintf(who, sizeof who, "%d", (int)all[i]);
		r = cgroup_write(p, "cgroup.procs", who);
		moved += r == 0;
		r = r == -ESRCH ? 0 : r; /* it ended meanwhile */
	}
	return r < 0 ? err_set(e, -r, "move the container's processes into %s: %s", p->dir, strerror(-r)) : moved;
}

/* Who is born while the others are moved is found by the next look. */
static int move_all(struct cgroup *cg, const struct cgroup_place *p, struct err *e)
{
	int r;

	for (unsigned look = 0; look < 100; look++) {
		r = move_missing(cg, p, e);
		if (r <= 0)
			return r;
	}
	return err_set(e, EAGAIN, "move the container's processes into %s: new ones appear all the time", p->dir);
}

static int grow_place(const struct host *h, struct cgroup *cg, struct cgroup_place *p, uint32_t wanted, struct err *e)
{
	bool is_new = p->fd < 0;
	uint32_t all = p->ctrls;
	int r;

	if (!is_new && !p->is_v2)
		return 0;
	p->fd = fd_close(p->fd);
	p->ctrls &= wanted;
	r = p->is_v2 ? cgroup_v2_make(p, base_of(h, p), e) : cgroup_v1_make(p, base_of(h, p), e);
	p->ctrls = all;
	return r < 0 || !is_new ? r : move_all(cg, p, e);
}

/* A cgroup of cgroup_create has places only for what it was made with. */
static int plan_missing(const struct host *h, struct cgroup *cg, uint32_t wanted)
{
	for (unsigned c = 0; c < CG_CTRL_COUNT; c++) {
		bool is_v2 = !h->cgroup_v1[c], is_there = false;
		const char *base = is_v2 ? h->cgroup_v2 : h->cgroup_v1[c];
		_cleanup_free_ char *dir = NULL;

		for (size_t i = 0; i < cg->n_places; i++)
			is_there |= cg->places[i].ctrls >> c & 1;
		if (!(wanted >> c & 1) || is_there || !base || (is_v2 && !(h->cgroup_v2_ctrls >> c & 1)))
			continue;
		dir = str_fmt("%s%s", base, cg->path);
		if (!dir)
			return -ENOMEM;
		for (size_t i = 0; i < cg->n_places && !is_there; i++)
			if (streq(cg->places[i].dir, dir)) {
				cg->places[i].ctrls |= 1u << c;
				is_there = true;
			}
		if (!is_there && !place_add(cg, base, is_v2, 1u << c))
			return -ENOMEM;
	}
	return 0;
}

int cgroup_grow(const struct host *h, struct cgroup *cg, const struct spec_resources *r, struct err *e)
{
	uint32_t wanted = cgroup_wanted_ctrls(r);
	int x = plan_missing(h, cg, wanted);

	if (x < 0)
		return err_set(e, -x, "cgroup %s: out of memory", cg->path);

	for (size_t i = 0; x == 0 && i < cg->n_places; i++)
		if (cg->places[i].ctrls & wanted)
			x = grow_place(h, cg, &cg->places[i], wanted, e);
	return x;
}
