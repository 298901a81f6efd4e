/* mount_remount: the option remount of a mount that an earlier entry, or the root filesystem, has put at the destination. As with
 * mount(8): flags of the mount are set, and those named by their opposites ("rw") cleared, which is the one way that a
 * restriction is ever lifted; what is left goes to the filesystem. In a user namespace of the container's own the kernel
 * refuses to lift what came from outside. Called by mounts.c. */
#include <sys/mount.h>
#include <unistd.h>

#include "setup.h"

static int set_flags(int target, const struct mount_plan *plan)
{
	uint64_t clear = plan->cleared | (plan->has_atime ? MOUNT_ATTR__ATIME : 0);
	int r = mount_attrs(target, false, plan->attrs | plan->atime, clear, 0);

	if (r == 0 && (plan->rec_attrs || plan->has_rec_atime))
		r = mount_attrs(target, true, plan->rec_attrs | plan->rec_atime, plan->has_rec_atime ? MOUNT_ATTR__ATIME : 0, 0);
	if (r == 0 && plan->propagation)
		r = mount_attrs(target, plan->is_propagation_recursive, 0, 0, plan->propagation);
	return r;
}

static int reconfigure(int target, const struct mount_plan *plan, struct err *e)
{
	int r = plan->n_data > 0 ? fs_reconfigure(target, plan->data, plan->n_data, e) : 0;

	return r == 0 && plan->n_super > 0 ? fs_reconfigure(target, plan->super, plan->n_super, e) : r;
}

int mount_remount(struct setup *s, const struct spec_mount *m, const struct mount_plan *plan, struct err *e)
{
	_cleanup_fd_ int target = path_is_kernels(m->destination) ? target_open_strict(s->rootfd, m->destination, false, 0)
								  : root_open(s->rootfd, m->destination, O_PATH, 0);
	int r;

	if (target < 0)
		return err_set(e, -target, "remount: %s", strerror(-target));
	r = set_flags(target, plan);
	if (r == -EINVAL)
		return err_set(e, EINVAL, "remount: nothing is mounted there");
	if (r < 0)
		return err_set(e, -r, "remount: %s",
			       r == -EPERM ? "a flag is locked by the namespace it came from" : strerror(-r));
	return reconfigure(target, plan, e);
}
