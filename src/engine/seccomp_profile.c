/* seccomp_profile.c: --security-opt seccomp=FILE. Docker's form differs from the OCI's: rules may be conditional on
 * capabilities, architectures and the kernel ("includes", "excludes"), and architectures come as a map ("archMap"). Here the
 * conditions are decided, so that what goes into config.json is plain OCI.
 * Sources: moby profiles/seccomp (seccomp.go, seccomp_linux.go), the OCI runtime spec's config-linux.md "Seccomp". */
#include "seccomp_profile.h"

#include <sys/utsname.h>

#define PROFILE_MAX (1u << 20)

/* uname -m -> the name in "includes.arches", and the SCMP name. */
static const struct {
	const char *machine, *go, *scmp;
} machines[] = {
	{ "x86_64", "amd64", "SCMP_ARCH_X86_64" },     { "aarch64", "arm64", "SCMP_ARCH_AARCH64" },
	{ "riscv64", "riscv64", "SCMP_ARCH_RISCV64" }, { "ppc64le", "ppc64le", "SCMP_ARCH_PPC64LE" },
	{ "s390x", "s390x", "SCMP_ARCH_S390X" },
};

struct reader {
	const char *what; /* file name, for errors */
	uint64_t caps;
	const char *go, *scmp;
	unsigned major, minor; /* of the running kernel */
};

static int bad(const struct reader *r, struct err *e, const char *why) { return err_set(e, EINVAL, "%s: %s", r->what, why); }

static int reader_init(struct reader *r, const char *what, uint64_t caps, struct err *e)
{
	struct utsname u;
	char *dot;

	*r = (struct reader){ .what = what, .caps = caps };
	if (uname(&u) < 0)
		return err_set(e, errno, "uname: %s", strerror(errno));
	for (size_t i = 0; i < ARRAY_SIZE(machines); i++) {
		if (streq(machines[i].machine, u.machine)) {
			r->go = machines[i].go;
			r->scmp = machines[i].scmp;
		}
	}
	r->major = (unsigned)strtoul(u.release, &dot, 10);
	r->minor = *dot == '.' ? (unsigned)strtoul(dot + 1, NULL, 10) : 0;
	return r->go ? 0 : err_set(e, ENOTSUP, "%s: seccomp profiles are not supported on %s", what, u.machine);
}

static const char *text_of(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_string) ? json_object_get_string(v)
												 : NULL;
}

/* The array member, or NULL. */
static struct json_object *list_of(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, json_type_array) ? v : NULL;
}

/* Does any (all = false) or every (all = true) item of the list hold? */
static bool caps_hold(const struct reader *r, struct json_object *list, bool all)
{
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		uint64_t mask;
		const char *name = json_object_get_string(json_object_array_get_idx(list, i));
		bool has = name && cap_parse(name, &mask) == 0 && (r->caps & mask) == mask;
		if (has != all)
			return !all;
	}
	return all;
}

static bool arch_listed(const struct reader *r, struct json_object *list)
{
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		const char *name = json_object_get_string(json_object_array_get_idx(list, i));
		if (name && streq0(name, r->go))
			return true;
	}
	return false;
}

static bool kernel_is_at_least(const struct reader *r, const char *version)
{
	char *dot;
	unsigned major = (unsigned)strtoul(version, &dot, 10), minor = *dot == '.' ? (unsigned)strtoul(dot + 1, NULL, 10) : 0;

	return r->major > major || (r->major == major && r->minor >= minor);
}

/* moby: every condition of "includes" must hold, none of "excludes" may. */
static bool applies(const struct reader *r, struct json_object *rule)
{
	struct json_object *in = NULL, *ex = NULL, *list;
	const char *kernel;

	json_object_object_get_ex(rule, "includes", &in);
	json_object_object_get_ex(rule, "excludes", &ex);
	if ((list = list_of(ex, "arches")) && arch_listed(r, list))
		return false;
	if ((list = list_of(ex, "caps")) && caps_hold(r, list, false))
		return false;
	if ((kernel = text_of(ex, "minKernel")) && kernel_is_at_least(r, kernel))
		return false;
	if ((list = list_of(in, "arches")) && json_object_array_length(list) && !arch_listed(r, list))
		return false;
	if ((list = list_of(in, "caps")) && !caps_hold(r, list, true))
		return false;
	return !(kernel = text_of(in, "minKernel")) || kernel_is_at_least(r, kernel);
}

/* The OCI form of one rule: without the conditions, with "names" where an old profile has "name". */
static struct json_object *plain_rule(struct json_object *rule)
{
	static const char *const kept[] = { "names", "action", "errnoRet", "args" };
	struct json_object *out = json_object_new_object(), *v, *names;
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		if (json_object_object_get_ex(rule, kept[i], &v) && v)
			r |= json_add(out, kept[i], json_object_get(v));
	}
	if (!json_object_object_get_ex(rule, "names", NULL) && text_of(rule, "name")) {
		names = json_object_new_array();
		json_object_array_add(names, json_object_new_string(text_of(rule, "name")));
		r |= json_add(out, "names", names);
	}
	if (r < 0) {
		json_object_put(out);
		return NULL;
	}
	return out;
}

