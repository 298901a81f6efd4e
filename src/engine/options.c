/* options.c: run_opts as a whole: empty, freed, checked, and as the JSON that a container's record keeps. One table names every
 * member; only what was given is written. */
#include "engine_impl.h"
#include "network_plan.h"
#include "network_wishes.h"

enum kind { STR, BOOL, STRV, I64, F64 };
static const struct row {
	const char *name;
	enum kind kind;
	size_t offset;
} rows[] = {
#define ROW(kind, member)                                        \
	{                                                        \
#member, kind, offsetof(struct run_opts, member) \
	}
	ROW(STR, image),
	ROW(STR, pod),
	ROW(STR, restart),
	ROW(STR, log_driver),
	ROW(STRV, log_opts),
	ROW(STR, health_cmd),
	ROW(STR, health_interval),
	ROW(STR, health_timeout),
	ROW(STR, health_start_period),
	ROW(STR, health_start_interval),
	ROW(I64, health_retries),
	ROW(STR, health_on_failure),
	ROW(STR, share),
	ROW(STRV, command),
	ROW(STR, name),
	ROW(STR, isolation),
	ROW(STR, hostname),
	ROW(STR, workdir),
	ROW(STR, user),
	ROW(STR, entrypoint),
	ROW(STR, network),
	ROW(STR, pull),
	ROW(STR, stop_signal),
	ROW(STR, kernel),
	ROW(STR, cgroup_parent),
	ROW(STR, image_volume),
	ROW(BOOL, is_detached),
	ROW(BOOL, auto_remove),
	ROW(BOOL, is_interactive),
	ROW(BOOL, has_tty),
	ROW(BOOL, use_init),
	ROW(BOOL, is_readonly),
	ROW(BOOL, is_privileged),
	ROW(BOOL, huge_pages),
	ROW(BOOL, no_sig_proxy),
	ROW(BOOL, trace_startup),
	ROW(BOOL, no_healthcheck),
	ROW(BOOL, has_entrypoint),
	ROW(STRV, env),
	ROW(STRV, labels),
	ROW(STRV, cap_add),
	ROW(STRV, cap_drop),
	ROW(STRV, security_opt),
	ROW(STRV, devices),
	ROW(STRV, gpus),
	ROW(STRV, cdi_dirs),
	ROW(STRV, mounts),
	ROW(STRV, volumes),
	ROW(STRV, volumes_from),
	ROW(STRV, tmpfs),
	ROW(STRV, ulimits),
	ROW(STRV, group_add),
	ROW(STRV, sysctls),
	ROW(STRV, storage_opt),
	ROW(STRV, disks),
	ROW(STRV, device_read_bps),
	ROW(STRV, device_write_bps),
	ROW(STRV, device_read_iops),
	ROW(STRV, device_write_iops),
	ROW(STR, cidfile),
	ROW(STR, detach_keys),
	ROW(STR, platform),
	ROW(STR, userns),
	ROW(STR, pid_mode),
	ROW(STR, ipc_mode),
	ROW(STR, uts_mode),
	ROW(STR, cgroupns),
	ROW(I64, memory),
	ROW(I64, memory_max),
	ROW(I64, memory_swap),
	ROW(I64, memory_reservation),
	ROW(I64, shm_size),
	ROW(I64, pids_limit),
	ROW(I64, cpu_shares),
	ROW(I64, cpu_quota),
	ROW(I64, cpu_period),
	ROW(I64, blkio_weight),
	ROW(I64, oom_score_adj),
	ROW(I64, stop_timeout_s),
	ROW(I64, timeout_s),
	ROW(F64, cpus),
	ROW(I64, cpus_max),
	ROW(STR, cpuset_cpus),
	ROW(STR, cpuset_mems),
	ROW(BOOL, oom_kill_disable),
	ROW(STR, pidfile),
	ROW(STR, domainname),
	ROW(STR, timezone),
	ROW(STR, umask),
	ROW(STRV, annotations),
	ROW(STRV, secrets),
	ROW(STRV, unsetenv),
	ROW(STRV, device_cgroup_rules),
	ROW(STRV, blkio_weight_devices),
	ROW(STRV, cgroup_conf),
	ROW(BOOL, no_hosts),
	ROW(BOOL, unsetenv_all),
	ROW(BOOL, replaces),
	ROW(BOOL, is_quiet),
	ROW(I64, memory_swappiness),
	ROW(STRV, more_networks),
	ROW(STRV, network_aliases),
	ROW(STR, ip),
	ROW(STR, ip6),
	ROW(STR, mac_address),
	ROW(STRV, dns),
	ROW(STRV, dns_search),
	ROW(STRV, dns_options),
	ROW(STRV, add_hosts),
	ROW(STRV, links),
	ROW(STRV, publish),
	ROW(STRV, expose),
	ROW(STRV, egress),
	ROW(BOOL, publish_all),
	ROW(STRV, args),
	ROW(STRV, image_ports),
#undef ROW
};

