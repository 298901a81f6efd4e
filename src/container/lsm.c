/* lsm: what config.json asks of security modules must be there; and the AppArmor profile and SELinux label that the exec shall
 * take on, written to the process's own attributes in the private procfs (CVE-2019-16884: a faked /proc/self/attr would swallow
 * them). mounts.c writes linux.mountLabel. Called as steps. */
#include <unistd.h>

#include "setup.h"

/* The kernel makes this place for selinuxfs only while SELinux is on. */
static bool has_selinux(void) { return access("/sys/fs/selinux", F_OK) == 0; }

static bool has_apparmor(void)
{
	_cleanup_fd_ int fd = open("/sys/module/apparmor/parameters/enabled", O_RDONLY | O_CLOEXEC);
	char c = 0;

	return fd >= 0 && read(fd, &c, 1) == 1 && c == 'Y';
}

static int check_one(const char *name, const char *value, const char *module, bool is_there, struct err *e)
{
	if (!value || !*value || is_there)
		return 0;
	return err_set(e, ENOTSUP, "%s \"%s\": %s is not in force on this host: leave it out", name, value, module);
}

int lsm_check(struct setup *s, struct err *e)
{
	const struct spec_process *p = s->process;
	int r = check_one("process.apparmorProfile", p->apparmor_profile, "AppArmor", has_apparmor(), e);

	if (r == 0)
		r = check_one("process.selinuxLabel", p->selinux_label, "SELinux", has_selinux(), e);
	s->has_selinux = has_selinux();
	/* This one confines nobody: it lets a confined process at its files, and none can be confined here. */
	if (r == 0 && s->spec->mount_label && *s->spec->mount_label && !s->has_selinux)
		log_warn("security modules", "%s: linux.mountLabel \"%s\" has no effect: SELinux is not in force on this host",
			 s->c->id, s->spec->mount_label);
	return r;
}

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
