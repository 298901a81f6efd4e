/* The record on disk: names, lock, reading and writing. What it says about the living is in status.c. See record.h. */
#include "record.h"

#include <unistd.h>

#define STATE_MAX  (1u << 20)
#define ID_MAX_LEN 1024

const char *const status_names[STATUS_COUNT] = {
	[STATUS_CREATING] = "creating", [STATUS_CREATED] = "created", [STATUS_RUNNING] = "running",
	[STATUS_PAUSED] = "paused",     [STATUS_STOPPED] = "stopped",
};

static const struct field record_fields[] = {
	{ "version", FIELD_U32, offsetof(struct record, version), FIELD_REQUIRED },
	{ "id", FIELD_STRING, offsetof(struct record, id), FIELD_REQUIRED },
	{ "ociVersion", FIELD_STRING, offsetof(struct record, oci_version) },
	{ "status", FIELD_STRING, offsetof(struct record, written), FIELD_REQUIRED },
	{ "bundle", FIELD_STRING, offsetof(struct record, bundle), FIELD_REQUIRED },
	{ "rootfs", FIELD_STRING, offsetof(struct record, rootfs) },
	{ "owner", FIELD_STRING, offsetof(struct record, owner) },
	{ "created", FIELD_STRING, offsetof(struct record, created) },
	{ "pid", FIELD_I64, offsetof(struct record, pid) },
	{ "startTime", FIELD_U64, offsetof(struct record, start_time) },
	{ "makerPid", FIELD_I64, offsetof(struct record, maker_pid) },
	{ "makerStartTime", FIELD_U64, offsetof(struct record, maker_start_time) },
	{ "bootId", FIELD_STRING, offsetof(struct record, boot_id), FIELD_REQUIRED },
	{ "cgroupPath", FIELD_STRING, offsetof(struct record, cgroup_path) },
	{ "scope", FIELD_STRING, offsetof(struct record, scope) },
	{ "stdio", FIELD_STRV, offsetof(struct record, stdio), FIELD_OMIT_EMPTY },
	{ "hasPidNamespace", FIELD_BOOL, offsetof(struct record, has_pid_ns) },
	{ "needsConfig", FIELD_BOOL, offsetof(struct record, needs_config) },
	{ "annotations", FIELD_MAP, offsetof(struct record, annotations), FIELD_OMIT_EMPTY },
	{ NULL },
};

void record_done(struct record *rec) { json_free_fields(record_fields, rec); }

void held_done(struct held *h)
{
	fd_close(h->lockfd);
	fd_close(h->dirfd);
	fd_close(h->rootfd);
	record_done(&h->rec);
	*h = HELD_NONE;
}

int id_check(const char *id, struct err *e)
{
	size_t n = 0;

	for (; id[n]; n++) {
		char c = id[n];

		if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || strchr("_+-.", c)))
			break;
	}
	if (n == 0 || id[n] || n > ID_MAX_LEN || streq(id, ".") || streq(id, ".."))
		return err_set(e, EINVAL,
			       "invalid container id format: \"%.80s\" (letters, digits, \"_\", \"+\", \"-\" and \".\")", id);
	return 0;
}

