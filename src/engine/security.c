/* security.c: what the process may do: capabilities, seccomp, no_new_privs, masked paths, sysctls. The defaults are those of
 * spec_default(); here only the command line's wishes are worked in. */
#include "engine_impl.h"
#include "seccomp_profile.h"

#include <sys/prctl.h>

/* ---- capabilities ---- */

static int caps_add_up(char *const *names, const char *option, uint64_t *ret_mask, bool *ret_all, struct err *e)
{
	*ret_mask = 0;
	*ret_all = false;
	for (; names && *names; names++) {
		uint64_t mask;
		if (cap_parse(*names, &mask) < 0)
			return err_set(e, EINVAL, "%s: there is no capability \"%s\"; NET_ADMIN, SYS_PTRACE or ALL are examples",
				       option, *names);
		*ret_all |= strcasecmp(*names, "all") == 0 || strcasecmp(*names, "cap_all") == 0;
		*ret_mask |= mask;
	}
	return 0;
}

/* Docker's order: "add ALL" begins with everything and "drop ALL" with nothing; single names then add and drop. */
int caps_mask(const struct run_opts *o, uint64_t base, uint64_t *ret, struct err *e)
{
	uint64_t add, drop;
	bool add_all, drop_all;
	int r = caps_add_up(o->cap_add, "--cap-add", &add, &add_all, e);

	if (r >= 0)
		r = caps_add_up(o->cap_drop, "--cap-drop", &drop, &drop_all, e);
	if (r < 0)
		return r;
	if (add_all)
		*ret = drop_all ? add : add & ~drop;
	else if (drop_all)
		*ret = add;
	else
		*ret = (base | add) & ~drop;
	return 0;
}

/* What this process can give away at all. "ALL" means all of these, as with docker; a single name beyond is an error later. */
static uint64_t caps_of_host(void)
{
	uint64_t mask = 0;

	for (int cap = 0; cap < 64; cap++) {
		int r = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
		if (r < 0)
			break;
		mask |= (uint64_t)(r == 1) << cap;
	}
	return mask;
}

static int set_caps(struct plan *p, struct err *e)
{
	struct spec_process *proc = &p->spec.process;
	uint64_t mask = proc->caps.bounding, all;
	bool wants_all = p->o->is_privileged;
	int r;

	for (char **c = p->o->cap_add; c && *c; c++)
		wants_all |= strcasecmp(*c, "all") == 0 || strcasecmp(*c, "cap_all") == 0;
	if (cap_parse("ALL", &all) < 0)
		return err_set(e, EINVAL, "no capabilities are known");
	r = caps_mask(p->o, mask, &mask, e);
	if (r < 0)
		return r;
	if (p->o->is_privileged)
		mask = all;
	/* A guest's kernel gives all that it knows; the host's bounding set says nothing about it. */
	if (wants_all && !p->is_vm)
		mask &= caps_of_host();
	proc->has_caps = true;
	proc->caps = (struct spec_caps){ .bounding = mask, .effective = mask, .permitted = mask };
	return 0;
}

/* ---- --security-opt ---- */

struct wishes {
	bool has_nnp, nnp, is_unconfined, is_unmasked;
	const char *seccomp_file;
};

