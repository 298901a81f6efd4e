/* One entry of a layer becomes one node of the tree: made new, then owner, mode, xattrs, times in that order (chown clears setuid
 * bits and capabilities).
 *
 * A later entry wins over an earlier one of the same path; only a directory upon a directory is merged. Nothing is ever opened
 * that this function has not just created with O_EXCL, so no FIFO blocks and no device is touched. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "unpack_private.h"

static int failed(const struct node *n, const char *what, struct err *e)
{
	int no = errno;

	return err_set(e, no, "%s \"%.200s\": %s", what, n->path, strerror(no));
}

/* chown(2) says EINVAL to ids that the user namespace does not map. */
static int no_owner(const struct node *n, struct err *e)
{
	if (errno != EINVAL)
		return failed(n, "set the owner of", e);
	return err_set(e, EINVAL,
		       "\"%.200s\" belongs to %u:%u, who has no id here: have more ids granted to this user in /etc/subuid and "
		       "/etc/subgid",
		       n->path, (unsigned)n->uid, (unsigned)n->gid);
}

/* Removes what stands in the way. The parent's slot of the cache goes with it: *parentfd becomes a private copy. */
static int make_room(struct tree *t, const struct node *n, int *parentfd, struct err *e)
{
	*parentfd = fcntl(n->parent->fd, F_DUPFD_CLOEXEC, 3);
	if (*parentfd < 0)
		return failed(n, "unpack", e);
	return tree_remove(t, *parentfd, n->name, n->path, e);
}

static int list(struct tree *t, const struct node *n, char type, uint64_t size, const char *sha, struct err *e)
{
	return tree_list(t,
			 &(struct file_line){ .type = type,
					      .mode = n->mode,
					      .uid = n->uid,
					      .gid = n->gid,
					      .size = size,
					      .sha = sha,
					      .path = *n->path ? n->path : ".",
					      .target = n->target },
			 e);
}