/* archMap: the host's architecture and those that it also runs; else "architectures" as it stands; else the host's. */
static struct json_object *architectures(const struct reader *r, struct json_object *profile)
{
	struct json_object *out, *map = list_of(profile, "archMap"), *plain = list_of(profile, "architectures");

	if (!map && plain && json_object_array_length(plain))
		return json_object_get(plain);
	out = json_object_new_array();
	json_object_array_add(out, json_object_new_string(r->scmp));
	for (size_t i = 0; map && i < json_object_array_length(map); i++) {
		struct json_object *row = json_object_array_get_idx(map, i), *subs = list_of(row, "subArchitectures");
		const char *arch = text_of(row, "architecture");
		for (size_t k = 0; arch && streq0(arch, r->scmp) && subs && k < json_object_array_length(subs); k++)
			json_object_array_add(out, json_object_get(json_object_array_get_idx(subs, k)));
	}
	return out;
}

static int plain_profile(const struct reader *r, struct json_object *profile, struct json_object **ret, struct err *e)
{
	_cleanup_json_ struct json_object *out = json_object_new_object();
	struct json_object *rules = json_object_new_array(), *from = list_of(profile, "syscalls"), *v;
	const char *action = text_of(profile, "defaultAction");

	if (json_add(out, "syscalls", rules) < 0)
		return err_set(e, ENOMEM, "out of memory");
	if (!action)
		return bad(r, e, "\"defaultAction\" is missing: not a seccomp profile");
	for (size_t i = 0; from && i < json_object_array_length(from); i++) {
		struct json_object *rule = json_object_array_get_idx(from, i), *plain;
		if (!json_object_is_type(rule, json_type_object))
			return bad(r, e, ".syscalls holds what is no rule");
		if (!applies(r, rule))
			continue;
		plain = plain_rule(rule);
		if (!plain || json_object_array_add(rules, plain) < 0)
			return err_set(e, ENOMEM, "out of memory");
	}
	if (json_add(out, "defaultAction", json_object_new_string(action)) < 0 ||
	    json_add(out, "architectures", architectures(r, profile)) < 0)
		return err_set(e, ENOMEM, "out of memory");
	if (json_object_object_get_ex(profile, "defaultErrnoRet", &v) && json_add(out, "defaultErrnoRet", json_object_get(v)) < 0)
		return err_set(e, ENOMEM, "out of memory");
	*ret = TAKE_PTR(out);
	return 0;
}

/* The OCI reader judges names, actions and arguments; it reads a whole config.json, so the profile is put into one. */
static int read_plain(const struct reader *r, struct json_object *plain, struct spec_seccomp **ret, struct err *e)
{
	_cleanup_(spec_done) struct spec shell, read;
	_cleanup_json_ struct json_object *whole = NULL;
	struct json_object *linux_part = NULL;
	const char *text;
	size_t n = 0;
	int k;

	spec_init(&shell);
	spec_init(&read);
	k = spec_default(&shell, e);
	if (k >= 0 && strv_push(&shell.process.args, "true") < 0)
		k = err_set(e, ENOMEM, "out of memory");
	if (k < 0)
		return k;
	whole = spec_json(&shell);
	if (!whole || !json_object_object_get_ex(whole, "linux", &linux_part) ||
	    json_add(linux_part, "seccomp", json_object_get(plain)) < 0)
		return err_set(e, ENOMEM, "out of memory");
	text = json_object_to_json_string_length(whole, JSON_C_TO_STRING_PLAIN, &n);
	k = spec_parse(text, n, &read, e);
	if (k < 0)
		return err_push(e, k, "%s", r->what);
	*ret = TAKE_PTR(read.seccomp);
	return 0;
}

int seccomp_profile_parse(const char *text, size_t len, const char *what, uint64_t caps, struct spec_seccomp **ret, struct err *e)
{
	_cleanup_json_ struct json_object *profile = NULL, *plain = NULL;
	struct reader reader;
	int r = reader_init(&reader, what, caps, e);

	if (r >= 0)
		r = json_parse(text, len, what, &profile, e);
	if (r >= 0 && !json_object_is_type(profile, json_type_object))
		r = bad(&reader, e, "not a JSON object: not a seccomp profile");
	if (r >= 0)
		r = plain_profile(&reader, profile, &plain, e);
	return r < 0 ? r : read_plain(&reader, plain, ret, e);
}

int seccomp_profile_read(const char *path, uint64_t caps, struct spec_seccomp **ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = file_read(AT_FDCWD, path, PROFILE_MAX, &text, &len);

	if (r < 0)
		return err_set(e, -r, "--security-opt: seccomp profile %s: %s", path, strerror(-r));
	r = seccomp_profile_parse(text, len, path, caps, ret, e);
	return r < 0 ? err_push(e, r, "--security-opt") : 0;
}
