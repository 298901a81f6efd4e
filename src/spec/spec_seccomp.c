/* config.json: `linux.seccomp` (config-linux.md §seccomp). System call names are not judged here: which ones exist depends
 * on the architecture and the kernel, and libseccomp knows. */
#include <stdio.h>

#include "spec_rows.h"

static const struct field arg_fields[] = {
	SPEC_ROW("index", FIELD_U32, spec_seccomp_arg, index, FIELD_REQUIRED),
	SPEC_ROW("value", FIELD_U64, spec_seccomp_arg, value, FIELD_REQUIRED),
	SPEC_ROW("valueTwo", FIELD_U64, spec_seccomp_arg, value_two, FIELD_OMIT_EMPTY),
	SPEC_ROW("op", FIELD_STRING, spec_seccomp_arg, op, FIELD_REQUIRED),
	{ NULL },
};
static const struct field rule_fields[] = {
	SPEC_ROW("names", FIELD_STRV, spec_seccomp_rule, names, FIELD_REQUIRED),
	SPEC_ROW("action", FIELD_STRING, spec_seccomp_rule, action, FIELD_REQUIRED),
	SPEC_ROW("errnoRet", FIELD_U32, spec_seccomp_rule, errno_ret, FIELD_HAS,
		 .count_offset = offsetof(struct spec_seccomp_rule, has_errno)),
	SPEC_ARRAY("args", spec_seccomp_rule, args, spec_seccomp_arg, arg_fields),
	{ NULL },
};
const struct field spec_seccomp_fields[] = {
	SPEC_ROW("defaultAction", FIELD_STRING, spec_seccomp, default_action, FIELD_REQUIRED),
	SPEC_ROW("defaultErrnoRet", FIELD_U32, spec_seccomp, default_errno, FIELD_HAS,
		 .count_offset = offsetof(struct spec_seccomp, has_default_errno)),
	SPEC_ROW("architectures", FIELD_STRV, spec_seccomp, architectures, FIELD_OMIT_EMPTY),
	SPEC_ROW("flags", FIELD_STRV, spec_seccomp, flags, FIELD_OMIT_EMPTY),
	SPEC_ROW("listenerPath", FIELD_STRING, spec_seccomp, listener_path),
	SPEC_ROW("listenerMetadata", FIELD_STRING, spec_seccomp, listener_metadata),
	SPEC_ARRAY("syscalls", spec_seccomp, rules, spec_seccomp_rule, rule_fields),
	{ NULL },
};

static const char *const actions[] = {
	"SCMP_ACT_KILL",  "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP",   "SCMP_ACT_ERRNO",
	"SCMP_ACT_TRACE", "SCMP_ACT_ALLOW",        "SCMP_ACT_LOG",         "SCMP_ACT_NOTIFY", NULL,
};
static const char *const ops[] = {
	"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ", NULL,
};
static const char *const flags[] = {
	"SECCOMP_FILTER_FLAG_TSYNC",
	"SECCOMP_FILTER_FLAG_LOG",
	"SECCOMP_FILTER_FLAG_SPEC_ALLOW",
	"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
	NULL,
};

static bool is_one_of(const char *s, const char *const *set)
{
	while (*set && !streq(*set, s))
		set++;
	return *set;
}

/* "When the action doesn't support an errno, the runtime MUST print and error and fail." include/linux/err.h: MAX_ERRNO is
 * 4095; a tracer's number has 16 bits. */
static int check_errno(bool has, uint32_t v, const char *action, const char *path, struct err *e)
{
	bool is_errno = streq(action, "SCMP_ACT_ERRNO");

	if (has && !is_errno && !streq(action, "SCMP_ACT_TRACE"))
		return err_set(e, EINVAL, "%s: %.40s has none; only SCMP_ACT_ERRNO and SCMP_ACT_TRACE do", path, action);
	return has && v > (is_errno ? 4095 : UINT16_MAX) ? err_set(e, EINVAL, "%s: %u is not an errno", path, v) : 0;
}

static int check_rule(const struct spec_seccomp_rule *r, size_t i, struct err *e)
{
	char path[64];

	snprintf(path, sizeof path, ".linux.seccomp.syscalls[%zu].errnoRet", i);
	if (!r->names[0])
		return err_set(e, EINVAL, ".linux.seccomp.syscalls[%zu].names: expected at least one system call", i);
	if (!is_one_of(r->action, actions))
		return err_set(e, EINVAL,
			       ".linux.seccomp.syscalls[%zu].action: \"%.40s\" is not an action such as \"SCMP_ACT_ERRNO\"", i,
			       r->action);
	for (size_t k = 0; k < r->n_args; k++) {
		if (r->args[k].index > 5)
			return err_set(e, EINVAL,
				       ".linux.seccomp.syscalls[%zu].args[%zu].index: system calls have arguments 0 to 5", i, k);
		if (!is_one_of(r->args[k].op, ops))
			return err_set(e, EINVAL,
				       ".linux.seccomp.syscalls[%zu].args[%zu].op: \"%.40s\" is not a comparison such as "
				       "\"SCMP_CMP_EQ\"",
				       i, k, r->args[k].op);
	}
	return check_errno(r->has_errno, r->errno_ret, r->action, path, e);
}

int spec_check_seccomp(const struct spec_seccomp *s, struct err *e)
{
	int r;

	if (!is_one_of(s->default_action, actions))
		return err_set(e, EINVAL, ".linux.seccomp.defaultAction: \"%.40s\" is not an action such as \"SCMP_ACT_ERRNO\"",
			       s->default_action);
	for (size_t i = 0; s->flags && s->flags[i]; i++)
		if (!is_one_of(s->flags[i], flags))
			return err_set(e, EINVAL, ".linux.seccomp.flags[%zu]: \"%.60s\" is not a known flag", i, s->flags[i]);
	if (s->listener_path && *s->listener_path) {
		r = spec_check_absolute(s->listener_path, e, ".linux.seccomp.listenerPath");
		if (r < 0)
			return r;
	} else if (s->listener_metadata && *s->listener_metadata) {
		return err_set(e, EINVAL, ".linux.seccomp.listenerMetadata: needs a listenerPath");
	}
	r = check_errno(s->has_default_errno, s->default_errno, s->default_action, ".linux.seccomp.defaultErrnoRet", e);
	for (size_t i = 0; r == 0 && i < s->n_rules; i++)
		r = check_rule(&s->rules[i], i, e);
	return r;
}
