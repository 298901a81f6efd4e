/* mounts: spec->mounts, in their order. Sources are cloned or made detached, targets resolved once below the root, the one
 * moved onto the other by fd. Called as steps:
 *   mounts_open_mapped  (mount_idmap.c) in the parent: what only it has the right to
 *   mounts_open_shared  before the tree becomes private: binds that want events from the host must be cloned while the source
 *                       still is in its peer group
 *   mounts_private      cuts the tree off the host's
 *   mounts_apply        all but the late ones
 *   mounts_apply_late   cgroup mounts, and whatever lies on them: last, so that the parent has the time of all the others to
 *                       make the cgroups
 *   mounts_propagation  once all is built */
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "setup.h"

/* Filesystems that show the kernel itself: no image may decide where they end up. */
static const char *const kernel_types[] = { "proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue" };

/* Files of /proc that may be given another content, as lxcfs does; nothing else is ever mounted over the inside of /proc,
 * since the kernel's own answers there are what confinement is checked by (CVE-2019-19921). */
static const char *const proc_overlays[] = {
	"/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo",  "/proc/stat",    "/proc/swaps",
	"/proc/uptime",  "/proc/loadavg",   "/proc/slabinfo", "/proc/net/dev", "/proc/sys/kernel/ns_last_pid"
};

static bool is_kernel_type(const char *type)
{
	for (size_t i = 0; type && i < ARRAY_SIZE(kernel_types); i++)
		if (streq(kernel_types[i], type))
			return true;
	return false;
}

static bool is_cgroup(const struct spec_mount *m) { return streq0(m->type, "cgroup") || streq0(m->type, "cgroup2"); }

bool path_is_late(const struct spec *s, const char *path)
{
	for (size_t i = 0; i < s->n_mounts; i++)
		if (is_cgroup(&s->mounts[i]) && path_is_under(path, s->mounts[i].destination))
			return true;
	return false;
}

bool mount_is_bind(const struct spec_mount *m)
{
	if (streq0(m->type, "bind"))
		return true;
	for (size_t i = 0; m->options && m->options[i]; i++)
		if (streq(m->options[i], "bind") || streq(m->options[i], "rbind"))
			return true;
	return false;
}

int mount_open_source(struct setup *s, const struct spec_mount *m, const struct mount_plan *plan, struct err *e)
{
	_cleanup_free_ char *full = NULL;
	int fd;

	if (!m->source || !*m->source || (m->source[0] != '/' && !s->args->bundle))
		return err_set(e, EINVAL, "source \"%s\": expected an absolute path", m->source ? m->source : "");
	/* config.md §mounts: "absolute or relative to the bundle". */
	full = m->source[0] == '/' ? strdup(m->source) : str_fmt("%s/%s", s->args->bundle, m->source);
	if (!full)
		return err_set(e, ENOMEM, "source: out of memory");
	fd = mount_clone(AT_FDCWD, full, plan->is_recursive);
	if (fd == -EINVAL)
		return err_set(e, EINVAL, "source %s: can't be bound: it is unbindable, or holds locked mounts (use rbind)",
			       m->source);
	return fd < 0 ? err_set(e, -fd, "source %s: %s", m->source, strerror(-fd)) : fd;
}

static bool mount_is_remount(const struct spec_mount *m)
{
	for (size_t i = 0; m->options && m->options[i]; i++)
		if (streq(m->options[i], "remount"))
			return true;
	return false;
}

static int check_mount(const struct spec_mount *m, struct err *e)
{
	if (!m->destination || m->destination[0] != '/')
		return err_set(e, EINVAL, "destination \"%s\": expected an absolute path", m->destination ? m->destination : "");
	if (path_is_under("/", m->destination))
		return err_set(e, EINVAL, "destination %s: the root itself can't be mounted over", m->destination);
	if (!mount_is_bind(m) && !m->type && !mount_is_remount(m))
		return err_set(e, EINVAL, "has neither a type nor the option bind");
	return 0;
}

