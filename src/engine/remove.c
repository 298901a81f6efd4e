/* remove.c: `rm`. Idempotent (F05): the record goes last, and a removal that was interrupted is finished by the next one.
 * With -f nothing of the container is left alive on return, its monitor included. */
#include "engine_impl.h"

#include <signal.h>
#include <stdio.h>

#include "network_plan.h"
#include "volumes_impl.h"

#define KILL_TIMEOUT_MS 30000 /* a host busy with its disks takes its time */
#define LAST_FRAMES_MS  2000
#define NEXT_LIFE_MS    20

static char *run_dir(const struct paths *p, const char *id) { return str_fmt("%s/containers/%s", p->run, id); }

int remove_files(const struct paths *p, const char *id, struct err *e)
{
	_cleanup_free_ char *store = container_dir(p, id), *run = run_dir(p, id);
	int r, k;

	if (!store || !run)
		return OUT_OF_MEMORY(e);
	r = rm_rf(AT_FDCWD, store);
	k = rm_rf(AT_FDCWD, run);
	if (r < 0)
		return err_set(e, -r, "remove %s: %s", store, strerror(-r));
	return k < 0 ? err_set(e, -k, "remove %s: %s", run, strerror(-k)) : 0;
}

int remove_files_later(struct engine *en, const char *id, struct err *e)
{
	_cleanup_free_ char *store = container_dir(en->paths, id), *run = run_dir(en->paths, id);
	const char *const now[] = { store, run };
	bool moved = store && run;

	free_ptr(&en->doomed[0]);
	free_ptr(&en->doomed[1]);
	en->doomed[0] = str_fmt("%s/tmp/rm-%s", en->paths->root, id);
	en->doomed[1] = str_fmt("%s/containers/" DOOMED_RUN "%s", en->paths->run, id);
	for (size_t i = 0; moved && i < ARRAY_SIZE(now); i++)
		moved = en->doomed[i] && (rename(now[i], en->doomed[i]) == 0 || errno == ENOENT);
	/* Say, on another mount than its neighbours. */
	return moved ? 0 : remove_files(en->paths, id, e);
}

int remove_rest(struct engine *en, const char *id, bool volumes, const struct container_record *died, struct err *e)
{
	int r = remove_files(en->paths, id, e);

	if (r >= 0 && volumes)
		r = volumes_remove_own(en, id, e);
	return r < 0 ? r : records_container_delete_ended(en->records, id, died, e);
}

