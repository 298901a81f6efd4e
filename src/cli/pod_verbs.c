/* pod_verbs.c: `berth pod start`, `stop`, `restart`, `kill`, `pause`, `unpause`, `rm`, `prune`. */
#include "prune.h"

#include <stdio.h>

static int said(int r, const char *name)
{
	if (r >= 0)
		puts(name);
	return r;
}

const struct opt pod_start_options[] = { { NULL } };

static int start_one(struct cli *c, const char *name, void *arg, struct err *e)
{
	(void)arg;
	return said(engine_pod_start(c->engine, name, e), name);
}

int cmd_pod_start(struct cli *c, struct err *e)
{
	int r = cli_parse(c, NULL, 1, CLI_ANY, e);

	return r == 0 ? cli_each(c, start_one, NULL) : MIN(r, 0);
}

struct pod_stop_args {
	int64_t timeout_s;
};
#define STOP_ROWS                                                                                 \
	{                                                                                         \
		"time", 't', OPT_SECONDS, offsetof(struct pod_stop_args, timeout_s), "SECONDS",   \
			"wait so long before they are killed (default: each container's own, 10)" \
	}
const struct opt pod_stop_options[] = { STOP_ROWS, { NULL } };
const struct opt pod_restart_options[] = { STOP_ROWS, { NULL } };

static int stop_one(struct cli *c, const char *name, void *arg, struct err *e)
{
	const struct pod_stop_args *a = arg;

	return said(engine_pod_stop(c->engine, name, a->timeout_s, e), name);
}

int cmd_pod_stop(struct cli *c, struct err *e)
{
	struct pod_stop_args a = { .timeout_s = SPEC_UNSET };
	int r = cli_parse(c, &a, 1, CLI_ANY, e);

	return r == 0 ? cli_each(c, stop_one, &a) : MIN(r, 0);
}

static int restart_one(struct cli *c, const char *name, void *arg, struct err *e)
{
	const struct pod_stop_args *a = arg;
	int r = engine_pod_stop(c->engine, name, a->timeout_s, e);

	return r < 0 ? r : start_one(c, name, NULL, e);
}

int cmd_pod_restart(struct cli *c, struct err *e)
{
	struct pod_stop_args a = { .timeout_s = SPEC_UNSET };
	int r = cli_parse(c, &a, 1, CLI_ANY, e);

	return r == 0 ? cli_each(c, restart_one, &a) : MIN(r, 0);
}

struct pod_kill_args {
	char *signal;
};
const struct opt pod_kill_options[] = {
	{ "signal", 's', OPT_STRING, offsetof(struct pod_kill_args, signal), "SIGNAL", "name or number (default KILL)" },
	{ NULL },
};

static int kill_one(struct cli *c, const char *name, void *arg, struct err *e)
{
	const struct pod_kill_args *a = arg;
	int sig = signal_parse(a->signal ? a->signal : "KILL");

	if (sig < 0)
		return err_set(e, EINVAL, "--signal: there is no signal \"%s\"", a->signal);
	return said(engine_pod_kill(c->engine, name, sig, e), name);
}

int cmd_pod_kill(struct cli *c, struct err *e)
{
	struct pod_kill_args a = { 0 };
	int r = cli_parse(c, &a, 1, CLI_ANY, e);

	r = r == 0 ? cli_each(c, kill_one, &a) : MIN(r, 0);
	opts_done(pod_kill_options, &a);
	return r;
}

const struct opt pod_pause_options[] = { { NULL } };
const struct opt pod_unpause_options[] = { { NULL } };

static int pause_one(struct cli *c, const char *name, void *arg, struct err *e)
{
	return said(engine_pod_pause(c->engine, name, *(const bool *)arg, e), name);
}

static int pause_all(struct cli *c, bool paused, struct err *e)
{
	int r = cli_parse(c, NULL, 1, CLI_ANY, e);

	return r == 0 ? cli_each(c, pause_one, &paused) : MIN(r, 0);
}

int cmd_pod_pause(struct cli *c, struct err *e) { return pause_all(c, true, e); }

int cmd_pod_unpause(struct cli *c, struct err *e) { return pause_all(c, false, e); }

struct pod_rm_args {
	bool force, ignore;
};
const struct opt pod_rm_options[] = {
	{ "force", 'f', OPT_FLAG, offsetof(struct pod_rm_args, force), NULL, "kill what still runs" },
	{ "ignore", 'i', OPT_FLAG, offsetof(struct pod_rm_args, ignore), NULL, "what does not exist is no error" },
	{ NULL },
};

static int rm_one(struct cli *c, const char *name, void *arg, struct err *e)
{
	const struct pod_rm_args *a = arg;
	int r = engine_pod_remove(c->engine, name, a->force, e);

	return r == -ENOENT && a->ignore ? 0 : said(r, name);
}

int cmd_pod_rm(struct cli *c, struct err *e)
{
	struct pod_rm_args a = { 0 };
	int r = cli_parse(c, &a, 1, CLI_ANY, e);

	return r == 0 ? cli_each(c, rm_one, &a) : MIN(r, 0);
}

struct pod_prune_args {
	bool force;
};
const struct opt pod_prune_options[] = {
	{ "force", 'f', OPT_FLAG, offsetof(struct pod_prune_args, force), NULL, PRUNE_FORCE_HELP },
	{ NULL },
};

int cmd_pod_prune(struct cli *c, struct err *e)
{
	struct pod_prune_args a = { 0 };
	struct engine_pod *list = NULL;
	size_t n = 0;
	int r = cli_parse(c, &a, 0, 0, e);

	if (r == 0 && (r = prune_asked("all pods that do not run", a.force, e)) > 0)
		r = engine_pod_list(c->engine, &list, &n, e);
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (!streq(list[i].state, "Created") && !streq(list[i].state, "Exited"))
			continue;
		r = engine_pod_remove(c->engine, list[i].record.id, false, e);
		if (r == 0)
			puts(list[i].record.id);
		else if (r == -ENOENT || r == -EBUSY) /* gone or started meanwhile */
			r = 0;
	}
	engine_pod_list_free(list, n);
	return MIN(r, 0);
}