static void *at(const struct row *row, struct run_opts *o) { return (char *)o + row->offset; }

void run_opts_init(struct run_opts *o)
{
	*o = (struct run_opts){ 0 };
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].kind == I64)
			*(int64_t *)at(&rows[i], o) = SPEC_UNSET;
	}
}

void run_opts_done(struct run_opts *o)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].kind == STR)
			free(*(char **)at(&rows[i], o));
		if (rows[i].kind == STRV)
			strv_free(*(char ***)at(&rows[i], o));
	}
	run_opts_init(o);
}

/* ---- JSON ---- */

static struct json_object *list_json(char *const *v)
{
	struct json_object *list = json_object_new_array();

	for (; list && *v; v++) {
		if (json_object_array_add(list, json_object_new_string(*v)) < 0) {
			json_object_put(list);
			return NULL;
		}
	}
	return list;
}

/* 1 and *ret, 0 when the member was not given, -ENOMEM. */
static int row_json(const struct row *row, const void *member, struct json_object **ret)
{
	const char *s = NULL;
	char *const *v = NULL;
	struct json_object *o = NULL;

	switch (row->kind) {
	case STR:
		s = *(char *const *)member;
		if (!s)
			return 0;
		o = json_object_new_string(s);
		break;
	case BOOL:
		if (!*(const bool *)member)
			return 0;
		o = json_object_new_boolean(true);
		break;
	case STRV:
		v = *(char *const *const *)member;
		if (!v || !*v)
			return 0;
		o = list_json(v);
		break;
	case I64:
		if (*(const int64_t *)member == SPEC_UNSET)
			return 0;
		o = json_object_new_int64(*(const int64_t *)member);
		break;
	case F64:
		if (*(const double *)member == 0)
			return 0;
		o = json_object_new_double(*(const double *)member);
		break;
	}
	*ret = o;
	return o ? 1 : -ENOMEM;
}

char *options_print(const struct run_opts *o)
{
	_cleanup_json_ struct json_object *all = json_object_new_object();

	for (size_t i = 0; all && i < ARRAY_SIZE(rows); i++) {
		struct json_object *v;
		int r = row_json(&rows[i], (const char *)o + rows[i].offset, &v);
		if (r < 0)
			return NULL;
		if (r > 0 && json_object_object_add(all, rows[i].name, v) < 0) {
			json_object_put(v);
			return NULL;
		}
	}
	return all ? strdup(json_object_to_json_string_ext(all, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)) : NULL;
}

static int row_read(const struct row *row, struct json_object *v, struct run_opts *o)
{
	static const enum json_type types[] = {
		[STR] = json_type_string, [BOOL] = json_type_boolean, [STRV] = json_type_array,
		[I64] = json_type_int,    [F64] = json_type_double,
	};

	if (!json_object_is_type(v, types[row->kind]))
		return -EINVAL;
	switch (row->kind) {
	case STR: *(char **)at(row, o) = strdup(json_object_get_string(v)); return *(char **)at(row, o) ? 0 : -ENOMEM;
	case BOOL: *(bool *)at(row, o) = json_object_get_boolean(v); return 0;
	case STRV:
		for (size_t i = 0; i < json_object_array_length(v); i++) {
			if (strv_push(at(row, o), json_object_get_string(json_object_array_get_idx(v, i))) < 0)
				return -ENOMEM;
		}
		return 0;
	case I64: *(int64_t *)at(row, o) = json_object_get_int64(v); return 0;
	case F64: *(double *)at(row, o) = json_object_get_double(v); return 0;
	}
	return -EINVAL;
}

int options_parse(const char *text, struct run_opts *ret, struct err *e)
{
	_cleanup_json_ struct json_object *all = NULL;
	struct run_opts o;
	int r = 0;

	run_opts_init(&o);
	if (text)
		r = json_parse(text, strlen(text), "options of the container's record", &all, e);
	for (size_t i = 0; r >= 0 && all && i < ARRAY_SIZE(rows); i++) {
		struct json_object *v;
		if (json_object_object_get_ex(all, rows[i].name, &v))
			r = row_read(&rows[i], v, &o);
		if (r < 0)
			err_set(e, -r, "options of the container's record: %s: %s", rows[i].name, strerror(-r));
	}
	if (r < 0) {
		run_opts_done(&o);
		return r;
	}
	*ret = o;
	return 0;
}

