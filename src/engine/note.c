/* note.c: the bookkeeping that a monitor does for its container: it began, it ended, it is as if it had never been. */
#include "engine_impl.h"

int engine_forget(struct engine *en, const char *id, struct err *e)
{
	int r = remove_files_later(en, id, e);

	return r < 0 ? r : records_container_delete(en->records, id, e);
}

int engine_note_started(struct engine *en, const char *id, struct err *e)
{
	const struct container_record to = { .state = CS_RUNNING, .started_ns = clock_real_ns() };
	int r = records_container_state(en->records, id, &to, e);

	return r == -ENOENT ? 0 : r; /* removed by force meanwhile */
}

/* exited.json is written already, or, with --rm, as soon as this fails: the next command reads the truth from there. */
int engine_note_exit(struct engine *en, const char *id, const struct exit_status *st, const struct err *start_error,
		     struct err *e)
{
	_cleanup_free_ char *why = start_error && start_error->no ? strdup(start_error->msg) : NULL;
	struct container_record to = {
		.state = CS_EXITED, .finished_ns = clock_real_ns(), .exit_code = st->code, .oom_killed = st->oom, .error = why
	};
	struct container_record c;
	enum container_state state;
	bool auto_remove;
	int r = records_container_get(en->records, id, &c, e);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	auto_remove = c.auto_remove;
	state = c.state;
	container_record_done(&c);
	if (!auto_remove) {
		/* As with docker, what never began to run stays "created" and can be started again. */
		if (why && state == CS_CREATED)
			to.state = CS_CREATED;
		r = records_container_state(en->records, id, &to, e);
		return r == -ENOENT || (why && r == -EINVAL) ? 0 : r;
	}
	return engine_forget(en, id, e);
}
