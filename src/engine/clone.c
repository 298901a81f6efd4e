/* clone.c: VMs that are copies: `restore` of one that was kept, `fork` of one that runs. A copy is a container like any other: its own id,
 * name, directory, disk, monitor, cgroup and user; what it is told when it wakes up, so that it is nobody's twin, is the monitor's
 * (isolation/vm_restore.c).
 *
 * Its bundle is the original's with these replaced: id, name, paths, cgroup, host name. State and memory lie beside it under one more name of
 * the same files, which the start maps and then removes: all copies share the memory's pages until they write, and what they were copied
 * from may be removed at any time. */
#include "snapshot.h"

#include <stdio.h>
#include <unistd.h>

#include "guest.h"

struct clone {
	struct engine *en;
	int from;  /* the directory that snapshot_take has filled */
	int dirfd; /* ROOT/containers/ID */
	bool may_take;
	struct run_opts o; /* only auto_remove counts */
	struct plan plan;
};

/* ---- the bundle ---- */

static int set(char **member, char *value, struct err *e)
{
	if (!value)
		return OUT_OF_MEMORY(e);
	free(*member);
	*member = value;
	return 0;
}

/* "/berth/OLD" -> "/berth/NEW" */
static char *sibling(const char *path, const char *name)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash ? str_fmt("%.*s/%s", (int)(slash - path), path, name) : strdup(name);
}

static int rename_in_files(struct launch *l, const char *old, const char *name, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < l->n_files; i++)
		if (streq(l->files[i].path, "/etc/hostname") || streq(l->files[i].path, "/etc/hosts"))
			r = set(&l->files[i].content, guest_replace_word(l->files[i].content, old, name), e);
	return r;
}

static int adapt(struct clone *c, const char *name, bool has_disk, struct err *e)
{
	struct plan *p = &c->plan;
	struct launch *l = &p->launch;
	_cleanup_free_ char *old = p->spec.hostname ? strdup(p->spec.hostname) : NULL;
	int r = set(&l->id, strdup(p->id), e);

	if (r >= 0 && name)
		r = set(&l->name, strdup(name), e);
	if (r >= 0)
		r = set(&l->upper, str_fmt("%s/upper", p->dir), e);
	if (r >= 0)
		r = set(&l->work, str_fmt("%s/work", p->dir), e);
	if (r >= 0)
		r = set(&l->log_path, str_fmt("%s/container.log", p->dir), e);
	if (r >= 0)
		r = set(&l->image_disk, str_fmt("%s/" SNAPSHOT_IMAGE, p->dir), e);
	if (r >= 0 && has_disk)
		r = set(&l->upper_disk, str_fmt("%s/upper.img", p->dir), e);
	if (r >= 0)
		r = set(&p->spec.cgroups_path, sibling(p->spec.cgroups_path, p->id), e);
	if (r >= 0)
		r = set(&p->spec.hostname, strndup(p->id, 12), e);
	if (r >= 0 && old)
		r = rename_in_files(l, old, p->spec.hostname, e);
	l->trace_began_us = 0;
	return r;
}

static int read_document(int dirfd, const char *name, char **ret, size_t *ret_len, struct err *e)
{
	int r = file_read(dirfd, name, 8u << 20, ret, ret_len);

	return r < 0 ? err_set(e, -r, "%s of the copy: %s", name, strerror(-r)) : 0;
}

static int read_bundle(struct clone *c, struct err *e)
{
	_cleanup_free_ char *config = NULL, *launch = NULL;
	size_t n_config = 0, n_launch = 0;
	int r = read_document(c->from, "config.json", &config, &n_config, e);

	if (r >= 0)
		r = read_document(c->from, "launch.json", &launch, &n_launch, e);
	if (r >= 0)
		r = spec_parse(config, n_config, &c->plan.spec, e);
	return r < 0 ? r : launch_parse(launch, n_launch, &c->plan.launch, e);
}

/* ---- its files ---- */

static int link_here(struct clone *c, const char *from, const char *to, struct err *e)
{
	return linkat(c->from, from, c->dirfd, to, 0) < 0
		       ? err_set(e, errno, "one more name for the saved %s: %s", from, strerror(errno))
		       : 0;
}

