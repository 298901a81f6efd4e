/* snapshot_restore.c: a new VM that goes on from a kept one. Of a whole snapshot it gets further names for the files; of a diff the memory is
 * put together first, beside further names for the rest, in ROOT/tmp/chain-ID, which goes once the VM has names of its own. */
#include "snapshot.h"

#include <unistd.h>

static int check_fits(struct engine *en, const struct snapshot_record *s, const struct snapshot_meta *m,
		      struct vmm_snapshot_facts *ret, struct err *e)
{
	struct snapshot_cpu here = { NULL };
	int r = snapshot_cpu_read("/proc/cpuinfo", &here, e);

	if (r >= 0)
		r = snapshot_fits(m, &here, e);
	snapshot_cpu_done(&here);
	return r < 0 ? err_push(e, r, "snapshot %s", s->name) : snapshot_chain_check(en, s, ret, e);
}

static int link_all(int from, int to, struct err *e)
{
	static const char *const names[] = { VM_RESTORE_STATE, SNAPSHOT_DISK, SNAPSHOT_IMAGE, "config.json", "launch.json" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (linkat(from, names[i], to, names[i], 0) < 0 && !(errno == ENOENT && streq(names[i], SNAPSHOT_DISK)))
			return err_set(e, errno, "one more name for the saved %s: %s", names[i], strerror(errno));
	return 0;
}

/* The same as a whole one in a directory of its own. *ret_dirfd: of that. */
static int assemble(struct engine *en, const struct snapshot_record *s, int dirfd, const char *tmp, int *ret_dirfd, struct err *e)
{
	int rootfd = store_rootfd(en->store), r;
	_cleanup_fd_ int to = -1;

	if (mkdirat(rootfd, tmp, 0700) < 0 || (to = openat(rootfd, tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_set(e, errno, "make %s/%s: %s", en->paths->root, tmp, strerror(errno));
	r = link_all(dirfd, to, e);
	if (r >= 0)
		r = snapshot_chain_merge(en, s, to, e);
	if (r >= 0)
		*ret_dirfd = TAKE_FD(to);
	return r;
}

static int go_on(struct engine *en, const struct snapshot_record *s, int dirfd, bool is_diff,
		 const struct container_record *model, const char *name, char **ret_id, struct err *e)
{
	_cleanup_free_ char *tmp = NULL;
	_cleanup_fd_ int whole = -1;
	char id[ID_LEN + 1];
	int r;

	if (!is_diff)
		return clone_start(en, dirfd, model, name, ret_id, e);
	if (id_new(id) < 0 || !(tmp = str_fmt("tmp/chain-%s", id)))
		return OUT_OF_MEMORY(e);
	r = assemble(en, s, dirfd, tmp, &whole, e);
	if (r >= 0)
		r = clone_start(en, whole, model, name, ret_id, e);
	(void)rm_rf(store_rootfd(en->store), tmp);
	return r;
}

static int restore_from(struct engine *en, const struct snapshot_record *s, const char *name, char **ret_id, struct err *e)
{
	_cleanup_fd_ int dirfd = -1;
	struct snapshot_meta m = { .version = 0 };
	struct vmm_snapshot_facts facts = { .cpus = 0 };
	char vm[] = "vm";
	int r = snapshot_open_dir(en, s, &dirfd, e);

	if (r < 0)
		return r;
	r = snapshot_meta_read(dirfd, &m, e);
	if (r < 0)
		err_push(e, r, "snapshot %s", s->name);
	else
		r = check_fits(en, s, &m, &facts, e);
	if (r < 0) {
		snapshot_meta_done(&m);
		return r;
	}
	const struct container_record model = { .image_id = m.image_id,
						.image_ref = m.image_ref,
						.isolation = vm,
						.options_json = m.options,
						.auto_remove = m.auto_remove,
						.has_tty = m.has_tty,
						.labels = m.labels };
	r = go_on(en, s, dirfd, facts.is_diff, &model, name, ret_id, e);
	snapshot_meta_done(&m);
	return r;
}

int engine_restore(struct engine *en, const char *snapshot, const char *name, char **ret_id, struct err *e)
{
	struct snapshot_record s;
	int r = store_lock(en->store, STORE_SHARED, e);

	if (r >= 0)
		r = records_snapshot_get(en->records, snapshot, &s, e);
	if (r >= 0) {
		r = restore_from(en, &s, name, ret_id, e);
		snapshot_record_done(&s);
	}
	store_lock(en->store, STORE_UNLOCKED, NULL);
	return r;
}
