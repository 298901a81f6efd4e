/* Which cgroups somebody without the host's root's rights has: those of v2 that have been delegated (cgroup-v2.rst, "Delegation"), as systemd
 * does with user@UID.service, or all, as in a system container. A process may move only where it may write to the common ancestor's
 * cgroup.procs ("Delegation Containment"), hence the highest of this process's own ancestors that may be written to, which the user's
 * processes have in common. */
#include <string.h>
#include <unistd.h>

#include "fd.h"
#include "host.h"
#include "spawn.h"
#include "str.h"

static bool may_write(const char *dir, const char *file)
{
	_cleanup_free_ char *path = str_fmt("%s/%s", dir, file);

	return path && faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0;
}

static bool is_ours(const char *dir) { return may_write(dir, ".") && may_write(dir, "cgroup.procs"); }

static bool are_all_ours(const struct host *h)
{
	bool any = h->cgroup_v2;

	for (int c = 0; c < CG_CTRL_COUNT; c++) {
		if (h->cgroup_v1[c] && !is_ours(h->cgroup_v1[c]))
			return false;
		any = any || h->cgroup_v1[c];
	}
	return any && (!h->cgroup_v2 || is_ours(h->cgroup_v2));
}

/* "/a/b/c" of /proc/self/cgroup's line "0::/a/b/c"; NULL where that is not below the mount point. */
static char *own_path(void)
{
	_cleanup_free_ char *text = NULL;
	const char *line;

	if (file_read(AT_FDCWD, "/proc/self/cgroup", 65536, &text, NULL) < 0)
		return NULL;
	line = str_after(text, "0::/") ? text : strstr(text, "\n0::/");
	line = line ? strchr(line, '/') : NULL;
	if (!line || str_after(line, "/.."))
		return NULL;
	return strndup(line, strcspn(line, "\n"));
}

/* Not the process's own cgroup: where there are processes no limits of cgroups below can be set ("No Internal Process Constraint"). */
static char *highest_ours(const char *mount, const char *own)
{
	for (const char *at = own; (at = strchr(at + 1, '/'));) {
		_cleanup_free_ char *dir = str_fmt("%s%.*s", mount, (int)(at - own), own);

		if (dir && is_ours(dir))
			return TAKE_PTR(dir);
	}
	return NULL;
}

int host_narrow_cgroup_to_user(struct host *h, struct err *e)
{
	_cleanup_free_ char *own = NULL, *dir = NULL;
	int r = 0;

	if (are_all_ours(h))
		return 0;
	own = h->cgroup == CGROUP_V2 ? own_path() : NULL;
	dir = own ? highest_ours(h->cgroup_v2, own) : NULL;
	for (int c = 0; c < CG_CTRL_COUNT; c++)
		free_ptr(&h->cgroup_v1[c]);
	free_ptr(&h->cgroup_v2);
	h->cgroup_v2_ctrls = 0;
	h->cgroup = dir ? CGROUP_V2 : CGROUP_NONE;
	h->cgroup_v2 = TAKE_PTR(dir);
	if (h->cgroup_v2 && (r = host_read_controllers(h)) < 0)
		return err_set(e, -r, "%s/cgroup.controllers: %s", h->cgroup_v2, strerror(-r));
	return 0;
}

int host_narrow_cgroup(struct host *h, struct err *e) { return in_user_namespace() ? host_narrow_cgroup_to_user(h, e) : 0; }

int host_probe_cgroup_ours(struct host *h, struct err *e)
{
	int r = host_probe_cgroup(h, e);

	if (r < 0)
		return r;
	r = host_narrow_cgroup(h, e);
	if (r < 0)
		host_done(h);
	return r;
}
