/* rm -r of trees that strangers have filled. Nothing is followed: every entry is removed by name relative to a directory that
 * was itself opened by name without links and without leaving the mount. Depth costs neither stack nor descriptors without
 * bound: below DEPTH_MAX a directory is moved up beside the first one's children and taken from there. */
#include <dirent.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fd.h"
#include "str.h"

#define DEPTH_MAX 64

struct rm {
	int topfd;      /* the directory that is being removed */
	unsigned moved; /* how many were moved up into it */
};

/* A directory by name, on the same mount as dirfd, or -EXDEV. */
static int open_dir_here(int dirfd, const char *name)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS,
	};
	struct statx parent, child;
	long fd = syscall(SYS_openat2, dirfd, name, &how, sizeof(how));

	if (fd >= 0 || errno != ENOSYS)
		return fd >= 0 ? (int)fd : -errno;
	_cleanup_fd_ int dir = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	if (statx(dirfd, "", AT_EMPTY_PATH, STATX_MNT_ID, &parent) < 0 || statx(dir, "", AT_EMPTY_PATH, STATX_MNT_ID, &child) < 0)
		return -errno;
	bool same = parent.stx_dev_major == child.stx_dev_major && parent.stx_dev_minor == child.stx_dev_minor;
	if (parent.stx_mask & child.stx_mask & STATX_MNT_ID) /* Linux 5.8: tells bind mounts of one file system apart too */
		same = parent.stx_mnt_id == child.stx_mnt_id;
	return same ? TAKE_FD(dir) : -EXDEV;
}

static int remove_tree(struct rm *rm, int parentfd, const char *name, unsigned depth);

static int remove_entry(struct rm *rm, int dirfd, const struct dirent *d, unsigned depth)
{
	if (d->d_type != DT_DIR) {
		if (unlinkat(dirfd, d->d_name, 0) == 0 || errno == ENOENT)
			return 0;
		if (errno != EISDIR && errno != EPERM) /* EPERM: what POSIX has unlink() of a directory answer */
			return -errno;
	}
	return remove_tree(rm, dirfd, d->d_name, depth + 1);
}

/* Reads dirfd until a pass finds it empty (entries may be moved in meanwhile). */
static int remove_children(struct rm *rm, int dirfd, unsigned depth)
{
	for (;;) {
		unsigned moved = rm->moved;
		/* A fresh description each time: the offset of a shared one would skip entries. */
		int again = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (again < 0)
			return -errno;
		DIR *dir = fdopendir(again);
		if (!dir) {
			fd_close(again);
			return -errno;
		}
		struct dirent *d;
		int r = 0;
		while (r == 0 && (errno = 0, d = readdir(dir)))
			if (!streq(d->d_name, ".") && !streq(d->d_name, ".."))
				r = remove_entry(rm, dirfd, d, depth);
		if (r == 0 && errno)
			r = -errno;
		closedir(dir);
		if (r < 0 || depth > 0 || rm->moved == moved)
			return r;
	}
}

static int remove_tree(struct rm *rm, int parentfd, const char *name, unsigned depth)
{
	_cleanup_fd_ int dirfd = -1;
	int r;

	if (unlinkat(parentfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (depth >= DEPTH_MAX) {
		char up[32];
		snprintf(up, sizeof(up), ".rm-%u", rm->moved);
		if (renameat2(parentfd, name, rm->topfd, up, RENAME_NOREPLACE) == 0) {
			rm->moved++;
			return 0;
		}
		/* Somebody's file of that name, or a mount point: go on downwards. */
		if (errno == EEXIST)
			rm->moved++;
	}
	dirfd = open_dir_here(parentfd, name);
	if (dirfd == -EACCES && fchmodat(parentfd, name, 0700, 0) == 0) /* not as root: a folder closed to its owner */
		dirfd = open_dir_here(parentfd, name);
	if (dirfd < 0)
		return dirfd == -ENOENT ? 0 : dirfd;
	if (depth == 0)
		rm->topfd = dirfd;
	r = remove_children(rm, dirfd, depth);
	if (r < 0)
		return r;
	return unlinkat(parentfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

int rm_rf(int dirfd, const char *name)
{
	struct rm rm = { .topfd = -1 };
	const char *last = strrchr(name, '/');
	_cleanup_fd_ int above = -1;

	/* The way to the tree is the caller's and may cross mounts; only from the tree's own name on may nothing do so. */
	if (last) {
		_cleanup_free_ char *way = strndup(name, (size_t)(last - name) + 1);
		if (!way)
			return -ENOMEM;
		above = openat(dirfd, way, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (above < 0)
			return errno == ENOENT ? 0 : -errno;
		dirfd = above;
		name = last + 1;
	}
	if (!*name || streq(name, ".") || streq(name, ".."))
		return -EINVAL;
	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	return remove_tree(&rm, dirfd, name, 0);
}