static int open_directory(struct tree *t, const struct node *n, int *parentfd, bool *ret_opaque, struct err *e)
{
	int dir = *n->path ? n->parent->fd : t->rootfd, fd;
	const char *name = *n->path ? n->name : ".";
	struct stat st;

	if (*n->path && mkdirat(dir, name, 0700) < 0) {
		if (errno != EEXIST || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return failed(n, "make directory", e);
		if (!S_ISDIR(st.st_mode)) {
			*ret_opaque = S_ISCHR(st.st_mode) && st.st_rdev == 0; /* deleted below, new here */
			int r = make_room(t, n, parentfd, e);
			if (r < 0)
				return r;
			dir = *parentfd;
			if (mkdirat(dir, name, 0700) < 0)
				return failed(n, "make directory", e);
		}
	}
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? failed(n, "open directory", e) : fd;
}

int node_directory(struct tree *t, const struct node *n, struct err *e)
{
	_cleanup_fd_ int parentfd = -1;
	bool is_opaque = false;
	int r = open_directory(t, n, &parentfd, &is_opaque, e);

	if (r < 0)
		return r;
	_cleanup_fd_ int fd = r;
	struct node at = *n; /* for xattrs by fd the parent is not needed */
	if (is_opaque && (r = tree_set_opaque(fd, n->path, e)) < 0)
		return r;
	if (t->implied && implied_unmark(fd) < 0)
		return failed(n, "unpack", e);
	if (fchown(fd, n->uid, n->gid) < 0)
		return no_owner(n, e);
	if (fchmod(fd, n->mode) < 0)
		return failed(n, "set the mode of", e);
	if ((r = node_xattrs(t, &at, fd, e)) < 0)
		return r;
	/* Members made from now on inherit the group; the cache must see that. */
	for (size_t i = 0; (n->mode & S_ISGID) && i < TREE_CACHE; i++)
		if (t->cache[i].path && streq(t->cache[i].path, n->path))
			t->cache[i].is_setgid = true;
	if ((r = tree_note_mtime(t, n->path, n->mtime, e)) < 0)
		return r;
	if (is_opaque && (r = list(t, n, 'o', 0, NULL, e)) < 0)
		return r;
	return list(t, n, 'd', 0, NULL, e);
}

/* Data of the entry into fd; *ret_size: the file's size. */
static int write_data(const struct node *n, struct archive *a, int fd, struct file_hash *h, struct err *e)
{
	uint64_t end = 0, size = (uint64_t)archive_entry_size(n->entry);
	const void *p;
	size_t len;
	la_int64_t off;
	int r;

	while ((r = archive_read_data_block(a, &p, &len, &off)) == ARCHIVE_OK || r == ARCHIVE_WARN) {
		if (len == 0)
			continue;
		if (off < 0 || (uint64_t)off < end || (uint64_t)off + len > size)
			return err_set(e, EBADMSG, "\"%.200s\": its data lies outside of it", n->path);
		if ((uint64_t)off != end && lseek(fd, off, SEEK_SET) < 0)
			return failed(n, "seek in", e);
		int k = fd_write_full(fd, p, len);
		if (k < 0)
			return err_set(e, -k, "write \"%.200s\": %s", n->path, strerror(-k));
		file_hash_add(h, (uint64_t)off, p, len);
		end = (uint64_t)off + len;
	}
	if (r != ARCHIVE_EOF)
		return err_set(e, EBADMSG, "\"%.200s\": %s", n->path, archive_error_string(a));
	if (end < size && !h->is_sparse)
		return err_set(e, EBADMSG, "\"%.200s\" ends after %llu of %llu bytes", n->path, (unsigned long long)end,
			       (unsigned long long)size);
	if (end < size && ftruncate(fd, (off_t)size) < 0)
		return failed(n, "extend", e);
	return 0;
}

static int create_file(struct tree *t, const struct node *n, int *parentfd, struct err *e)
{
	static const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(n->parent->fd, n->name, flags, n->mode & 0777), r;

	if (fd >= 0)
		return fd;
	if (errno != EEXIST)
		return failed(n, "create", e);
	if ((r = make_room(t, n, parentfd, e)) < 0)
		return r;
	fd = openat(*parentfd, n->name, flags, n->mode & 0777);
	return fd < 0 ? failed(n, "create", e) : fd;
}

int node_file(struct tree *t, const struct node *n, struct archive *a, struct err *e)
{
	bool is_plain = n->uid == 0 && n->gid == 0 && !n->parent->is_setgid && !(n->mode & 07000) && !t->has_default_acl;
	struct timespec ts[2] = { n->mtime, n->mtime };
	la_int64_t size = archive_entry_size(n->entry);
	_cleanup_fd_ int parentfd = -1;
	struct file_hash h;
	char hex[65];
	int r;

	if (size < 0 || (uint64_t)size > t->lim->max_bytes || t->bytes + (uint64_t)size > t->lim->max_bytes)
		return err_set(e, E2BIG, "\"%.200s\": the layer's files are larger than the limit of %llu bytes", n->path,
			       (unsigned long long)t->lim->max_bytes);
	t->bytes += (uint64_t)size;
	if ((r = create_file(t, n, &parentfd, e)) < 0)
		return r;
	_cleanup_fd_ int fd = r;
	file_hash_init(&h, archive_entry_sparse_count(n->entry) > 0);
	if ((r = write_data(n, a, fd, &h, e)) < 0)
		return r;
	if (!is_plain && fchown(fd, n->uid, n->gid) < 0)
		return no_owner(n, e);
	if (!is_plain && fchmod(fd, n->mode) < 0)
		return failed(n, "set the mode of", e);
	if ((r = node_xattrs(t, n, fd, e)) < 0)
		return r;
	if (futimens(fd, ts) < 0)
		return failed(n, "set the time of", e);
	file_hash_finish(&h, hex);
	return list(t, n, h.is_sparse ? 's' : 'f', (uint64_t)size, hex, e);
}

/* Owner, xattrs and times of a node that has no fd to open. */
static int finish_unopened(struct tree *t, const struct node *n, int parentfd, struct err *e)
{
	struct timespec ts[2] = { n->mtime, n->mtime };
	struct tree_dir dir = { .fd = parentfd };
	struct node at = *n;
	int r;

	at.parent = &dir;
	if (fchownat(parentfd, n->name, n->uid, n->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return no_owner(n, e);
	if ((r = node_xattrs(t, &at, -1, e)) < 0)
		return r;
	return utimensat(parentfd, n->name, ts, AT_SYMLINK_NOFOLLOW) < 0 ? failed(n, "set the time of", e) : 0;
}

int node_symlink(struct tree *t, const struct node *n, struct err *e)
{
	_cleanup_fd_ int own = -1;
	int dir = n->parent->fd, r;

	if (symlinkat(n->target, dir, n->name) < 0) {
		if (errno != EEXIST)
			return failed(n, "make symlink", e);
		if ((r = make_room(t, n, &own, e)) < 0)
			return r;
		dir = own;
		if (symlinkat(n->target, dir, n->name) < 0)
			return failed(n, "make symlink", e);
	}
	if ((r = finish_unopened(t, n, dir, e)) < 0)
		return r;
	return list(t, n, 'l', strlen(n->target), NULL, e);
}

int node_hardlink(struct tree *t, const struct node *n, struct err *e)
{
	const char *slash = strrchr(n->target, '/'), *name = slash ? slash + 1 : n->target;
	_cleanup_free_ char *up = strndup(n->target, slash ? (size_t)(slash - n->target) : 0);
	_cleanup_fd_ int from = -1, to = fcntl(n->parent->fd, F_DUPFD_CLOEXEC, 3);
	struct stat st, other;
	int r;

	if (!up || to < 0)
		return err_set(e, ENOMEM, "link \"%.200s\": out of memory or descriptors", n->path);
	from = root_open(t->rootfd, *up ? up : ".", O_PATH | O_DIRECTORY, 0);
	/* The last component is not followed: a link to a symlink is a second name of the symlink. */
	if (from < 0 || fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(e, ENOENT, "hard link \"%.200s\": its target \"%.200s\" is not in this layer", n->path, n->target);
	if (S_ISDIR(st.st_mode))
		return err_set(e, EINVAL, "hard link \"%.200s\": its target \"%.200s\" is a directory", n->path, n->target);
	if (fstatat(to, n->name, &other, AT_SYMLINK_NOFOLLOW) == 0) {
		if (other.st_ino == st.st_ino && other.st_dev == st.st_dev)
			return 0; /* the same file already, or a link to itself */
		if ((r = tree_remove(t, to, n->name, n->path, e)) < 0)
			return r;
	}
	if (linkat(from, name, to, n->name, 0) < 0)
		return failed(n, "hard link", e);
	return list(t, n, 'h', 0, NULL, e);
}

/* In a user namespace nobody makes devices: an image's are left out there. Its containers could not have opened them either. */
static int not_made(const struct node *n, mode_t mode, struct err *e)
{
	if (errno != EPERM || S_ISFIFO(mode) || !overlay_has_user_xattrs())
		return failed(n, "make device or FIFO", e);
	log_debug("unpack", "\"%.200s\" is a device: left out", n->path);
	return 0;
}

/* 1: made; 0: left out. */
static int make_special(struct tree *t, const struct node *n, mode_t mode, dev_t dev, int *own, struct err *e)
{
	int r;

	if (mknodat(n->parent->fd, n->name, mode, dev) == 0)
		return 1;
	if (errno != EEXIST)
		return not_made(n, mode, e);
	if ((r = make_room(t, n, own, e)) < 0)
		return r;
	return mknodat(*own, n->name, mode, dev) < 0 ? not_made(n, mode, e) : 1;
}

int node_special(struct tree *t, const struct node *n, mode_t type, struct err *e)
{
	_cleanup_fd_ int own = -1;
	dev_t dev = S_ISFIFO(type) ? 0 : n->rdev;
	int dir = n->parent->fd, r = make_special(t, n, type | n->mode, dev, &own, e);

	if (r <= 0 || (r = finish_unopened(t, n, own >= 0 ? own : dir, e)) < 0)
		return r;
	return list(t, n, S_ISFIFO(type) ? 'p' : S_ISCHR(type) ? 'c' : 'b', dev, NULL, e);
}

int node_whiteout(struct tree *t, const struct node *n, struct err *e)
{
	struct stat st;

	if (fstatat(n->parent->fd, n->name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		/* Deleted below and made anew in this layer. A file hides what is below by itself; a directory must say so. */
		if (!S_ISDIR(st.st_mode))
			return 0;
		_cleanup_fd_ int fd = openat(n->parent->fd, n->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int r = fd < 0 ? failed(n, "open", e) : tree_set_opaque(fd, n->path, e);
		return r < 0 ? r : list(t, n, 'o', 0, NULL, e);
	}
	if (mknodat(n->parent->fd, n->name, S_IFCHR, makedev(0, 0)) < 0)
		return failed(n, "make whiteout", e);
	return list(t, n, 'w', 0, NULL, e);
}
