/* tree_sink: nodes become files beneath one directory, which a container may be changing at the same time. The way to a node's place
 * is walked one component at a time from the directory's descriptor, without following links (or, in a root, by root_open); the
 * node itself is made new with O_EXCL, and owner, mode and times are set on its descriptor or on the name without following it. */
#include <fcntl.h>
#include <limits.h>
#include <search.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "files.h"

/* A file that was made and may get further names. */
struct made {
	dev_t dev;
	ino_t ino;
	char path[];
};

static int failed(const char *what, const char *path, struct err *e)
{
	int no = errno;

	return err_set(e, no, "%s \"%.200s\": %s", what, path, strerror(no));
}

static int out_of_memory(struct err *e) { return err_set(e, ENOMEM, "out of memory"); }

static struct tree_sink *sink_of(struct file_sink *s) { return container_of(s, struct tree_sink, base); }

/* ---- the directory of a node ---- */

/* One step down, made (0755) where missing. */
static int step(const struct tree_sink *t, int dirfd, const char *name, const char *path, struct err *e)
{
	for (int tries = 0;; tries++) {
		int fd = openat(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0)
			return fd;
		if (errno == ENOTDIR || errno == ELOOP)
			return err_set(e, ENOTDIR,
				       "\"%.200s\" lies beneath what is no directory, or beneath a symlink: not followed", path);
		if (errno != ENOENT || tries > 0)
			return failed("open the directory of", path, e);
		if (mkdirat(dirfd, name, 0755) < 0 && errno != EEXIST)
			return failed("make the directory of", path, e);
		if (fchownat(dirfd, name, t->keeps_owner ? 0 : t->uid, t->keeps_owner ? 0 : t->gid, AT_SYMLINK_NOFOLLOW) < 0)
			return failed("set the owner of the directory of", path, e);
	}
}

static int walk_to(const struct tree_sink *t, const char *dir, struct err *e)
{
	_cleanup_free_ char *copy = strdup(dir);
	int fd = fcntl(t->dirfd, F_DUPFD_CLOEXEC, 3);
	char *save = NULL;

	if (!copy || fd < 0) {
		fd_close(fd);
		return out_of_memory(e);
	}
	for (char *name = strtok_r(copy, "/", &save); name; name = strtok_r(NULL, "/", &save)) {
		int next = step(t, fd, name, dir, e);
		fd_close(fd);
		if (next < 0)
			return next;
		fd = next;
	}
	return fd;
}

/* In t->parentfd; *ret_name points into path. */
static int go_to_parent(struct tree_sink *t, const char *path, const char **ret_name, struct err *e)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;
	int fd;

	*ret_name = slash ? slash + 1 : path;
	if (t->parent && strlen(t->parent) == len && memcmp(t->parent, path, len) == 0)
		return 0;
	free_ptr(&t->parent);
	t->parentfd = fd_close(t->parentfd);
	_cleanup_free_ char *dir = strndup(path, len);
	if (!dir)
		return out_of_memory(e);
	if (t->follows_links && *dir) {
		fd = root_mkdir_p(t->dirfd, dir, 0755);
		if (fd < 0)
			return err_set(e, -fd, "open the directory of \"%.200s\": %s", path, strerror(-fd));
	} else if ((fd = walk_to(t, dir, e)) < 0) {
		return fd;
	}
	t->parentfd = fd;
	t->parent = TAKE_PTR(dir);
	return 0;
}

/* ---- owner, mode, attributes, times ---- */

static uint32_t owner(const struct tree_sink *t, const struct file_node *n) { return t->keeps_owner ? n->uid : t->uid; }
static uint32_t group(const struct tree_sink *t, const struct file_node *n) { return t->keeps_owner ? n->gid : t->gid; }
/* The sticky bit of a directory concerns others' files in it, not who owns it. */
static mode_t permissions(const struct tree_sink *t, const struct file_node *n)
{
	return n->mode & (t->keeps_owner ? 07777 : S_ISDIR(n->mode) ? 01777 : 0777);
}

static int set_xattrs(const struct tree_sink *t, const struct file_node *n, int fd, struct err *e)
{
	for (size_t i = 0; t->keeps_owner && i < n->n_xattrs; i++)
		if (fsetxattr(fd, n->xattrs[i].name, n->xattrs[i].value, n->xattrs[i].len, 0) < 0 && errno != ENOTSUP)
			return failed("set the attributes of", n->path, e);
	return 0;
}

