/* note.c: the bookkeeping that a monitor does for its container: it began, it ended, it is as if it had never been. */
#include "network_plan.h"
#include "volumes_impl.h"

int engine_forget(struct engine *en, const char *id, struct err *e)
{
	int r = volumes_remove_own(en, id, e);

	if (r >= 0)
		r = remove_files_later(en, id, e);
	return r < 0 ? r : records_container_delete(en->records, id, e);
}

int engine_name(struct engine *en, const char *id, char **ret_name, char **ret_image, struct err *e)
{
	struct container_record c;
	int r = records_container_get(en->records, id, &c, e);

	if (r < 0)
		return r;
	*ret_name = TAKE_PTR(c.name);
	*ret_image = TAKE_PTR(c.image_ref);
	container_record_done(&c);
	return 0;
}

int engine_note_health(struct engine *en, const char *id, enum container_health health, struct err *e)
{
	return records_container_health(en->records, id, health, e);
}

int engine_note_started(struct engine *en, const char *id, bool is_checked, struct err *e)
{
	const struct container_record to = { .state = CS_RUNNING,
					     .started_ns = clock_real_ns(),
					     .health = is_checked ? HEALTH_STARTING : HEALTH_NONE };
	int r = records_container_state(en->records, id, &to, e);

	return r == -ENOENT ? 0 : r; /* removed by force meanwhile */
}

int engine_note_not_again(struct engine *en, const char *id, bool is_users, struct err *e)
{
	const struct container_record to = { .state = CS_EXITED, .is_stopped = is_users };
	int r = records_container_state(en->records, id, &to, e);

	return r == -ENOENT ? 0 : r;
}

/* How the record goes on; *ret_again_ms as monitor_config's on_exited has it. */
static int write_end(struct engine *en, const struct container_record *c, const struct life_end *end, uint64_t *ret_again_ms,
		     struct err *e)
{
	_cleanup_free_ char *why = end->why ? strdup(end->why->msg) : NULL;
	struct container_record to = { .state = CS_EXITED,
				       .finished_ns = clock_real_ns(),
				       .exit_code = end->st.code,
				       .oom_killed = end->st.oom,
				       .is_stopped = end->is_users || c->is_stopped,
				       .error = why };
	struct restart_policy policy;
	uint64_t wait = 0;
	int r;

	if (c->auto_remove) {
		r = volumes_remove_own(en, c->id, e); /* first: should it fail, the files tell the next command how it ended */
		if (r >= 0)
			r = remove_files_later(en, c->id, e);
		if (r >= 0)
			r = records_container_delete_ended(en->records, c->id, &to, e);
		if (r >= 0 && c->pod_id)
			pod_network_forget(en, c->pod_id);
		return r;
	}
	r = restart_of(c, &policy, e);
	if (r >= 0)
		wait = restart_wait(&policy, c, end);
	/* As with docker, what never began to run stays "created" and can be started again. */
	if (wait)
		to.state = CS_RESTARTING;
	else if (why && c->state == CS_CREATED)
		to.state = CS_CREATED;
	if (r >= 0)
		r = records_container_state(en->records, c->id, &to, e);
	if (r >= 0)
		*ret_again_ms = wait;
	return r == -ENOENT || (why && r == -EINVAL) ? 0 : r;
}

/* exited.json is written already, or, with --rm, as soon as this fails: the next command reads the truth from there. */
int engine_note_exit(struct engine *en, const char *id, const struct life_end *end, uint64_t *ret_again_ms, struct err *e)
{
	struct container_record c;
	int r = records_container_get(en->records, id, &c, e);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = write_end(en, &c, end, ret_again_ms, e);
	container_record_done(&c);
	return r;
}
