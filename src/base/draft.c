/* Files that appear whole or not at all, and what writers that were killed have left. */
#include "draft.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fd.h"
#include "path.h"
#include "str.h"

/* ---- one without a name ---- */

int draft_open(struct draft *d, const char *path)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");

	*d = (struct draft){ .path = path, .fd = -1 };
	if (!dir)
		return -ENOMEM;
	d->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (d->fd >= 0)
		return 0;
	/* Some file systems have no such files. */
	if (errno != EOPNOTSUPP && errno != EISDIR)
		return -errno;
	if (!(d->temp = str_fmt("%s.XXXXXX", path)))
		return -ENOMEM;
	d->fd = mkostemp(d->temp, O_CLOEXEC);
	if (d->fd < 0) {
		free_ptr(&d->temp);
		return -errno;
	}
	return 0;
}

/* A link can't replace what has the name already: then by way of another name. */
static int give_name(struct draft *d)
{
	char from[FD_PATH_LEN], id[ID_LEN + 1];
	int r;

	fd_path(d->fd, from);
	if (linkat(AT_FDCWD, from, AT_FDCWD, d->path, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	if ((r = id_new(id)) < 0)
		return r;
	if (!(d->temp = str_fmt("%s.%.12s", d->path, id)))
		return -ENOMEM;
	if (linkat(AT_FDCWD, from, AT_FDCWD, d->temp, AT_SYMLINK_FOLLOW) < 0) {
		r = -errno;
		free_ptr(&d->temp);
		return r;
	}
	return 0;
}

int draft_keep(struct draft *d, mode_t mode)
{
	int r = fchmod(d->fd, mode) < 0 ? -errno : 0;

	if (r == 0 && !d->temp)
		r = give_name(d);
	if (r == 0 && d->temp && rename(d->temp, d->path) < 0)
		r = -errno;
	if (r == 0)
		free_ptr(&d->temp);
	return r;
}

void draft_done(struct draft *d)
{
	if (d->temp)
		unlink(d->temp);
	free_ptr(&d->temp);
	d->fd = fd_close(d->fd);
}

/* ---- file_replace's ---- */

/* ".NAME.PID.tmp" of a process that is gone? */
static bool is_lost(const char *entry, const char *name)
{
	const char *rest = *entry == '.' ? str_after(entry + 1, name) : NULL;
	_cleanup_free_ char *pid_text = rest && *rest == '.' ? strdup(rest + 1) : NULL;
	char *end = pid_text ? strchr(pid_text, '.') : NULL;
	uint64_t pid;

	if (!end || !streq(end, ".tmp"))
		return false;
	*end = '\0';
	return str_to_u64(pid_text, &pid) == 0 && pid > 0 && pid <= INT_MAX && kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

int file_replace_sweep(int dirfd, const char *name)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d) {
		r = -errno;
		fd_close(fd);
		return r;
	}
	for (struct dirent *ent; r == 0 && (errno = 0, ent = readdir(d));)
		if (is_lost(ent->d_name, name) && unlinkat(fd, ent->d_name, 0) < 0 && errno != ENOENT)
			r = -errno;
	if (r == 0 && errno && errno != ENOENT && errno != ESRCH)
		r = -errno;
	closedir(d);
	return r;
}
