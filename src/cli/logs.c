/* logs.c: `berth logs`. */
#include "cli.h"

#include <unistd.h>

struct logs_args {
	bool follow, timestamps, details;
	struct pick pick;
	char *tail, *since, *until;
};
const struct opt logs_options[] = {
	{ "follow", 'f', OPT_FLAG, offsetof(struct logs_args, follow), NULL, "go on until it ends" },
	{ "tail", 'n', OPT_STRING, offsetof(struct logs_args, tail), "N", "only the last N lines; all by default" },
	{ "timestamps", 't', OPT_FLAG, offsetof(struct logs_args, timestamps), NULL, "with the time of each line" },
	{ "since", 0, OPT_STRING, offsetof(struct logs_args, since), "TIME",
	  "not before: 10m (ago), 2026-01-02T03:04:05Z or seconds since the epoch" },
	{ "until", 0, OPT_STRING, offsetof(struct logs_args, until), "TIME", "not after" },
	{ "details", 0, OPT_FLAG, offsetof(struct logs_args, details), NULL,
	  "for docker's sake: a log holds nothing but time, stream and text" },
	PICK_LATEST(struct logs_args, 'l'),
	{ NULL },
};

static int read_query(const struct logs_args *a, struct log_query *q, struct err *e)
{
	int r;

	*q = (struct log_query){
		.follow = a->follow, .timestamps = a->timestamps, .want_stdout = true, .want_stderr = true, .tail = -1
	};
	if (a->tail && !streq(a->tail, "all") && (str_to_i64(a->tail, &q->tail) < 0 || q->tail < -1))
		return err_set(e, EINVAL, "--tail: \"%s\" is neither a number of lines nor \"all\"", a->tail);
	r = cli_read_time("--since", a->since, &q->since_ns, e);
	return r < 0 ? r : cli_read_time("--until", a->until, &q->until_ns, e);
}

int cmd_logs(struct cli *c, struct err *e)
{
	struct logs_args a = { 0 };
	struct log_query q;
	int r = cli_parse(c, &a, 0, 1, e);

	if (r == 0)
		r = cli_pick(c, &a.pick, 0, 0, e);
	else
		r = r > 0 ? 1 : r;
	if (r == 0)
		r = read_query(&a, &q, e);
	if (r == 0)
		r = engine_logs(c->engine, c->operands[0], &q, STDOUT_FILENO, STDERR_FILENO, e);
	opts_done(logs_options, &a);
	return MIN(r, 0);
}
