/* snapshot_store.c: saved VMs as objects of the store: taken, listed, removed, checked (snapshot.h: what is where). snapshot_restore.c goes on from
 * them.
 *
 * Taking: ROOT/tmp/snap-ID is filled, synced and renamed to ROOT/snapshots/ID, the record comes last. A crash leaves what the collection of
 * tmp removes, or a directory without a record, which snapshots_sweep removes. Removing: the record, then the files. */
#include "snapshot.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#define NAME_LEN_MAX 128

void engine_snapshot_info_done(struct engine_snapshot_info *i)
{
	free(i->id);
	free(i->name);
	free(i->parent_name);
}

static bool is_name(const char *s)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

	return *s && *s != '.' && *s != '-' && strlen(s) <= NAME_LEN_MAX && !s[strspn(s, letters)];
}

static int check_name(struct engine *en, const char *name, struct err *e)
{
	struct snapshot_record taken;

	if (!is_name(name))
		return err_set(e, EINVAL,
			       "snapshot name \"%s\": letters, digits, '_', '.' and '-', at most %d, the first no '.' or '-'",
			       name, NAME_LEN_MAX);
	if (records_snapshot_get(en->records, name, &taken, NULL) < 0)
		return 0; /* what else is wrong shows when the record is put */
	bool is_same = streq(taken.name, name);
	snapshot_record_done(&taken);
	return is_same ? err_set(e, EEXIST, "there is a snapshot %s already: remove it, or take another name", name) : 0;
}

/* ---- taking ---- */

static int file_size(int dirfd, const char *name, uint64_t *ret_bytes, uint64_t *disk_bytes, struct err *e)
{
	struct stat st;

	*ret_bytes = 0;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_set(e, errno, "%s: %s", name, strerror(errno));
	*ret_bytes = (uint64_t)st.st_size;
	*disk_bytes += (uint64_t)st.st_blocks * 512;
	return 0;
}

static int fill_meta(const struct container_record *c, const struct taken *t, int dirfd, struct snapshot_meta *m,
		     uint64_t *ret_size, struct err *e)
{
	int r = snapshot_cpu_read("/proc/cpuinfo", &m->cpu, e);

	*ret_size = 0;
	if (r >= 0)
		r = file_size(dirfd, VM_RESTORE_STATE, &m->state_file_bytes, ret_size, e);
	if (r >= 0)
		r = file_size(dirfd, VM_RESTORE_MEMORY, &m->memory_file_bytes, ret_size, e);
	if (r >= 0)
		r = file_size(dirfd, SNAPSHOT_DISK, &m->disk_file_bytes, ret_size, e);
	if (r < 0)
		return r;
	m->version = SNAPSHOT_FORMAT;
	m->vmm_version = VMM_SNAPSHOT_VERSION;
	m->protocol = FRAME_VERSION;
	m->mem_bytes = t->facts.mem_bytes;
	m->cpus = t->facts.cpus;
	m->pause_us = t->pause_us;
	m->auto_remove = c->auto_remove;
	m->has_tty = c->has_tty;
	m->berth = strdup(berth_version());
	m->image_id = strdup(c->image_id ?: "");
	m->image_ref = c->image_ref ? strdup(c->image_ref) : NULL;
	m->options = c->options_json ? strdup(c->options_json) : NULL;
	for (size_t i = 0; c->labels.keys && c->labels.keys[i]; i++)
		if (map_set(&m->labels, c->labels.keys[i], c->labels.values[i]) < 0)
			return OUT_OF_MEMORY(e);
	return m->berth && m->image_id && (m->image_ref || !c->image_ref) && (m->options || !c->options_json) ? 0
													      : OUT_OF_MEMORY(e);
}

static int sync_files(int dirfd, struct err *e)
{
	static const char *const names[] = { VM_RESTORE_STATE, VM_RESTORE_MEMORY, SNAPSHOT_DISK, "config.json", "launch.json" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_fd_ int fd = openat(dirfd, names[i], O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0 || fsync(fd) < 0)
			return err_set(e, errno, "%s: not on the disk: %s", names[i], strerror(errno));
	}
	return fsync(dirfd) < 0 ? err_set(e, errno, "the snapshot's directory: not on the disk: %s", strerror(errno)) : 0;
}