/* /proc is procfs or not there at all; inside of it only the listed files. */
static int check_proc(const struct spec_mount *m, int source, struct err *e)
{
	if (streq0(m->type, "proc") || !path_is_under(m->destination, "/proc"))
		return 0;
	if (path_is_under("/proc", m->destination))
		return source >= 0 && fd_is_procfs(source) ? 0 : err_set(e, EPERM, "only a procfs may be mounted at /proc");
	for (size_t i = 0; i < ARRAY_SIZE(proc_overlays); i++)
		if (path_is_under(m->destination, proc_overlays[i]) && path_is_under(proc_overlays[i], m->destination))
			return 0;
	return err_set(e, EPERM, "nothing may be mounted inside /proc");
}

/* An option with a value is a filesystem's own, and a bind mount has none: mount(2) ignores such data there, and engines count on
 * that. A word that no table knows is an error, lest a misspelt "ro" be writable. */
static const char *unknown_to_bind(const struct mount_plan *plan)
{
	for (size_t i = 0; i < plan->n_data; i++)
		if (!strchr(plan->data[i], '='))
			return plan->data[i];
	return plan->is_copyup ? "tmpcopyup" : NULL;
}

/* /proc/self/mountinfo lists mounts by their ids since Linux 6.8, and who compares it with config.json expects its order: what was
 * opened early is cloned once more, where the kernel clones detached mounts (6.15). */
static int take_early(struct setup *s, size_t i, const struct mount_plan *plan)
{
	_cleanup_fd_ int early = TAKE_FD(s->bind_fd[i]);
	int fd = mount_clone(early, "", plan->is_recursive);

	return fd < 0 ? TAKE_FD(early) : fd;
}

static int do_bind(struct setup *s, size_t i, const struct mount_plan *plan, struct err *e)
{
	const struct spec_mount *m = &s->spec->mounts[i];
	_cleanup_fd_ int fd = s->bind_fd && s->bind_fd[i] >= 0 ? take_early(s, i, plan) : mount_open_source(s, m, plan, e),
			 target = -1;
	uint64_t propagation = plan->propagation ? plan->propagation : MS_PRIVATE;
	struct stat st;
	int r;

	if (fd < 0)
		return fd;
	if (unknown_to_bind(plan))
		return err_set(e, EINVAL, "option \"%s\": not one that a bind mount knows", unknown_to_bind(plan));
	if (fstat(fd, &st) < 0)
		return err_set(e, errno, "source %s: %s", m->source, strerror(errno));
	r = check_proc(m, fd, e);
	if (r < 0)
		return r;
	/* The cgroups of a user are below, and are writable for whom they are delegated to (CVE-2023-25809). */
	if (plan->attrs & MOUNT_ATTR_RDONLY && path_is_under(m->destination, "/sys"))
		r = mount_attrs(fd, true, MOUNT_ATTR_RDONLY, 0, 0);
	if (r == 0 && (plan->attrs || plan->has_atime))
		r = mount_attrs(fd, false, plan->attrs | plan->atime, plan->has_atime ? MOUNT_ATTR__ATIME : 0, 0);
	if (r == 0 && (plan->rec_attrs || plan->has_rec_atime))
		r = mount_attrs(fd, true, plan->rec_attrs | plan->rec_atime, plan->has_rec_atime ? MOUNT_ATTR__ATIME : 0, 0);
	if (r == 0 && propagation != MS_SHARED)
		r = mount_attrs(fd, plan->is_propagation_recursive || !plan->propagation, 0, 0, propagation);
	if (r < 0)
		return err_set(e, -r, "options: %s", strerror(-r));
	target = target_make(s->rootfd, m->destination, S_ISDIR(st.st_mode) ? TARGET_DIR : TARGET_FILE,
			     path_is_kernels(m->destination), e);
	if (target < 0)
		return target;
	r = mount_attach(fd, target);
	return r < 0 ? err_set(e, -r, "attach: %s", strerror(-r)) : 0;
}