static int read_wish(const char *text, struct wishes *w, struct err *e)
{
	size_t n = strcspn(text, "=:");
	const char *v = text[n] ? text + n + 1 : NULL;
	_cleanup_free_ char *key = strndup(text, n);

	if (!key)
		return OUT_OF_MEMORY(e);
	if (streq(key, "no-new-privileges")) {
		if (v && !streq(v, "true") && !streq(v, "false"))
			return err_set(e, EINVAL, "--security-opt: no-new-privileges is true or false, not \"%s\"", v);
		w->has_nnp = true;
		w->nnp = !v || streq(v, "true");
		return 0;
	}
	if (!v || !*v)
		return err_set(e, EINVAL, "--security-opt: \"%s\" is not NAME=VALUE; seccomp=FILE is an example", text);
	if (streq(key, "seccomp")) {
		w->is_unconfined = streq(v, "unconfined");
		w->seccomp_file = w->is_unconfined || streq(v, "builtin") ? NULL : v;
		return 0;
	}
	if (streq(key, "systempaths") && streq(v, "unconfined")) {
		w->is_unmasked = true;
		return 0;
	}
	/* Neither is ever applied by this version, so turning it off is granted already. */
	if ((streq(key, "apparmor") && streq(v, "unconfined")) || (streq(key, "label") && streq(v, "disable")))
		return 0;
	if (streq(key, "apparmor") || streq(key, "label"))
		return err_set(e, EOPNOTSUPP, "--security-opt: \"%s\": this version applies no %s; only %s=%s is possible", text,
			       streq(key, "label") ? "SELinux labels" : "AppArmor profiles", key,
			       streq(key, "label") ? "disable" : "unconfined");
	return err_set(
		e, EINVAL,
		"--security-opt: unknown option \"%s\"; seccomp, no-new-privileges, systempaths, apparmor and label are known",
		key);
}

static int set_seccomp(struct plan *p, const struct wishes *w, struct err *e)
{
	if (w->is_unconfined || (p->o->is_privileged && !w->seccomp_file))
		return 0;
	if (w->seccomp_file)
		return seccomp_profile_read(w->seccomp_file, p->spec.process.caps.bounding, &p->spec.seccomp, e);
	p->launch.seccomp_default = true;
	return 0;
}

static void unmask(struct spec *s)
{
	strv_free(s->masked_paths);
	strv_free(s->readonly_paths);
	s->masked_paths = s->readonly_paths = NULL;
}

/* sysfs and the cgroup file system become writable. */
static void make_writable(struct spec *s)
{
	for (size_t i = 0; i < s->n_mounts; i++) {
		struct spec_mount *m = &s->mounts[i];
		if (!streq0(m->type, "sysfs") && !streq0(m->type, "cgroup"))
			continue;
		for (char **o = m->options; o && *o; o++) {
			if (streq(*o, "ro"))
				memcpy(*o, "rw", 3);
		}
	}
}

static int set_sysctls(struct plan *p, struct err *e)
{
	for (char **s = p->o->sysctls; s && *s; s++) {
		char *eq = strchr(*s, '=');
		_cleanup_free_ char *key = eq ? strndup(*s, (size_t)(eq - *s)) : NULL;
		if (!eq || eq == *s)
			return err_set(e, EINVAL, "--sysctl: \"%s\" is not NAME=VALUE, such as net.ipv4.ip_forward=1", *s);
		if (!key || map_set(&p->spec.sysctl, key, eq + 1) < 0)
			return OUT_OF_MEMORY(e);
		if (str_after(key, "net.") && !p->spec.ns.wanted[NS_NET] && !p->is_vm)
			return err_set(e, EINVAL, "--sysctl: %s would change the host's network; not with --network host", key);
	}
	return 0;
}

int plan_security(struct plan *p, struct err *e)
{
	const char *user = p->spec.process.user.username;
	struct wishes w = { 0 };
	int r = 0;

	for (char **s = p->o->security_opt; r >= 0 && s && *s; s++)
		r = read_wish(*s, &w, e);
	if (r >= 0)
		r = set_caps(p, e);
	if (r >= 0)
		r = set_seccomp(p, &w, e);
	if (r >= 0)
		r = set_sysctls(p, e);
	if (r < 0)
		return r;
	/* Who is not root has no use for setuid programs but to become it. */
	p->spec.process.no_new_privs = w.has_nnp ? w.nnp : !user_is_root(user) && !p->o->is_privileged;
	if (w.is_unmasked || p->o->is_privileged)
		unmask(&p->spec);
	if (p->o->is_privileged)
		make_writable(&p->spec);
	return 0;
}
