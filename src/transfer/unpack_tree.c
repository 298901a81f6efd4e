/* The tree that a layer is unpacked into: its directories by fd, its file list, what is set at the end.
 *
 * Invariants: every path is resolved beneath rootfd by root_open (openat2 RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS), so a symlink
 * made by an earlier entry leads inside the tree or nowhere; the last component of what is made or removed is never followed. A
 * cached directory fd stays right as long as nothing is removed: a new name can't change how an existing path resolves. So the
 * cache is emptied whenever something is removed. The tree has one writer, this process. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "unpack_private.h"

#define LIST_FLUSH (64u << 10)

void tree_init(struct tree *t, int rootfd, int listfd, const struct unpack_limits *lim)
{
	*t = (struct tree){ .rootfd = rootfd, .listfd = listfd, .lim = lim };
	for (size_t i = 0; i < TREE_CACHE; i++)
		t->cache[i].fd = -1;
}

static void slot_done(struct tree_dir *d)
{
	free(d->path);
	fd_close(d->fd);
	*d = (struct tree_dir){ .fd = -1 };
}

static void cache_empty(struct tree *t)
{
	for (size_t i = 0; i < TREE_CACHE; i++)
		slot_done(&t->cache[i]);
}

void tree_done(struct tree *t)
{
	cache_empty(t);
	for (size_t i = 0; i < t->n_mtimes; i++)
		free(t->mtimes[i].path);
	free(t->mtimes);
	buf_done(&t->list);
}

bool tree_is_whiteout(int parentfd, const char *name)
{
	struct stat st;

	return fstatat(parentfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == 0;
}

int tree_set_opaque(int dirfd, const char *path, struct err *e)
{
	if (fsetxattr(dirfd, overlay_opaque(), "y", 1, 0) < 0)
		return err_set(e, errno, "mark directory \"%.200s\" as opaque: %s", path, strerror(errno));
	return 0;
}

/* Makes the directory that an entry implies but the layer does not (yet) hold. */
static int make_implied(struct tree *t, const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	_cleanup_free_ char *up = strndup(path, slash ? (size_t)(slash - path) : 0);
	struct tree_dir *parent;
	bool was_whiteout = false;
	int r;

	if (!up)
		return err_set(e, ENOMEM, "unpack: out of memory");
	if ((r = tree_dir(t, up, &parent, e)) < 0)
		return r;
	if (tree_is_whiteout(parent->fd, name)) {
		was_whiteout = true;
		_cleanup_fd_ int fd = dup(parent->fd); /* the removal empties the cache */
		if (fd < 0 || (r = tree_remove(t, fd, name, path, e)) < 0)
			return r < 0 ? r : err_set(e, errno, "unpack: %s", strerror(errno));
		if ((r = tree_dir(t, up, &parent, e)) < 0)
			return r;
	}
	if (mkdirat(parent->fd, name, 0755) < 0)
		return err_set(e, errno == EEXIST ? ENOTDIR : errno, "\"%.200s\" is not a directory: %s", path,
			       errno == EEXIST ? "an earlier entry made it something else" : strerror(errno));
	_cleanup_fd_ int fd = openat(parent->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, errno, "open \"%.200s\": %s", path, strerror(errno));
	if (was_whiteout && (r = tree_set_opaque(fd, path, e)) < 0)
		return r;
	if (!was_whiteout && (r = implied_mark(fd)) < 0)
		return err_set(e, -r, "mark directory \"%.200s\" as implied: %s", path, strerror(-r));
	t->implied += !was_whiteout;
	return tree_list(t, &(struct file_line){ .type = was_whiteout ? 'd' : 'i', .mode = 0755, .path = path }, e);
}

