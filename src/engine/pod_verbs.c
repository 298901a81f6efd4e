/* pod_verbs.c: what is done to all containers of a pod. */
#include "engine_impl.h"
#include "network_plan.h"

#include <signal.h>
#include <unistd.h>

#define KILL_TIMEOUT_MS   10000
#define HOLDER_TIMEOUT_MS 20000

static bool runs(const struct container_record *c) { return container_is_up(c->state); }

/* Keeps the first failure of several; the others are said at once. */
static void keep(int *r, int now, struct err *why, struct err *e, const char *what, const char *name)
{
	if (now >= 0)
		return;
	err_push(why, now, "%s", name);
	if (*r >= 0 && e)
		*e = *why;
	else
		log_warn("pod", "%s: %s", what, why->msg);
	*r = *r < 0 ? *r : now;
}

int engine_pod_start(struct engine *en, const char *name, struct err *e)
{
	struct engine_pod p;
	int r = engine_pod_get(en, name, &p, e);

	if (r < 0)
		return r;
	if (!p.n)
		r = err_set(e, EINVAL, "pod %s has no containers: berth create --pod %s IMAGE makes one", p.record.name,
			    p.record.name);
	for (size_t i = 0; i < p.n; i++) {
		const struct start_opts o = { 0 };
		struct exit_status st;
		struct err why = { 0 };
		bool detached;

		if (!runs(&p.members[i]))
			keep(&r, engine_start(en, p.members[i].id, &o, &st, &detached, &why), &why, e, "start",
			     p.members[i].name);
	}
	engine_pod_done(&p);
	return MIN(r, 0);
}

/* ---- stop: all are asked at once, and each has its own time ---- */

struct stopping {
	int fd; /* -1 = it runs no more */
	int64_t until_ms;
};

static int ask(struct engine *en, const struct container_record *c, int64_t timeout_s, struct stopping *s, struct err *e)
{
	int sig, r = stop_words(c, 0, &timeout_s, &sig, e);

	s->fd = -1;
	if (r >= 0)
		r = monitor_connect(en->paths, c->id, &s->fd, e);
	if (r >= 0)
		r = client_signal(s->fd, sig, e);
	s->until_ms = timeout_s < 0 ? -1 : (int64_t)(clock_mono_us() / 1000) + timeout_s * 1000;
	if (r < 0)
		s->fd = fd_close(s->fd);
	return client_is_gone(r) ? 0 : r;
}

static int see_end(const struct container_record *c, struct stopping *s, struct err *e)
{
	int64_t left = s->until_ms < 0 ? -1 : MAX(s->until_ms - (int64_t)(clock_mono_us() / 1000), 0);
	struct exit_status st;
	int r = client_wait_exit(s->fd, (int)MIN(left, (int64_t)INT32_MAX), &st, e);

	if (r == 0)
		r = client_signal(s->fd, SIGKILL, e);
	if (r == 0 && (r = client_wait_exit(s->fd, KILL_TIMEOUT_MS, &st, e)) == 0)
		return err_set(e, ETIMEDOUT, "container %s did not die within %d seconds of SIGKILL", c->name,
			       KILL_TIMEOUT_MS / 1000);
	return client_is_gone(r) ? 0 : MIN(r, 0);
}

/* What stands still can't end. */
static int thaw(struct engine *en, const struct engine_pod *p, struct err *e)
{
	return p->is_paused ? pod_freeze(en->paths, p->record.id, false, e) : 0;
}

/* A virtual machine's holder writes the disks out and ends once it is alone: the next start, or who removes the disks, waits. */
static int wait_for_holder(struct engine *en, const struct engine_pod *p, struct err *e)
{
	uint64_t until = clock_mono_us() + HOLDER_TIMEOUT_MS * 1000ull;
	struct monitor_state st = { .truth = MONITOR_NONE };
	int r = 0;

	while (streq(p->record.isolation, "vm")) {
		r = monitor_inspect(en->paths, p->record.id, &st, e);
		if (r < 0 || st.truth == MONITOR_NONE || st.truth == MONITOR_DIED)
			return r;
		if (clock_mono_us() > until)
			return err_set(e, ETIMEDOUT, "the virtual machine of pod %s has not ended within %d seconds",
				       p->record.name, HOLDER_TIMEOUT_MS / 1000);
		usleep(5000);
	}
	return r;
}

