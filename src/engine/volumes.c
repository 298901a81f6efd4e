/* volumes.c: volumes by themselves: made, listed, shown, removed. volumes_impl.h says where their files are and who locks what. */
#include "volumes_impl.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "docker_json.h"

#define DOOMED ".rm-"
enum { REMOVAL_NAP_MS = 20, REMOVAL_NAPS = 50 };

/* ---- words ---- */

int volume_check_name(const char *name, struct err *e)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	static const char further[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

	if (strlen(name) == 1 && strchr(letters, *name))
		return err_set(e, EINVAL,
			       "create %s: volume name is too short, names should be at least two alphanumeric characters", name);
	if (!*name || !strchr(letters, *name) || name[strspn(name, further)])
		return err_set(
			e, EINVAL,
			"create %s: \"%s\" includes invalid characters for a local volume name, only "
			"\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path",
			name, name);
	if (strlen(name) > NAME_MAX)
		return err_set(e, ENAMETOOLONG, "create %.32s...: the volume's name is longer than %d bytes", name, NAME_MAX);
	return 0;
}

int volume_check_driver(const char *name, const char *driver, struct err *e)
{
	if (!driver || !*driver || streq(driver, "local"))
		return 0;
	return err_set(e, EOPNOTSUPP, "create %s: there is no volume driver \"%s\"; \"local\" is the only one", name, driver);
}

int volume_check_words(const char *name, char *const *options, struct err *e)
{
	static const char *const known[] = { "size=", "type=tmpfs", "device=", "o=" };

	for (; options && *options; options++) {
		size_t i = 0;
		while (i < ARRAY_SIZE(known) && !str_after(*options, known[i]))
			i++;
		if (i == ARRAY_SIZE(known) || (i == 1 && !streq(*options, known[i])))
			return err_set(
				e, EOPNOTSUPP,
				"create %s: option \"%s\" is not possible, size= is, and type=tmpfs with device=tmpfs and o=; "
				"for a "
				"directory of the host use -v DIR:PATH, for another file system mount it on the host first",
				name, *options);
	}
	return 0;
}

int volume_check_options(const char *name, const struct string_map *options, struct err *e)
{
	uint64_t bytes;

	if (volume_is_memory(options))
		return volume_check_memory(name, options, e);
	if (map_get(options, "device") || map_get(options, "o"))
		return err_set(e, EINVAL, "create %s: missing type in volume options: device= and o= are type=tmpfs's", name);
	return volume_size_option(options, &bytes) < 0
		       ? err_set(e, EINVAL, "create %s: size=%s: a size is at least 64k, such as 10g", name,
				 map_get(options, "size"))
		       : 0;
}

char *engine_volume_mountpoint(struct engine *en, const char *name)
{
	return str_fmt("%s/volumes/%s/" VOLUME_DATA, en->paths->root, name);
}

/* ---- the lock ---- */

