/* delegate: see delegate.h. On v2 the cgroup beside the caller's own, as with runc: in the caller's own no limit could be set, since
 * that holds processes (cgroup-v2.rst, "No Internal Process Constraint"). Where all hierarchies belong to this user, as in a
 * system container, the place that root has. */
#include "delegate.h"

#include <stdio.h>
#include <unistd.h>

static bool may_write(const char *dir, const char *file)
{
	_cleanup_free_ char *path = str_fmt("%s/%s", dir, file);

	return path && faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0;
}

/* A process may move only where it may write to the common ancestor's cgroup.procs (cgroup-v2.rst, "Delegation Containment"). */
static bool is_ours(const char *dir) { return may_write(dir, ".") && may_write(dir, "cgroup.procs"); }

static bool are_all_ours(const struct host *h)
{
	bool any = false;

	for (int c = 0; c < CG_CTRL_COUNT; c++) {
		if (h->cgroup_v1[c] && !is_ours(h->cgroup_v1[c]))
			return false;
		any = any || h->cgroup_v1[c];
	}
	return any && (!h->cgroup_v2 || is_ours(h->cgroup_v2));
}

/* "/a/b" of the line "0::/a/b/c", "" of "0::/c"; NULL where it is not below the mount point. */
static char *parent_of_own(void)
{
	_cleanup_free_ char *text = NULL;
	char *path, *slash;

	if (file_read(AT_FDCWD, "/proc/self/cgroup", 65536, &text, NULL) < 0)
		return NULL;
	path = str_after(text, "0::/") ? text : strstr(text, "\n0::/");
	if (!path)
		return NULL;
	path = strchr(path, '/');
	path[strcspn(path, "\n")] = '\0';
	slash = strrchr(path, '/');
	*slash = '\0';
	return strstr(path, "/..") ? NULL : strdup(path);
}

int delegated_cgroup(const struct host *h, const char *id, char **ret, struct err *e)
{
	_cleanup_free_ char *parent = h->cgroup == CGROUP_V2 ? parent_of_own() : NULL, *dir = NULL, *path = NULL;

	if (are_all_ours(h)) {
		path = str_fmt("/berth-%s", id); /* as bundle_place_cgroup's */
	} else if (parent) {
		dir = str_fmt("%s%s", h->cgroup_v2, parent);
		if (dir && !is_ours(dir)) {
			*ret = NULL;
			return 0;
		}
		path = dir ? str_fmt("%s/berth-%s", parent, id) : NULL;
	} else {
		*ret = NULL;
		return 0;
	}
	if (!path)
		return err_set(e, ENOMEM, "out of memory");
	*ret = TAKE_PTR(path);
	return 0;
}
