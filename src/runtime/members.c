/* members: the processes of a container, by its cgroup; without one, by its pid namespace, which is as good where it has its own.
 * Called by ps and kill. */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "record.h"

static bool pid_namespace(pid_t pid, struct stat *ret)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid);
	return stat(path, ret) == 0;
}

static int add(pid_t pid, pid_t **pids, size_t *n)
{
	pid_t *more = reallocarray(*pids, *n + 1, sizeof(**pids));

	if (!more)
		return -ENOMEM;
	*pids = more;
	more[(*n)++] = pid;
	return 0;
}

/* Somebody else's processes don't tell, and are none of the container's. */
static int by_namespace(pid_t first, pid_t **pids, size_t *n)
{
	struct stat its, st;
	DIR *d;
	int r = 0;

	if (!pid_namespace(first, &its))
		return add(first, pids, n);
	d = opendir("/proc");
	if (!d)
		return -errno;
	for (struct dirent *de; r == 0 && (de = readdir(d));) {
		uint64_t pid;

		if (str_to_u64(de->d_name, &pid) == 0 && pid > 0 && pid_namespace((pid_t)pid, &st) && st.st_ino == its.st_ino &&
		    st.st_dev == its.st_dev)
			r = add((pid_t)pid, pids, n);
	}
	closedir(d);
	return r;
}

int record_pids(const struct record *rec, const struct host *host, pid_t **ret, size_t *ret_n, struct err *e)
{
	_cleanup_free_ pid_t *pids = NULL;
	struct cgroup *cg = NULL;
	pid_t first;
	size_t n = 0;
	int r = record_cgroup(rec, host, &cg, e);

	if (r == 0) {
		r = cgroup_pids(cg, &pids, &n);
		cgroup_free(cg);
	} else if (r == -ENOENT) {
		first = record_live_pid(rec);
		r = !first ? 0 : rec->has_pid_ns ? by_namespace(first, &pids, &n) : add(first, &pids, &n);
	} else {
		return r;
	}
	if (r < 0)
		return err_set(e, -r, "processes of %s: %s", rec->id, strerror(-r));
	*ret = TAKE_PTR(pids);
	*ret_n = n;
	return 0;
}
