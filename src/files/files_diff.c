/* files_diff: what an upper directory of overlayfs changes in what is below it, as docker lists it: parents before what is in
 * them; the directory of what was added or deleted as changed; one that is the same as below, or was only copied up, not at all.
 *
 * An opaque directory hides all that is below: each of its names that the upper directory does not have is deleted. A place that was
 * made for a mount is no change. The directories above it are `held`: listed only where something else in them is. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files_diff.h"

struct change {
	char *path;
	enum change_kind kind;
	bool is_implied; /* CHANGE_CHANGED for the sake of what is in it */
	bool is_held;
};
struct diff {
	struct file_sink base;
	const struct upper *u;
	struct change *v;
	size_t n, room;
};

static int out_of_memory(struct err *e) { return err_set(e, ENOMEM, "out of memory"); }

static int add(struct diff *d, const char *path, size_t len, struct change c, struct err *e)
{
	if (d->n == d->room) {
		size_t room = d->room ? d->room * 2 : 256;
		struct change *more = reallocarray(d->v, room, sizeof(*more));
		if (!more)
			return out_of_memory(e);
		d->v = more;
		d->room = room;
	}
	if (!(c.path = strndup(path, len)))
		return out_of_memory(e);
	d->v[d->n++] = c;
	return 0;
}

/* With the directory that it is in, which has got or lost a name. */
static int tell(struct diff *d, const char *path, enum change_kind kind, struct err *e)
{
	const char *slash = strrchr(path, '/');
	int r = add(d, path, strlen(path), (struct change){ .kind = kind }, e);

	if (r == 0 && kind != CHANGE_CHANGED && slash)
		r = add(d, path, (size_t)(slash - path), (struct change){ .kind = CHANGE_CHANGED, .is_implied = true }, e);
	return r;
}

/* ---- what is below ---- */

/* The directory of path among the lower ones, no link followed: where a link was, the upper one has put a directory in its place. */
static int parent_below(const struct upper *u, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *dir = strndup(path, slash ? (size_t)(slash - path) : 0);
	int fd = !dir ? -1 : fcntl(u->lower, F_DUPFD_CLOEXEC, 3);
	char *save = NULL;

	*ret_name = slash ? slash + 1 : path;
	for (char *name = dir ? strtok_r(dir, "/", &save) : NULL; name && fd >= 0; name = strtok_r(NULL, "/", &save)) {
		int next = openat(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), no = errno;
		fd_close(fd);
		fd = next;
		errno = no;
	}
	return fd;
}

