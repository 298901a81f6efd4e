/* volumes_copy.c: a tree of an image's into a volume, and the change of a tree's owner. Both walk by descriptor, without following a
 * link; what is copied is an image's and may be hostile, so depth costs no more than is allowed for, special files are made and never
 * opened, and nothing is created anywhere but in the new tree, which nobody else sees yet. */
#include "volumes_impl.h"

#include <dirent.h>
#include <search.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { DEPTH_MAX = 200, XATTR_MAX = 64 << 10 };

struct link_name {
	dev_t dev;
	ino_t ino;
	char *path; /* of the first copy, from the top of the new tree */
};

struct copy {
	int top;       /* the new tree */
	void *links;   /* tsearch: files with several names */
	struct buf at; /* the path of what is being copied */
	char xattrs[XATTR_MAX], value[XATTR_MAX];
};

static int failed(struct err *e, const char *name, const char *what)
{
	return err_set(e, errno, "%s: %s%s%s", name, what ? what : "", what ? ": " : "",
		       errno == ENOSPC ? "the file system of the volumes is full" : strerror(errno));
}

/* ---- attributes ---- */

/* Those that mean the same in a volume as in an image. Others are the file system's or the security module's of this host. */
static bool is_copied(const char *xattr)
{
	return str_after(xattr, "user.") || streq(xattr, "security.capability") || str_after(xattr, "system.posix_acl_");
}

/* By name relative to a directory, of links too: there is no such call but by way of a path. */
#define NAME_PATH_LEN (FD_PATH_LEN + NAME_MAX + 2)
static const char *name_path(int dirfd, const char *name, char buf[NAME_PATH_LEN])
{
	char dir[FD_PATH_LEN];

	snprintf(buf, NAME_PATH_LEN, "%s/%s", fd_path(dirfd, dir), name);
	return buf;
}

static int copy_xattrs(struct copy *c, int from, int to, const char *name, struct err *e)
{
	char from_path[NAME_PATH_LEN], to_path[NAME_PATH_LEN];
	ssize_t n = llistxattr(name_path(from, name, from_path), c->xattrs, sizeof(c->xattrs));

	name_path(to, name, to_path);
	if (n < 0)
		return errno == EOPNOTSUPP ? 0 : failed(e, name, "extended attributes");
	for (const char *x = c->xattrs; x < c->xattrs + n; x += strlen(x) + 1) {
		ssize_t len = is_copied(x) ? lgetxattr(from_path, x, c->value, sizeof(c->value)) : -1;
		if (!is_copied(x))
			continue;
		if (len < 0 || lsetxattr(to_path, x, c->value, (size_t)len, 0) < 0)
			return failed(e, name, x);
	}
	return 0;
}

/* The owner first, whose change takes set-id bits and capabilities away; times last. Links have no mode. */
static int copy_attrs(struct copy *c, int from, int to, const char *name, const struct stat *st, struct err *e)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };
	int r;

	if (fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(e, name, "owner");
	r = copy_xattrs(c, from, to, name, e);
	if (r < 0)
		return r;
	if (!S_ISLNK(st->st_mode) && fchmodat(to, name, st->st_mode & 07777, 0) < 0)
		return failed(e, name, "mode");
	return utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? failed(e, name, "times") : 0;
}

/* ---- one thing ---- */

static int by_inode(const void *a, const void *b)
{
	const struct link_name *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return x->dev < y->dev ? -1 : x->dev > y->dev;
}

static void link_free(void *p)
{
	struct link_name *l = p;

	free(l->path);
	free(l);
}

/* One more name of what has been copied already: 1. Else its name is kept for those to come. */
static int copy_hard_link(struct copy *c, int to, const char *name, const struct stat *st, struct err *e)
{
	struct link_name *l = calloc(1, sizeof(*l)), **found;

	if (!l)
		return OUT_OF_MEMORY(e);
	*l = (struct link_name){ st->st_dev, st->st_ino, strdup(c->at.data) };
	found = l->path ? tsearch(l, &c->links, by_inode) : NULL;
	if (found && *found == l)
		return 0;
	link_free(l);
	if (!found)
		return OUT_OF_MEMORY(e);
	return linkat(c->top, (*found)->path, to, name, 0) < 0 ? failed(e, name, "link") : 1;
}

static int copy_file(int from, int to, const char *name, const struct stat *st, struct err *e)
{
	_cleanup_fd_ int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), out = -1;
	int r;

	if (in < 0)
		return failed(e, name, NULL);
	out = openat(to, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0)
		return failed(e, name, NULL);
	r = st->st_size ? vm_copy_disk(in, out, NULL, NULL) : 0; /* blocks shared where they can be, holes left */
	errno = -r;
	return r < 0 ? failed(e, name, NULL) : 0;
}

static int copy_symlink(int from, int to, const char *name, struct err *e)
{
	char text[PATH_MAX];
	ssize_t n = readlinkat(from, name, text, sizeof(text) - 1);

	if (n < 0)
		return failed(e, name, NULL);
	text[n] = 0;
	return symlinkat(text, to, name) < 0 ? failed(e, name, NULL) : 0;
}

static int copy_dir(struct copy *c, int from, int to, int depth, struct err *e);

static int copy_subdir(struct copy *c, int from, int to, const char *name, int depth, struct err *e)
{
	_cleanup_fd_ int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), out = -1;

	if (in < 0 || mkdirat(to, name, 0700) < 0)
		return failed(e, name, NULL);
	out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (out < 0)
		return failed(e, name, NULL);
	return copy_dir(c, TAKE_FD(in), out, depth + 1, e);
}

