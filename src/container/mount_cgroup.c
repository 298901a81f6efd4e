/* mount_cgroup: the container's view of its own cgroups, inside its cgroup namespace. On v2 one mount; on v1 a tmpfs with a
 * mount for each hierarchy in which the container has a cgroup of its own. One in which it has none would show the host's
 * root cgroup, so it is left out. Called by mounts.c, after ns_cgroup. */
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "setup.h"

/* Whether the container's place in ctrl's hierarchy is its own cgroup. self: /proc/self/cgroup from before the cgroup namespace
 * was made ("4:memory:/berth/ID"); the hierarchy may itself be mounted from a deeper point, so the end of the path decides. */
static bool is_own(const char *self, const char *ctrl, const char *own)
{
	size_t n = strlen(ctrl), n_own = strlen(own);

	for (const char *line = self; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		const char *list = strchr(line, ':');

		if (!list)
			continue;
		for (const char *p = list + 1; *p && *p != ':';) {
			size_t len = strcspn(p, ",:");

			if (len == n && memcmp(p, ctrl, n) == 0) {
				const char *path = p + strcspn(p, ":") + 1;
				size_t n_path = strcspn(path, "\n");

				return n_path >= n_own && memcmp(path + n_path - n_own, own, n_own) == 0;
			}
			p += len + (p[len] == ',');
		}
	}
	return false;
}

static int mount_v1_one(int dirfd, const char *name, const char *options, uint64_t attrs, struct err *e)
{
	_cleanup_fd_ int fd = -1, target = -1;
	const char *data[CG_CTRL_COUNT];
	_cleanup_strv_ char **list = strv_split(options, ',');
	size_t n = 0;
	int r;

	if (!list)
		return err_set(e, ENOMEM, "cgroup %s: out of memory", name);
	for (; list[n] && n < ARRAY_SIZE(data); n++)
		data[n] = list[n];
	if (mkdirat(dirfd, name, 0555) < 0)
		return err_set(e, errno, "cgroup %s: %s", name, strerror(errno));
	target = openat(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (target < 0)
		return err_set(e, errno, "cgroup %s: %s", name, strerror(errno));
	fd = fs_mount("cgroup", "cgroup", data, n, attrs, e);
	if (fd < 0)
		return fd;
	r = mount_attach(fd, target);
	return r < 0 ? err_set(e, -r, "cgroup %s: attach: %s", name, strerror(-r)) : 0;
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

static int mount_v1_all(struct setup *s, int tmpfs, uint64_t attrs, struct err *e)
{
	const struct host *h = s->args->host;
	int r;

	for (int c = 0; c < CG_CTRL_COUNT; c++) {
		_cleanup_buf_ struct buf names = { 0 };
		const char *ctrl = cgroup_ctrl_name((enum cgroup_ctrl)c);

		if (!is_first_of_hierarchy(h, c) || !is_own(s->self_cgroup, ctrl, s->c->cgroup_path))
			continue;
		if (names_of(h, c, &names) < 0)
			return err_set(e, ENOMEM, "cgroup: out of memory");
		r = mount_v1_one(tmpfs, names.data, names.data, attrs, e);
		if (r < 0)
			return r;
		/* "cpu" -> "cpu,cpuacct", as programs look for either. */
		for (int d = c; d < CG_CTRL_COUNT; d++)
			if (strchr(names.data, ',') && streq0(h->cgroup_v1[d], h->cgroup_v1[c]) &&
			    symlinkat(names.data, tmpfs, cgroup_ctrl_name((enum cgroup_ctrl)d)) < 0)
				return err_set(e, errno, "cgroup %s: %s", names.data, strerror(errno));
	}
	return 0;
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
	if (s->self_cgroup && s->spec->ns.wanted[NS_CGROUP]) {
		r = mount_v1_all(s, tmpfs, attrs, e);
		if (r < 0)
			return r;
	}
	r = attrs & MOUNT_ATTR_RDONLY ? mount_attrs(tmpfs, false, MOUNT_ATTR_RDONLY, 0, 0) : 0;
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
	/* Without a cgroup of its own in a cgroup namespace of its own this would be the host's whole tree. */
	if (!s->c->cgroup || !s->spec->ns.wanted[NS_CGROUP])
		return 0;
	fd = fs_mount("cgroup2", "cgroup", NULL, 0, attrs, e);
	if (fd < 0)
		return fd;
	r = mount_attach(fd, target);
	return r < 0 ? err_set(e, -r, "attach: %s", strerror(-r)) : 0;
}
