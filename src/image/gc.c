/* store_gc: what no image and no container refers to goes away: blobs, unpacked layers, guests' disks, leftovers in tmp.
 *
 * Mark: images' manifests name their config and layer blobs; images' records name chain ids; each ROOT/containers/ID/launch.json
 * (and ROOT/snapshots/ID/launch.json) names the layers that the container (or saved VM) stands on, whether or not its image still has a record. Sweep: every other entry of
 * blobs/sha256, layers, erofs; everything in tmp, except downloads whose writer holds an flock on them or that are younger than a
 * week (they are resumed). Runs under the exclusive lock, so nothing is in the making. An image whose manifest is damaged keeps all
 * blobs (which are its own is not known), so that the rest can still be collected; any other failure to mark ends it before the
 * sweep. A layer is renamed into tmp before it is deleted: half of one must never stand under its chain id. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store_private.h"

#define PART_KEPT_S (7 * 24 * 3600)

struct marks {
	char **names; /* "bHEX" blobs, "cHEX" chain ids: of one uncompressed layer both may have the same digits */
	size_t n, room;
	int tmpfd;
	char kind;       /* what is being swept */
	bool keep_blobs; /* a manifest could not be read */
	/* not NULL: is told what would be deleted, and nothing is */
	void (*cb)(const char *path, void *arg);
	void *arg;
	const char *folder; /* that is being swept */
};

static void marks_done(struct marks *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->names[i]);
	free(m->names);
}

static int mark(struct marks *m, char kind, const char *hex)
{
	if (m->n == m->room) {
		size_t room = m->room ? m->room * 2 : 64;
		char **more = reallocarray(m->names, room, sizeof(*more));
		if (!more)
			return -ENOMEM;
		m->names = more;
		m->room = room;
	}
	if (!(m->names[m->n] = str_fmt("%c%.64s", kind, hex)))
		return -ENOMEM;
	m->n++;
	return 0;
}

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static bool is_marked(const struct marks *m, const char *hex)
{
	return m->n && bsearch(&hex, m->names, m->n, sizeof(*m->names), compare);
}

static int mark_blobs(struct store *s, const struct image_record *rec, struct marks *m, struct err *e)
{
	_cleanup_(manifest_done) struct manifest man = { 0 };
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = blob_read(s->rootfd, rec->manifest_digest, &text, &len, e);

	if (r == 0)
		r = manifest_parse(text, len, NULL, &man, e);
	if (r < 0 && r != -ENOENT && !blob_is_damage(r))
		return r; /* why it can't be read now may be over soon: then it is tried again */
	if (r < 0) {
		log_debug("store", "blobs are kept: image %.19s: %s", rec->id, e->msg);
		m->keep_blobs = true;
		return 0;
	}
	r = mark(m, 'b', digest_hex(rec->manifest_digest));
	if (r == 0)
		r = mark(m, 'b', digest_hex(man.config.digest));
	for (size_t i = 0; r == 0 && i < man.n_layers; i++)
		r = mark(m, 'b', digest_hex(man.layers[i].digest));
	return r;
}

static int mark_image(struct store *s, const struct image_record *rec, struct marks *m, struct err *e)
{
	struct err damage = { 0 };
	int r = mark_blobs(s, rec, m, &damage);

	if (r < 0)
		return err_set(e, -r, "image %.19s: %s", rec->id, damage.no ? damage.msg : strerror(-r));
	for (size_t i = 0; r == 0 && rec->chain_ids && rec->chain_ids[i]; i++)
		r = mark(m, 'c', digest_hex(rec->chain_ids[i]));
	return r < 0 ? err_set(e, -r, "collect: %s", strerror(-r)) : 0;
}

static int mark_images(struct store *s, struct marks *m, struct err *e)
{
	struct image_record *list = NULL;
	size_t n = 0;
	int r = records_image_list(s->records, &list, &n, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		if (r == 0)
			r = mark_image(s, &list[i], m, e);
		image_record_done(&list[i]);
	}
	free(list);
	return r;
}