/* fd: open, not O_PATH. In this order: chown clears set-id bits and capabilities. */
static int dress(const struct tree_sink *t, const struct file_node *n, int fd, struct err *e)
{
	if (fchown(fd, owner(t, n), group(t, n)) < 0)
		return failed("set the owner of", n->path, e);
	if (fchmod(fd, permissions(t, n)) < 0)
		return failed("set the mode of", n->path, e);
	return set_xattrs(t, n, fd, e);
}

static int note_time(struct tree_sink *t, const struct file_node *n, int fd, struct err *e)
{
	struct stat st;

	if (t->n_times == t->room_times) {
		size_t room = t->room_times ? t->room_times * 2 : 64;
		struct tree_time *more = reallocarray(t->times, room, sizeof(*more));
		if (!more)
			return out_of_memory(e);
		t->times = more;
		t->room_times = room;
	}
	if (fstat(fd, &st) < 0)
		return failed("stat", n->path, e);
	t->times[t->n_times] =
		(struct tree_time){ .path = strdup(n->path), .mtime = n->mtime, .dev = st.st_dev, .ino = st.st_ino };
	return t->times[t->n_times++].path ? 0 : out_of_memory(e);
}

/* ---- what stands in the way ---- */

enum { WAY_FREE, WAY_DIRECTORY, WAY_BUSY };