/* The procfs that the child already works with serves as the container's /proc too, unless the spec asks for another kind. */
static int proc_mount(struct setup *s, const struct mount_plan *plan, uint64_t attrs, struct err *e)
{
	int fd, r;

	if (plan->n_data > 0 || (attrs & MOUNT_ATTR_RDONLY) || !ns_is_new(s->spec, NS_PID))
		return fs_mount("proc", "proc", plan->data, plan->n_data, attrs, e);
	fd = fcntl(s->procfd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return err_set(e, errno, "procfs: %s", strerror(errno));
	r = mount_attrs(fd, false, attrs, MOUNT_ATTR__ATIME | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, 0);
	if (r < 0) {
		fd_close(fd);
		return err_set(e, -r, "options: %s", strerror(-r));
	}
	return fd;
}

/* Labels are for the files that the filesystem is given; those of the kernel's own views are the kernel's. */
static bool takes_label(const char *type) { return !streq(type, "proc") && !streq(type, "sysfs"); }

static bool drop_gid(const char **data, size_t *n)
{
	size_t kept = 0;

	for (size_t i = 0; i < *n; i++)
		if (!str_after(data[i], "gid="))
			data[kept++] = data[i];
	if (kept == *n)
		return false;
	*n = kept;
	return true;
}

/* A new instance: what is left of the options, those of whole filesystems, the label. */
static int new_fs(struct setup *s, const struct spec_mount *m, const struct mount_plan *plan, uint64_t attrs, struct err *e)
{
	_cleanup_free_ const char **data = calloc(plan->n_data + plan->n_super + 1, sizeof(*data));
	const char *label = s->spec->mount_label;
	bool labelled = label && *label && s->has_selinux && takes_label(m->type);
	_cleanup_free_ char *context = labelled ? str_fmt("context=%s", label) : NULL;
	const char *source = m->source && *m->source ? m->source : m->type;
	size_t n = 0;
	int r;

	if (!data || (labelled && !context))
		return err_set(e, ENOMEM, "options: out of memory");
	for (size_t i = 0; i < plan->n_data; i++)
		data[n++] = plan->data[i];
	for (size_t i = 0; i < plan->n_super; i++)
		data[n++] = plan->super[i];
	if (context)
		data[n++] = context;
	r = fs_mount(m->type, source, data, n, attrs, e);
	/* The usual gid=5 is no group of a user namespace that maps one id only: the terminals stay with their user's. */
	if (r == -EINVAL && streq(m->type, "devpts") && in_user_namespace() && drop_gid(data, &n))
		r = fs_mount(m->type, source, data, n, attrs, e);
	return r;
}

static bool has_data(const struct mount_plan *plan, const char *key)
{
	for (size_t i = 0; i < plan->n_data; i++)
		if (str_after(plan->data[i], key))
			return true;
	return false;
}

/* tmpcopyup: while it can still be written to. */
static int new_copy(struct setup *s, const struct spec_mount *m, const struct mount_plan *plan, uint64_t attrs, int target,
		    struct err *e)
{
	_cleanup_fd_ int fd = new_fs(s, m, plan, attrs & ~(uint64_t)MOUNT_ATTR_RDONLY, e);
	int r;

	if (fd < 0)
		return fd;
	r = copyup(target, fd, has_data(plan, "mode=") || has_data(plan, "uid=") || has_data(plan, "gid="), e);
	if (r == 0 && (attrs & MOUNT_ATTR_RDONLY) && (r = mount_attrs(fd, false, MOUNT_ATTR_RDONLY, 0, 0)) < 0)
		r = err_set(e, -r, "read-only: %s", strerror(-r));
	return r < 0 ? r : TAKE_FD(fd);
}

/* Another's too: it has its options already. */
static bool is_shared_memory(const struct setup *s, const struct spec_mount *m)
{
	return s->args->memory_fd > 0 && streq(m->type, "tmpfs") && streq(m->destination, SHARED_MEMORY);
}

static int do_new(struct setup *s, size_t i, const struct mount_plan *plan, struct err *e)
{
	const struct spec_mount *m = &s->spec->mounts[i];
	bool strict = is_kernel_type(m->type) || path_is_kernels(m->destination);
	uint64_t attrs = plan->attrs | (plan->has_rec_atime ? plan->rec_atime : plan->atime) | plan->rec_attrs;
	_cleanup_fd_ int fd = -1, target = -1;
	int r = check_proc(m, -1, e);

	if (r < 0)
		return r;
	if (plan->is_copyup && !streq(m->type, "tmpfs"))
		return err_set(e, EINVAL, "option tmpcopyup: for a tmpfs only");
	target = target_make(s->rootfd, m->destination, TARGET_DIR, strict, e);
	if (target < 0)
		return target;
	if (is_cgroup(m))
		return mount_cgroup(s, target, plan, e);
	fd = is_shared_memory(s, m)   ? fcntl(s->args->memory_fd, F_DUPFD_CLOEXEC, 3)
	     : streq(m->type, "proc") ? proc_mount(s, plan, attrs, e)
	     : plan->is_copyup        ? new_copy(s, m, plan, attrs, target, e)
				      : new_fs(s, m, plan, attrs, e);
	if (fd == -EPERM)
		fd = mount_lend(s, m, attrs, e);
	if (fd < 0)
		return fd;
	r = mount_attach(fd, target);
	if (r < 0)
		return err_set(e, -r, "attach: %s", strerror(-r));
	r = plan->propagation ? mount_attrs(fd, plan->is_propagation_recursive, 0, 0, plan->propagation) : 0;
	if (r < 0)
		return err_set(e, -r, "propagation: %s", strerror(-r));
	if (streq(m->type, "tmpfs") && path_is_under("/dev", m->destination))
		s->devfd = TAKE_FD(fd);
	return 0;
}

static int do_mount(struct setup *s, size_t i, struct err *e)
{
	const struct spec_mount *m = &s->spec->mounts[i];
	_cleanup_(mount_plan_done) struct mount_plan plan = { .data = NULL };
	int r = mount_options_parse(m->options, &plan, e);

	if (r == 0)
		r = plan.is_remount    ? mount_remount(s, m, &plan, e)
		    : mount_is_bind(m) ? do_bind(s, i, &plan, e)
				       : do_new(s, i, &plan, e);
	return r < 0 ? err_push(e, r, "mount %s", m->destination) : 0;
}

/* In another's mount namespace none are made (container.c, check_mounts_of_another). */
static size_t count(const struct setup *s) { return ns_mount_is_anothers(s) ? 0 : s->spec->n_mounts; }

static int apply(struct setup *s, bool is_late, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < count(s) && r == 0; i++)
		if (path_is_late(s->spec, s->spec->mounts[i].destination) == is_late)
			r = do_mount(s, i, e);
	return r;
}

