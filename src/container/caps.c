/* caps: user, groups and capabilities of the process. Raw calls, since libcap's are a library's worth for five of them.
 * Called as steps: user_become before READY, caps_final from program.c right before the exec.
 *
 * Loading a seccomp filter without no_new_privs needs CAP_SYS_ADMIN, and the filter comes as late as can be; so in that one
 * case CAP_SYS_ADMIN is held on to, on top of the final set, until program.c drops it. */
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "setup.h"

static int set_caps(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2] = {
		{ .effective = (uint32_t)effective, .permitted = (uint32_t)permitted, .inheritable = (uint32_t)inheritable },
		{ .effective = (uint32_t)(effective >> 32),
		  .permitted = (uint32_t)(permitted >> 32),
		  .inheritable = (uint32_t)(inheritable >> 32) },
	};

	return syscall(SYS_capset, &h, d) < 0 ? -errno : 0;
}

static int get_permitted(uint64_t *ret)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2] = { 0 };

	if (syscall(SYS_capget, &h, d) < 0)
		return -errno;
	*ret = d[0].permitted | (uint64_t)d[1].permitted << 32;
	return 0;
}

bool caps_are_effective(uint64_t caps)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2] = { 0 };

	if (syscall(SYS_capget, &h, d) < 0)
		return false;
	return !(caps & ~(d[0].effective | (uint64_t)d[1].effective << 32));
}

static bool filter_needs_admin(const struct setup *s)
{
	return s->seccomp && s->seccomp->n_filters > 0 && !s->process->no_new_privs;
}

/* What the process may have of what the spec asks for: a runtime that itself lacks a capability (in a container, say) can't
 * pass it on; the container is the more confined for it, never the less. */
static int wanted_caps(const struct setup *s, struct spec_caps *ret, struct err *e)
{
	struct spec_caps c = s->process->has_caps ? s->process->caps
			     : s->is_exec         ? s->spec->process.caps
						  : (struct spec_caps){ 0 };
	uint64_t have = 0;
	int r = get_permitted(&have);

	if (r < 0)
		return err_set(e, -r, "capget: %s", strerror(-r));
	c.permitted &= have;
	c.effective &= c.permitted;
	c.inheritable &= have & c.bounding;
	c.ambient &= c.permitted & c.inheritable;
	*ret = c;
	return 0;
}

/* config.md: what "cannot be granted otherwise MUST be logged as a warning", and is no reason to fail. By the parent, whose
 * standard error is not yet the container's. */
int caps_check(struct setup *s, struct err *e)
{
	const struct spec_caps *w = &s->process->caps;
	uint64_t have = 0, missing;
	int r = get_permitted(&have);

	if (r < 0)
		return err_set(e, -r, "capget: %s", strerror(-r));
	/* A user namespace of its own gives all that the kernel has. */
	if (!s->process->has_caps || s->spec->ns.wanted[NS_USER])
		return 0;
	missing = (w->bounding | w->permitted | w->effective | w->inheritable | w->ambient) & ~have;
	for (unsigned cap = 0; cap < 64; cap++)
		if (missing & (UINT64_C(1) << cap))
			log_warn("capabilities",
				 "%s: %s can't be granted: this process has it not, or the kernel knows none such", s->c->id,
				 cap_name(cap) ? cap_name(cap) : "a capability");
	return 0;
}

static int drop_bounding(uint64_t keep, struct err *e)
{
	for (unsigned cap = 0; cap < 64; cap++) {
		if (keep & (UINT64_C(1) << cap))
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
			/* EINVAL: behind the last one that this kernel knows. */
			if (errno == EINVAL)
				return 0;
			return err_set(e, errno, "drop %s from the bounding set: %s",
				       cap_name(cap) ? cap_name(cap) : "capability", strerror(errno));
		}
	}
	return 0;
}

#define NOT_MAPPED \
	"not in this user namespace, which has as many ids as are mapped (of a user: as /etc/subuid and /etc/subgid grant)"

/* Raw calls: glibc's would look for other threads, and setgroups(2) must not be retried with fewer groups. */
static int set_ids(const struct spec_user *u, bool in_userns, struct err *e)
{
	if (syscall(SYS_setgroups, u->n_additional_gids, u->additional_gids) < 0 &&
	    !(errno == EPERM && in_userns && u->n_additional_gids == 0))
		return err_set(e, errno, "%zu supplementary groups: %s", u->n_additional_gids,
			       errno == EPERM && in_userns
				       ? "this user namespace, made without root's rights, has setgroups denied: "
					 "leave out user.additionalGids"
				       : strerror(errno));
	if (syscall(SYS_setresgid, u->gid, u->gid, u->gid) < 0)
		return err_set(e, errno, "group %u: %s", u->gid, errno == EINVAL ? NOT_MAPPED : strerror(errno));
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return err_set(e, errno, "PR_SET_KEEPCAPS: %s", strerror(errno));
	if (syscall(SYS_setresuid, u->uid, u->uid, u->uid) < 0)
		return err_set(e, errno, "user %u: %s", u->uid, errno == EINVAL ? NOT_MAPPED : strerror(errno));
	/* Also keeps later execs in this process from inheriting the wish. */
	return prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0 ? err_set(e, errno, "PR_SET_KEEPCAPS: %s", strerror(errno)) : 0;
}

static int raise_ambient(uint64_t caps, struct err *e)
{
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (unsigned cap = 0; cap < 64; cap++)
		if ((caps & (UINT64_C(1) << cap)) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return err_set(e, errno, "ambient %s: %s", cap_name(cap) ? cap_name(cap) : "capability", strerror(errno));
	return 0;
}

int user_become(struct setup *s, struct err *e)
{
	struct spec_caps c = { 0 };
	uint64_t extra;
	int r = wanted_caps(s, &c, e);

	if (r < 0)
		return r;
	s->caps = c;
	r = drop_bounding(c.bounding, e);
	if (r == 0)
		r = set_ids(&s->user, s->c->in_userns || s->in_foreign_userns, e);
	if (r < 0)
		return r;
	extra = filter_needs_admin(s) ? UINT64_C(1) << CAP_SYS_ADMIN : 0;
	/* CVE-2022-29162: inheritable stays empty unless the spec itself asks for it. */
	r = set_caps(c.effective | extra, c.permitted | extra, c.inheritable);
	return r < 0 ? err_set(e, -r, "capset: %s", strerror(-r)) : raise_ambient(c.ambient, e);
}

int caps_final(struct setup *s, struct err *e)
{
	int r = filter_needs_admin(s) ? set_caps(s->caps.effective, s->caps.permitted, s->caps.inheritable) : 0;

	return r < 0 ? err_set(e, -r, "capset: %s (does the seccomp profile forbid it?)", strerror(-r)) : 0;
}
