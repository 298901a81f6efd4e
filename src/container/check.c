/* check: what of config.json and of the caller's wishes can't go together, judged before anything is made. The first step; what a
 * single subject can judge stands with it (lsm_check, caps_check). */
#include "setup.h"

/* In another's mount namespace (a joined one, or the runtime's own where config.json asks for none) the process enters root.path
 * as it is there: whatever were mounted would be the other's from then on, and stay. Mounts are left out, since generators list
 * the usual ones whether or not they fit; what would confine is not. */
static int check_mounts_of_another(struct setup *s, struct err *e)
{
	const struct spec *p = s->spec;
	const char *what = p->n_devices > 0                                  ? "linux.devices"
			   : strv_len(p->masked_paths) > 0                   ? "linux.maskedPaths"
			   : strv_len(p->readonly_paths) > 0                 ? "linux.readonlyPaths"
			   : p->root_readonly                                ? "root.readonly"
			   : p->rootfs_propagation && *p->rootfs_propagation ? "linux.rootfsPropagation"
			   : s->args->n_files > 0                            ? "files"
			   : s->args->rootfd >= 0 || s->args->make_root      ? "a root of its own"
									     : NULL;

	if (what)
		return err_set(e, EINVAL,
			       "%s: can't be had in the mount namespace of another, whose mounts it would change: leave it out, "
			       "or ask for a new mount namespace",
			       what);
	if (p->n_mounts > 0)
		log_warn("mounts", "%s: linux.namespaces has no new mount namespace: all %zu mounts are left out", s->c->id,
			 p->n_mounts);
	return 0;
}

int check_spec(struct setup *s, struct err *e)
{
	const struct spec *p = s->spec;

	if (ns_mount_is_anothers(s)) {
		int r = check_mounts_of_another(s, e);

		if (r < 0)
			return r;
	}
	if (!s->is_privileged && !p->ns.wanted[NS_USER])
		return err_set(e, EPERM,
			       "linux.namespaces: without root's rights a user namespace is needed (`spec --rootless` writes a "
			       "config.json that has one)");
	if ((!p->process.args || !p->process.args[0]) && s->args->start_fd <= 0)
		return err_set_exit(e, 125, EINVAL, "no command given, and the image has none");
	if (s->args->rootfd < 0 && !s->args->make_root && !p->root_path)
		return err_set(e, EINVAL, "root.path is missing");
	if (!p->process.terminal)
		for (int i = 0; i < 3; i++)
			if (s->args->stdio[i] < 0)
				return err_set(e, EBADF, "descriptor %d for the process is missing", i);
	return 0;
}