/* Calls cb for each entry of ROOT/folder but "." and "..". A folder that is not there has none. */
static int each_entry(struct store *s, const char *folder,
		      int (*cb)(struct store *, int dirfd, const char *name, void *, struct err *), void *arg, struct err *e)
{
	int fd = openat(s->rootfd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (!d) {
		r = err_set(e, errno, "open %s/%s: %s", s->root, folder, strerror(errno));
		fd_close(fd);
		return r;
	}
	while (r >= 0 && (errno = 0, entry = readdir(d)))
		if (!streq(entry->d_name, ".") && !streq(entry->d_name, ".."))
			r = cb(s, dirfd(d), entry->d_name, arg, e);
	if (r >= 0 && errno)
		r = err_set(e, errno, "read %s/%s: %s", s->root, folder, strerror(errno));
	closedir(d);
	return r < 0 ? r : 0;
}

static int mark_launch(struct store *s _unused_, int dirfd, const char *name, void *arg, struct err *e)
{
	_cleanup_(launch_done) struct launch l = { 0 };
	_cleanup_free_ char *text = NULL;
	char path[300];
	size_t len;

	snprintf(path, sizeof(path), "%s/launch.json", name);
	int r = file_read(dirfd, path, BLOB_JSON_MAX, &text, &len);
	if (r == -ENOENT || r == -ENOTDIR)
		return 0; /* being created (then the creator's image still has its record) or half removed */
	if (r < 0)
		return err_set(e, -r, "read container %s's launch.json: %s", name, strerror(-r));
	if ((r = launch_parse(text, len, &l, e)) < 0)
		return err_push(e, r, "container %s", name);
	for (size_t i = 0; l.layers && l.layers[i]; i++) {
		const char *hex = strstr(l.layers[i], "/layers/"), *next;
		while (hex && (next = strstr(hex + 1, "/layers/")))
			hex = next;
		if (hex && mark(arg, 'c', hex + strlen("/layers/")) < 0)
			return err_set(e, ENOMEM, "collect: out of memory");
	}
	return 0;
}

/* What was killed before its record may have written half of it. Nobody is at it now: the lock is held. */
static int mark_container(struct store *s, int dirfd, const char *name, void *arg, struct err *e)
{
	struct err why = { 0 };
	struct container_record c;
	int r = mark_launch(s, dirfd, name, arg, &why), k;

	if (r >= 0)
		return r;
	if (r == -EINVAL && (k = records_container_get(s->records, name, &c, e)) < 0) {
		if (k == -ENOENT)
			*e = (struct err){ 0 };
		return k == -ENOENT ? 0 : k;
	}
	if (r == -EINVAL)
		container_record_done(&c);
	return err_set(e, -r, "%s", why.msg);
}

/* What rewriting the index was killed over. */
static int sweep_index(struct store *s, struct err *e)
{
	_cleanup_fd_ int oci = openat(s->rootfd, "oci", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = oci < 0 ? -errno : file_replace_sweep(oci, "index.json");

	if (r >= 0)
		r = file_replace_sweep(oci, "oci-layout");
	return r < 0 ? err_set(e, -r, "clean up %s/oci: %s", s->root, strerror(-r)) : 0;
}

static int tell(const struct marks *m, const char *name, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s/%s", m->folder, name);

	if (!path)
		return err_set(e, ENOMEM, "collect: out of memory");
	m->cb(path, m->arg);
	return 0;
}

static int sweep_entry(struct store *s, int dirfd, const char *name, void *arg, struct err *e)
{
	const struct marks *m = arg;
	char hex[66], doomed[80];

	/* HEX of a blob or a layer, HEX.erofs of a disk; names of another form are remains of interrupted work. */
	snprintf(hex, sizeof(hex), "%c%.64s", m->kind, name);
	hex[strcspn(hex, ".")] = '\0';
	const char *rest = name + strlen(hex) - 1;
	if (is_marked(m, hex) && (*rest == '\0' || streq(rest, ".erofs")))
		return 0;
	if (m->cb)
		return tell(m, name, e);
	snprintf(doomed, sizeof(doomed), "gc-%.64s", name);
	int r = renameat(dirfd, name, m->tmpfd, doomed) < 0 && errno != ENOENT ? -errno : rm_rf(m->tmpfd, doomed);
	log_debug("store", "collected %s", name);
	return r < 0 ? err_set(e, -r, "remove %s in %s: %s", name, s->root, strerror(-r)) : 0;
}

/* A download in progress or worth resuming. */
static bool is_fresh_part(int dirfd, const char *name)
{
	struct stat st;
	_cleanup_fd_ int fd = str_ends(name, ".part") ? openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	return flock(fd, LOCK_EX | LOCK_NB) < 0 || st.st_mtime + PART_KEPT_S > time(NULL);
}

static int sweep_tmp(struct store *s, int dirfd, const char *name, void *arg, struct err *e)
{
	const struct marks *m = arg;

	if (is_fresh_part(dirfd, name))
		return 0;
	if (m->cb)
		return tell(m, name, e);
	int r = rm_rf(dirfd, name);
	return r < 0 ? err_set(e, -r, "remove %s/tmp/%s: %s", s->root, name, strerror(-r)) : 0;
}

static int collect(struct store *s, void (*cb)(const char *path, void *arg), void *arg, struct err *e)
{
	static const struct {
		char kind;
		const char *folder;
	} swept[] = { { 'c', "layers" }, { 'c', "erofs" }, { 'b', "oci/blobs/sha256" } };
	_cleanup_fd_ int tmpfd = openat(s->rootfd, "tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(marks_done) struct marks m = { .tmpfd = tmpfd, .cb = cb, .arg = arg };
	int r = tmpfd < 0 ? err_set(e, errno, "open %s/tmp: %s", s->root, strerror(errno)) : mark_images(s, &m, e);

	if (r == 0)
		r = each_entry(s, "containers", mark_container, &m, e);
	if (r == 0) /* saved VMs, each with its launch.json */
		r = each_entry(s, "snapshots", mark_launch, &m, e);
	if (r < 0)
		return err_push(e, r, "nothing was collected");
	if (m.n)
		qsort(m.names, m.n, sizeof(*m.names), compare);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(swept) - m.keep_blobs; i++) {
		m.kind = swept[i].kind;
		m.folder = swept[i].folder;
		r = each_entry(s, swept[i].folder, sweep_entry, &m, e);
	}
	m.folder = "tmp";
	if (r >= 0 && !cb)
		r = sweep_index(s, e);
	return r < 0 ? r : each_entry(s, m.folder, sweep_tmp, &m, e);
}

static int collect_locked(struct store *s, void (*cb)(const char *path, void *arg), void *arg, struct err *e)
{
	enum store_lock before = s->lock;
	int r = store_lock(s, STORE_EXCLUSIVE, e);

	if (r < 0)
		return r;
	r = collect(s, cb, arg, e);
	struct err ignored = { 0 };
	store_lock(s, before == STORE_EXCLUSIVE ? before : STORE_UNLOCKED, &ignored);
	return r;
}

int store_gc(struct store *s, struct err *e) { return collect_locked(s, NULL, NULL, e); }

int store_leftovers(struct store *s, void (*cb)(const char *path, void *arg), void *arg, struct err *e)
{
	return collect_locked(s, cb, arg, e);
}
