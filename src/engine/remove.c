/* remove.c: `rm`. Idempotent (F05): the record goes last, and a removal that was interrupted is finished by the next one. */
#include "engine_impl.h"

#include <signal.h>

#define KILL_TIMEOUT_MS 10000

int remove_files(const struct paths *p, const char *id, struct rm_held *held, struct err *e)
{
	_cleanup_free_ char *store = container_dir(p, id), *run = str_fmt("%s/containers/%s", p->run, id);
	int r, k;

	if (!store || !run)
		return OUT_OF_MEMORY(e);
	r = rm_rf_holding(AT_FDCWD, store, held);
	k = rm_rf_holding(AT_FDCWD, run, held);
	if (r < 0)
		return err_set(e, -r, "remove %s: %s", store, strerror(-r));
	return k < 0 ? err_set(e, -k, "remove %s: %s", run, strerror(-k)) : 0;
}

/* Kills it and waits for its monitor to have cleaned up. */
static int end_it(struct engine *en, const struct container_record *c, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	struct exit_status st;
	int r = monitor_connect(en->paths, c->id, &fd, e);

	if (client_is_gone(r))
		return 0; /* ended meanwhile */
	if (r >= 0)
		r = client_signal(fd, SIGKILL, e);
	if (r >= 0)
		r = client_wait_exit(fd, KILL_TIMEOUT_MS, &st, e);
	if (client_is_gone(r))
		return 0;
	if (r == 0)
		return err_set(e, ETIMEDOUT, "container %s did not die within %d seconds of SIGKILL", c->name,
			       KILL_TIMEOUT_MS / 1000);
	return r < 0 ? r : 0;
}

static int remove_ended(struct engine *en, const struct container_record *c, struct err *e)
{
	const struct container_record removing = { .state = CS_REMOVING };
	int r = records_container_state(en->records, c->id, &removing, e);

	if (r == -ENOENT)
		return 0; /* --rm: its monitor was faster */
	if (r < 0)
		return r;
	r = remove_files(en->paths, c->id, NULL, e);
	return r < 0 ? r : records_container_delete(en->records, c->id, e);
}

/* Kills it and reads its record anew. 1: it is gone with that (--rm). */
static int end_and_reread(struct engine *en, struct container_record *c, struct err *e)
{
	_cleanup_free_ char *id = strdup(c->id);
	struct container_record fresh;
	int r = id ? end_it(en, c, e) : OUT_OF_MEMORY(e);

	if (r < 0)
		return r;
	r = engine_get(en, id, &fresh, e);
	if (r == -ENOENT)
		return 1;
	if (r < 0)
		return r;
	container_record_done(c);
	*c = fresh;
	return 0;
}

int engine_remove(struct engine *en, const char *name, bool force, bool volumes, struct err *e)
{
	struct container_record c;
	int r = engine_get(en, name, &c, e);

	(void)volumes; /* anonymous volumes do not exist yet, so none can be left behind */
	if (r < 0)
		return r;
	bool runs = c.state == CS_RUNNING || c.state == CS_PAUSED;
	if (runs && !force)
		r = err_set(e, EBUSY,
			    "cannot remove container \"%s\": container is %s: stop the container before removing or force remove",
			    c.name, container_state_name(c.state));
	else if (runs)
		r = end_and_reread(en, &c, e);
	if (r == 0)
		r = remove_ended(en, &c, e);
	container_record_done(&c);
	return MIN(r, 0);
}
