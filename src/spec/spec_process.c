/* config.json: `process` (config.md §process, config-linux.md §user), also alone as exec's document. */
#include <stdio.h>

#include "spec_rows.h"

/* ---- user.additionalGids: the one list of numbers in the document ---- */

int spec_gids_read(struct json_object *v, void *member, const char *path, struct err *e)
{
	struct spec_user *u = member;

	if (!json_object_is_type(v, json_type_array))
		return json_expected(v, path, "an array of group ids", e);
	size_t n = json_object_array_length(v);
	u->additional_gids = n ? calloc(n, sizeof *u->additional_gids) : NULL;
	if (n && !u->additional_gids)
		return err_set(e, ENOMEM, "%s: out of memory", path);
	for (size_t i = 0; i < n; i++) {
		struct json_object *item = json_object_array_get_idx(v, i);
		int64_t gid = json_object_is_type(item, json_type_int) ? json_object_get_int64(item) : -1;
		if (gid < 0 || gid > UINT32_MAX) {
			json_expected(item, "", "a group id from 0 to 4294967295", e);
			return err_push(e, -EINVAL, "%s[%zu]", path, i);
		}
		u->additional_gids[u->n_additional_gids++] = (uint32_t)gid;
	}
	return 0;
}

static struct json_object *print_gids(const void *member)
{
	const struct spec_user *u = member;

	if (u->n_additional_gids == 0)
		return NULL;
	struct json_object *a = json_object_new_array();
	for (size_t i = 0; a && i < u->n_additional_gids; i++)
		json_object_array_add(a, json_object_new_int64(u->additional_gids[i]));
	return a;
}

void spec_gids_free(void *member)
{
	struct spec_user *u = member;

	free_ptr(&u->additional_gids);
	u->n_additional_gids = 0;
}

/* ---- capabilities ---- */

static const struct cap_set {
	const char *name;
	size_t offset;
} cap_sets[] = {
	{ "bounding", offsetof(struct spec_caps, bounding) },       { "effective", offsetof(struct spec_caps, effective) },
	{ "inheritable", offsetof(struct spec_caps, inheritable) }, { "permitted", offsetof(struct spec_caps, permitted) },
	{ "ambient", offsetof(struct spec_caps, ambient) },
};

/* config.md: a value without a meaning here "MUST be logged as a warning", and the runtime "SHOULD NOT fail". */
static int warn_cap(struct spec_process *p, const char *path, size_t i, const char *name, struct err *e)
{
	char *text = str_fmt("%s[%zu]: \"%.40s\" is no capability that this build knows, and is left out", path, i, name);

	return strv_push_take(&p->warnings, text) < 0 ? err_set(e, ENOMEM, "%s: out of memory", path) : 0;
}

static int read_cap_set(struct json_object *v, struct spec_process *p, uint64_t *ret_set, const char *path, struct err *e)
{
	uint64_t set = 0;
	int r;

	if (!json_object_is_type(v, json_type_array))
		return json_expected(v, path, "an array of capability names", e);
	for (size_t i = 0; i < json_object_array_length(v); i++) {
		struct json_object *item = json_object_array_get_idx(v, i);
		const char *name = json_object_is_type(item, json_type_string) ? json_object_get_string(item) : NULL;
		uint64_t mask;
		if (!name) {
			json_expected(item, "", "a capability such as \"CAP_CHOWN\"", e);
			return err_push(e, -EINVAL, "%s[%zu]", path, i);
		}
		/* The specification knows full names only: "ALL" and short forms are the command line's. */
		if (!str_after(name, "CAP_") || cap_parse(name, &mask) < 0 || (mask & (mask - 1))) {
			r = warn_cap(p, path, i, name, e);
			if (r < 0)
				return r;
			continue;
		}
		set |= mask;
	}
	*ret_set = set;
	return 0;
}

static int read_caps(struct json_object *v, void *member, const char *path, struct err *e)
{
	struct spec_process *p = member;

	if (!json_object_is_type(v, json_type_object))
		return json_expected(v, path, "an object", e);
	for (size_t i = 0; i < ARRAY_SIZE(cap_sets); i++) {
		struct json_object *list = NULL;
		char sub[96];
		json_object_object_get_ex(v, cap_sets[i].name, &list);
		if (!list)
			continue;
		snprintf(sub, sizeof sub, "%s.%s", path, cap_sets[i].name);
		int r = read_cap_set(list, p, (uint64_t *)(void *)((char *)&p->caps + cap_sets[i].offset), sub, e);
		if (r < 0)
			return r;
	}
	p->has_caps = true;
	return 0;
}

static struct json_object *print_cap_set(uint64_t set)
{
	struct json_object *a = json_object_new_array();

	for (unsigned c = 0; a && cap_name(c); c++)
		if (set & (UINT64_C(1) << c))
			json_object_array_add(a, json_object_new_string(cap_name(c)));
	return a;
}

static struct json_object *print_caps(const void *member)
{
	const struct spec_process *p = member;