/* ---- what can be judged without image or host ---- */

static int check_word(const char *option, const char *v, const char *const *known, size_t n, struct err *e)
{
	_cleanup_buf_ struct buf list = { 0 };

	if (!v)
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (streq(v, known[i]))
			return 0;
		buf_fmt(&list, "%s%s", i ? i + 1 == n ? " and " : ", " : "", known[i]);
	}
	return err_set(e, EINVAL, "%s: \"%s\" is not known; %s are", option, v, list.data ? list.data : "");
}

static int check_labels(char *const *labels, struct err *e)
{
	for (; labels && *labels; labels++) {
		if (!**labels || **labels == '=')
			return err_set(e, EINVAL, "--label: \"%s\" has no name", *labels);
		if (str_after(*labels, "dev.berth."))
			return err_set(e, EINVAL, "--label: \"%s\": names that begin with dev.berth. are Berth's own", *labels);
	}
	return 0;
}

static int check_name(const char *name, struct err *e)
{
	if (name && !name_is_valid(name))
		return err_set(e, EINVAL,
			       "--name: \"%s\": a name begins with a letter or digit and goes on with letters, digits, '_', '.' "
			       "and '-'; at most 128",
			       name);
	return 0;
}

int options_check_pod(const struct run_opts *o, struct err *e)
{
	int r = check_name(o->name, e);

	if (r >= 0)
		r = check_labels(o->labels, e);
	return r < 0 ? r : pod_network_check(o, e);
}

int options_check_guest(const struct run_opts *o, struct err *e)
{
	if (strv_len(o->devices))
		return err_set(e, EOPNOTSUPP,
			       "--device: a virtual machine can't be given devices of the host yet; use --isolation container");
	if (strv_len(o->gpus))
		return err_set(e, EOPNOTSUPP,
			       "--gpus: a virtual machine can't be given devices of the host yet; use --isolation container");
	if (o->oom_kill_disable)
		return err_set(e, EOPNOTSUPP, "--oom-kill-disable is not possible with --isolation vm");
	return guest_check_max(o, e);
}

int options_check(const struct run_opts *o, struct err *e)
{
	static const char *const pulls[] = { "missing", "always", "never" };
	static const char *const image_volumes[] = { "anonymous", "bind", "tmpfs", "ignore" };
	struct restart_policy restart;
	int r = check_word("--pull", o->pull, pulls, ARRAY_SIZE(pulls), e);

	if (r >= 0)
		r = check_word("--image-volume", o->image_volume, image_volumes, ARRAY_SIZE(image_volumes), e);

	if (r < 0)
		return r;
	if (!o->image || !*o->image)
		return err_set(e, EINVAL, "no image given");
	r = check_name(o->name, e);
	if (r < 0)
		return r;
	if (o->stop_signal && signal_parse(o->stop_signal) < 0)
		return err_set(e, EINVAL, "--stop-signal: there is no signal \"%s\"", o->stop_signal);
	if (o->stop_timeout_s != SPEC_UNSET && o->stop_timeout_s < -1)
		return err_set(e, EINVAL, "--stop-timeout: give seconds, or -1 to wait for ever");
	if (o->timeout_s != SPEC_UNSET && (o->timeout_s < 0 || o->timeout_s > INT32_MAX))
		return err_set(e, EINVAL, "--timeout: give seconds, or 0 for no end");
	if (o->oom_score_adj != SPEC_UNSET && (o->oom_score_adj < -1000 || o->oom_score_adj > 1000))
		return err_set(e, EINVAL, "--oom-score-adj: %lld is out of range; -1000 to 1000 are possible",
			       (long long)o->oom_score_adj);
	if (o->replaces && !o->name)
		return err_set(e, EINVAL, "cannot replace container without --name being set");
	r = restart_parse(o->restart, &restart, e);
	if (r >= 0 && restart.when != RESTART_NO && o->auto_remove)
		r = err_set(e, EINVAL, "conflicting options: cannot specify both --restart and --rm");
	if (r >= 0)
		r = health_check_options(o, e);
	if (r >= 0)
		r = check_labels(o->labels, e);
	if (r >= 0)
		r = network_check(o, e);
	return r < 0 || !o->isolation || !streq(o->isolation, "vm") ? r : options_check_guest(o, e);
}
