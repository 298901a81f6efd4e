/* userns: a user namespace of the container's own. The parent writes the maps, since it alone may map more than itself; the
 * child waits for them and becomes root inside before it makes anything (a file made earlier would have no owner).
 * Called as steps; exec.c uses exec_userns_root. */
#include <grp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "setup.h"

int userns_write_map(pid_t pid, const char *file, const struct spec_idmap *m, size_t n, struct err *e)
{
	_cleanup_buf_ struct buf b = { 0 };
	int r;

	if (n == 0)
		return err_set(e, EINVAL, "a new user namespace needs %s",
			       streq(file, "uid_map") ? "uidMappings" : "gidMappings");
	for (size_t i = 0; i < n; i++) {
		struct spec_idmap range = m[i];

		/* Ranges that go on where the last one ended are one. */
		while (i + 1 < n && m[i + 1].container_id == range.container_id + range.size &&
		       m[i + 1].host_id == range.host_id + range.size)
			range.size += m[++i].size;
		buf_fmt(&b, "%u %u %u\n", range.container_id, range.host_id, range.size);
	}
	if (b.failed)
		return err_set(e, ENOMEM, "%s: out of memory", file);
	/* One write of less than a page, or EINVAL (kernel/user_namespace.c, map_write): never in parts, and never cut. */
	if (b.len >= (size_t)sysconf(_SC_PAGESIZE))
		return err_set(e, E2BIG, "%s: %zu ranges are %zu bytes of text, and the kernel takes less than a page: use fewer",
			       file, n, b.len);
	r = procfs_write_pid(pid, file, b.data);
	return r < 0 ? err_set(e, -r, "%s (%zu ranges): %s", file, n,
			       r == -EPERM ? "may not be given away: they must be ids of this process's own user namespace"
					   : strerror(-r))
		     : 0;
}

int userns_write_maps(struct setup *s, struct err *e)
{
	const struct spec *spec = s->spec;
	pid_t pid = s->c->pid;
	int r;

	if (!ns_is_new(spec, NS_USER))
		return 0;
	if (s->is_privileged) {
		r = userns_write_map(pid, "uid_map", spec->uid_mappings, spec->n_uid_mappings, e);
		if (r == 0)
			r = userns_write_map(pid, "gid_map", spec->gid_mappings, spec->n_gid_mappings, e);
	} else {
		r = userns_write_own_maps(spec, true, pid, e);
	}
	if (r < 0)
		return r;
	r = sync_send(s->sock, SYNC_MAPPED);
	return r < 0 ? err_set(e, -r, "the new process is gone") : 0;
}

/* The files of a process that is not dumpable belong to root: so without privilege this comes before it ceases to be. That is
 * safe, as nobody else is in its namespaces: those of others it could join only by joining their user namespace too. */
int userns_wait_maps(struct setup *s, struct err *e)
{
	return !s->is_privileged && ns_is_new(s->spec, NS_USER) ? sync_wait(s, SYNC_MAPPED, e) : 0;
}

/* Raw calls: glibc's broadcast to threads, of which there are none. */
static int become_root(struct err *e)
{
	if (syscall(SYS_setresgid, 0, 0, 0) < 0)
		return err_set(e, errno, "group 0 of the user namespace: %s",
			       errno == EINVAL ? "linux.gidMappings does not map it" : strerror(errno));
	if (syscall(SYS_setresuid, 0, 0, 0) < 0)
		return err_set(e, errno, "user 0 of the user namespace: %s",
			       errno == EINVAL ? "linux.uidMappings does not map it" : strerror(errno));
	/* EPERM: setgroups is off in this namespace. */
	if (syscall(SYS_setgroups, 0, NULL) < 0 && errno != EPERM)
		return err_set(e, errno, "setgroups: %s", strerror(errno));
	return 0;
}

int userns_enter(struct setup *s, struct err *e)
{
	int r;

	if (!s->spec->ns.wanted[NS_USER])
		return 0;
	if (ns_is_new(s->spec, NS_USER)) {
		r = sync_wait(s, SYNC_MAPPED, e);
		if (r < 0)
			return r;
	}
	return become_root(e);
}

int exec_userns_root(struct setup *s, struct err *e) { return s->c->in_userns ? become_root(e) : 0; }