/* Is what was locked still what the name leads to? */
static bool is_current(struct engine *en, const char *rel, int fd)
{
	struct stat here, there;

	return fstat(fd, &here) == 0 && fstatat(store_rootfd(en->store), rel, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	       here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

static int lock_fd(int fd, int how)
{
	int r;

	while ((r = flock(fd, how)) < 0 && errno == EINTR)
		;
	return r < 0 ? -errno : 0;
}

/* The directory, made where it is missing. -EAGAIN: it was removed this very moment. */
static int open_volume_dir(int rootfd, const char *rel)
{
	int made, fd;

	made = mkdirat(rootfd, rel, 0700) < 0 ? -errno : 0;
	if (made == -ENOENT && (made = mkdir_p(rootfd, "volumes", 0700)) == 0)
		made = mkdirat(rootfd, rel, 0700) < 0 ? -errno : 0;
	if (made < 0 && made != -EEXIST)
		return made;
	fd = openat(rootfd, rel, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -EAGAIN : -errno;
	return fd;
}

int volume_lock(struct engine *en, const char *name, int how, int *ret_fd, struct err *e)
{
	_cleanup_free_ char *rel = str_fmt("volumes/%s", name);

	if (!rel)
		return OUT_OF_MEMORY(e);
	for (;;) {
		_cleanup_fd_ int fd = open_volume_dir(store_rootfd(en->store), rel);
		int r = fd < 0 ? fd : lock_fd(fd, how);

		if (fd == -EAGAIN)
			continue;
		if (r < 0)
			return err_set(e, -r, "volume %s: %s/%s: %s", name, en->paths->root, rel,
				       r == -EWOULDBLOCK ? "another command makes, fills or removes it" : strerror(-r));
		if (is_current(en, rel, fd)) {
			*ret_fd = TAKE_FD(fd);
			return 0;
		}
	}
}

int volume_lock_as(struct engine *en, const char *name, int fd, int how, struct err *e)
{
	_cleanup_free_ char *rel = str_fmt("volumes/%s", name);
	int r = rel ? lock_fd(fd, how) : -ENOMEM; /* lets go first, flock(2): a removal may come in between */

	return r < 0 ? err_set(e, -r, "volume %s: lock: %s", name, strerror(-r)) : is_current(en, rel, fd);
}

/* ---- making one ---- */

/* Its mode is there with its name. */
static int make_data(int fd)
{
	if (mkdirat(fd, ".new", 0700) < 0 && errno != EEXIST)
		return -errno;
	return fchmodat(fd, ".new", 0755, 0) < 0 || renameat(fd, ".new", fd, VOLUME_DATA) < 0 ? -errno : 0;
}

/* Files without a record: of a removal that was killed. */
static int clear(int fd)
{
	static const char *const names[] = { VOLUME_DATA, VOLUME_FILLING, VOLUME_FILLED };
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++)
		r = rm_rf(fd, names[i]);
	return r;
}

int volume_is_known(struct engine *en, const char *name, struct err *e)
{
	struct volume_record v;
	struct err why = { 0 };
	int r = records_volume_get(en->records, name, &v, &why);

	if (r == 0)
		volume_record_done(&v);
	else if (r != -ENOENT)
		return err_set(e, -r, "%s", why.msg);
	return r == 0;
}

int volume_ensure(struct engine *en, int fd, const struct volume_record *v, enum volume_making how, struct err *e)
{
	int r = volume_is_known(en, v->name, e), k = 0;
	uint64_t bytes = 0;

	if (r == 0 && how == VOLUME_FIND)
		return err_set(e, ENOENT, "get %s: no such volume", v->name);
	if (r == 0 && (k = clear(fd)) == 0)
		k = volume_unbound(fd);
	if (r == 0 && k == 0 && volume_size_option(&v->options, &bytes) > 0)
		r = volume_bound(fd, v->name, bytes, e);
	if (r == 0 && k == 0 && how == VOLUME_MAKE)
		r = records_volume_put(en->records, v, true, e);
	if (r < 0)
		return r;
	if (k == 0 && (k = file_exists(fd, VOLUME_DATA)) == 0 && (k = make_data(fd)) == 0 && how == VOLUME_MAKE &&
	    (k = dir_sync(fd, ".")) == 0)
		k = dir_sync(store_rootfd(en->store), "volumes");
	return k < 0 ? err_set(e, -k, "volume %s: make its directory: %s", v->name, strerror(-k)) : 0;
}

static int create_named(struct engine *en, struct volume_record *v, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	int r = volume_check_name(v->name, e);

	if (r >= 0)
		r = volume_lock(en, v->name, LOCK_EX, &fd, e);
	if (r >= 0)
		r = volume_check_size(en, v, e);
	if (r < 0)
		return r;
	r = volume_ensure(en, fd, v, VOLUME_MAKE, e);
	if (r < 0 && volume_is_known(en, v->name, NULL) == 0) /* the directory is what taking the lock has made */
		volume_discard(en, v->name);
	return r;
}

int volume_remove_files(int rootfd, const char *doomed)
{
	_cleanup_fd_ int fd = openat(rootfd, doomed, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = fd < 0 ? 0 : volume_unbound(fd);

	fd = fd_close(fd);
	return r < 0 ? r : rm_rf(rootfd, doomed);
}

static int check_labels(char *const *labels, struct err *e)
{
	for (; labels && *labels; labels++)
		if (!**labels || **labels == '=')
			return err_set(e, EINVAL, "--label: \"%s\" has no name", *labels);
	return 0;
}

int engine_volume_create(struct engine *en, const struct engine_volume_opts *o, char **ret_name, struct err *e)
{
	struct volume_record v = { .created_ns = clock_real_ns() };
	const char *said = o->name ? o->name : "volume";
	char id[ID_LEN + 1];
	int r = check_labels(o->labels, e);

	if (r >= 0)
		r = volume_check_driver(said, o->driver, e);
	if (r >= 0)
		r = volume_check_words(said, o->options, e);
	if (r >= 0 && !o->name && (r = id_new(id)) < 0)
		err_set(e, -r, "make a name: %s", strerror(-r));
	if (r < 0)
		return r;
	v.name = strdup(o->name ? o->name : id);
	v.driver = strdup("local");
	if (!v.name || !v.driver || (!o->name && map_set(&v.labels, VOLUME_ANONYMOUS, "") < 0))
		r = OUT_OF_MEMORY(e);
	if (r >= 0)
		r = labels_add(o->labels, &v.labels, e);
	if (r >= 0)
		r = labels_add(o->options, &v.options, e);
	if (r >= 0)
		r = volume_check_options(said, &v.options, e);
	if (r >= 0)
		r = create_named(en, &v, e);
	if (r >= 0)
		*ret_name = TAKE_PTR(v.name);
	volume_record_done(&v);
	return MIN(r, 0);
}

/* ---- removing one ---- */

/* Under its lock, its record being gone: nobody finds it by its name any more. */
static int move_away(struct engine *en, const char *name, char **ret_doomed, struct err *e)
{
	_cleanup_free_ char *rel = str_fmt("volumes/%s", name), *doomed = NULL;
	int rootfd = store_rootfd(en->store);
	char id[ID_LEN + 1];

	if (!rel || id_new(id) < 0 || !(doomed = str_fmt("volumes/" DOOMED "%s", id)))
		return OUT_OF_MEMORY(e);
	if (renameat(rootfd, rel, rootfd, doomed) < 0)
		return err_set(e, errno, "remove %s/%s: %s", en->paths->root, rel, strerror(errno));
	*ret_doomed = TAKE_PTR(doomed);
	return 0;
}

void volume_discard(struct engine *en, const char *name)
{
	_cleanup_free_ char *doomed = NULL;
	struct err e = { 0 };
	int r = move_away(en, name, &doomed, &e);

	if (r == 0 && (r = volume_remove_files(store_rootfd(en->store), doomed)) < 0)
		err_set(&e, -r, "%s: %s", doomed, strerror(-r));
	if (r < 0)
		log_warn("volume", "%s; `berth system prune` removes it", e.msg);
}

/* Another command that makes, fills or removes it, or gives it to a container, is waited for, but not for long. */
static int lock_for_removal(struct engine *en, const char *name, int *ret_fd, struct err *e)
{
	const struct timespec nap = { .tv_nsec = REMOVAL_NAP_MS * 1000L * 1000 };
	struct err why = { 0 };
	int r;

	for (int i = 0; (r = volume_lock(en, name, LOCK_EX | LOCK_NB, ret_fd, &why)) == -EWOULDBLOCK && i < REMOVAL_NAPS; i++)
		nanosleep(&nap, NULL);
	if (r == -EWOULDBLOCK)
		return err_set(e, EBUSY, "remove %s: volume is in use - [by another command, just now]", name);
	return r < 0 ? err_set(e, -r, "%s", why.msg) : 0;
}

static int remove_one(struct engine *en, const char *name, const char *except_id, uint64_t *ret_freed, struct err *e)
{
	_cleanup_free_ char *doomed = NULL;
	_cleanup_fd_ int fd = -1;
	uint64_t freed = 0;
	int r = lock_for_removal(en, name, &fd, e);

	if (r >= 0)
		r = volume_is_known(en, name, e);
	if (r == 0) { /* another one was faster; the directory is what taking the lock has made */
		volume_discard(en, name);
		return err_set(e, ENOENT, "get %s: no such volume", name);
	}
	if (r >= 0)
		r = records_volume_delete(en->records, name, except_id, e);
	if (r >= 0)
		r = move_away(en, name, &doomed, e);
	if (r < 0)
		return r;
	if (ret_freed)
		freed = bytes_of(store_rootfd(en->store), doomed, 0);
	fd = fd_close(fd);
	r = volume_remove_files(store_rootfd(en->store), doomed);
	if (r < 0)
		return err_set(e, -r, "volume %s: remove %s/%s: %s; `berth system prune` tries again", name, en->paths->root,
			       doomed, strerror(-r));
	if (ret_freed)
		*ret_freed = freed;
	return 0;
}

/* Who is said to use it may be gone: of containers that ended unseen with --rm only the record is left. 1: look again. */
static int look_at_users(struct engine *en, const char *name)
{
	_cleanup_strv_ char **ids = NULL, **names = NULL;
	int gone = 0;

	if (records_volume_users(en->records, name, &ids, &names, NULL) < 0)
		return 0;
	for (char **id = ids; id && *id; id++) {
		struct container_record c;
		int r = engine_get(en, *id, &c, NULL);
		if (r == 0)
			container_record_done(&c);
		gone |= r == -ENOENT;
	}
	return gone;
}

int engine_volume_remove(struct engine *en, const char *name, uint64_t *ret_freed_bytes, struct err *e)
{
	struct volume_record v;
	int r = records_volume_get(en->records, name, &v, e);

	if (r < 0)
		return r;
	volume_record_done(&v);
	r = remove_one(en, name, NULL, ret_freed_bytes, e);
	return r == -EBUSY && look_at_users(en, name) ? remove_one(en, name, NULL, ret_freed_bytes, e) : r;
}

int volumes_remove_own(struct engine *en, const char *container_id, struct err *e)
{
	struct volume_use *uses = NULL;
	size_t n = 0;
	int r = records_container_volumes(en->records, container_id, &uses, &n, e);

	for (size_t i = 0; r >= 0 && i < n; i++) {
		struct err why = { 0 };
		if (!uses[i].is_own)
			continue;
		r = remove_one(en, uses[i].name, container_id, NULL, &why);
		if (r == -EBUSY || r == -ENOENT) /* as docker: others use it by now (--volumes-from) */
			r = 0;
		else if (r < 0)
			err_set(e, -r, "%s", why.msg);
	}
	volume_uses_free(uses, n);
	return MIN(r, 0);
}

static int settle_one(struct engine *en, const char *name, struct err *e)
{
	const struct volume_record v = { .name = (char *)(uintptr_t)name };
	_cleanup_fd_ int fd = -1;
	bool empty;
	int r = volume_lock(en, name, LOCK_SH, &fd, e);

	if (r < 0 || volume_is_settled(fd, &empty) == 1)
		return r;
	fd = fd_close(fd);
	r = volume_lock(en, name, LOCK_EX, &fd, e);
	if (r >= 0)
		r = volume_ensure(en, fd, &v, VOLUME_FIND, e);
	return r < 0 ? r : volume_settle(fd, e);
}

int volumes_settle(struct engine *en, const char *container_id, struct err *e)
{
	struct volume_use *uses = NULL;
	size_t n = 0;
	int r = records_container_volumes(en->records, container_id, &uses, &n, e);

	for (size_t i = 0; r >= 0 && i < n; i++) {
		r = settle_one(en, uses[i].name, e);
		if (r < 0)
			err_push(e, r, "volume %s", uses[i].name);
	}
	volume_uses_free(uses, n);
	return r;
}

/* ---- leftovers ---- */

static int sweep_one(struct engine *en, const struct leftovers *l, int dirfd, const char *dir, const char *name, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	int r;

	if (str_after(name, DOOMED)) {
		r = l ? 0 : volume_remove_files(dirfd, name);
		return r < 0 ? err_set(e, -r, "%s/%s: %s", dir, name, strerror(-r)) : l ? leftover(l, dirfd, dir, name, e) : 0;
	}
	if (*name == '.')
		return 0;
	r = volume_is_known(en, name, e);
	if (l) {
		fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (r != 0 || fd < 0 || lock_fd(fd, LOCK_EX | LOCK_NB) < 0 || volume_is_known(en, name, e) > 0)
			return MIN(r, 0);
		return leftover(l, dirfd, dir, name, e);
	}
	if (r == 0)
		r = volume_lock(en, name, LOCK_EX | LOCK_NB, &fd, NULL);
	if (fd < 0)
		return r == -EWOULDBLOCK || r > 0 ? 0 : r; /* the first: it is being made */
	r = volume_is_known(en, name, e);                  /* once more, now that nobody can be making it */
	if (r == 0)
		volume_discard(en, name);
	return MIN(r, 0);
}

int volumes_sweep(struct engine *en, const struct leftovers *l, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s/volumes", en->paths->root);
	int fd = openat(store_rootfd(en->store), "volumes", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (!d || !path) {
		r = err_set(e, errno, "%s/volumes: %s", en->paths->root, strerror(errno));
		if (d)
			closedir(d);
		else
			fd_close(fd);
		return r;
	}
	for (struct dirent *ent; r >= 0 && (ent = readdir(d));)
		if (!streq(ent->d_name, ".") && !streq(ent->d_name, ".."))
			r = sweep_one(en, l, fd, path, ent->d_name, e);
	closedir(d);
	return r;
}

/* ---- looking ---- */

int engine_volume_list(struct engine *en, struct volume_record **ret, size_t *ret_n, struct err *e)
{
	struct container_record *containers = NULL;
	size_t n = 0;
	int r = engine_list(en, true, &containers, &n, e);

	if (r < 0)
		return r;
	engine_list_free(containers, n);
	return records_volume_list(en->records, ret, ret_n, e);
}

const struct volume_use *volume_use_of(const char *root, const struct volume_use *uses, size_t n, const char *source)
{
	for (size_t i = 0; source && i < n; i++) {
		_cleanup_free_ char *path = str_fmt("%s/volumes/%s/" VOLUME_DATA, root, uses[i].name);
		if (path && streq(source, path))
			return &uses[i];
	}
	return NULL;
}

void engine_mounts_free(struct engine_mount *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(list[i].name);
		free(list[i].target);
	}
	free(list);
}

int engine_container_mounts(struct engine *en, const char *container_id, struct engine_mount **ret, size_t *ret_n, struct err *e)
{
	struct engine_mount *list = NULL;
	struct volume_use *uses = NULL;
	size_t n = 0, n_uses = 0;
	struct spec s;
	int r;

	spec_init(&s);
	r = bundle_read_spec(en, container_id, &s, e);
	if (r >= 0)
		r = records_container_volumes(en->records, container_id, &uses, &n_uses, e);
	if (r >= 0 && !(list = calloc(s.n_mounts + 1, sizeof(*list))))
		r = OUT_OF_MEMORY(e);
	for (size_t i = 0; r >= 0 && i < s.n_mounts; i++) {
		const struct spec_mount *m = &s.mounts[i];
		const struct volume_use *u = volume_use_of(en->paths->root, uses, n_uses, m->source);
		if (!mount_is_bind(m))
			continue;
		list[n] = (struct engine_mount){ strdup(u ? u->name : m->source), strdup(m->destination), u };
		if (!list[n].name || !list[n].target)
			r = OUT_OF_MEMORY(e);
		n++;
	}
	volume_uses_free(uses, n_uses);
	spec_done(&s);
	if (r < 0) {
		engine_mounts_free(list, n);
		return r;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

static void doc_map_or_null(struct doc d, const char *key, const struct string_map *m)
{
	if (m->keys && m->keys[0])
		doc_map(d, key, m);
	else
		doc_null(d, key);
}

int engine_volume_inspect(struct engine *en, const char *name, struct json_object **ret, struct err *e)
{
	_cleanup_free_ char *path = engine_volume_mountpoint(en, name), *at = NULL;
	char created[RFC3339_LEN];
	struct volume_record v;
	bool failed = false;
	int r = path ? records_volume_get(en->records, name, &v, e) : OUT_OF_MEMORY(e);

	if (r < 0)
		return r;
	struct doc d = doc_new(&failed);
	clock_rfc3339(v.created_ns, created);
	at = str_fmt("%.19sZ", created); /* docker: whole seconds */
	doc_text(d, "CreatedAt", at);
	doc_text(d, "Driver", v.driver);
	doc_map_or_null(d, "Labels", &v.labels);
	doc_text(d, "Mountpoint", path);
	doc_text(d, "Name", v.name);
	doc_map_or_null(d, "Options", &v.options);
	doc_text(d, "Scope", "local");
	volume_record_done(&v);
	if (failed || !at) {
		json_object_put(d.o);
		return OUT_OF_MEMORY(e);
	}
	*ret = d.o;
	return 0;
}