static int make_disk(struct clone *c, struct err *e)
{
	_cleanup_fd_ int from = -1, to = -1;
	int r;

	if (c->may_take)
		return link_here(c, SNAPSHOT_DISK, "upper.img", e);
	from = openat(c->from, SNAPSHOT_DISK, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	to = openat(c->dirfd, "upper.img", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (from < 0 || to < 0)
		return err_set(e, errno, "the copy's disk: %s", strerror(errno));
	r = vm_copy_disk(from, to, NULL, NULL);
	return r < 0 ? err_set(e, -r, "the copy's disk: %s", strerror(-r)) : 0;
}

static int make_files(struct clone *c, const char *name, struct err *e)
{
	bool has_disk = faccessat(c->from, SNAPSHOT_DISK, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	int r = read_bundle(c, e);

	if (r >= 0)
		r = adapt(c, name, has_disk, e);
	if (r >= 0)
		r = bundle_write(&c->plan, c->dirfd, e);
	if (r >= 0)
		r = link_here(c, VM_RESTORE_STATE, VM_RESTORE_STATE, e);
	if (r >= 0)
		r = link_here(c, VM_RESTORE_MEMORY, VM_RESTORE_MEMORY, e);
	if (r >= 0)
		r = link_here(c, SNAPSHOT_IMAGE, SNAPSHOT_IMAGE, e);
	return r >= 0 && has_disk ? make_disk(c, e) : r;
}

/* ---- making it, and starting it ---- */

static int put_record(struct clone *c, const struct container_record *model, const char *name, struct err *e)
{
	struct container_record rec = *model;
	int r;

	rec.id = c->plan.id;
	rec.name = name ? strdup(name) : NULL;
	rec.state = CS_CREATED;
	rec.created_ns = clock_real_ns();
	rec.started_ns = rec.finished_ns = 0;
	rec.exit_code = 0;
	rec.oom_killed = false;
	rec.error = NULL;
	r = name && !rec.name ? OUT_OF_MEMORY(e) : container_put(c->en, &rec, e);
	free(rec.name);
	return r;
}

static int make(struct clone *c, const struct container_record *model, const char *name, struct err *e)
{
	int r = make_container_dir(&c->plan, &c->dirfd, e);

	if (r < 0)
		return r;
	r = make_files(c, name, e);
	if (r >= 0)
		r = put_record(c, model, name, e);
	if (r < 0)
		remove_files(c->en->paths, c->plan.id, NULL); /* r says what went wrong first */
	return r;
}

/* What failed to start is of no use: it would boot and be no copy of anything. */
static int start(struct engine *en, const char *id, struct err *e)
{
	const struct start_opts o = { .attach = false };
	struct exit_status st;
	bool detached;
	struct err why = { 0 };
	int r = engine_start(en, id, &o, &st, &detached, e);

	if (r < 0 && engine_remove(en, id, true, true, &why) < 0 && why.no != ENOENT)
		log_warn("clone", "%s", why.msg);
	return r;
}

int clone_start(struct engine *en, int dirfd, const struct container_record *model, const char *name, bool may_take,
		char **ret_id, struct err *e)
{
	struct clone c = { .en = en, .from = dirfd, .dirfd = -1, .may_take = may_take, .o.auto_remove = model->auto_remove };
	_cleanup_free_ char *id = NULL;
	int r;

	c.plan.en = en;
	c.plan.o = &c.o;
	spec_init(&c.plan.spec);
	r = id_new(c.plan.id);
	if (r < 0)
		return err_set(e, -r, "make an id: %s", strerror(-r));
	c.plan.dir = container_dir(en->paths, c.plan.id);
	id = strdup(c.plan.id);
	r = c.plan.dir && id ? make(&c, model, name, e) : OUT_OF_MEMORY(e);
	if (r >= 0)
		r = start(en, c.plan.id, e);
	if (r >= 0)
		*ret_id = TAKE_PTR(id);
	fd_close(c.dirfd);
	spec_done(&c.plan.spec);
	launch_done(&c.plan.launch);
	free(c.plan.dir);
	return r;
}

static int check_disks(struct engine *en, const struct container_record *c, const char *what, struct err *e)
{
	_cleanup_(launch_done) struct launch l = { 0 };
	int r = bundle_read_launch(en, c->id, &l, e);

	if (r >= 0 && l.n_disks)
		r = err_set(e, EOPNOTSUPP,
			    "%s: %s has a disk of yours (%s), which a copy can't share and is not copied with it: run it without "
			    "--disk",
			    what, c->name, l.disks[0].path);
	return r;
}

static int check_volumes(struct engine *en, const struct container_record *c, const char *what, struct err *e)
{
	struct spec s;
	int r;

	spec_init(&s);
	r = bundle_read_spec(en, c->id, &s, e);
	if (r >= 0 && vm_count_shares(&s))
		r = err_set(e, EOPNOTSUPP,
			    "%s: %s has volumes, and what their server on the host holds open can't be copied with it: run it "
			    "without volumes",
			    what, c->name);
	spec_done(&s);
	return r;
}

int clone_check(struct engine *en, const struct container_record *c, const char *what, struct err *e)
{
	int r = 0;

	if (streq(c->isolation, "vm") && c->pod_id)
		r = err_set(
			e, EOPNOTSUPP,
			"%s: %s shares its virtual machine with the rest of pod %s, and can't be copied alone: run it without "
			"--pod",
			what, c->name, c->pod_name ?: c->pod_id);
	else if (streq(c->isolation, "vm"))
		r = check_volumes(en, c, what, e);
	if (r >= 0 && streq(c->isolation, "vm"))
		r = check_disks(en, c, what, e);
	return r < 0 ? r : vm_control_check(en, c, what, e);
}

/* ---- fork ---- */

struct fork_job {
	struct engine *en;
	const struct container_record *parent;
	const struct fork_opts *o;
	char **ids; /* of those that run */
};

/* "web" for one, "web-1", "web-2"... for several; NULL: made up. *ret: the caller's. */
static int fork_name(const struct fork_opts *o, unsigned k, char **ret, struct err *e)
{
	*ret = NULL;
	if (!o->name)
		return 0;
	*ret = o->count == 1 ? strdup(o->name) : str_fmt("%s-%u", o->name, k + 1);
	return *ret ? 0 : OUT_OF_MEMORY(e);
}

static int check_names(const struct fork_job *j, struct err *e)
{
	for (unsigned k = 0; j->o->name && k < j->o->count; k++) {
		_cleanup_free_ char *name = NULL;
		struct container_record taken;
		int r = fork_name(j->o, k, &name, e);

		if (r < 0)
			return r;
		r = engine_get(j->en, name, &taken, NULL);
		if (r < 0)
			continue;
		bool is_same = streq0(taken.name, name);
		container_record_done(&taken);
		if (is_same)
			return err_set(e, EEXIST, "the name %s is in use: remove that container, or choose others with --name",
				       name);
	}
	return 0;
}

static int start_all(struct fork_job *j, int dirfd, struct err *e)
{
	int r = 0;

	for (unsigned k = 0; r >= 0 && k < j->o->count; k++) {
		_cleanup_free_ char *name = NULL, *id = NULL;

		r = fork_name(j->o, k, &name, e);
		if (r >= 0)
			r = clone_start(j->en, dirfd, j->parent, name, k + 1 == j->o->count, &id, e);
		if (r < 0)
			return j->o->count > 1 ? err_push(e, r, "copy %u of %u, and none is left", k + 1, j->o->count) : r;
		r = strv_push(&j->ids, id) < 0 ? OUT_OF_MEMORY(e) : 0;
	}
	return r;
}

static int fork_in(struct fork_job *j, const char *tmp, uint64_t *ret_pause_us, struct err *e)
{
	int rootfd = store_rootfd(j->en->store), r;
	_cleanup_fd_ int dirfd = -1;
	struct taken t = { 0 };

	if (mkdirat(rootfd, tmp, 0700) < 0 || (dirfd = openat(rootfd, tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_set(e, errno, "make %s/%s: %s", j->en->paths->root, tmp, strerror(errno));
	r = snapshot_take(j->en, j->parent, dirfd, &t, e);
	*ret_pause_us = t.pause_us;
	if (r >= 0)
		r = start_all(j, dirfd, e);
	for (char **id = j->ids; r < 0 && id && *id; id++) /* all or none */
		engine_remove(j->en, *id, true, true, NULL);
	return r;
}

int engine_fork(struct engine *en, const char *name, const struct fork_opts *o, char ***ret_ids, uint64_t *ret_pause_us,
		struct err *e)
{
	struct container_record parent;
	struct fork_job j = { .en = en, .parent = &parent, .o = o };
	_cleanup_free_ char *tmp = NULL;
	char id[ID_LEN + 1];
	int r = engine_get(en, name, &parent, e);

	if (r < 0)
		return r;
	r = clone_check(en, &parent, "fork", e);
	if (r >= 0)
		r = check_names(&j, e);
	if (r >= 0 && (id_new(id) < 0 || !(tmp = str_fmt("tmp/fork-%s", id))))
		r = OUT_OF_MEMORY(e);
	if (r >= 0)
		r = store_lock(en->store, STORE_SHARED, e);
	if (r >= 0) {
		r = fork_in(&j, tmp, ret_pause_us, e);
		(void)rm_rf(store_rootfd(en->store), tmp); /* the copies have names of their own for what they need */
		store_lock(en->store, STORE_UNLOCKED, NULL);
	}
	container_record_done(&parent);
	if (r < 0)
		strv_free(j.ids);
	else
		*ret_ids = j.ids;
	return r;
}
