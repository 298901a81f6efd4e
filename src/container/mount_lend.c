/* mount_lend: the kernel's own filesystems in a user namespace. A new instance may be mounted only by whom the namespace behind it
 * belongs to, and where nothing of the host's is covered (fs/namespace.c, mount_too_revealing); else the host's is bound, as crun
 * does. Called by mounts.c. */
#include <sys/mount.h>
#include <unistd.h>

#include "setup.h"

static const struct lent {
	const char *type, *path;
	enum spec_ns ns;
	bool only_shared; /* only where the container shares the namespace: another's would be shown to it */
} lents[] = {
	{ "sysfs", "/sys", NS_NET, false },
	{ "mqueue", "/dev/mqueue", NS_IPC, true },
	{ "proc", "/proc", NS_PID, true },
};

int mount_lend(const struct setup *s, const struct spec_mount *m, uint64_t attrs, struct err *e)
{
	const uint64_t kept = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	const struct lent *l = lents;
	_cleanup_fd_ int fd = -1;
	int r;

	while (l < lents + ARRAY_SIZE(lents) && !streq(l->type, m->type))
		l++;
	if (l == lents + ARRAY_SIZE(lents) || (l->only_shared && ns_is_new(s->spec, l->ns)) || !in_user_namespace())
		return -EPERM;
	fd = mount_clone(AT_FDCWD, l->path, true);
	if (fd < 0)
		return err_set(e, -fd, "%s: no new one is allowed in this user namespace, and %s can't be bound: %s", m->type,
			       l->path, strerror(-fd));
	/* With the host's /sys come its cgroups, some of which may be this very user's: never writable (CVE-2023-25809). */
	if (streq(m->type, "sysfs"))
		attrs |= MOUNT_ATTR_RDONLY;
	r = mount_attrs(fd, true, attrs & kept, 0, MS_PRIVATE);
	return r < 0 ? err_set(e, -r, "%s: options of a bind of %s: %s", m->type, l->path, strerror(-r)) : TAKE_FD(fd);
}