/* Kills the container and waits for its monitor to have cleaned up. */
static int end_it(struct engine *en, const struct container_record *c, int monitor, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	struct exit_status st;
	int r = client_connect(en, c->id, monitor, &fd, e);

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

/* One that ends of itself just then is heard to have ended before its monitor has heard of us, and its policy gives it another life: that is
 * ended as well, until the monitor has gone or has nothing more to do with it. */
static int end_lives(struct engine *en, const struct container_record *c, int monitor, struct err *e)
{
	const uint64_t until = clock_mono_us() + KILL_TIMEOUT_MS * UINT64_C(1000);
	struct monitor_state m = { 0 };
	int r;

	do {
		r = end_it(en, c, monitor, e);
		if (r < 0 || monitor < 0 || monitor_ends_within(monitor, NEXT_LIFE_MS))
			return r;
		r = monitor_inspect(en->paths, c->id, &m, e);
	} while (r >= 0 && m.truth != MONITOR_NONE && m.truth != MONITOR_DIED && clock_mono_us() < until);
	return MIN(r, 0);
}

/* Of a container that has ended. Once its run directory is gone, all that it still does is to send the last frames to its
 * clients; one that doesn't read them can't hold it for long. */
static int end_monitor(struct engine *en, const struct container_record *c, int monitor, struct err *e)
{
	struct monitor_state m = { 0 };
	int r = 0;

	if (monitor < 0 || monitor_ends_within(monitor, LAST_FRAMES_MS))
		return 0;
	r = monitor_inspect(en->paths, c->id, &m, e);
	if (r >= 0 && m.truth == MONITOR_NONE && (r = pidfd_kill(monitor, SIGKILL)) < 0 && r != -ESRCH)
		return err_set(e, -r, "kill the monitor of container %s: %s", c->name, strerror(-r));
	if (r >= 0 && !monitor_ends_within(monitor, KILL_TIMEOUT_MS))
		return err_set(e, ETIMEDOUT, "the monitor of container %s has not ended within %d seconds", c->name,
			       (LAST_FRAMES_MS + KILL_TIMEOUT_MS) / 1000);
	return MIN(r, 0);
}

/* Whoever found its monitor dead first sweeps behind it, and may have been killed at that: the next one sees to it before there is no
 * record that tells of it. */
static int sweep_behind(struct engine *en, const struct container_record *c, struct err *e)
{
	struct monitor_state m = { 0 };
	int r = monitor_inspect(en->paths, c->id, &m, e);

	if (r < 0 || (m.truth == MONITOR_NONE && !container_is_up(c->state)))
		return r;
	if (m.truth == MONITOR_STARTING || m.truth == MONITOR_RUNNING)
		return err_set(e, EBUSY, "container %s has just been started", c->name);
	return container_sweep(en, c, e);
}

/* Plugins of its networks that did not let go at its end. force: it goes without them, and a later sweep asks them again. */
static int sweep_networks(struct engine *en, const struct container_record *c, bool force, struct err *e)
{
	struct err why = { 0 };
	int r = network_sweep_left(en, c, &why);

	if (r >= 0)
		return 0;
	if (!force)
		return err_set(e, -r, "%.400s (rm -f removes it all the same)", why.msg);
	log_warn("network", "container %s: %s; `berth system prune` tries again", c->name, why.msg);
	return 0;
}

static int remove_ended(struct engine *en, const struct container_record *c, bool volumes, bool force, struct err *e)
{
	const struct container_record removing = { .state = CS_REMOVING, .auto_remove = volumes };
	_cleanup_fd_ int lock = -1;
	int r = container_lock_wait(en, c->id, LOCK_TIMEOUT_MS, &lock, e);

	if (r >= 0)
		r = sweep_behind(en, c, e);
	if (r >= 0)
		r = sweep_networks(en, c, force, e);
	if (r >= 0 && streq0(c->isolation, "vm"))
		r = guest_idle_sweep(en, c->id, e);
	if (r < 0)
		return r;
	r = records_container_state(en->records, c->id, &removing, e);
	if (r == -ENOENT)
		return 0; /* --rm: its monitor was faster */
	if (r < 0)
		return r;
	r = remove_rest(en, c->id, volumes || c->auto_remove, NULL, e);
	if (r >= 0 && c->pod_id)
		pod_network_forget(en, c->pod_id);
	return r;
}

/* Kills it and reads its record anew. 1: it is gone with that (--rm). */
static int end_and_reread(struct engine *en, struct container_record *c, int monitor, struct err *e)
{
	_cleanup_free_ char *id = strdup(c->id);
	struct container_record fresh;
	int r = id ? end_lives(en, c, monitor, e) : OUT_OF_MEMORY(e);

	if (r >= 0)
		r = end_monitor(en, c, monitor, e);
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
	_cleanup_fd_ int monitor = -1;
	struct container_record c;
	const char *what;
	int r = engine_get(en, name, &c, e);

	if (r < 0)
		return r;
	r = force ? pod_must_not_be_paused(en, &c, e) : 0;
	if (r >= 0)
		r = container_life(en, &c, &what, e);
	if (r >= 0 && force)
		r = monitor_pidfd(en->paths, c.id, &monitor, e);
	if (r >= 0)
		r = 0;
	if (r == 0 && what && !force)
		r = err_set(e, EBUSY,
			    "cannot remove container \"%s\": container is %s: stop the container before removing or force remove",
			    c.name, what);
	else if (r == 0 && what)
		r = end_and_reread(en, &c, monitor, e);
	else if (r == 0)
		r = end_monitor(en, &c, monitor, e);
	if (r == 0)
		r = remove_ended(en, &c, volumes, force, e);
	container_record_done(&c);
	return MIN(r, 0);
}