	if (!p->has_caps)
		return NULL;
	struct json_object *o = json_object_new_object();
	for (size_t i = 0; o && i < ARRAY_SIZE(cap_sets); i++) {
		uint64_t set = *(const uint64_t *)(const void *)((const char *)&p->caps + cap_sets[i].offset);
		if (json_add(o, cap_sets[i].name, print_cap_set(set)) < 0) {
			json_object_put(o);
			return NULL;
		}
	}
	return o;
}

/* The warnings too, though others than of capabilities come there later. */
static void free_caps(void *member)
{
	struct spec_process *p = member;

	p->has_caps = false;
	p->caps = (struct spec_caps){};
	strv_free(p->warnings);
	p->warnings = NULL;
}

/* Windows' form of args, and no Linux process is made of it. */
static int refuse_command_line(struct json_object *v, void *member, const char *path, struct err *e)
{
	(void)member;
	if (json_object_is_type(v, json_type_string) && json_object_get_string_len(v) == 0)
		return 0;
	return err_set(e, ENOTSUP, "%s: is for Windows: give the words as args", path);
}

/* ---- tables ---- */

static const struct field cap_fields[] = {
	/* for json_unknown; read_caps reads them */
	{ "bounding", FIELD_CUSTOM },  { "effective", FIELD_CUSTOM }, { "inheritable", FIELD_CUSTOM },
	{ "permitted", FIELD_CUSTOM }, { "ambient", FIELD_CUSTOM },   { NULL },
};
_Static_assert(ARRAY_SIZE(cap_fields) == ARRAY_SIZE(cap_sets) + 1, "a row for each set");
static const struct field console_fields[] = {
	SPEC_ROW("height", FIELD_U32, spec_process, console_rows, FIELD_OMIT_EMPTY),
	SPEC_ROW("width", FIELD_U32, spec_process, console_cols, FIELD_OMIT_EMPTY),
	{ NULL },
};
static const struct field user_fields[] = {
	SPEC_ROW("uid", FIELD_U32, spec_user, uid),
	SPEC_ROW("gid", FIELD_U32, spec_user, gid),
	SPEC_ROW("umask", FIELD_U32, spec_user, umask, FIELD_HAS, .count_offset = offsetof(struct spec_user, has_umask)),
	{ "additionalGids", FIELD_CUSTOM, 0, .parse = spec_gids_read, .print = print_gids, .free = spec_gids_free },
	SPEC_ROW("additionalGroups", FIELD_STRV, spec_user, additional_groups, FIELD_OMIT_EMPTY),
	SPEC_ROW("username", FIELD_STRING, spec_user, username),
	{ NULL },
};
static const struct field rlimit_fields[] = {
	SPEC_ROW("type", FIELD_STRING, spec_rlimit, type, FIELD_REQUIRED),
	SPEC_ROW("soft", FIELD_U64, spec_rlimit, soft, FIELD_REQUIRED),
	SPEC_ROW("hard", FIELD_U64, spec_rlimit, hard, FIELD_REQUIRED),
	{ NULL },
};
const struct field spec_process_fields[] = {
	SPEC_ROW("terminal", FIELD_BOOL, spec_process, terminal, FIELD_OMIT_EMPTY),
	{ "consoleSize", FIELD_OBJECT, 0, FIELD_OMIT_EMPTY, console_fields },
	SPEC_ROW("user", FIELD_OBJECT, spec_process, user, 0, user_fields),
	SPEC_ROW("args", FIELD_STRV, spec_process, args),
	SPEC_ROW("env", FIELD_STRV, spec_process, env),
	SPEC_ROW("cwd", FIELD_STRING, spec_process, cwd, FIELD_REQUIRED),
	{ "capabilities", FIELD_CUSTOM, 0, 0, cap_fields, .parse = read_caps, .print = print_caps, .free = free_caps },
	SPEC_ARRAY("rlimits", spec_process, rlimits, spec_rlimit, rlimit_fields),
	SPEC_ROW("noNewPrivileges", FIELD_BOOL, spec_process, no_new_privs, FIELD_OMIT_EMPTY),
	SPEC_ROW("oomScoreAdj", FIELD_I64, spec_process, oom_score_adj),
	SPEC_ROW("apparmorProfile", FIELD_STRING, spec_process, apparmor_profile),
	SPEC_ROW("selinuxLabel", FIELD_STRING, spec_process, selinux_label),
	{ "commandLine", FIELD_CUSTOM, 0, .parse = refuse_command_line },
	SPEC_ROW("scheduler", FIELD_OBJECT_PTR, spec_process, scheduler, 0, spec_scheduler_fields, sizeof(struct spec_scheduler)),
	SPEC_ROW("ioPriority", FIELD_OBJECT_PTR, spec_process, io_priority, 0, spec_io_priority_fields,
		 sizeof(struct spec_io_priority)),
	SPEC_ROW("execCPUAffinity", FIELD_OBJECT, spec_process, exec_affinity, FIELD_OMIT_EMPTY, spec_affinity_fields),
	{ NULL },
};

/* ---- checks ---- */

