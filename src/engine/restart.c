/* restart.c: restart policies, in docker's words and with docker's rules: whether a container that has ended is started again, and after
 * how long. The monitor carries it out (monitor/again.c); what is to run after the host was restarted is started here. */
#include "engine_impl.h"

#define FIRST_WAIT_MS   100
#define LONGEST_WAIT_MS 60000
#define GOOD_RUN_MS     10000 /* after a run of so long the waits begin anew */

static const char *const words[] = {
	[RESTART_NO] = "no",
	[RESTART_ON_FAILURE] = "on-failure",
	[RESTART_ALWAYS] = "always",
	[RESTART_UNLESS_STOPPED] = "unless-stopped",
};

const char *restart_name(enum restart_when when) { return words[when]; }

int restart_parse(const char *text, struct restart_policy *ret, struct err *e)
{
	struct restart_policy p = { 0 };
	const char *colon = text ? strchr(text, ':') : NULL;
	size_t n = colon ? (size_t)(colon - text) : strlen(text ? text : ""), i = 0;
	int64_t max;

	if (n) {
		while (i < ARRAY_SIZE(words) && (strncmp(words[i], text, n) != 0 || words[i][n]))
			i++;
		if (i == ARRAY_SIZE(words))
			return err_set(
				e, EINVAL,
				"invalid restart policy: unknown policy '%.*s'; use one of 'no', 'always', 'on-failure', or "
				"'unless-stopped'",
				(int)MIN(n, (size_t)80), text);
		p.when = (enum restart_when)i;
	} else if (colon) {
		return err_set(e, EINVAL, "invalid restart policy format: no policy provided before colon");
	}
	if (colon && p.when != RESTART_ON_FAILURE)
		return err_set(e, EINVAL, "invalid restart policy: maximum retry count can only be used with 'on-failure'");
	if (colon && (str_to_i64(colon + 1, &max) < 0 || max < 0 || max > INT32_MAX))
		return err_set(e, EINVAL, "invalid restart policy format: maximum retry count must be an integer");
	if (colon)
		p.max = max;
	*ret = p;
	return 0;
}

uint64_t restart_wait(const struct restart_policy *p, const struct container_record *c, const struct life_end *end)
{
	uint64_t wait = end->ran_ms >= GOOD_RUN_MS || !end->waited_ms ? FIRST_WAIT_MS : end->waited_ms * 2;

	/* What could not even be started by who asked for it has an error to tell, and no life to repeat. */
	if (end->is_last || end->is_users || c->is_stopped || (end->is_first && !end->has_run))
		return 0;
	switch (p->when) {
	case RESTART_NO: return 0;
	case RESTART_ON_FAILURE:
		if (end->st.code == 0 || (p->max && c->restart_count >= p->max))
			return 0;
		break;
	case RESTART_ALWAYS:
	case RESTART_UNLESS_STOPPED: break;
	}
	return MIN(wait, (uint64_t)LONGEST_WAIT_MS);
}

bool restart_after_boot(const struct restart_policy *p, const struct container_record *c)
{
	if (c->state != CS_EXITED || !c->started_ns)
		return false;
	switch (p->when) {
	case RESTART_NO: return false;
	case RESTART_ON_FAILURE: return !c->is_stopped && c->exit_code != 0 && (!p->max || c->restart_count < p->max);
	case RESTART_ALWAYS: return true;
	case RESTART_UNLESS_STOPPED: return !c->is_stopped;
	}
	return false;
}

int restart_of(const struct container_record *c, struct restart_policy *ret, struct err *e)
{
	struct run_opts o;
	int r = options_parse(c->options_json, &o, e);

	if (r < 0)
		return r;
	r = restart_parse(o.restart, ret, e);
	run_opts_done(&o);
	return r;
}

int engine_restartable(struct engine *en, char ***ret_ids, struct err *e)
{
	_cleanup_strv_ char **ids = NULL;
	struct container_record *list = NULL;
	struct restart_policy p;
	size_t n = 0;
	int r = engine_list(en, true, &list, &n, e);

	if (r < 0)
		return r;
	/* The oldest first: what came later may need what was there before. */
	for (size_t i = n; r >= 0 && i-- > 0;) {
		r = restart_of(&list[i], &p, e);
		if (r >= 0 && restart_after_boot(&p, &list[i]) && strv_push(&ids, list[i].id) < 0)
			r = OUT_OF_MEMORY(e);
	}
	engine_list_free(list, n);
	if (r >= 0)
		*ret_ids = TAKE_PTR(ids);
	return MIN(r, 0);
}
