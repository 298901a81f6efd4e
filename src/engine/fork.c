/* fork.c: `fork`: copies of a running VM, beside it, from where it is. It stands still while one copy of it is taken, which all share; they
 * are made of that by clone.c, all or none. */
#include "snapshot.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#define SCRATCH "fork-" /* in ROOT/tmp; under an flock of whose it is */

struct fork_job {
	struct engine *en;
	const struct container_record *parent;
	const struct fork_opts *o;
	char **ids; /* of those that stay */
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
	const struct clone_of of = { .dirfd = dirfd, .model = j->parent, .may_take = true };
	struct clones all;
	int r = clones_begin(&all, j->en, j->o->count, e);

	for (unsigned k = 0; r >= 0 && k < j->o->count; k++) {
		_cleanup_free_ char *name = NULL;

		r = fork_name(j->o, k, &name, e);
		if (r >= 0)
			r = clones_add(&all, &of, name, e);
	}
	for (size_t k = 0; r >= 0 && k < all.n; k++)
		r = strv_push(&j->ids, all.made[k].id) < 0 ? OUT_OF_MEMORY(e) : 0;
	if (r >= 0)
		r = clones_keep(&all, e);
	clones_end(&all);
	return r;
}

/* ---- where the copy of the parent is, until all have what they need of it ---- */

/* Of forks that were killed: a memory and a disk each. Anything else that a crash has left there goes with the next collection. */
static void sweep_scratch(int rootfd)
{
	int tmp = openat(rootfd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = tmp < 0 ? NULL : fdopendir(tmp);

	if (!d) {
		fd_close(tmp);
		return;
	}
	for (struct dirent *ent; (ent = readdir(d));) {
		_cleanup_fd_ int fd = -1;

		if (!str_after(ent->d_name, SCRATCH))
			continue;
		fd = openat(tmp, ent->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
			(void)rm_rf(tmp, ent->d_name);
	}
	closedir(d);
}

/* Locked before it has the name that is looked for. */
static int make_scratch(int rootfd, const char *name, int *ret_dirfd)
{
	_cleanup_free_ char *before = str_fmt("tmp/new-" SCRATCH "%s", name), *tmp = str_fmt("tmp/" SCRATCH "%s", name);
	_cleanup_fd_ int fd = -1;

	if (!before || !tmp)
		return -ENOMEM;
	if (mkdirat(rootfd, before, 0700) < 0)
		return -errno;
	fd = openat(rootfd, before, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX) < 0 || renameat(rootfd, before, rootfd, tmp) < 0) {
		int r = -errno;

		(void)unlinkat(rootfd, before, AT_REMOVEDIR);
		return r;
	}
	*ret_dirfd = TAKE_FD(fd);
	return 0;
}

static int fork_in(struct fork_job *j, const char *name, uint64_t *ret_pause_us, struct err *e)
{
	int rootfd = store_rootfd(j->en->store), r;
	_cleanup_fd_ int dirfd = -1;
	struct taken t = { .control = -1 };

	sweep_scratch(rootfd);
	r = make_scratch(rootfd, name, &dirfd);
	if (r < 0)
		return err_set(e, -r, "make a directory in %s/tmp: %s", j->en->paths->root, strerror(-r));
	r = snapshot_take(j->en, j->parent, dirfd, NULL, &t, e);
	*ret_pause_us = t.pause_us;
	return r < 0 ? r : start_all(j, dirfd, e);
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
	if (r >= 0 && (id_new(id) < 0 || !(tmp = str_fmt("tmp/" SCRATCH "%s", id))))
		r = OUT_OF_MEMORY(e);
	if (r >= 0)
		r = store_lock(en->store, STORE_SHARED, e);
	if (r >= 0) {
		r = fork_in(&j, id, ret_pause_us, e);
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
