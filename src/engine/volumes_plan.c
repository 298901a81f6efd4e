/* volumes_plan.c: what a container's plan wants of volumes: those that it names, those of other containers (--volumes-from), those that
 * its image asks for. Each is locked (volumes_impl.h) from before it is looked up until the container's record is there, so that none
 * is removed in between; that record says that it is used. A volume without a name is recorded with the container, in one transaction:
 * should that never come about, its files have no record, and `system prune` removes them. */
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "mounts.h"
#include "volumes_impl.h"

#define VOLUMES_MAX 256 /* each is a descriptor while the container is being made; an image may ask for any number */

int plan_image_fd(struct plan *p, struct err *e)
{
	const struct snapshot s = { .layers = p->launch.layers };
	int r = p->image_fd < 0 ? snapshot_mount(&s, &p->image_fd, e) : 0;

	return r < 0 ? r : p->image_fd;
}

void plan_volumes_undo(struct plan *p)
{
	for (size_t i = 0; i < p->n_volumes; i++)
		if (p->volumes[i].made && p->volume_locks[i] >= 0)
			volume_discard(p->en, p->volumes[i].name);
}

void plan_volumes_done(struct plan *p)
{
	for (size_t i = 0; i < p->n_volumes; i++) {
		fd_close(p->volume_locks[i]);
		if (p->volumes[i].made) {
			volume_record_done((struct volume_record *)(uintptr_t)p->volumes[i].made);
			free((void *)(uintptr_t)p->volumes[i].made);
		}
	}
	volume_uses_free(p->volumes, p->n_volumes);
	free(p->volume_locks);
	p->volumes = NULL;
	p->volume_locks = NULL;
	p->n_volumes = 0;
	p->image_fd = fd_close(p->image_fd);
}

/* ---- --volumes-from CONTAINER[:ro] ---- */

struct from {
	const char *text;
	bool is_readonly;
	struct spec spec;
	struct volume_use *uses;
	size_t n_uses;
};

static int copy_options(const struct spec_mount *m, bool is_readonly, char ***ret, struct err *e)
{
	_cleanup_strv_ char **options = NULL;

	for (char **o = m->options; o && *o; o++)
		if (strv_push(&options, is_readonly && streq(*o, "rw") ? "ro" : *o) < 0)
			return OUT_OF_MEMORY(e);
	*ret = TAKE_PTR(options);
	return 0;
}

static int take_mount(struct plan *p, struct mounts *m, const struct from *f, const struct spec_mount *theirs, struct err *e)
{
	const struct volume_use *u = volume_use_of(p->en->paths->root, f->uses, f->n_uses, theirs->source);
	const struct mount_wish w = { .target = theirs->destination,
				      .is_volume = true,
				      .name = u ? u->name : NULL,
				      .is_own = u && u->is_own,
				      .must_exist = true,
				      .no_copy = true };
	struct mount_draft d = { .what = "--volumes-from", .text = f->text, .target = theirs->destination };
	char **options = NULL;
	int r;

	if (!mount_is_bind(theirs) || mounts_has(m, theirs->destination))
		return 0;
	r = mount_take_place(m, &d, e);
	if (r >= 0 && u)
		r = mount_add_wish(m, &w, e);
	if (r >= 0)
		r = copy_options(theirs, f->is_readonly, &options, e);
	return r < 0 ? r : mount_add(m, "bind", u ? "" : theirs->source, theirs->destination, options, e);
}

static int from_words(const char *text, char **ret_name, bool *ret_readonly, struct err *e)
{
	const char *colon = strchr(text, ':');
	_cleanup_strv_ char **words = colon ? strv_split(colon + 1, ',') : NULL;

	for (char **w = words; w && *w; w++) {
		if (streq(*w, "ro"))
			*ret_readonly = true;
		else if (!streq(*w, "rw") && !streq(*w, "z") && !streq(*w, "Z"))
			return err_set(e, EINVAL, "--volumes-from: \"%s\": unknown option \"%s\"; ro and rw are known", text, *w);
	}
	*ret_name = strndup(text, colon ? (size_t)(colon - text) : strlen(text));
	return *ret_name && (!colon || words) ? 0 : OUT_OF_MEMORY(e);
}

