/* healthcheck.c: from the image's HEALTHCHECK and the options to what the monitor is told (launch.json). What is given on the command line
 * replaces the image's, each part by itself, as with docker. */
#include "engine_impl.h"

#define INTERVAL_MS       30000
#define TIMEOUT_MS        30000
#define START_INTERVAL_MS 5000
#define RETRIES           3

struct part {
	const char *option, *given;
	uint64_t image_ns, fallback_ms;
	uint64_t *into;
	bool may_be_0;
};

static int read_part(const struct part *p, struct err *e)
{
	uint64_t ms = p->image_ns / 1000000;

	if (p->given && (*p->given == '-' || str_to_duration_ms(p->given, &ms) < 0))
		return err_set(e, EINVAL, "%s: \"%s\" is no time; 30s, 1m30s and 500ms are", p->option, p->given);
	if (p->given && ms == 0 && !p->may_be_0 && strspn(p->given, "0.nusmh") != strlen(p->given))
		return err_set(e, EINVAL, "%s: %s is too short: it cannot be less than 1ms", p->option, p->given);
	if (!p->given && p->image_ns && ms == 0)
		ms = 1;
	*p->into = ms ? ms : p->fallback_ms;
	return 0;
}

static bool has_options(const struct run_opts *o)
{
	return o->health_cmd || o->health_interval || o->health_timeout || o->health_start_period || o->health_start_interval ||
	       o->health_retries != SPEC_UNSET || o->health_on_failure;
}

int health_check_options(const struct run_opts *o, struct err *e)
{
	if (o->no_healthcheck && has_options(o))
		return err_set(e, EINVAL, "--no-healthcheck conflicts with --health-* options");
	if (o->health_retries != SPEC_UNSET && (o->health_retries < 0 || o->health_retries > INT32_MAX))
		return err_set(e, EINVAL, "--health-retries cannot be negative");
	if (!o->health_on_failure || streq(o->health_on_failure, "none") || streq(o->health_on_failure, "kill"))
		return 0;
	if (streq(o->health_on_failure, "restart") || streq(o->health_on_failure, "stop"))
		return err_set(e, EOPNOTSUPP,
			       "--health-on-failure=%s is not there; kill is, and with --restart on-failure it begins anew",
			       o->health_on_failure);
	return err_set(e, EINVAL, "--health-on-failure: \"%s\" is neither none nor kill", o->health_on_failure);
}

/* The command as docker writes it, and as it is executed. *ret_args stays NULL where there is none. */
static int make_words(const struct run_opts *o, const struct image_config *ic, char ***ret_test, char ***ret_args, struct err *e)
{
	char kind[] = "CMD-SHELL", *given[] = { kind, o->health_cmd, NULL }, sh[] = "/bin/sh", c[] = "-c";
	char *plain[] = { sh, c, NULL }, *const *shell = strv_len(ic->config.shell) ? ic->config.shell : plain;
	char *const *test = o->health_cmd ? given : ic->config.healthcheck ? ic->config.healthcheck->test : NULL;
	size_t n = strv_len(test);
	_cleanup_strv_ char **args = NULL;

	if (!test || n == 0 || streq(test[0], "NONE") || (o->health_cmd && !*o->health_cmd))
		return 0;
	if (n < 2 || (!streq(test[0], "CMD") && !streq(test[0], "CMD-SHELL"))) {
		log_warn("health", "the image's HEALTHCHECK is not understood (\"%.40s\"): its health is not checked", test[0]);
		return 0;
	}
	for (char *const *w = shell; test[0][3] && *w; w++)
		if (strv_push(&args, *w) < 0)
			return OUT_OF_MEMORY(e);
	for (size_t i = 1; i < (test[0][3] ? 2 : n); i++)
		if (strv_push(&args, test[i]) < 0)
			return OUT_OF_MEMORY(e);
	*ret_test = strv_copy(test);
	*ret_args = TAKE_PTR(args);
	return *ret_test ? 0 : OUT_OF_MEMORY(e);
}

int health_plan(const struct run_opts *o, const struct image_config *ic, struct launch *l, struct err *e)
{
	static const struct healthcheck none = { 0 };
	const struct healthcheck *h = ic->config.healthcheck ? ic->config.healthcheck : &none;
	const struct part parts[] = {
		{ "--health-interval", o->health_interval, h->interval_ns, INTERVAL_MS, &l->health_interval_ms, false },
		{ "--health-timeout", o->health_timeout, h->timeout_ns, TIMEOUT_MS, &l->health_timeout_ms, false },
		{ "--health-start-period", o->health_start_period, h->start_period_ns, 0, &l->health_start_period_ms, true },
		{ "--health-start-interval", o->health_start_interval, h->start_interval_ns, START_INTERVAL_MS,
		  &l->health_start_interval_ms, false },
	};
	int64_t retries = o->health_retries > 0 ? o->health_retries : h->retries;
	int r = o->no_healthcheck ? 0 : make_words(o, ic, &l->health_test, &l->health_args, e);

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(parts); i++)
		r = read_part(&parts[i], e);
	l->health_retries = retries > 0 ? (uint32_t)MIN(retries, (int64_t)INT32_MAX) : RETRIES;
	if (r >= 0 && l->health_args && streq0(o->health_on_failure, "kill") && !(l->health_on_failure = strdup("kill")))
		r = OUT_OF_MEMORY(e);
	if (r >= 0 && !l->health_args) /* nothing of it is said where nothing is checked */
		l->health_interval_ms = l->health_timeout_ms = l->health_start_period_ms = l->health_start_interval_ms =
			l->health_retries = 0;
	return r;
}