/* Removes what is to be replaced. WAY_BUSY: a file that is a mount point stays, and can only be written anew. */
static int clear_way(const struct tree_sink *t, const struct file_node *n, const char *name, struct err *e)
{
	struct stat st;

	if (fstatat(t->parentfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? WAY_FREE : failed("stat", n->path, e);
	if (S_ISDIR(st.st_mode) && S_ISDIR(n->mode) && !n->link)
		return WAY_DIRECTORY;
	if (S_ISDIR(st.st_mode))
		return err_set(e, EISDIR, "cannot overwrite directory \"%.200s\" with non-directory", n->path);
	if (S_ISDIR(n->mode))
		return err_set(e, ENOTDIR, "cannot overwrite non-directory \"%.200s\" with directory", n->path);
	if (unlinkat(t->parentfd, name, 0) == 0 || errno == ENOENT)
		return WAY_FREE;
	if (errno == EBUSY && S_ISREG(st.st_mode) && S_ISREG(n->mode) && !n->link)
		return WAY_BUSY;
	return failed("replace", n->path, e);
}

/* ---- the kinds ---- */

static int put_directory(struct tree_sink *t, const struct file_node *n, const char *name, struct err *e)
{
	int way = clear_way(t, n, name, e);

	if (way < 0)
		return way;
	if (way == WAY_FREE && mkdirat(t->parentfd, name, 0700) < 0)
		return failed("make directory", n->path, e);
	_cleanup_fd_ int fd = openat(t->parentfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return failed("open directory", n->path, e);
	if (!t->has_own && way == WAY_FREE) {
		struct stat st;
		if (fstat(fd, &st) < 0)
			return failed("stat", n->path, e);
		t->own_dev = st.st_dev;
		t->own_ino = st.st_ino;
		t->has_own = true;
	}
	if (way == WAY_DIRECTORY && !t->keeps_owner)
		return 0; /* it was there: it stays as it is */
	int r = dress(t, n, fd, e);
	return r < 0 ? r : note_time(t, n, fd, e);
}

static int write_content(struct tree_sink *t, const struct file_node *n, int fd, struct err *e)
{
	uint64_t end = 0, off;
	const void *p;
	size_t len;
	int r;

	while ((r = n->next(n, &p, &len, &off, e)) > 0) {
		if (off < end)
			return err_set(e, EBADMSG, "\"%.200s\": its pieces are out of order", n->path);
		if (off != end && lseek(fd, (off_t)off, SEEK_SET) < 0)
			return failed("seek in", n->path, e);
		int k = fd_write_full(fd, p, len);
		if (k < 0)
			return err_set(e, -k, "write \"%.200s\": %s", n->path, strerror(-k));
		end = off + len;
		files_progress(&t->base, len);
	}
	if (r == 0 && end < n->size && ftruncate(fd, (off_t)n->size) < 0)
		return failed("extend", n->path, e);
	return r;
}

static int by_path(const void *a, const void *b)
{
	const struct made *x = a, *y = b;

	return strcmp(x->path, y->path);
}

static int note_made(struct tree_sink *t, const struct file_node *n, int fd, struct err *e)
{
	size_t len = strlen(n->path) + 1;
	struct made *m = malloc(sizeof(*m) + len), **found;
	struct stat st;

	if (!m)
		return out_of_memory(e);
	if (fstat(fd, &st) < 0) {
		free(m);
		return failed("stat", n->path, e);
	}
	memcpy(m->path, n->path, len);
	m->dev = st.st_dev;
	m->ino = st.st_ino;
	found = tsearch(m, &t->linked, by_path);
	if (!found) {
		free(m);
		return out_of_memory(e);
	}
	if (*found != m) { /* the same path twice in one tar: the last one is there */
		(*found)->dev = m->dev;
		(*found)->ino = m->ino;
		free(m);
	}
	return 0;
}

static int open_new(const struct tree_sink *t, const struct file_node *n, const char *name, int way, struct err *e)
{
	char by_fd[FD_PATH_LEN];
	struct stat st;

	if (way == WAY_FREE) {
		int fd = openat(t->parentfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		return fd < 0 ? failed("create", n->path, e) : fd;
	}
	_cleanup_fd_ int there = openat(t->parentfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (there < 0 || fstat(there, &st) < 0)
		return failed("open", n->path, e);
	if (!S_ISREG(st.st_mode))
		return err_set(e, EBUSY, "\"%.200s\" is in use as a mount point and can't be replaced", n->path);
	int fd = open(fd_path(there, by_fd), O_WRONLY | O_TRUNC | O_CLOEXEC);
	return fd < 0 ? failed("write to", n->path, e) : fd;
}

static int put_file(struct tree_sink *t, const struct file_node *n, const char *name, struct err *e)
{
	const struct timespec ts[2] = { n->mtime, n->mtime };
	int way = clear_way(t, n, name, e), r;

	if (way < 0)
		return way;
	_cleanup_fd_ int fd = open_new(t, n, name, way, e);
	if (fd < 0)
		return fd;
	if ((r = write_content(t, n, fd, e)) < 0)
		return r;
	/* One that stays in its place keeps its owner and mode, too. */
	if (way == WAY_FREE && (r = dress(t, n, fd, e)) < 0)
		return r;
	if (futimens(fd, ts) < 0)
		return failed("set the time of", n->path, e);
	return note_made(t, n, fd, e);
}

/* A further name of what this sink has made: nothing else is ever linked to. */
static int put_link(struct tree_sink *t, const struct file_node *n, struct err *e)
{
	size_t len = strlen(n->link) + 1;
	_cleanup_free_ struct made *key = malloc(sizeof(*key) + len);
	const char *from, *name;
	struct made **found;
	struct stat st;
	int r;

	if (!key)
		return out_of_memory(e);
	memcpy(key->path, n->link, len);
	found = tfind(key, &t->linked, by_path);
	if (!found)
		return err_set(e, EINVAL, "hard link \"%.200s\": \"%.200s\" is not among what was copied", n->path, n->link);
	if ((r = go_to_parent(t, n->link, &from, e)) < 0)
		return r;
	_cleanup_fd_ int fromfd = fcntl(t->parentfd, F_DUPFD_CLOEXEC, 3);
	if (fromfd < 0 || (r = go_to_parent(t, n->path, &name, e)) < 0)
		return fromfd < 0 ? out_of_memory(e) : r;
	if (streq(n->path, n->link))
		return 0;
	if ((r = clear_way(t, n, name, e)) != WAY_FREE)
		return r < 0 ? r : err_set(e, EBUSY, "\"%.200s\" can't be replaced", n->path);
	if (linkat(fromfd, from, t->parentfd, name, 0) < 0)
		return failed("link", n->path, e);
	if (fstatat(t->parentfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == (*found)->dev && st.st_ino == (*found)->ino)
		return 0;
	unlinkat(t->parentfd, name, 0);
	return err_set(e, EBUSY, "hard link \"%.200s\": \"%.200s\" was changed while it was copied", n->path, n->link);
}

/* Owner and times of a node that has no fd to open. */
static int dress_unopened(const struct tree_sink *t, const struct file_node *n, const char *name, struct err *e)
{
	const struct timespec ts[2] = { n->mtime, n->mtime };

	if (fchownat(t->parentfd, name, owner(t, n), group(t, n), AT_SYMLINK_NOFOLLOW) < 0)
		return failed("set the owner of", n->path, e);
	return utimensat(t->parentfd, name, ts, AT_SYMLINK_NOFOLLOW) < 0 ? failed("set the time of", n->path, e) : 0;
}

static int put_unopened(struct tree_sink *t, const struct file_node *n, const char *name, struct err *e)
{
	int r = clear_way(t, n, name, e);

	if (r < 0)
		return r;
	r = S_ISLNK(n->mode) ? symlinkat(n->target, t->parentfd, name)
			     : mknodat(t->parentfd, name, S_IFIFO | permissions(t, n), 0);
	return r < 0 ? failed(S_ISLNK(n->mode) ? "make symlink" : "make FIFO", n->path, e) : dress_unopened(t, n, name, e);
}

static bool tree_is_own(struct file_sink *s, dev_t dev, ino_t ino)
{
	const struct tree_sink *t = sink_of(s);

	return (dev == t->base_dev && ino == t->base_ino) || (t->has_own && dev == t->own_dev && ino == t->own_ino);
}

static int tree_put(struct file_sink *s, const struct file_node *n, struct err *e)
{
	struct tree_sink *t = sink_of(s);
	const char *name;
	int r;

	if (!*n->path) /* the directory that is filled: it was there before */
		return S_ISDIR(n->mode) ? 0 : err_set(e, ENOTDIR, "what is to be a directory's content is no directory");
	s->nodes++;
	if (S_ISCHR(n->mode) || S_ISBLK(n->mode) || S_ISSOCK(n->mode)) {
		s->nodes--;
		s->skipped++;
		log_warn("cp", "%s %s is not copied", S_ISSOCK(n->mode) ? "socket" : "device", n->path);
		return 0;
	}
	if (n->link)
		return put_link(t, n, e);
	if ((r = go_to_parent(t, n->path, &name, e)) < 0)
		return r;
	switch (n->mode & S_IFMT) {
	case S_IFDIR: return put_directory(t, n, name, e);
	case S_IFREG: return put_file(t, n, name, e);
	case S_IFLNK:
	case S_IFIFO: return put_unopened(t, n, name, e);
	default: return err_set(e, EINVAL, "\"%.200s\" is of an unknown type", n->path);
	}
}

/* ---- life ---- */

int tree_sink_init(struct tree_sink *t, int dirfd, struct err *e)
{
	struct stat st;

	*t = (struct tree_sink){ .base = { .put = tree_put, .is_own = tree_is_own }, .dirfd = dirfd, .parentfd = -1 };
	if (fstat(dirfd, &st) < 0)
		return err_set(e, errno, "stat the destination: %s", strerror(errno));
	t->base_dev = st.st_dev;
	t->base_ino = st.st_ino;
	return 0;
}

int tree_sink_finish(struct tree_sink *t, struct err *e)
{
	for (size_t i = t->n_times; i-- > 0;) {
		const struct tree_time *m = &t->times[i];
		const struct timespec ts[2] = { m->mtime, m->mtime };
		const char *name;
		struct stat st;
		int r = go_to_parent(t, m->path, &name, e);
		if (r < 0)
			return r;
		_cleanup_fd_ int fd = openat(t->parentfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		/* What is not ours any more keeps its time. */
		if (fd < 0 || fstat(fd, &st) < 0 || st.st_dev != m->dev || st.st_ino != m->ino)
			continue;
		if (futimens(fd, ts) < 0)
			return failed("set the time of", m->path, e);
	}
	return 0;
}

void tree_sink_done(struct tree_sink *t)
{
	for (size_t i = 0; i < t->n_times; i++)
		free(t->times[i].path);
	free(t->times);
	free(t->parent);
	fd_close(t->parentfd);
	tdestroy(t->linked, free);
}