static int add_from(struct plan *p, struct mounts *m, const char *text, struct err *e)
{
	_cleanup_free_ char *name = NULL;
	struct from f = { .text = text };
	struct container_record c;
	int r = from_words(text, &name, &f.is_readonly, e);

	if (r >= 0)
		r = engine_get(p->en, name, &c, e);
	if (r < 0)
		return r;
	spec_init(&f.spec);
	r = bundle_read_spec(p->en, c.id, &f.spec, e);
	if (r >= 0)
		r = records_container_volumes(p->en->records, c.id, &f.uses, &f.n_uses, e);
	if (r >= 0)
		r = volumes_refuse_memory(p->en, f.uses, f.n_uses, c.name, e);
	for (size_t i = 0; r >= 0 && i < f.spec.n_mounts; i++)
		r = take_mount(p, m, &f, &f.spec.mounts[i], e);
	volume_uses_free(f.uses, f.n_uses);
	spec_done(&f.spec);
	container_record_done(&c);
	return r;
}

int mounts_add_from(struct plan *p, struct mounts *m, struct err *e)
{
	int r = 0;

	/* The last one named has the last word, as docker has it. */
	for (size_t i = strv_len(p->o->volumes_from); r >= 0 && i-- > 0;)
		r = add_from(p, m, p->o->volumes_from[i], e);
	return r;
}

/* ---- the image's VOLUME ---- */

/* An image has no say in what the kernel's file systems are covered with (R02). */
static bool is_kernels(const char *path)
{
	static const char *const tops[] = { "/proc", "/sys", "/dev" };

	for (size_t i = 0; i < ARRAY_SIZE(tops); i++) {
		const char *rest = str_after(path, tops[i]);
		if (rest && (!*rest || *rest == '/'))
			return true;
	}
	return false;
}

static int add_image_volume(struct mounts *m, const char *path, bool is_tmpfs, struct err *e)
{
	char exec[] = "exec", *const options[] = { exec, NULL }; /* programs may well lie there */

	_cleanup_(mount_draft_done) struct mount_draft d = {
		.what = "the image's VOLUME", .text = path, .target = strdup(path), .is_volume = true
	};
	int r = d.target ? mount_check_target(&d, e) : OUT_OF_MEMORY(e);

	if (r < 0)
		return r;
	if (is_kernels(d.target))
		return err_set(e, EINVAL,
			       "the image's VOLUME: \"%s\": no volume can be there; -v SOURCE:%s puts one there all the same",
			       path, d.target);
	if (mounts_has(m, d.target))
		return 0;
	return is_tmpfs ? mount_add_tmpfs(m, &d, options, e) : mount_add_bind(m, &d, e);
}

int mounts_add_image(struct plan *p, struct mounts *m, struct err *e)
{
	char *const *paths = p->image.config.config.volumes;
	bool is_tmpfs = streq0(p->o->image_volume, "tmpfs");
	int r = 0;

	if (streq0(p->o->image_volume, "ignore"))
		return 0;
	for (; r >= 0 && paths && *paths; paths++)
		r = add_image_volume(m, *paths, is_tmpfs, e);
	return r;
}

/* ---- the wishes ---- */

static struct spec_mount *mount_at(struct spec *s, const char *target)
{
	for (size_t i = 0; i < s->n_mounts; i++)
		if (streq(s->mounts[i].destination, target) && mount_is_users(&s->mounts[i]))
			return &s->mounts[i];
	return NULL;
}

static int set_source(struct plan *p, const struct mount_wish *w, struct err *e)
{
	struct spec_mount *m = mount_at(&p->spec, w->target);
	char *path = engine_volume_mountpoint(p->en, w->name);

	if (!m || !path) {
		free(path);
		return OUT_OF_MEMORY(e);
	}
	free(m->source);
	m->source = path;
	return volume_mount_memory(p->en, &p->volumes[p->n_volumes - 1], p->volume_locks[p->n_volumes - 1], m, w->chowns, e);
}