int root_dir_open(const struct runtime *rt, bool make, struct err *e)
{
	int r = make ? mkdir_p(AT_FDCWD, rt->root, 0700) : 0, fd;

	if (r < 0)
		return err_set(e, -r, "--root %s: can't be made: %s%s", rt->root, strerror(-r),
			       r == -EACCES || r == -EPERM
				       ? " (give another --root, or set XDG_RUNTIME_DIR to a directory of yours)"
				       : "");
	fd = open(rt->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_set(e, errno, "--root %s: %s", rt->root, strerror(errno)) : fd;
}

static int no_such(const char *id, struct err *e) { return err_set(e, ENOENT, "container does not exist: %s", id); }

/* A POSIX lock, not flock(2): the container's first process is a copy of this one and must not keep it. Never open the file a
 * second time: the first close would release it. */
static int set_lock(const struct held *h, short type, struct err *e)
{
	struct flock whole = { .l_type = type, .l_whence = SEEK_SET };
	int r;

	do
		r = fcntl(h->lockfd, F_SETLKW, &whole);
	while (r < 0 && errno == EINTR);
	return r < 0 ? err_set(e, errno, "lock: %s", strerror(errno)) : 0;
}

static int take_lock(struct held *h, struct err *e)
{
	h->lockfd = openat(h->dirfd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	return h->lockfd < 0 ? err_set(e, errno, "lock: %s", strerror(errno)) : set_lock(h, F_WRLCK, e);
}

int record_unlock(struct held *h, struct err *e) { return set_lock(h, F_UNLCK, e); }

int record_relock(struct held *h, struct err *e)
{
	int r = set_lock(h, F_WRLCK, e);

	if (r < 0)
		return r;
	/* In this very directory: one of the same name may have been made anew. */
	r = file_exists(h->dirfd, "state.json");
	if (r < 0)
		return err_set(e, -r, "state.json of %s: %s", h->rec.id, strerror(-r));
	return r ? 0 : no_such(h->rec.id, e);
}

static int read_record(struct held *h, const char *id, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ struct json_object *o = NULL;
	size_t len;
	int r = file_read(h->dirfd, "state.json", STATE_MAX, &text, &len);

	if (r == -ENOENT) /* being made, or being removed, or its maker was killed at once */
		return no_such(id, e);
	if (r < 0)
		return err_set(e, -r, "state.json of %s: %s", id, strerror(-r));
	r = json_parse(text, len, "state.json", &o, e);
	if (r == 0)
		r = json_read(o, record_fields, &h->rec, "", e);
	if (r == 0 && h->rec.version > RECORD_VERSION)
		r = err_set(e, ENOTSUP, "version %u was written by a newer berth-runtime; this one reads up to %u",
			    h->rec.version, RECORD_VERSION);
	return r < 0 ? err_push(e, r, "state.json of %s", id) : 0;
}

int record_open(const struct runtime *rt, const char *id, enum lock lock, struct held *ret, struct err *e)
{
	_cleanup_held_ struct held h = HELD_NONE;
	int r = id_check(id, e);

	if (r < 0)
		return r;
	h.rootfd = root_dir_open(rt, false, e);
	if (h.rootfd < 0)
		return h.rootfd == -ENOENT ? no_such(id, e) : h.rootfd;
	h.dirfd = openat(h.rootfd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (h.dirfd < 0)
		return errno == ENOENT ? no_such(id, e) : err_set(e, errno, "%s/%s: %s", rt->root, id, strerror(errno));
	if (lock == LOCKED && (r = take_lock(&h, e)) < 0)
		return r == -ENOENT ? no_such(id, e) : err_push(e, r, "container %s", id);
	r = read_record(&h, id, e);
	if (r < 0)
		return r;
	*ret = h;
	h = HELD_NONE;
	return 0;
}

int record_claim(const struct runtime *rt, const char *id, struct held *ret, struct err *e)
{
	_cleanup_held_ struct held h = HELD_NONE;
	int r = id_check(id, e);

	if (r < 0)
		return r;
	h.rootfd = root_dir_open(rt, true, e);
	if (h.rootfd < 0)
		return h.rootfd;
	if (mkdirat(h.rootfd, id, 0700) < 0)
		return errno == EEXIST ? err_set(e, EEXIST, "container with given ID already exists: %s", id)
				       : err_set(e, errno, "%s/%s: %s", rt->root, id, strerror(errno));
	h.dirfd = openat(h.rootfd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	r = h.dirfd < 0 ? err_set(e, errno, "%s/%s: %s", rt->root, id, strerror(errno)) : take_lock(&h, e);
	if (r < 0) {
		unlinkat(h.rootfd, id, AT_REMOVEDIR);
		return r;
	}
	*ret = h;
	h = HELD_NONE;
	return 0;
}

int record_save(struct held *h, struct err *e)
{
	_cleanup_json_ struct json_object *o = json_write(record_fields, &h->rec);
	const char *text = o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE) : NULL;
	int r = text ? file_replace(h->dirfd, "state.json", text, strlen(text), 0600, false) : -ENOMEM;

	/* The folder is gone: somebody has deleted the container meanwhile. */
	return r < 0 ? err_set(e, -r, "state.json of %s: %s", h->rec.id, strerror(-r)) : 0;
}

int record_remove(struct held *h, struct err *e)
{
	/* Usually that is all, the record as the last. The rest, and what goes wrong here, is rm_rf's. */
	static const char *const usual[] = { "config.json", "lock", "state.json" };
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
		unlinkat(h->dirfd, usual[i], 0);
	r = rm_rf(h->rootfd, h->rec.id);

	return r < 0 ? err_set(e, -r, "remove the record of %s: %s", h->rec.id, strerror(-r)) : 0;
}
