/* features: what of config.json this runtime honours, as the specification's features.md wants it said. The words come from the
 * tables that read them. */
#include <stdio.h>

#include "scope.h"
#include "verbs.h"

const struct opt features_options[] = { { NULL } };

static const char *const hook_names[] = {
	"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
};
_Static_assert(ARRAY_SIZE(hook_names) == HOOK_COUNT, "a word for each kind of hook");
static const char *const ns_names[] = { "cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts" };
_Static_assert(ARRAY_SIZE(ns_names) == NS_COUNT, "a word for each namespace");

static const char *hook_word(size_t i) { return i < ARRAY_SIZE(hook_names) ? hook_names[i] : NULL; }
static const char *ns_word(size_t i) { return i < ARRAY_SIZE(ns_names) ? ns_names[i] : NULL; }
static const char *cap_word(size_t i) { return cap_name((unsigned)i); }

static struct json_object *words(const char *(*word)(size_t i))
{
	struct json_object *a = json_object_new_array();

	for (size_t i = 0; a && word(i); i++) {
		struct json_object *s = json_object_new_string(word(i));

		if (s && json_object_array_add(a, s) == 0)
			continue;
		json_object_put(s);
		json_object_put(a);
		return NULL;
	}
	return a;
}

struct flag {
	const char *name;
	bool on;
};
static struct json_object *flags(const struct flag *f, size_t n)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();

	for (size_t i = 0; o && i < n; i++)
		if (json_add(o, f[i].name, json_object_new_boolean(f[i].on)) < 0)
			return NULL;
	return TAKE_PTR(o);
}

static struct json_object *seccomp(void)
{
	_cleanup_json_ struct json_object *o = flags((const struct flag[]){ { "enabled", true } }, 1);

	if (json_add(o, "actions", words(seccomp_action_word)) < 0 ||
	    json_add(o, "operators", words(seccomp_operator_word)) < 0 || json_add(o, "archs", words(seccomp_arch_word)) < 0 ||
	    json_add(o, "knownFlags", words(seccomp_flag_word)) < 0 ||
	    json_add(o, "supportedFlags", words(seccomp_flag_word)) < 0)
		return NULL;
	return TAKE_PTR(o);
}

static struct json_object *idmap(void)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();

	return json_add(o, "idmap", flags((const struct flag[]){ { "enabled", true } }, 1)) < 0 ? NULL : TAKE_PTR(o);
}

static struct json_object *memory_policy(void)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();

	if (json_add(o, "modes", words(spec_memory_mode_word)) < 0 || json_add(o, "flags", words(spec_memory_flag_word)) < 0)
		return NULL;
	return TAKE_PTR(o);
}

static struct json_object *linux_part(void)
{
	static const struct flag rdt[] = { { "enabled", true }, { "schemata", true }, { "monitoring", true } };
	const struct flag cgroup[] = {
		{ "v1", true }, { "v2", true }, { "systemd", scope_is_possible() }, { "systemdUser", false }, { "rdma", true }
	};
	static const struct flag yes[] = { { "enabled", true } };
	_cleanup_json_ struct json_object *o = json_object_new_object();

	if (json_add(o, "namespaces", words(ns_word)) < 0 || json_add(o, "capabilities", words(cap_word)) < 0 ||
	    json_add(o, "cgroup", flags(cgroup, ARRAY_SIZE(cgroup))) < 0 || json_add(o, "seccomp", seccomp()) < 0 ||
	    json_add(o, "apparmor", flags(yes, 1)) < 0 || json_add(o, "selinux", flags(yes, 1)) < 0 ||
	    json_add(o, "intelRdt", flags(rdt, ARRAY_SIZE(rdt))) < 0 || json_add(o, "netDevices", flags(yes, 1)) < 0 ||
	    json_add(o, "memoryPolicy", memory_policy()) < 0 || json_add(o, "mountExtensions", idmap()) < 0)
		return NULL;
	return TAKE_PTR(o);
}

int verb_features(struct runtime *rt, union verb_opts *opts, struct err *e)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct json_object *annotations = json_object_new_object();

	(void)rt;
	(void)opts;
	if (json_add(annotations, "io.berth.version", json_object_new_string(berth_version())) < 0 ||
	    json_add(annotations, "io.berth.build", json_object_new_string(build_id())) < 0) {
		json_object_put(annotations);
		return err_set(e, ENOMEM, "out of memory");
	}
	if (json_add(o, "annotations", annotations) < 0 || json_add(o, "ociVersionMin", json_object_new_string("1.0.0")) < 0 ||
	    json_add(o, "ociVersionMax", json_object_new_string("1.2.0")) < 0 || json_add(o, "hooks", words(hook_word)) < 0 ||
	    json_add(o, "mountOptions", words(mount_option_word)) < 0 || json_add(o, "linux", linux_part()) < 0)
		return err_set(e, ENOMEM, "out of memory");
	puts(json_object_to_json_string_ext(o,
					    JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE));
	return 0;
}