/* What the image has there: -1 for nothing, or no directory. */
static int image_directory(struct plan *p, const char *target, int *ret_fd, struct err *e)
{
	int fd = plan_image_fd(p, e);

	if (fd < 0)
		return fd;
	fd = root_open(fd, target, O_RDONLY | O_DIRECTORY | O_NOCTTY, 0);
	if (fd < 0 && fd != -ENOENT && fd != -ENOTDIR)
		return err_set(e, -fd, "%s of the image: %s", target, strerror(-fd));
	*ret_fd = MAX(fd, -1);
	return 0;
}

static int fill(struct plan *p, const struct mount_wish *w, int fd, struct err *e)
{
	_cleanup_strv_ char **ids = NULL, **names = NULL;
	_cleanup_fd_ int from = -1;
	bool empty = false;
	int r = volume_settle(fd, e), k;

	if (r < 0 || w->no_copy)
		return r;
	k = volume_is_settled(fd, &empty);
	if (k < 0)
		return err_set(e, -k, "volume %s: %s", w->name, strerror(-k));
	r = empty ? image_directory(p, w->target, &from, e) : 0;
	if (r >= 0 && from >= 0)
		r = records_volume_users(p->en->records, w->name, &ids, &names, e);
	if (r >= 0 && from >= 0)
		r = volume_fill(fd, from, strv_len(ids) > 0, !w->is_own || !p->o->auto_remove, e);
	return r < 0 ? err_push(e, r, "volume %s: copy what the image has in %s (nocopy leaves it empty)", w->name, w->target)
		     : 0;
}

/* As it is, in the ordinary case: known, and nothing to be done. 1: *ret_fd holds it. */
static int find_ready(struct plan *p, const struct mount_wish *w, int *ret_fd, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	bool empty = true;
	int r = volume_lock(p->en, w->name, LOCK_SH, &fd, e);

	if (r >= 0)
		r = volume_is_known(p->en, w->name, e);
	if (r == 1 && volume_is_settled(fd, &empty) == 1 && (w->no_copy || !empty)) {
		*ret_fd = TAKE_FD(fd);
		return 1;
	}
	return MIN(r, 0);
}

static int make_ready(struct plan *p, const struct mount_wish *w, const struct volume_record *v, int *ret_fd, struct err *e)
{
	enum volume_making how = w->must_exist ? VOLUME_FIND : w->is_own ? VOLUME_MAKE_LATER : VOLUME_MAKE;
	_cleanup_fd_ int fd = -1;
	int r = volume_lock(p->en, w->name, LOCK_EX, &fd, e);

	if (r >= 0)
		r = volume_ensure(p->en, fd, v, how, e);
	if (r >= 0) {
		r = fill(p, w, fd, e);
		if (r < 0 && how == VOLUME_MAKE_LATER)
			volume_discard(p->en, w->name);
	}
	if (r >= 0)
		r = volume_lock_as(p->en, w->name, fd, LOCK_SH, e);
	if (r == 1)
		*ret_fd = TAKE_FD(fd);
	return r;
}

static int new_record(const struct mount_wish *w, struct volume_record **ret, struct err *e)
{
	struct volume_record *v = calloc(1, sizeof(*v));
	int r = 0;

	if (!v)
		return OUT_OF_MEMORY(e);
	v->name = strdup(w->name);
	v->driver = strdup("local");
	v->created_ns = clock_real_ns();
	if (!v->name || !v->driver || (w->is_own && map_set(&v->labels, VOLUME_ANONYMOUS, "") < 0))
		r = OUT_OF_MEMORY(e);
	if (r >= 0)
		r = labels_add(w->labels, &v->labels, e);
	if (r >= 0)
		r = labels_add(w->options, &v->options, e);
	if (r >= 0)
		r = volume_check_options(w->name, &v->options, e);
	if (r < 0) {
		volume_record_done(v);
		free(v);
		return r;
	}
	*ret = v;
	return 0;
}