int mounts_apply(struct setup *s, struct err *e) { return apply(s, false, e); }

int mounts_apply_late(struct setup *s, struct err *e)
{
	int r = apply(s, true, e);

	return r < 0 ? r : mask_apply_late(s, e);
}

static int open_if_shared(struct setup *s, size_t i, struct err *e)
{
	const struct spec_mount *m = &s->spec->mounts[i];
	_cleanup_(mount_plan_done) struct mount_plan plan = { .data = NULL };
	int r = check_mount(m, e);

	if (r == 0 && mount_is_bind(m) && s->bind_fd[i] < 0)
		r = mount_options_parse(m->options, &plan, e);
	if (r == 0 && !plan.is_remount && (plan.propagation == MS_SHARED || plan.propagation == MS_SLAVE)) {
		r = mount_open_source(s, m, &plan, e);
		if (r >= 0)
			s->bind_fd[i] = r;
	}
	return r < 0 ? err_push(e, r, "mount %s", m->destination ? m->destination : "without destination") : 0;
}

int mounts_alloc_binds(struct setup *s, struct err *e)
{
	s->bind_fd = calloc(s->spec->n_mounts + 1, sizeof(*s->bind_fd));
	if (!s->bind_fd)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < s->spec->n_mounts; i++)
		s->bind_fd[i] = -1;
	return 0;
}

int mounts_open_shared(struct setup *s, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < count(s) && r == 0; i++)
		r = open_if_shared(s, i, e);
	return r;
}

int mounts_private(struct setup *s, struct err *e)
{
	/* In a chroot all of the namespace is private already (chroot_find), and "/" need not be a mount. */
	if (ns_mount_is_anothers(s) || s->is_chrooted)
		return 0;
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0
		       ? err_set(e, errno, "private mount tree: %s", strerror(errno))
		       : 0;
}

/* rootfsPropagation: the root was private while it was built, so that nothing of it reached the host. */
int mounts_propagation(struct setup *s, struct err *e)
{
	bool is_recursive;
	uint64_t p;
	int r = mount_propagation_parse(s->spec->rootfs_propagation, &p, &is_recursive, e);

	if (r < 0 || p == 0 || p == MS_PRIVATE)
		return r;
	r = mount_attrs(s->rootfd, is_recursive, 0, 0, p);
	return r < 0 ? err_set(e, -r, "rootfsPropagation %s: %s", s->spec->rootfs_propagation, strerror(-r)) : 0;
}
