/* wait.c: `berth wait`. Conditions are docker's (of its API) and podman's. */
#include "cli.h"

#define INTERVAL_MS 250 /* podman's */

struct wait_args {
	char **conditions, *interval;
	bool ignores;
	unsigned for_what;
	uint64_t interval_ms;
	struct pick pick;
};
const struct opt wait_options[] = {
	{ "condition", 0, OPT_LIST, offsetof(struct wait_args, conditions), "CONDITION",
	  "stopped (default), running, paused, healthy, unhealthy, removed, next-exit ..." },
	{ "interval", 'i', OPT_STRING, offsetof(struct wait_args, interval), "TIME",
	  "at most so long between two looks (default 250ms)" },
	{ "ignore", 0, OPT_FLAG, offsetof(struct wait_args, ignores), NULL, "print -1 for containers that are not there" },
	PICK_LATEST(struct wait_args, 'l'),
	{ NULL },
};

static const struct condition {
	const char *name;
	unsigned what;
} conditions[] = {
	{ "stopped", WAIT_ENDED },       { "exited", WAIT_ENDED },          { "not-running", WAIT_ENDED },
	{ "next-exit", WAIT_NEXT_EXIT }, { "removed", WAIT_REMOVED },       { "created", WAIT_CREATED },
	{ "configured", WAIT_CREATED },  { "initialized", WAIT_CREATED },   { "running", WAIT_RUNNING },
	{ "paused", WAIT_PAUSED },       { "restarting", WAIT_RESTARTING }, { "removing", WAIT_REMOVING },
	{ "healthy", WAIT_HEALTHY },     { "unhealthy", WAIT_UNHEALTHY },
};

static int read_condition(const char *word, unsigned *what, struct err *e)
{
	_cleanup_buf_ struct buf list = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(conditions); i++) {
		if (streq(conditions[i].name, word)) {
			*what |= conditions[i].what;
			return 0;
		}
		buf_fmt(&list, "%s%s", i ? ", " : "", conditions[i].name);
	}
	return err_set(e, EINVAL, "--condition: \"%s\" is not known; there are %s", word, list.data ? list.data : "");
}

static int read_args(struct wait_args *a, struct err *e)
{
	int r = 0;

	for (char **w = a->conditions; r == 0 && w && *w; w++)
		r = read_condition(*w, &a->for_what, e);
	if (r < 0)
		return r;
	if (!a->for_what)
		a->for_what = WAIT_ENDED;
	a->interval_ms = INTERVAL_MS;
	if (!a->interval)
		return 0;
	/* podman: a number alone is milliseconds. */
	if (!a->interval[strspn(a->interval, "0123456789")] && str_to_u64(a->interval, &a->interval_ms) == 0 && a->interval_ms)
		return 0;
	if (str_to_duration_ms(a->interval, &a->interval_ms) < 0 || a->interval_ms == 0)
		return err_set(e, EINVAL, "--interval: \"%s\" is no time; 250ms and 1s are", a->interval);
	return 0;
}

static int wait_one(struct cli *c, const char *name, void *arg, struct err *e)
{
	const struct wait_args *a = arg;
	int code = WAIT_NO_CODE, r = engine_wait(c->engine, name, a->for_what, a->interval_ms, &code, e);

	if (r == -ENOENT && a->ignores) {
		*e = (struct err){ 0 };
		code = -1;
		r = 0;
	}
	if (r >= 0)
		printf("%d\n", code);
	fflush(stdout); /* who reads it waits for this one */
	return r;
}

int cmd_wait(struct cli *c, struct err *e)
{
	struct wait_args a = { 0 };
	int r = cli_parse(c, &a, 0, CLI_ANY, e);

	if (r == 0)
		r = read_args(&a, e);
	if (r == 0)
		r = cli_pick(c, &a.pick, 0, 0, e);
	if (r == 0)
		r = cli_each(c, wait_one, &a);
	else
		r = MIN(r, 0);
	opts_done(wait_options, &a);
	return r;
}