int engine_pod_stop(struct engine *en, const char *name, int64_t timeout_s, struct err *e)
{
	struct engine_pod p;
	int r = engine_pod_get(en, name, &p, e);
	_cleanup_free_ struct stopping *s = NULL;

	if (r < 0)
		return r;
	s = calloc(p.n + 1, sizeof(*s));
	r = s ? thaw(en, &p, e) : OUT_OF_MEMORY(e);
	for (size_t i = 0; s && i < p.n; i++) {
		struct err why = { 0 };
		s[i].fd = -1;
		if (runs(&p.members[i]) && r >= 0)
			keep(&r, ask(en, &p.members[i], timeout_s, &s[i], &why), &why, e, "stop", p.members[i].name);
	}
	for (size_t i = 0; s && i < p.n; i++) {
		struct err why = { 0 };
		if (s[i].fd >= 0)
			keep(&r, see_end(&p.members[i], &s[i], &why), &why, e, "stop", p.members[i].name);
		fd_close(s[i].fd);
	}
	if (r >= 0)
		r = wait_for_holder(en, &p, e);
	engine_pod_done(&p);
	return r;
}

int engine_pod_kill(struct engine *en, const char *name, int sig, struct err *e)
{
	struct engine_pod p;
	int r = engine_pod_get(en, name, &p, e);

	if (r < 0)
		return r;
	if (sig == SIGKILL)
		r = thaw(en, &p, e);
	for (size_t i = 0; i < p.n; i++) {
		struct err why = { 0 };
		int k = runs(&p.members[i]) ? engine_kill(en, p.members[i].id, sig, &why) : 0;
		if (k != -ESRCH) /* it has ended meanwhile */
			keep(&r, k, &why, e, "kill", p.members[i].name);
	}
	engine_pod_done(&p);
	return r;
}

int engine_pod_pause(struct engine *en, const char *name, bool paused, struct err *e)
{
	struct engine_pod p;
	int r = engine_pod_get(en, name, &p, e);

	if (r < 0)
		return r;
	if (streq(p.state, "Created") || streq(p.state, "Exited"))
		r = err_set(e, EINVAL, "pod %s does not run: there is nothing to %s", p.record.name,
			    paused ? "pause" : "unpause");
	else if (paused == p.is_paused)
		r = err_set(e, EINVAL, "pod %s is %s", p.record.name, paused ? "paused already" : "not paused");
	else
		r = pod_freeze(en->paths, p.record.id, paused, e);
	engine_pod_done(&p);
	return r;
}

int pod_must_not_be_paused(struct engine *en, const struct container_record *c, struct err *e)
{
	if (c->state != CS_PAUSED || !c->pod_id || !pod_is_frozen(en->paths, c->pod_id))
		return 0;
	return err_set(e, EBUSY, "container %s stands still with its pod: berth pod unpause %.12s comes first", c->name,
		       c->pod_id);
}

/* ---- rm ---- */

static int remove_all(struct engine *en, const struct engine_pod *p, bool force, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < p->n && !force; i++)
		if (runs(&p->members[i]))
			return err_set(e, EBUSY,
				       "cannot remove pod %s: container %s is %s: stop the pod before removing or force remove",
				       p->record.name, p->members[i].name, container_state_name(p->members[i].state));
	r = thaw(en, p, e);
	for (size_t i = 0; i < p->n && r >= 0; i++) {
		r = engine_remove(en, p->members[i].id, force, true, e);
		r = r == -ENOENT ? 0 : r; /* --rm: its monitor was faster */
	}
	return r;
}

int pod_remove_files(struct engine *en, const char *id, struct err *e)
{
	_cleanup_free_ char *rel = str_fmt("pods/%s", id);
	int r = rel ? pod_sweep(en->paths, id, NULL, e) : OUT_OF_MEMORY(e);

	if (r >= 0 && (r = rm_rf(store_rootfd(en->store), rel)) < 0)
		err_set(e, -r, "remove %s/%s: %s", en->paths->root, rel, strerror(-r));
	return r;
}

/* The record goes first: with it the database refuses a new container, and what a crash leaves then is swept. */
int engine_pod_remove(struct engine *en, const char *name, bool force, struct err *e)
{
	struct engine_pod p;
	int r = engine_pod_get(en, name, &p, e);

	if (r < 0)
		return r;
	r = remove_all(en, &p, force, e);
	if (r >= 0)
		r = wait_for_holder(en, &p, e);
	if (r >= 0)
		r = pod_sweep_networks(en, p.record.id, e); /* while the record says what there may be */
	if (r >= 0)
		r = records_pod_delete(en->records, p.record.id, e);
	if (r >= 0)
		r = pod_remove_files(en, p.record.id, e);
	engine_pod_done(&p);
	return MIN(r, 0);
}
