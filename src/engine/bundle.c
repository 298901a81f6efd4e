/* bundle.c: ROOT/containers/ID: config.json (the plan, as the OCI runtime spec writes it), launch.json and the writable layer.
 * One writer: create.c through here. */
#include "engine_impl.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BUNDLE_FILE_MAX (8u << 20)
#define LOCK_NAP_MS     2

/* The directory is new and nobody reads it before its record is there, so no temporary names are needed. *ret_fd: the file, for sync_bundle. */
static int write_json(int dirfd, const char *name, struct json_object *o, int *ret_fd, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	const char *text;
	size_t n = 0;
	int r;

	if (!o)
		return OUT_OF_MEMORY(e);
	text = json_object_to_json_string_length(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &n);
	if (!text)
		return OUT_OF_MEMORY(e);
	fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(e, errno, "create %s: %s", name, strerror(errno));
	r = fd_write_full(fd, text, n);
	if (r < 0)
		return err_set(e, -r, "write %s: %s", name, strerror(-r));
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* "/" of the container takes mode and owner from the writable layer's top, so that must look like the image's. */
static int make_upper(const struct plan *p, int dirfd, struct err *e)
{
	struct stat st = { .st_mode = 0755 };

	if (p->launch.layers && p->launch.layers[0] && stat(p->launch.layers[0], &st) < 0)
		return err_set(e, errno, "layer %s: %s", p->launch.layers[0], strerror(errno));
	if (mkdirat(dirfd, "upper", 0700) < 0 || mkdirat(dirfd, "work", 0700) < 0)
		return err_set(e, errno, "make the writable layer in %s: %s", p->dir, strerror(errno));
	if (fchownat(dirfd, "upper", st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchmodat(dirfd, "upper", st.st_mode & 07777, 0) < 0)
		return err_set(e, errno, "set up the writable layer in %s: %s", p->dir, strerror(errno));
	return 0;
}

/* Before the record is: what that speaks of survives a power cut. The writing of all begins before the first is waited for, so that one
 * commit of the file system's journal holds them all. */
static int sync_bundle(int dirfd, const int *fds, size_t n, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < n; i++)
		if (fds[i] >= 0)
			(void)sync_file_range(fds[i], 0, 0, SYNC_FILE_RANGE_WRITE); /* only makes it faster */
	for (size_t i = 0; i < n && r == 0; i++)
		if (fds[i] >= 0 && fsync(fds[i]) < 0)
			r = -errno;
	if (r == 0)
		r = dir_sync(dirfd, ".");
	if (r == 0)
		r = dir_sync(dirfd, "..");
	return r < 0 ? err_set(e, -r, "write the container's files to the disk: %s", strerror(-r)) : 0;
}

int bundle_write(const struct plan *p, int dirfd, struct err *e)
{
	_cleanup_json_ struct json_object *config = spec_json(&p->spec), *launch = launch_json(&p->launch);
	_cleanup_fd_ int config_fd = -1, secrets_fd = -1, launch_fd = -1;
	int r = make_upper(p, dirfd, e);

	if (r >= 0)
		r = write_json(dirfd, "config.json", config, &config_fd, e);
	if (r >= 0 && p->secrets.n_files + p->secrets.n_env > 0) {
		_cleanup_json_ struct json_object *secrets = secrets_json(&p->secrets);
		r = write_json(dirfd, SECRETS_FILE, secrets, &secrets_fd, e);
	}
	if (r >= 0)
		r = write_json(dirfd, "launch.json", launch, &launch_fd, e);
	if (r < 0 || p->o->auto_remove)
		return r;
	return sync_bundle(dirfd, (const int[]){ config_fd, secrets_fd, launch_fd }, 3, e);
}

int bundle_replace(int dirfd, const char *name, struct json_object *o, struct err *e)
{
	const char *text;
	size_t n = 0;
	int r = 0;

	text = o ? json_object_to_json_string_length(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &n) : NULL;
	if (!text)
		r = OUT_OF_MEMORY(e);
	else if ((r = file_replace(dirfd, name, text, n, 0600, true)) < 0)
		err_set(e, -r, "%s: %s", name, strerror(-r));
	json_object_put(o);
	return r;
}

int container_lock(struct engine *en, const char *id, int *ret_fd, struct err *e)
{
	_cleanup_free_ char *rel = str_fmt("containers/%s", id);
	_cleanup_fd_ int fd = -1;

	if (!rel)
		return OUT_OF_MEMORY(e);
	fd = openat(store_rootfd(en->store), rel, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return 0; /* only its record is left: nothing can be started from it */
	if (fd < 0)
		return err_set(e, errno, "%s/%s: %s", en->paths->root, rel, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, errno, "container %.12s is being started, removed or copied by another command", id);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int container_lock_wait(struct engine *en, const char *id, int timeout_ms, int *ret_fd, struct err *e)
{
	uint64_t until = clock_mono_us() + (uint64_t)timeout_ms * 1000;
	int r;

	while ((r = container_lock(en, id, ret_fd, e)) == -EWOULDBLOCK && clock_mono_us() < until)
		nanosleep(&(struct timespec){ .tv_nsec = LOCK_NAP_MS * 1000L * 1000 }, NULL);
	return r;
}

/* ---- reading ---- */

static int read_file(struct engine *en, const char *id, const char *name, char **ret, size_t *ret_len, struct err *e)
{
	_cleanup_free_ char *rel = str_fmt("containers/%s/%s", id, name);
	int r = rel ? file_read(store_rootfd(en->store), rel, BUNDLE_FILE_MAX, ret, ret_len) : -ENOMEM;

	return r < 0 ? err_set(e, -r, "%s/%s: %s", en->paths->root, rel ? rel : name, strerror(-r)) : 0;
}

int bundle_read_spec(struct engine *en, const char *id, struct spec *ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = read_file(en, id, "config.json", &text, &len, e);

	if (r >= 0)
		r = spec_parse(text, len, ret, e);
	return r < 0 ? err_push(e, r, "container %.12s", id) : 0;
}

int bundle_read_launch(struct engine *en, const char *id, struct launch *ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = read_file(en, id, "launch.json", &text, &len, e);

	if (r >= 0)
		r = launch_parse(text, len, ret, e);
	return r < 0 ? err_push(e, r, "container %.12s", id) : 0;
}