static int copy_kind(struct copy *c, int from, int to, const char *name, const struct stat *st, int depth, struct err *e)
{
	switch (st->st_mode & S_IFMT) {
	case S_IFDIR: return copy_subdir(c, from, to, name, depth, e);
	case S_IFREG: return copy_file(from, to, name, st, e);
	case S_IFLNK: return copy_symlink(from, to, name, e);
	default: return mknodat(to, name, (st->st_mode & S_IFMT) | 0600, st->st_rdev) < 0 ? failed(e, name, NULL) : 0;
	}
}

static int copy_entry(struct copy *c, int from, int to, const char *name, int depth, struct err *e)
{
	size_t before = c->at.len;
	struct stat st;
	int r = 0;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(e, name, NULL);
	buf_fmt(&c->at, "%s%s", before ? "/" : "", name);
	if (c->at.failed)
		return OUT_OF_MEMORY(e);
	if (!S_ISDIR(st.st_mode) && st.st_nlink > 1)
		r = copy_hard_link(c, to, name, &st, e);
	if (r == 0) {
		r = copy_kind(c, from, to, name, &st, depth, e);
		if (r == 0)
			r = copy_attrs(c, from, to, name, &st, e);
	}
	c->at.len = before;
	c->at.data[before] = 0;
	return MIN(r, 0);
}

/* Takes from. */
static int copy_dir(struct copy *c, int from, int to, int depth, struct err *e)
{
	DIR *d = fdopendir(from);
	int r = 0;

	if (!d) {
		r = failed(e, "directory", NULL);
		fd_close(from);
		return r;
	}
	if (depth > DEPTH_MAX)
		r = err_set(e, ELOOP, "directories are more than %d deep", DEPTH_MAX);
	struct dirent *ent;
	int more = 0;
	while (r == 0 && (more = dir_next(d, &ent)) > 0)
		r = copy_entry(c, from, to, ent->d_name, depth, e);
	if (more < 0) {
		errno = -more;
		r = failed(e, "directory", NULL);
	}
	closedir(d);
	return r;
}

static int copy_tops(struct copy *c, int from, int to, struct err *e)
{
	struct stat st;

	return fstat(from, &st) < 0 ? failed(e, ".", NULL) : copy_attrs(c, from, to, ".", &st, e);
}

static int run(int from, int to, bool with_entries, struct err *e)
{
	struct copy *c = malloc(sizeof(*c));
	int again = with_entries ? openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1, r = 0;

	if (!c || (with_entries && again < 0)) {
		r = c ? failed(e, ".", NULL) : OUT_OF_MEMORY(e);
		fd_close(again);
		free(c);
		return r;
	}
	c->top = to;
	c->links = NULL;
	c->at = (struct buf){ 0 };
	buf_str(&c->at, "");
	if (with_entries)
		r = copy_dir(c, again, to, 0, e);
	if (r == 0)
		r = copy_tops(c, from, to, e);
	tdestroy(c->links, link_free);
	buf_done(&c->at);
	free(c);
	return r;
}

int volume_copy(int from, int to, struct err *e) { return run(from, to, true, e); }

int volume_copy_attributes(int from, int to, struct err *e) { return run(from, to, false, e); }

/* ---- owners ---- */

static int chown_dir(int fd, dev_t dev, uid_t uid, gid_t gid, int depth, struct err *e);

static int chown_entry(int dirfd, const char *name, dev_t dev, uid_t uid, gid_t gid, int depth, struct err *e)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : failed(e, name, NULL);
	if (st.st_dev != dev)
		return 0;
	if (S_ISDIR(st.st_mode)) {
		int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), r;
		if (fd < 0)
			return errno == ENOENT ? 0 : failed(e, name, NULL);
		r = chown_dir(fd, dev, uid, gid, depth + 1, e);
		if (r < 0)
			return r;
	}
	/* What has them already keeps its set-id bits, too. */
	if ((st.st_uid != uid || st.st_gid != gid) && fchownat(dirfd, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
		return failed(e, name, "owner");
	return 0;
}

/* Takes fd. */
static int chown_dir(int fd, dev_t dev, uid_t uid, gid_t gid, int depth, struct err *e)
{
	DIR *d = fdopendir(fd);
	int r = 0;

	if (!d) {
		r = failed(e, "directory", NULL);
		fd_close(fd);
		return r;
	}
	if (depth > DEPTH_MAX)
		r = err_set(e, ELOOP, "directories are more than %d deep", DEPTH_MAX);
	for (struct dirent *ent; r == 0 && (errno = 0, ent = readdir(d));)
		if (!streq(ent->d_name, ".") && !streq(ent->d_name, ".."))
			r = chown_entry(fd, ent->d_name, dev, uid, gid, depth, e);
	closedir(d);
	return r;
}

int volume_chown(const char *path, uid_t uid, gid_t gid, struct err *e)
{
	_cleanup_fd_ int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int r = 0, dir;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, errno, ":U: %s: %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode)) {
		dir = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = dir < 0 ? failed(e, "directory", NULL) : chown_dir(dir, st.st_dev, uid, gid, 0, e);
	}
	if (r == 0 && (st.st_uid != uid || st.st_gid != gid) && fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0)
		r = failed(e, "owner", NULL);
	return r < 0 ? err_push(e, r, ":U: %s", path) : 0;
}
