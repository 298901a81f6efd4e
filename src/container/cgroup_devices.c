/* Which devices a container may open: OCI's ordered rules brought into their shortest form, then written to v1's
 * devices.deny/allow or loaded as an eBPF program on v2 (device_bpf.c). (cgroup-v1/devices.rst)
 *
 * v1 keeps a default and a list of exceptions, not an order; a later rule that cuts into an earlier, wider one can't be
 * said there and is refused rather than half obeyed. v2's program tries the rules from the last to the first, which is
 * the order itself. */
#include <stdio.h>

#include "cgroup_impl.h"

/* OCI 1.2 §default-devices, and mknod of anything, which creates a node but opens nothing (as Docker). */
static const struct spec_device_rule defaults[] = {
	{ true, 'c', -1, -1, "m" },    { true, 'b', -1, -1, "m" }, { true, 'c', 1, 3, "rwm" }, /* null */
	{ true, 'c', 1, 5, "rwm" },                                                            /* zero */
	{ true, 'c', 1, 7, "rwm" },                                                            /* full */
	{ true, 'c', 1, 8, "rwm" },                                                            /* random */
	{ true, 'c', 1, 9, "rwm" },                                                            /* urandom */
	{ true, 'c', 5, 0, "rwm" },                                                            /* tty */
	{ true, 'c', 5, 2, "rwm" },                                                            /* ptmx */
	{ true, 'c', 136, -1, "rwm" },                                                         /* pts */
};

void device_policy_done(struct device_policy *p)
{
	free(p->rules);
	*p = (struct device_policy){ 0 };
}

static bool covers_access(const char *wide, const char *narrow)
{
	for (; *narrow; narrow++)
		if (!strchr(wide, *narrow))
			return false;
	return true;
}

static bool covers(const struct spec_device_rule *wide, const struct spec_device_rule *narrow)
{
	return wide->type == narrow->type && (wide->major == -1 || wide->major == narrow->major) &&
	       (wide->minor == -1 || wide->minor == narrow->minor);
}

static int check_rule(const struct spec_device_rule *r, size_t i, struct err *e)
{
	if (!strchr("abcup", r->type) || !r->type)
		return err_set(e, EINVAL, "device rule %zu: type '%c' is not one of a, b, c", i, r->type);
	if (r->access[strspn(r->access, "rwm")])
		return err_set(e, EINVAL, "device rule %zu: access \"%.3s\" is made of other letters than r, w, m", i, r->access);
	if (r->major < -1 || r->minor < -1 || r->major > UINT32_MAX || r->minor > UINT32_MAX)
		return err_set(e, EINVAL, "device rule %zu: %lld:%lld is not a device number", i, (long long)r->major,
			       (long long)r->minor);
	return 0;
}

static bool meet(int64_t a, int64_t b) { return a == -1 || b == -1 || a == b; }

static bool overlap(const struct spec_device_rule *a, const struct spec_device_rule *b)
{
	return a->type == b->type && meet(a->major, b->major) && meet(a->minor, b->minor) && strpbrk(a->access, b->access);
}

/* What `from` says of access behind `later` no longer counts. */
static void access_subtract(char from[4], const char *later)
{
	size_t n = 0;

	for (const char *s = from; *s; s++)
		if (!strchr(later, *s))
			from[n++] = *s;
	from[n] = '\0';
}

/* The last rule for a device and a letter decides: letters of earlier rules that it covers go, and it stays itself only
 * where it changes anything. */
static void policy_add(struct device_policy *p, struct spec_device_rule r)
{
	bool is_needed = r.allow != p->default_allow;
	size_t kept = 0;

	if (!r.access[0])
		memcpy(r.access, "rwm", 4);
	for (size_t i = 0; i < p->n; i++) {
		struct spec_device_rule x = p->rules[i];
		if (covers(&r, &x) && (x.allow != r.allow || covers_access(r.access, x.access)))
			access_subtract(x.access, r.access);
		if (x.access[0])
			p->rules[kept++] = x;
	}
	p->n = kept;
	for (size_t i = 0; i < p->n; i++) {
		const struct spec_device_rule *x = &p->rules[i];
		if (x->allow != r.allow)
			is_needed |= overlap(x, &r);
	}
	/* Said already, and nothing behind that took any of it back. */
	for (size_t i = 0; is_needed && i < p->n; i++) {
		const struct spec_device_rule *x = &p->rules[i];
		if (x->allow != r.allow || !covers(x, &r) || !covers_access(x->access, r.access))
			continue;
		is_needed = false;
		for (size_t k = i + 1; k < p->n; k++)
			is_needed |= p->rules[k].allow != r.allow && overlap(&p->rules[k], &r);
	}
	if (is_needed)
		p->rules[p->n++] = r;
}

/* Default devices count as rules behind the user's, as in runc. Where all is allowed but what the user took away by a whole
 * class, there the user is obeyed. */
static void policy_add_default(struct device_policy *p, const struct spec_device_rule *d)
{
	for (size_t i = 0; p->default_allow && i < p->n; i++)
		if (overlap(&p->rules[i], d) && !covers(d, &p->rules[i]))
			return;
	policy_add(p, *d);
}