int tree_dir(struct tree *t, const char *path, struct tree_dir **ret, struct err *e)
{
	struct tree_dir *oldest = &t->cache[0];
	struct stat st;
	int fd, r;

	for (size_t i = 0; i < TREE_CACHE; i++) {
		struct tree_dir *d = &t->cache[i];
		if (d->path && streq(d->path, path)) {
			d->used = ++t->clock;
			*ret = d;
			return 0;
		}
	}
	fd = root_open(t->rootfd, *path ? path : ".", O_PATH | O_DIRECTORY, 0);
	if (fd == -ENOENT || fd == -ENOTDIR) {
		if ((r = make_implied(t, path, e)) < 0)
			return r;
		fd = root_open(t->rootfd, path, O_PATH | O_DIRECTORY, 0);
	}
	if (fd < 0)
		return err_set(e, -fd, "open directory \"%.200s\": %s", path, strerror(-fd));
	if (fstat(fd, &st) < 0) {
		r = err_set(e, errno, "stat \"%.200s\": %s", path, strerror(errno));
		fd_close(fd);
		return r;
	}
	for (size_t i = 0; i < TREE_CACHE; i++)
		if (t->cache[i].used < oldest->used)
			oldest = &t->cache[i];
	slot_done(oldest);
	oldest->fd = fd;
	oldest->is_setgid = st.st_mode & S_ISGID;
	oldest->used = ++t->clock;
	if (!(oldest->path = strdup(path))) {
		slot_done(oldest);
		return err_set(e, ENOMEM, "unpack: out of memory");
	}
	*ret = oldest;
	return 0;
}

int tree_remove(struct tree *t, int parentfd, const char *name, const char *path, struct err *e)
{
	int r = rm_rf(parentfd, name);

	if (r < 0)
		return err_set(e, -r, "replace \"%.200s\": %s", path, strerror(-r));
	r = tree_list(t, &(struct file_line){ .type = 'x', .path = path }, e);
	cache_empty(t);
	return r;
}

static int flush_list(struct tree *t, struct err *e)
{
	int r = t->list.failed ? -ENOMEM : 0;

	if (r == 0 && t->listfd >= 0)
		r = fd_write_full(t->listfd, t->list.data, t->list.len);
	t->list.len = 0;
	return r < 0 ? err_set(e, -r, "write the layer's file list: %s", strerror(-r)) : 0;
}

int tree_list(struct tree *t, const struct file_line *l, struct err *e)
{
	file_line_add(&t->list, l);
	return t->list.len >= LIST_FLUSH || t->list.failed ? flush_list(t, e) : 0;
}

int tree_note_mtime(struct tree *t, const char *path, struct timespec mtime, struct err *e)
{
	if (t->n_mtimes == t->room_mtimes) {
		size_t room = t->room_mtimes ? t->room_mtimes * 2 : 256;
		struct tree_mtime *more = reallocarray(t->mtimes, room, sizeof(*more));
		if (!more)
			return err_set(e, ENOMEM, "unpack: out of memory");
		t->mtimes = more;
		t->room_mtimes = room;
	}
	struct tree_mtime *m = &t->mtimes[t->n_mtimes];
	if (!(m->path = strdup(path)))
		return err_set(e, ENOMEM, "unpack: out of memory");
	m->mtime = mtime;
	t->n_mtimes++;
	return 0;
}

int tree_finish(struct tree *t, struct err *e)
{
	for (size_t i = 0; i < t->n_mtimes; i++) {
		const struct tree_mtime *m = &t->mtimes[i];
		struct timespec ts[2] = { m->mtime, m->mtime };
		_cleanup_fd_ int fd = root_open(t->rootfd, *m->path ? m->path : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
		/* A later entry may have replaced or removed the directory. */
		if (fd < 0 && fd != -ENOENT && fd != -ENOTDIR && fd != -ELOOP)
			return err_set(e, -fd, "open directory \"%.200s\": %s", m->path, strerror(-fd));
		if (fd >= 0 && futimens(fd, ts) < 0)
			return err_set(e, errno, "set the time of \"%.200s\": %s", m->path, strerror(errno));
	}
	return flush_list(t, e);
}