/* 1; 0: there is none; or -errno. */
static int stat_below(const struct upper *u, const char *path, struct stat *st)
{
	const char *name;
	_cleanup_fd_ int fd = parent_below(u, path, &name);

	if (fd >= 0 && fstatat(fd, name, st, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : -errno;
}

/* Names below an opaque directory that are not in it. */
static int tell_hidden(struct diff *d, const char *path, struct err *e)
{
	_cleanup_fd_ int upper = root_open(d->u->fd, path, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0), parent = -1;
	struct dirent *entry;
	struct stat st;
	const char *name;
	int fd, r = 0;
	DIR *dir;

	parent = parent_below(d->u, path, &name);
	fd = parent < 0 ? -1 : openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir || upper < 0) {
		r = err_set(e, errno ? errno : EIO, "read \"%.200s\" below: %s", path, strerror(errno));
		if (dir)
			closedir(dir);
		else
			fd_close(fd);
		return r;
	}
	while (r == 0 && (errno = 0, entry = readdir(dir))) {
		if (streq(entry->d_name, ".") || streq(entry->d_name, "..") ||
		    fstatat(upper, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		_cleanup_free_ char *gone = str_fmt("%s/%s", path, entry->d_name);
		r = gone ? tell(d, gone, CHANGE_DELETED, e) : out_of_memory(e);
	}
	if (r == 0 && errno)
		r = err_set(e, errno, "read \"%.200s\" below: %s", path, strerror(errno));
	closedir(dir);
	return r;
}

/* ---- nodes ---- */

/* A place was made in it for a mount. */
static bool has_mount_in(const struct upper *u, const char *path)
{
	size_t n = strlen(path);
	struct stat st;

	for (char *const *m = u->mounts; m && *m; m++)
		if (strncmp(*m, path, n) == 0 && (*m)[n] == '/' && stat_below(u, *m, &st) == 0)
			return true;
	return false;
}

static bool is_mount_point(const char *path, const struct stat *st, void *arg)
{
	const struct upper *u = arg;
	struct stat below;

	if (!S_ISDIR(st->st_mode) && !(S_ISREG(st->st_mode) && st->st_size == 0))
		return false;
	for (char *const *m = u->mounts; *path && m && *m; m++)
		if (streq(*m, path))
			return stat_below(u, path, &below) == 0;
	return false;
}

static int put(struct file_sink *s, const struct file_node *n, struct err *e)
{
	struct diff *d = container_of(s, struct diff, base);
	struct stat st = { 0 };
	int r;

	if (!*n->path)
		return 0;
	r = stat_below(d->u, n->path, &st);
	if (r < 0)
		return err_set(e, -r, "look for \"%.200s\" in the image: %s", n->path, strerror(-r));
	if (r == 0)
		return S_ISCHR(n->mode) && n->rdev == 0 ? 0 : /* nothing is left for it to hide */
			       S_ISDIR(n->mode) && has_mount_in(d->u, n->path)
			       ? add(d, n->path, strlen(n->path), (struct change){ .kind = CHANGE_ADDED, .is_held = true }, e)
			       : tell(d, n->path, CHANGE_ADDED, e);
	if (S_ISCHR(n->mode) && n->rdev == 0)
		return tell(d, n->path, CHANGE_DELETED, e);
	if (!S_ISDIR(n->mode) || !S_ISDIR(st.st_mode))
		return tell(d, n->path, CHANGE_CHANGED, e);
	if (n->is_opaque)
		return (r = tell(d, n->path, CHANGE_CHANGED, e)) < 0 ? r : tell_hidden(d, n->path, e);
	if (n->mode != st.st_mode || n->uid != st.st_uid || n->gid != st.st_gid)
		return tell(d, n->path, CHANGE_CHANGED, e);
	if (n->mtime.tv_sec == st.st_mtim.tv_sec && n->mtime.tv_nsec == st.st_mtim.tv_nsec)
		return 0; /* here only because something in it is */
	return add(d, n->path, strlen(n->path), (struct change){ .kind = CHANGE_CHANGED, .is_held = has_mount_in(d->u, n->path) },
		   e);
}

/* ---- the list ---- */

/* Parents first, then by name: "a/b" before "a-b". */
static int compare_paths(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	int x = *a == '/' ? 1 : (unsigned char)*a + (*a != 0), y = *b == '/' ? 1 : (unsigned char)*b + (*b != 0);
	return x - y;
}

static int compare(const void *a, const void *b)
{
	const struct change *x = a, *y = b;
	int r = compare_paths(x->path, y->path);

	return r ? r : (int)x->is_implied - (int)y->is_implied;
}

static bool is_in(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && path[n] == '/';
}

/* v is sorted. What is implied by others becomes one with what stands for itself; what nothing holds up goes. How many are left. */
static size_t settle(struct change *v, size_t n)
{
	size_t left = 0;

	for (size_t i = 0; i < n; i++) {
		if (left && streq(v[left - 1].path, v[i].path)) {
			v[left - 1].is_held &= v[i].is_held;
			free(v[i].path);
		} else {
			v[left++] = v[i];
		}
	}
	for (size_t i = left; i-- > 0;) {
		/* Of an added directory, whatever is still listed in it; a changed one stands for itself. */
		bool is_kept = !v[i].is_held;
		for (size_t j = i + 1; !is_kept && v[i].kind == CHANGE_ADDED && j < left && is_in(v[j].path, v[i].path); j++)
			is_kept = !v[j].is_held;
		v[i].is_held = !is_kept;
	}
	return left;
}

/* v is sorted and settled. */
static int put_changes(const struct change *v, size_t n, struct file_sink *s, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		const struct file_node c = { .path = v[i].path, .mode = (uint32_t)v[i].kind };
		r = v[i].is_held ? 0 : s->put(s, &c, e);
	}
	return r;
}

struct walk upper_walk(struct upper *u)
{
	return (struct walk){ .dirfd = u->fd,
			      .name = ".",
			      .as = "",
			      .xattrs = WALK_XATTRS_LAYER,
			      .is_overlay = true,
			      .is_left_out = is_mount_point,
			      .arg = u };
}

bool change_is_known(uint32_t mode) { return mode == CHANGE_ADDED || mode == CHANGE_CHANGED || mode == CHANGE_DELETED; }

int files_diff(struct upper *u, struct file_sink *s, struct err *e)
{
	const struct walk w = upper_walk(u);
	struct diff d = { .base = { .put = put }, .u = u };
	int r = files_walk(&w, &d.base, e);

	if (r == 0) {
		if (d.n)
			qsort(d.v, d.n, sizeof(*d.v), compare);
		d.n = settle(d.v, d.n);
		r = put_changes(d.v, d.n, s, e);
	}
	for (size_t i = 0; i < d.n; i++)
		free(d.v[i].path);
	free(d.v);
	return r;
}
