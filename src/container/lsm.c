/* lsm: the AppArmor profile and SELinux label that the exec shall take on, written to the process's own attributes in the
 * private procfs (CVE-2019-16884: a faked /proc/self/attr would swallow them). Called as step `lsm`. */
#include <unistd.h>

#include "setup.h"

static int write_attr(struct setup *s, const char *text, const char *const *paths, size_t n, struct err *e)
{
	int r = -ENOENT;

	for (size_t i = 0; i < n && (r == -ENOENT || r == -EINVAL); i++)
		r = procfs_write(s, paths[i], text);
	if (r == -ENOENT || r == -EINVAL)
		return err_set(e, ENOTSUP, "\"%s\": this kernel has no such module in force, or does not know the name", text);
	return r < 0 ? err_set(e, -r, "\"%s\": %s", text, strerror(-r)) : 0;
}

int lsm_apply(struct setup *s, struct err *e)
{
	static const char *const apparmor[] = { "self/attr/apparmor/exec", "self/attr/exec" };
	static const char *const selinux[] = { "self/attr/exec" };
	const struct spec_process *p = s->process;
	_cleanup_free_ char *profile = NULL;
	int r = 0;

	if (p->apparmor_profile && *p->apparmor_profile) {
		profile = str_fmt("exec %s", p->apparmor_profile);
		r = profile ? write_attr(s, profile, apparmor, ARRAY_SIZE(apparmor), e) : err_set(e, ENOMEM, "out of memory");
		if (r < 0)
			return err_push(e, r, "AppArmor profile");
	}
	if (p->selinux_label && *p->selinux_label) {
		r = write_attr(s, p->selinux_label, selinux, ARRAY_SIZE(selinux), e);
		if (r < 0)
			return err_push(e, r, "SELinux label");
	}
	return 0;
}
