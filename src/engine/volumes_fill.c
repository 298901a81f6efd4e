/* volumes_fill.c: an empty volume over a directory of the image gets what the image has there.
 *
 * The copy is made beside _data, in "filling", and takes its place in one rename: killed before that, the volume is empty, and filled
 * at its next use; after it, the volume is filled. Where other containers use the volume, theirs is the old directory, and a rename
 * would part them from it. Then the whole copy is renamed to "filled", which is the moment of truth, and its entries are moved into
 * _data one by one; who is killed in between leaves the rest to the next use of the volume (volume_settle). */
#include "volumes_impl.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

/* 1: nothing is in it; 0; -errno. */
static int is_empty(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), r = 1;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d) {
		r = -errno;
		fd_close(fd);
		return r;
	}
	for (struct dirent *ent; r == 1 && (errno = 0, ent = readdir(d));)
		r = streq(ent->d_name, ".") || streq(ent->d_name, "..");
	if (r == 1 && errno)
		r = -errno;
	closedir(d);
	return r;
}

int volume_is_settled(int fd, bool *ret_empty)
{
	int pending = file_exists(fd, VOLUME_FILLED), empty = pending < 0 ? pending : is_empty(fd, VOLUME_DATA);

	if (empty < 0)
		return empty;
	*ret_empty = empty;
	return !pending;
}

static int open_dir(int fd, const char *name, int *ret)
{
	*ret = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret < 0 ? -errno : 0;
}

/* What has come to be there meanwhile is its users', and stays. */
static int move_one(int from, int to, const char *name)
{
	if (renameat2(from, name, to, name, RENAME_NOREPLACE) == 0 || errno == ENOENT)
		return 0;
	return errno == EEXIST ? rm_rf(from, name) : -errno;
}

static int move_entries(int from, int to)
{
	int again = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = again < 0 ? NULL : fdopendir(again);

	if (!d) {
		r = -errno;
		fd_close(again);
		return r;
	}
	for (struct dirent *ent; r == 0 && (errno = 0, ent = readdir(d));)
		if (!streq(ent->d_name, ".") && !streq(ent->d_name, ".."))
			r = move_one(from, to, ent->d_name);
	if (r == 0 && errno)
		r = -errno;
	closedir(d);
	return r;
}

int volume_settle(int fd, struct err *e)
{
	_cleanup_fd_ int from = -1, to = -1;
	int r = open_dir(fd, VOLUME_FILLED, &from);

	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = open_dir(fd, VOLUME_DATA, &to);
	/* Until a pass finds nothing: a directory may be listed in part while names leave it. */
	while (r == 0 && (r = is_empty(fd, VOLUME_FILLED)) == 0)
		r = move_entries(from, to);
	if (r < 0)
		return err_set(e, -r, "move the copy in: %s", strerror(-r));
	r = volume_copy_attributes(from, to, e);
	if (r == 0 && unlinkat(fd, VOLUME_FILLED, AT_REMOVEDIR) < 0)
		r = err_set(e, errno, "remove the copy's directory: %s", strerror(errno));
	return r;
}

/* Whole, and on the disk, before it may be seen. */
static int make_copy(int fd, int from, bool durable, struct err *e)
{
	_cleanup_fd_ int to = -1;
	int r = rm_rf(fd, VOLUME_FILLING);

	if (r == 0 && mkdirat(fd, VOLUME_FILLING, 0700) < 0)
		r = -errno;
	if (r == 0)
		r = open_dir(fd, VOLUME_FILLING, &to);
	if (r < 0)
		return err_set(e, -r, "make a directory: %s", strerror(-r));
	r = volume_copy(from, to, e);
	if (r == 0 && durable && syncfs(to) < 0)
		r = err_set(e, errno, "write it to the disk: %s", strerror(errno));
	return r;
}

int volume_fill(int fd, int from, bool has_users, bool durable, struct err *e)
{
	int r = make_copy(fd, from, durable, e);

	if (r == 0 && has_users) {
		r = renameat(fd, VOLUME_FILLING, fd, VOLUME_FILLED) < 0
			    ? err_set(e, errno, "rename the copy: %s", strerror(errno))
			    : volume_settle(fd, e);
	} else if (r == 0 && renameat(fd, VOLUME_FILLING, fd, VOLUME_DATA) < 0 && errno != ENOTEMPTY && errno != EEXIST) {
		r = err_set(e, errno, "rename the copy: %s", strerror(errno));
	}
	if (r == 0 && durable && fsync(fd) < 0)
		r = err_set(e, errno, "write its name to the disk: %s", strerror(errno));
	(void)rm_rf(fd, VOLUME_FILLING); /* there is one only after a failure, or where somebody has just put a file into _data */
	return r;
}