static void policy_add_typed(struct device_policy *p, const struct spec_device_rule *r)
{
	struct spec_device_rule x = *r;

	if (r->type == 'a' && r->major == -1 && r->minor == -1 && (!r->access[0] || covers_access(r->access, "rwm"))) {
		p->default_allow = r->allow;
		p->n = 0;
		return;
	}
	if (r->type != 'a' && r->type != 'c' && r->type != 'u') { /* 'u': unbuffered, mknod(1)'s other name for 'c' */
		policy_add(p, x);
		return;
	}
	x.type = 'c';
	policy_add(p, x);
	x.type = 'b';
	if (r->type == 'a')
		policy_add(p, x);
}

int device_policy_make(const struct spec_device_rule *rules, size_t n, struct device_policy *ret, struct err *e)
{
	struct device_policy p = { 0 };
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = check_rule(&rules[i], i, e);
	if (r < 0)
		return r;
	p.rules = calloc(2 * n + ARRAY_SIZE(defaults), sizeof *p.rules);
	if (!p.rules)
		return err_set(e, ENOMEM, "device rules: out of memory");
	for (size_t i = 0; i < n; i++)
		if (rules[i].type != 'p') /* FIFOs are nobody's device */
			policy_add_typed(&p, &rules[i]);
	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++)
		policy_add_default(&p, &defaults[i]);
	*ret = p;
	return 0;
}

/* ---- v1 ---- */

/* "c 1:3 rwm", "b *:* m" */
static void rule_text(const struct spec_device_rule *r, char buf[64])
{
	char major[24] = "*", minor[24] = "*";

	if (r->major >= 0)
		snprintf(major, sizeof major, "%lld", (long long)r->major);
	if (r->minor >= 0)
		snprintf(minor, sizeof minor, "%lld", (long long)r->minor);
	snprintf(buf, 64, "%c %s:%s %s", r->type, major, minor, r->access);
}

static int write_rule(const struct cgroup_place *p, int fd, const char *file, const char *text, struct err *e)
{
	if (pwrite(fd, text, strlen(text), 0) >= 0)
		return 0;
	return errno == EPERM ? err_set(e, EPERM, "device \"%s\": the cgroup above %s does not allow it itself", text, p->dir)
			      : err_set(e, errno, "device \"%s\" into %s/%s: %s", text, p->dir, file, strerror(errno));
}

/* Where the new rule is of the default's own verdict, v1 could only strike out an equal exception. */
static int check_expressible(const struct device_policy *pol, struct err *e)
{
	for (size_t i = 0; i < pol->n; i++)
		if (pol->rules[i].allow == pol->default_allow) {
			char text[64];
			rule_text(&pol->rules[i], text);
			return err_set(e, ENOTSUP,
				       "device rule \"%s %s\": cuts into an earlier, wider rule, which cgroup v1 can't do; "
				       "list the devices one by one",
				       pol->rules[i].allow ? "allow" : "deny", text);
		}
	return 0;
}

static int apply_v1(const struct cgroup_place *p, const struct device_policy *pol, bool is_new, struct err *e)
{
	const char *file = pol->default_allow ? "devices.deny" : "devices.allow";
	const char *reset = pol->default_allow ? "devices.allow" : "devices.deny";
	_cleanup_fd_ int fd = -1;
	int r = check_expressible(pol, e);

	/* A new cgroup has what its parent has: there "allow all" has nothing to write. */
	if (r == 0 && !(is_new && pol->default_allow)) {
		r = cgroup_write(p, reset, "a");
		if (r < 0)
			return err_set(e, -r, "write %s/%s: %s", p->dir, reset, strerror(-r));
	}
	if (r < 0 || pol->n == 0)
		return r;
	fd = openat(p->fd, file, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, errno, "open %s/%s: %s", p->dir, file, strerror(errno));
	for (size_t i = 0; i < pol->n && r == 0; i++) {
		char text[64];
		rule_text(&pol->rules[i], text);
		r = write_rule(p, fd, file, text, e);
	}
	return r;
}

int cgroup_apply_devices(struct cgroup *cg, const struct spec_resources *r, bool is_new, struct err *e)
{
	const struct cgroup_place *p = cgroup_place_of(cg, CG_DEVICES);
	_cleanup_(device_policy_done) struct device_policy pol = { 0 };
	int x;

	if (r->n_devices == 0)
		return 0;
	x = device_policy_make(r->devices, r->n_devices, &pol, e);
	if (x < 0)
		return x;
	if (!p)
		return pol.default_allow && pol.n == 0
			       ? 0
			       : err_set(e, ENOENT, "device rules: this host has neither a devices cgroup (v1) nor cgroup v2");
	if (p->is_v2 && is_new && pol.default_allow && pol.n == 0)
		return 0;
	/* Such rules are root's alone to set. Without its rights nobody can make a device either, and may open those that
	 * their modes let it. */
	if (geteuid() != 0 || in_user_namespace())
		return 0;
	return p->is_v2 ? device_bpf_attach(p->fd, &pol, e) : apply_v1(p, &pol, is_new, e);
}