/* getrlimit(2). */
static const char *const rlimit_names[] = {
	"RLIMIT_AS",      "RLIMIT_CORE",     "RLIMIT_CPU",        "RLIMIT_DATA",   "RLIMIT_FSIZE", "RLIMIT_LOCKS",
	"RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE", "RLIMIT_NICE",       "RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_RSS",
	"RLIMIT_RTPRIO",  "RLIMIT_RTTIME",   "RLIMIT_SIGPENDING", "RLIMIT_STACK",
};

static int check_rlimit(const struct spec_process *p, size_t i, const char *path, struct err *e)
{
	const struct spec_rlimit *l = &p->rlimits[i];
	bool known = false;

	for (size_t k = 0; k < ARRAY_SIZE(rlimit_names); k++)
		known |= streq(rlimit_names[k], l->type);
	if (!known)
		return err_set(e, EINVAL, "%s.rlimits[%zu].type: \"%.40s\" is not a resource limit such as \"RLIMIT_NOFILE\"",
			       path, i, l->type);
	if (l->soft > l->hard)
		return err_set(e, EINVAL, "%s.rlimits[%zu].soft: %llu is above the hard limit, %llu", path, i,
			       (unsigned long long)l->soft, (unsigned long long)l->hard);
	for (size_t k = 0; k < i; k++)
		if (streq(p->rlimits[k].type, l->type))
			return err_set(e, EINVAL, "%s.rlimits[%zu].type: %s is given twice", path, i, l->type);
	return 0;
}

int spec_check_process(const struct spec_process *p, const char *path, struct err *e)
{
	int r = spec_check_absolute(p->cwd, e, "%s.cwd", path);

	if (r < 0)
		return r;
	if (!p->args || !p->args[0])
		return err_set(e, EINVAL, "%s.args: expected at least the program to run", path);
	for (size_t i = 0; p->env && p->env[i]; i++)
		if (!strchr(p->env[i], '=') || p->env[i][0] == '=')
			return err_set(e, EINVAL, "%s.env[%zu]: expected NAME=VALUE, found \"%.60s\"", path, i, p->env[i]);
	for (size_t i = 0; i < p->n_rlimits; i++) {
		r = check_rlimit(p, i, path, e);
		if (r < 0)
			return r;
	}
	if (p->user.has_umask && p->user.umask > 0777)
		return err_set(e, EINVAL, "%s.user.umask: %u is above 0777 (511)", path, p->user.umask);
	/* (uid_t)-1 means "leave it as it is" to setresuid(2). */
	if (p->user.uid == UINT32_MAX || p->user.gid == UINT32_MAX)
		return err_set(e, EINVAL, "%s.user: 4294967295 is not a user or group id", path);
	for (size_t i = 0; i < p->user.n_additional_gids; i++)
		if (p->user.additional_gids[i] == UINT32_MAX)
			return err_set(e, EINVAL, "%s.user.additionalGids[%zu]: 4294967295 is not a group id", path, i);
	/* proc(5): /proc/PID/oom_score_adj. */
	if (p->oom_score_adj != SPEC_UNSET && (p->oom_score_adj < -1000 || p->oom_score_adj > 1000))
		return err_set(e, EINVAL, "%s.oomScoreAdj: expected -1000 to 1000, found %lld", path,
			       (long long)p->oom_score_adj);
	return spec_check_sched(p, path, e);
}

/* ---- what is ignored ---- */

enum { UNKNOWN_MAX = 16 }; /* a document full of them must not fill a log */

int spec_warn_unknown(struct json_object *o, const struct field *table, struct spec_process *p, struct err *e)
{
	_cleanup_strv_ char **paths = NULL;
	size_t n;
	int r = json_unknown(o, table, "", UNKNOWN_MAX, &paths, &n);

	for (char **path = paths; path && *path && r == 0; path++)
		r = strv_push_take(&p->warnings, str_fmt("%s: unknown property, ignored", *path));
	if (r == 0 && n > UNKNOWN_MAX)
		r = strv_push_take(&p->warnings, str_fmt("%zu more unknown properties, ignored", n - UNKNOWN_MAX));
	return r < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

/* ---- alone ---- */

void spec_process_init(struct spec_process *p) { *p = (struct spec_process){ .oom_score_adj = SPEC_UNSET }; }

void spec_process_done(struct spec_process *p) { json_free_fields(spec_process_fields, p); }

int spec_process_parse(struct json_object *o, struct spec_process *ret, struct err *e)
{
	_cleanup_(spec_process_done) struct spec_process p;
	int r;

	spec_process_init(&p);
	r = json_read(o, spec_process_fields, &p, "", e);
	if (r == 0)
		r = spec_check_process(&p, "", e);
	if (r == 0)
		r = spec_warn_unknown(o, spec_process_fields, &p, e);
	if (r < 0)
		return err_push(e, r, "process");
	*ret = p;
	spec_process_init(&p);
	return 0;
}

struct json_object *spec_process_json(const struct spec_process *p) { return json_write(spec_process_fields, p); }
