/* Leftovers: ROOT/tmp/unpack-X is stale when nobody holds the flock on its diff directory. Making and locking one happens under
 * a shared lock of ROOT/tmp, sweeping under an exclusive one, so a new directory is never seen unlocked. */
#include "layer_tmp.h"

#include <dirent.h>
#include <sys/file.h>
#include <unistd.h>

#include "layers.h"

int layer_tmp_new_locked(int rootfd, char **ret_name, int *ret_dirfd, struct err *e)
{
	_cleanup_fd_ int tmp = openat(rootfd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC), dir = -1;
	_cleanup_free_ char *name = NULL;
	int r;

	if (tmp < 0 || flock(tmp, LOCK_SH) < 0)
		return err_set(e, errno, "lock ROOT/tmp: %s", strerror(errno));
	r = layer_tmp_new(rootfd, &name, &dir, e);
	if (r < 0)
		return r;
	if (flock(dir, LOCK_EX | LOCK_NB) < 0) {
		r = err_set(e, errno, "lock ROOT/tmp/%s: %s", name, strerror(errno));
		layer_tmp_remove(rootfd, name);
		return r;
	}
	*ret_name = TAKE_PTR(name);
	*ret_dirfd = TAKE_FD(dir);
	return 0;
}

static bool is_stale(int tmp, const char *name)
{
	_cleanup_free_ char *path = str_fmt("%s/diff", name);
	_cleanup_fd_ int dir = -1;

	if (!path)
		return false;
	dir = openat(tmp, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0)
		return errno == ENOENT; /* died before it was made */
	return flock(dir, LOCK_EX | LOCK_NB) == 0;
}

void layers_sweep(int rootfd)
{
	_cleanup_fd_ int tmp = openat(rootfd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *d;
	DIR *dp;
	int copy;

	/* Somebody at work here right now: the next pull sweeps. */
	if (tmp < 0 || flock(tmp, LOCK_EX | LOCK_NB) < 0)
		return;
	copy = fcntl(tmp, F_DUPFD_CLOEXEC, 0);
	dp = copy < 0 ? NULL : fdopendir(copy);
	if (!dp) {
		fd_close(copy);
		return;
	}
	while ((d = readdir(dp)))
		if (str_after(d->d_name, "unpack-") && is_stale(tmp, d->d_name))
			layer_tmp_remove(rootfd, d->d_name);
	closedir(dp);
}