/* One that is to be taken, and what it goes on from. */
struct job {
	struct engine *en;
	const struct container_record *c;
	const struct engine_snapshot_opts *o;
	struct snapshot_record parent; /* of a diff */
	uint8_t parent_id[VMM_SNAPSHOT_ID_BYTES];
	struct taken taken;
	struct engine_snapshot_info info;
};

static int fill(struct job *j, int dirfd, struct err *e)
{
	struct engine_snapshot_info *info = &j->info;
	struct snapshot_meta m = { .version = 0 };
	struct taken *t = &j->taken;
	int r = snapshot_take(j->en, j->c, dirfd, j->o, t, e);

	if (r >= 0 && t->facts.is_diff && memcmp(t->facts.base, j->parent_id, sizeof(j->parent_id)) != 0)
		r = err_set(e, EAGAIN, "another snapshot of %s was taken meanwhile: try again", j->c->name);
	if (r >= 0)
		r = fill_meta(j->c, t, dirfd, &m, &info->size_bytes, e);
	if (r >= 0)
		r = snapshot_meta_write(dirfd, &m, e);
	if (r >= 0)
		r = sync_files(dirfd, e);
	info->pause_us = t->pause_us;
	snapshot_meta_done(&m);
	return r;
}

/* From tmp to its place, and then into the records. */
static int publish(struct job *j, const char *tmp, struct err *e)
{
	const struct engine_snapshot_info *info = &j->info;
	const struct container_record *c = j->c;
	struct engine *en = j->en;
	_cleanup_free_ char *rel = str_fmt(SNAPSHOT_DIR "/%s", info->id);
	int rootfd = store_rootfd(en->store), r;
	_cleanup_fd_ int parent = -1;
	const struct snapshot_record s = { .id = info->id,
					   .name = info->name,
					   .vm_id = c->id,
					   .vm_name = c->name,
					   .image_id = c->image_id,
					   .image_ref = c->image_ref,
					   .parent_id = j->parent.id,
					   .created_ns = clock_real_ns(),
					   .size_bytes = info->size_bytes };

	r = rel ? mkdir_p(rootfd, SNAPSHOT_DIR, 0700) : -ENOMEM;
	if (r < 0)
		return err_set(e, -r, "make " SNAPSHOT_DIR ": %s", strerror(-r));
	parent = openat(rootfd, SNAPSHOT_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0 || renameat(rootfd, tmp, rootfd, rel) < 0)
		return err_set(e, errno, "move the snapshot to %s: %s", rel, strerror(errno));
	if (fsync(parent) < 0)
		r = err_set(e, errno, SNAPSHOT_DIR ": not on the disk: %s", strerror(errno));
	if (r >= 0)
		r = records_snapshot_put(en->records, &s, e);
	if (r < 0)
		(void)rm_rf(rootfd, rel);
	return r;
}

