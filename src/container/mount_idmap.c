/* mount_idmap: bind mounts whose files have other owners inside than on the host (options idmap and ridmap, uidMappings and
 * gidMappings of a mount; Linux 5.12). The kernel takes the map from a user namespace, so one is made for it by a process that
 * only lives until its namespace is open. All this needs the rights of the runtime over the filesystem, which the root of a
 * container's user namespace has not: so the parent makes the mounts before the child is born. Called as step. */
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "setup.h"

/* What a mount asks for, and where its map comes from. */
struct wish {
	const struct spec_idmap *uids, *gids;
	size_t n_uids, n_gids;
};

static pid_t clone_into_userns(void)
{
	struct clone_args a = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };
	pid_t parent = getpid(), pid = (pid_t)syscall(SYS_clone3, &a, sizeof(a));

	if (pid != 0)
		return pid < 0 ? -errno : pid;
	/* The parent may have ended before this call, and then nobody ends this process. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != parent)
		_exit(1);
	for (;;)
		pause();
}

static int make_userns(const struct wish *w, struct err *e)
{
	pid_t pid = clone_into_userns();
	char path[64];
	int fd = -1, r;

	if (pid < 0)
		return err_set(e, -pid, "user namespace of the map: %s", strerror(-pid));
	r = userns_write_map(pid, "uid_map", w->uids, w->n_uids, e);
	if (r == 0)
		r = userns_write_map(pid, "gid_map", w->gids, w->n_gids, e);
	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	if (r == 0 && (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		r = err_set(e, errno, "%s: %s", path, strerror(errno));
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return r < 0 ? r : fd;
}

/* The mount's own maps, else those of the container's user namespace, which *ret_joined is where it is another's. */
static int find_wish(const struct setup *s, const struct spec_mount *m, struct wish *ret, bool *ret_joined, struct err *e)
{
	const struct spec *p = s->spec;

	*ret_joined = false;
	if (m->n_uid_mappings > 0 || m->n_gid_mappings > 0) {
		*ret = (struct wish){ m->uid_mappings, m->gid_mappings, m->n_uid_mappings, m->n_gid_mappings };
		return 0;
	}
	if (!p->ns.wanted[NS_USER])
		return err_set(e, EINVAL,
			       "option idmap: needs uidMappings and gidMappings, or a user namespace to take them from");
	*ret_joined = !ns_is_new(p, NS_USER);
	*ret = (struct wish){ p->uid_mappings, p->gid_mappings, p->n_uid_mappings, p->n_gid_mappings };
	return 0;
}

static int apply_map(const struct spec_mount *m, int fd, int userns, bool is_recursive, struct err *e)
{
	struct mount_attr a = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns };

	if (mount_setattr(fd, "", AT_EMPTY_PATH | (is_recursive ? AT_RECURSIVE : 0), &a, sizeof(a)) == 0)
		return 0;
	if (errno == EINVAL)
		return err_set(e, EINVAL, "source %s: can't be id-mapped: its filesystem%s does not support it", m->source,
			       is_recursive ? ", or one mounted below," : "");
	return err_set(e, errno, "source %s: id map: %s", m->source,
		       errno == EPERM ? "not allowed: it needs root, and a mount that is not mapped yet" : strerror(errno));
}

/* A detached, mapped clone of the source. */
static int open_mapped(struct setup *s, const struct spec_mount *m, const struct mount_plan *plan, struct err *e)
{
	_cleanup_fd_ int fd = -1, own = -1;
	struct wish w = { 0 };
	bool joined;
	int r = find_wish(s, m, &w, &joined, e);

	if (r < 0)
		return r;
	fd = mount_open_source(s, m, plan, e);
	if (fd < 0)
		return fd;
	if (!joined) {
		own = make_userns(&w, e);
		if (own < 0)
			return own;
	}
	r = apply_map(m, fd, joined ? s->ns_fd[NS_USER] : own, plan->is_idmap_recursive, e);
	return r < 0 ? r : TAKE_FD(fd);
}

int mounts_open_mapped(struct setup *s, struct err *e)
{
	int r = mounts_alloc_binds(s, e);

	if (r < 0 || ns_mount_is_anothers(s))
		return r;
	for (size_t i = 0; i < s->spec->n_mounts && r == 0; i++) {
		const struct spec_mount *m = &s->spec->mounts[i];
		_cleanup_(mount_plan_done) struct mount_plan plan = { .data = NULL };

		r = mount_options_parse(m->options, &plan, e);
		if (r == 0 && (plan.is_idmap || m->n_uid_mappings > 0 || m->n_gid_mappings > 0)) {
			r = mount_is_bind(m) ? open_mapped(s, m, &plan, e)
					     : err_set(e, ENOTSUP, "id mappings are for bind mounts only: leave them out");
			if (r >= 0) {
				s->bind_fd[i] = r;
				r = 0;
			}
		}
		if (r < 0)
			err_push(e, r, "mount %s", m->destination ? m->destination : "without destination");
	}
	return r;
}