static int open_volume(struct plan *p, const struct mount_wish *w, bool is_new, struct err *e)
{
	struct volume_use *u = &p->volumes[p->n_volumes];
	struct volume_record *v = NULL;
	int *fd = &p->volume_locks[p->n_volumes], r = new_record(w, &v, e);

	*fd = -1;
	*u = (struct volume_use){ .name = v ? strdup(w->name) : NULL, .is_own = w->is_own };
	if (r >= 0 && !u->name)
		r = OUT_OF_MEMORY(e);
	while (r == 0) {
		r = is_new ? 0 : find_ready(p, w, fd, e);
		if (r == 0)
			r = make_ready(p, w, v, fd, e);
	}
	if (r == 1 && !is_new && volume_check_size(p->en, v, e) < 0)
		r = -EEXIST;
	p->n_volumes++;
	if (is_new && r == 1) {
		u->made = v;
	} else if (v) {
		volume_record_done(v);
		free(v);
	}
	return MIN(r, 0);
}

static int by_name(const void *a, const void *b)
{
	const struct mount_wish *x = a, *y = b;
	int order = x->is_volume && y->is_volume ? strcmp(x->name, y->name) : y->is_volume - x->is_volume;

	return order ? order : strcmp(x->target, y->target);
}

/* Those that a user has named are looked up first in this order by everybody, lest two wait for each other. */
static int open_all(struct plan *p, struct mounts *m, const bool *is_new, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < m->n && m->wishes[i].is_volume; i++) {
		const struct mount_wish *w = &m->wishes[i];
		bool again = i > 0 && streq(w->name, m->wishes[i - 1].name);
		if (!again)
			r = open_volume(p, w, is_new[i], e);
		if (r >= 0)
			r = set_source(p, w, e);
	}
	return r;
}

static int give_names(struct mounts *m, struct err *e)
{
	for (size_t i = 0; i < m->n; i++) {
		struct mount_wish *w = &m->wishes[i];
		char id[ID_LEN + 1];
		if (!w->is_volume || w->name)
			continue;
		if (id_new(id) < 0 || !(w->name = strdup(id)))
			return OUT_OF_MEMORY(e);
		w->is_own = true;
	}
	return 0;
}

/* :U: to whom all of the source is given. */
static int chown_all(struct plan *p, const struct mounts *m, struct err *e)
{
	const char *user = p->o->user ? p->o->user : p->image.config.config.user;
	struct spec_user u = { 0 };
	bool asked = false;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < m->n; i++) {
		const struct spec_mount *at = m->wishes[i].chowns ? mount_at(&p->spec, m->wishes[i].target) : NULL;
		if (!at)
			continue;
		if (!asked && user && *user) {
			r = plan_image_fd(p, e);
			if (r >= 0)
				r = container_resolve_user(r, user, &u, NULL, e);
		}
		asked = true;
		if (r >= 0)
			r = volume_chown(at->source, u.uid, u.gid, e);
	}
	free(u.username);
	free(u.additional_gids);
	return MIN(r, 0);
}

int mounts_fulfil(struct plan *p, struct mounts *m, struct err *e)
{
	_cleanup_free_ bool *is_new = calloc(m->n + 1, sizeof(*is_new));
	int r = is_new ? give_names(m, e) : OUT_OF_MEMORY(e);

	if (r < 0 || m->n == 0)
		return r;
	if (m->n > VOLUMES_MAX)
		return err_set(e, E2BIG, "%zu volumes for one container are too many; %d are possible", m->n, VOLUMES_MAX);
	qsort(m->wishes, m->n, sizeof(*m->wishes), by_name);
	for (size_t i = 0; i < m->n; i++)
		is_new[i] = m->wishes[i].is_own && !m->wishes[i].must_exist;
	p->volumes = calloc(m->n, sizeof(*p->volumes));
	p->volume_locks = calloc(m->n, sizeof(*p->volume_locks));
	if (!p->volumes || !p->volume_locks)
		return OUT_OF_MEMORY(e);
	r = open_all(p, m, is_new, e);
	return r < 0 ? r : chown_all(p, m, e);
}