static int take_named(struct job *j, struct err *e)
{
	struct engine_snapshot_info *info = &j->info;
	struct engine *en = j->en;
	_cleanup_free_ char *tmp = NULL;
	_cleanup_fd_ int dirfd = -1;
	int rootfd = store_rootfd(en->store), r;

	info->id = malloc(ID_LEN + 1);
	if (!info->id || id_new(info->id) < 0)
		return OUT_OF_MEMORY(e);
	info->name = j->o->name ? strdup(j->o->name) : strndup(info->id, 12);
	tmp = str_fmt("tmp/snap-%s", info->id);
	if (!info->name || !tmp)
		return OUT_OF_MEMORY(e);
	if (mkdirat(rootfd, tmp, 0700) < 0 || (dirfd = openat(rootfd, tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_set(e, errno, "make %s/%s: %s", en->paths->root, tmp, strerror(errno));
	r = fill(j, dirfd, e);
	if (r >= 0)
		r = publish(j, tmp, e);
	if (r < 0)
		(void)rm_rf(rootfd, tmp);
	return r;
}

/* The snapshot stands by now. A VM that ended meanwhile counts no more, and another answer is worth a word only. */
static void keep(struct job *j)
{
	struct err e = { 0 };

	if (snapshot_keep(&j->taken, &e) < 0)
		log_warn("snapshot", "%s does not count from it on: %s", j->c->name, e.msg);
}

static int take(struct job *j, struct err *e)
{
	int r = 0;

	if (j->o->is_diff)
		r = snapshot_parent_find(j->en, j->c, &j->parent, j->parent_id, e);
	if (r >= 0 && j->parent.name && !(j->info.parent_name = strdup(j->parent.name)))
		r = OUT_OF_MEMORY(e);
	if (r >= 0)
		r = take_named(j, e);
	if (r >= 0)
		keep(j);
	snapshot_taken_done(&j->taken);
	snapshot_record_done(&j->parent);
	return r;
}

int engine_snapshot_create(struct engine *en, const char *vm, const struct engine_snapshot_opts *o,
			   struct engine_snapshot_info *ret, struct err *e)
{
	struct container_record c;
	struct job j = { .en = en, .c = &c, .o = o, .taken.control = -1 };
	int r = engine_get(en, vm, &c, e);

	if (r < 0)
		return r;
	r = clone_check(en, &c, "snapshot", e);
	if (r >= 0 && o->name)
		r = check_name(en, o->name, e);
	if (r >= 0)
		r = store_lock(en->store, STORE_SHARED, e);
	if (r >= 0)
		r = take(&j, e);
	store_lock(en->store, STORE_UNLOCKED, NULL);
	container_record_done(&c);
	if (r < 0)
		engine_snapshot_info_done(&j.info);
	else
		*ret = j.info;
	return r;
}

/* ---- what there is ---- */

int engine_snapshot_list(struct engine *en, struct snapshot_record **ret, size_t *ret_n, struct err *e)
{
	return records_snapshot_list(en->records, ret, ret_n, e);
}

int engine_snapshot_inspect(struct engine *en, const char *name, struct json_object **ret, struct err *e)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	_cleanup_fd_ int dirfd = -1;
	struct snapshot_meta m = { .version = 0 };
	struct snapshot_record s;
	char at[RFC3339_LEN];
	int r = records_snapshot_get(en->records, name, &s, e);

	if (r < 0)
		return r;
	r = snapshot_open_dir(en, &s, &dirfd, e);
	if (r >= 0)
		r = snapshot_meta_read(dirfd, &m, e);
	if (r >= 0 &&
	    (json_add(o, "Id", json_object_new_string(s.id)) < 0 || json_add(o, "Name", json_object_new_string(s.name)) < 0 ||
	     json_add(o, "Created", json_object_new_string(clock_rfc3339(s.created_ns, at))) < 0 ||
	     json_add(o, "VM", json_object_new_string(s.vm_name)) < 0 ||
	     json_add(o, "VMId", json_object_new_string(s.vm_id)) < 0 ||
	     json_add(o, "Image", json_object_new_string(s.image_ref ?: s.image_id)) < 0 ||
	     json_add(o, "ImageId", json_object_new_string(s.image_id)) < 0 ||
	     json_add(o, "Parent", json_object_new_string(s.parent_name ?: "")) < 0 ||
	     json_add(o, "ParentId", json_object_new_string(s.parent_id ?: "")) < 0 ||
	     json_add(o, "Size", json_object_new_uint64(s.size_bytes)) < 0 ||
	     json_add(o, "Memory", json_object_new_uint64(m.mem_bytes)) < 0 ||
	     json_add(o, "CPUs", json_object_new_uint64(m.cpus)) < 0 ||
	     json_add(o, "Disk", json_object_new_uint64(m.disk_file_bytes)) < 0 ||
	     json_add(o, "PausedMs", json_object_new_double((double)m.pause_us / 1000)) < 0 ||
	     json_add(o, "CPUModel", json_object_new_string(m.cpu.model ?: "")) < 0 ||
	     json_add(o, "Berth", json_object_new_string(m.berth ?: "")) < 0))
		r = OUT_OF_MEMORY(e);
	snapshot_meta_done(&m);
	snapshot_record_done(&s);
	if (r >= 0)
		*ret = TAKE_PTR(o);
	return r;
}

int engine_snapshot_remove(struct engine *en, const char *name, struct err *e)
{
	struct snapshot_record s;
	_cleanup_free_ char *rel = NULL, *doomed = NULL;
	int rootfd = store_rootfd(en->store), r = records_snapshot_get(en->records, name, &s, e);

	if (r < 0)
		return r;
	rel = str_fmt(SNAPSHOT_DIR "/%s", s.id);
	doomed = str_fmt("tmp/snap-rm-%s", s.id);
	r = rel && doomed ? records_snapshot_delete(en->records, s.id, e) : OUT_OF_MEMORY(e);
	if (r == -EBUSY)
		err_push(e, r, "snapshot %s", s.name);
	/* VMs that went on from it have its files open, or names of their own for them. */
	if (r >= 0 && renameat(rootfd, rel, rootfd, doomed) < 0 && errno != ENOENT)
		r = err_set(e, errno, "remove %s/%s: %s; `berth system prune` tries again", en->paths->root, rel,
			    strerror(errno));
	if (r >= 0 && (r = rm_rf(rootfd, doomed)) < 0)
		err_set(e, -r, "remove %s/%s: %s; `berth system prune` tries again", en->paths->root, doomed, strerror(-r));
	snapshot_record_done(&s);
	return r;
}

/* ---- order ---- */

static void closedir_ptr(DIR **d)
{
	if (*d)
		closedir(*d);
}

int snapshots_sweep(struct engine *en, const struct leftovers *l, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s/" SNAPSHOT_DIR, en->paths->root);
	int fd = openat(store_rootfd(en->store), SNAPSHOT_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	_cleanup_(closedir_ptr) DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (!d) {
		fd_close(fd);
		return err_set(e, errno, "%s/" SNAPSHOT_DIR ": %s", en->paths->root, strerror(errno));
	}
	for (struct dirent *ent; r >= 0 && (ent = readdir(d));) {
		struct snapshot_record s;

		if (ent->d_name[0] == '.')
			continue;
		r = records_snapshot_get(en->records, ent->d_name, &s, e);
		if (r >= 0) {
			snapshot_record_done(&s);
			continue;
		}
		if (r != -ENOENT)
			return r;
		*e = (struct err){ 0 };
		r = path ? leftover(l, dirfd(d), path, ent->d_name, e) : OUT_OF_MEMORY(e);
	}
	return r;
}

static int check_size(int dirfd, const char *name, uint64_t want, struct err *e)
{
	uint64_t is, ignored = 0;
	int r = file_size(dirfd, name, &is, &ignored, e);

	return r < 0 || is == want ? r
				   : err_set(e, EBADMSG, "%s has %llu bytes and should have %llu", name, (unsigned long long)is,
					     (unsigned long long)want);
}

static int check_one(struct engine *en, const struct snapshot_record *s, struct err *e)
{
	_cleanup_fd_ int dirfd = -1;
	struct snapshot_meta m = { .version = 0 };
	struct vmm_snapshot_facts facts;
	int r = snapshot_open_dir(en, s, &dirfd, e);

	if (r < 0)
		return r;
	r = snapshot_meta_read(dirfd, &m, e);
	if (r >= 0)
		r = check_size(dirfd, VM_RESTORE_STATE, m.state_file_bytes, e);
	if (r >= 0)
		r = check_size(dirfd, VM_RESTORE_MEMORY, m.memory_file_bytes, e);
	if (r >= 0)
		r = check_size(dirfd, SNAPSHOT_DISK, m.disk_file_bytes, e);
	if (r < 0)
		err_push(e, r, "snapshot %s", s->name);
	else
		r = snapshot_chain_check(en, s, &facts, e);
	snapshot_meta_done(&m);
	return r;
}

int engine_snapshot_check(struct engine *en, void (*cb)(const char *problem, void *arg), void *arg, struct err *e)
{
	struct snapshot_record *list = NULL;
	size_t n = 0;
	int problems = 0, r = records_snapshot_list(en->records, &list, &n, e);

	for (size_t i = 0; r >= 0 && i < n; i++) {
		struct err why = { 0 };

		if (check_one(en, &list[i], &why) >= 0)
			continue;
		problems++;
		cb(why.msg, arg);
	}
	snapshot_records_free(list, n);
	return r < 0 ? r : problems;
}
