/* mount_cgroup: the container's view of its own cgroups: on v2 one mount, on v1 a tmpfs with a mount for each hierarchy in
 * which the container has a cgroup of its own. What is mounted is the container's own directory, bound from the host's mount:
 * that costs a tenth of a new cgroup mount, and can't show the host's tree even where there is no cgroup namespace. Called by
 * mounts.c, before the pivot and after "cgroup join". */
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "setup.h"

/* base: a hierarchy's mount point. A detached mount of the container's own directory there; -ENOENT where it has none. */
static int clone_own(struct setup *s, const char *base, uint64_t attrs, struct err *e)
{
	_cleanup_free_ char *path = str_fmt("%s%s", base, s->c->cgroup_path);
	_cleanup_fd_ int fd = -1;
	int r;

	if (!path)
		return err_set(e, ENOMEM, "cgroup: out of memory");
	fd = mount_clone(AT_FDCWD, path, false);
	if (fd == -ENOENT)
		return -ENOENT;
	if (fd < 0)
		return err_set(e, -fd, "%s: %s", path, strerror(-fd));
	r = mount_attrs(fd, false, attrs, 0, MS_PRIVATE);
	return r < 0 ? err_set(e, -r, "%s: %s", path, strerror(-r)) : TAKE_FD(fd);
}

/* Names of the controllers that share the hierarchy at h->cgroup_v1[first], comma-separated: "cpu,cpuacct". */
static int names_of(const struct host *h, int first, struct buf *b)
{
	for (int c = first; c < CG_CTRL_COUNT; c++)
		if (streq0(h->cgroup_v1[c], h->cgroup_v1[first]))
			buf_fmt(b, "%s%s", b->len ? "," : "", cgroup_ctrl_name((enum cgroup_ctrl)c));
	return b->failed ? -ENOMEM : 0;
}

static bool is_first_of_hierarchy(const struct host *h, int c)
{
	for (int i = 0; i < c; i++)
		if (streq0(h->cgroup_v1[i], h->cgroup_v1[c]))
			return false;
	return h->cgroup_v1[c] != NULL;
}

/* "cpu" -> "cpu,cpuacct", as programs look for either. */
static int link_names(const struct host *h, int first, const char *names, int tmpfs, struct err *e)
{
	for (int c = first; strchr(names, ',') && c < CG_CTRL_COUNT; c++)
		if (streq0(h->cgroup_v1[c], h->cgroup_v1[first]) &&
		    symlinkat(names, tmpfs, cgroup_ctrl_name((enum cgroup_ctrl)c)) < 0)
			return err_set(e, errno, "cgroup %s: %s", names, strerror(errno));
	return 0;
}

static int mount_hierarchy(struct setup *s, int c, int tmpfs, uint64_t attrs, struct err *e)
{
	const struct host *h = s->args->host;
	_cleanup_buf_ struct buf names = { 0 };
	_cleanup_fd_ int fd = clone_own(s, h->cgroup_v1[c], attrs, e), target = -1;
	int r;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if (names_of(h, c, &names) < 0)
		return err_set(e, ENOMEM, "cgroup: out of memory");
	if (mkdirat(tmpfs, names.data, 0555) < 0)
		return err_set(e, errno, "cgroup %s: %s", names.data, strerror(errno));
	target = openat(tmpfs, names.data, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (target < 0)
		return err_set(e, errno, "cgroup %s: %s", names.data, strerror(errno));
	r = mount_attach(fd, target);
	return r < 0 ? err_set(e, -r, "cgroup %s: attach: %s", names.data, strerror(-r)) : link_names(h, c, names.data, tmpfs, e);
}

static int mount_v1(struct setup *s, int target, uint64_t attrs, struct err *e)
{
	static const char *const data[] = { "mode=755", "size=64k" };
	_cleanup_fd_ int tmpfs = fs_mount("tmpfs", "cgroup", data, ARRAY_SIZE(data), attrs & ~(uint64_t)MOUNT_ATTR_RDONLY, e);
	int r;

	if (tmpfs < 0)
		return tmpfs;
	r = mount_attach(tmpfs, target);
	if (r < 0)
		return err_set(e, -r, "attach: %s", strerror(-r));
	for (int c = 0; s->c->cgroup_path && c < CG_CTRL_COUNT; c++) {
		r = is_first_of_hierarchy(s->args->host, c) ? mount_hierarchy(s, c, tmpfs, attrs, e) : 0;
		if (r < 0)
			return r;
	}
	r = (attrs & MOUNT_ATTR_RDONLY) ? mount_attrs(tmpfs, false, MOUNT_ATTR_RDONLY, 0, 0) : 0;
	return r < 0 ? err_set(e, -r, "read-only: %s", strerror(-r)) : 0;
}

int mount_cgroup(struct setup *s, int target, const struct mount_plan *plan, struct err *e)
{
	uint64_t attrs = plan->attrs | plan->rec_attrs | plan->atime;
	_cleanup_fd_ int fd = -1;
	int r;

	if (plan->n_data > 0)
		return err_set(e, EINVAL, "option \"%s\": not one that a cgroup mount knows", plan->data[0]);
	if (s->args->host->cgroup != CGROUP_V2)
		return mount_v1(s, target, attrs, e);
	/* Without a cgroup of its own nothing is shown. */
	if (!s->c->cgroup_path)
		return 0;
	fd = clone_own(s, s->args->host->cgroup_v2, attrs, e);
	if (fd < 0)
		return e->no ? fd : err_set(e, -fd, "%s%s: %s", s->args->host->cgroup_v2, s->c->cgroup_path, strerror(-fd));
	r = mount_attach(fd, target);
	return r < 0 ? err_set(e, -r, "attach: %s", strerror(-r)) : 0;
}
