/* reconcile.c: records say what was, run files and processes say what is. Whoever looks at a container first compares the two
 * and sets the record right (F01, F02, F17):
 *
 *   record            truth (monitor_inspect)      becomes
 *   any               RUNNING                      running
 *   not yet exited    EXITED                       exited, with the file's code; removed when auto_remove
 *   not yet exited    DIED                         leftovers swept, exited with unknown code; removed when auto_remove
 *   exited            DIED                         the same, leftovers swept: of a start that had not begun its next life
 *   running, paused,  NONE                         the same (the host was restarted)
 *   restarting
 *   removing          no monitor                   removal finished
 *
 * A monitor that lives is never overtaken: what it is about to write itself is left to it. */
#include "engine_impl.h"
#include "network_plan.h"

#include <signal.h>

static bool is_alive(pid_t pid) { return pid > 0 && (kill(pid, 0) == 0 || errno == EPERM); }

static bool has_ended(enum container_state s) { return s == CS_EXITED || s == CS_DEAD; }

/* A CNI plugin that does not let go keeps nobody from the record: what it holds is known, and is asked for again by rm. */
static int sweep_network(struct engine *en, const struct container_record *c, struct err *e)
{
	struct err why = { 0 };
	const int r = network_sweep(en, c, &why);

	if (r == -NET_PLUGINS_HOLD)
		log_warn("network", "%s; `berth rm` asks again", why.msg);
	return r >= 0 || r == -NET_PLUGINS_HOLD ? 0 : err_set(e, -r, "%s", why.msg);
}

int container_sweep(struct engine *en, const struct container_record *c, struct err *e)
{
	const struct isolation_ops *ops;
	struct host h = { 0 };
	int r = isolation_find(c->isolation, &ops, e);

	if (r >= 0)
		r = host_probe_cgroup_ours(&h, e);
	if (r < 0)
		return r;
	r = ops->sweep(&h, en->paths, c->id, e);
	host_done(&h);
	if (r >= 0)
		r = sweep_network(en, c, e);
	if (r >= 0 && c->pod_id)
		r = pod_sweep_networks(en, c->pod_id, e);
	return r < 0 ? err_push(e, r, "clean up after container %s", c->name) : 0;
}

/* Writes `to` into the record and into c. Another process that was faster is no error: then its word is read. */
static int set_state(struct engine *en, struct container_record *c, const struct container_record *to, struct err *e)
{
	struct err why = { 0 };
	struct container_record fresh;
	int r = records_container_state(en->records, c->id, to, &why);

	if (r < 0 && r != -EINVAL && r != -ENOENT) {
		if (e)
			*e = why;
		return r;
	}
	r = records_container_get(en->records, c->id, &fresh, e);
	if (r < 0)
		return r;
	container_record_done(c);
	*c = fresh;
	return 0;
}

/* The end of a container that nobody else will record. */
static int finish(struct engine *en, struct container_record *c, const struct container_record *to, bool *ret_gone, struct err *e)
{
	int r;

	if (!c->auto_remove)
		return set_state(en, c, to, e);
	r = remove_rest(en, c->id, true, to, e);
	if (r >= 0)
		*ret_gone = true;
	return r;
}

#define KILLED "its monitor was killed: the exit code is unknown"

/* Another command is writing that down. */
static int show_lost(struct container_record *c, struct err *e)
{
	char *why = strdup(KILLED);

	if (!why)
		return OUT_OF_MEMORY(e);
	free(c->error);
	c->error = why;
	c->state = CS_EXITED;
	c->exit_code = -1;
	return 0;
}

/* Nobody will tell how it ended. Somebody may be starting it again right now, and a sweep would kill what he starts: so only
 * with the container's lock, and after another look. */
static int set_lost(struct engine *en, struct container_record *c, bool *ret_gone, struct err *e)
{
	char killed[] = KILLED, restarted[] = "the host was restarted while it ran: the exit code is unknown";
	struct container_record to = {
		.state = CS_EXITED, .exit_code = -1, .finished_ns = clock_real_ns(), .is_stopped = c->is_stopped
	};
	_cleanup_fd_ int lock = -1;
	struct monitor_state m = { 0 };
	int r = container_lock(en, c->id, &lock, e);

	if (r == -EWOULDBLOCK) /* he sets it right */
		return show_lost(c, e);
	if (r >= 0)
		r = monitor_inspect(en->paths, c->id, &m, e);
	if (r < 0 || (m.truth != MONITOR_DIED && m.truth != MONITOR_NONE))
		return r;
	to.error = m.truth == MONITOR_DIED ? killed : restarted;
	r = container_sweep(en, c, e);
	return r < 0 ? r : finish(en, c, &to, ret_gone, e);
}

/* The monitor of its next start was killed before the record knew of that: what it had made goes. */
static int sweep_ended(struct engine *en, const struct container_record *c, struct err *e)
{
	_cleanup_fd_ int lock = -1;
	struct monitor_state m = { 0 };
	int r = container_lock(en, c->id, &lock, e);

	if (r == -EWOULDBLOCK)
		return 0;
	if (r >= 0)
		r = monitor_inspect(en->paths, c->id, &m, e);
	return r < 0 || m.truth != MONITOR_DIED ? MIN(r, 0) : container_sweep(en, c, e);
}

static bool may_live_again(const struct container_record *c)
{
	struct restart_policy p;

	return c->state == CS_RESTARTING || (restart_of(c, &p, NULL) >= 0 && p.when != RESTART_NO);
}

/* Its monitor is about to write the same itself; it is shown already, and the removal is left to that. */
static int show_exited(struct container_record *c, const struct container_record *to, struct err *e)
{
	char *why = to->error ? strdup(to->error) : NULL;

	if (to->error && !why)
		return OUT_OF_MEMORY(e);
	free(c->error);
	c->error = why;
	c->state = to->state;
	c->exit_code = to->exit_code;
	c->finished_ns = to->finished_ns;
	c->oom_killed = to->oom_killed;
	return 0;
}

static int set_exited(struct engine *en, struct container_record *c, struct monitor_state *m, bool *ret_gone, struct err *e)
{
	struct container_record to = { .state = CS_EXITED,
				       .exit_code = m->exit.code,
				       .finished_ns = m->finished_ns,
				       .oom_killed = m->exit.oom,
				       .started_ns = c->started_ns,
				       .is_stopped = c->is_stopped,
				       .error = m->error[0] ? m->error : NULL };

	if (is_alive(m->monitor_pid) && may_live_again(c))
		return 0; /* only its monitor knows whether that was the end */
	if (is_alive(m->monitor_pid))
		return show_exited(c, &to, e);
	return finish(en, c, &to, ret_gone, e);
}

static int set_running(struct engine *en, struct container_record *c, const struct monitor_state *m, struct err *e)
{
	struct container_record to = { .state = CS_RUNNING, .started_ns = m->started_ns };

	return set_state(en, c, &to, e);
}

static int finish_removal(struct engine *en, struct container_record *c, bool *ret_gone, struct err *e)
{
	int r = container_sweep(en, c, e);

	if (r >= 0)
		r = remove_rest(en, c->id, c->auto_remove, NULL, e);
	if (r >= 0)
		*ret_gone = true;
	return r;
}

/* What stands still with its pod is not recorded as such: the kernel knows, and forgets it with the pod. */
static int reconcile(struct engine *en, struct container_record *c, bool *ret_gone, struct err *e)
{
	struct monitor_state m = { 0 };
	int r = monitor_inspect(en->paths, c->id, &m, e);

	*ret_gone = false;
	if (r < 0)
		return r;
	if (c->state == CS_REMOVING)
		return is_alive(m.monitor_pid) && m.truth != MONITOR_DIED ? 0 : finish_removal(en, c, ret_gone, e);
	switch (m.truth) {
	case MONITOR_NONE: return container_is_up(c->state) ? set_lost(en, c, ret_gone, e) : 0;
	case MONITOR_STARTING: return 0;
	case MONITOR_RUNNING: return c->state == CS_RUNNING || c->state == CS_PAUSED ? 0 : set_running(en, c, &m, e);
	case MONITOR_EXITED: return has_ended(c->state) ? 0 : set_exited(en, c, &m, ret_gone, e);
	case MONITOR_DIED: return has_ended(c->state) ? sweep_ended(en, c, e) : set_lost(en, c, ret_gone, e);
	}
	return 0;
}

int reconcile_one(struct engine *en, struct container_record *c, bool *ret_gone, struct err *e)
{
	int r = reconcile(en, c, ret_gone, e);

	if (r >= 0 && !*ret_gone && c->pod_id && c->state == CS_RUNNING && pod_is_frozen(en->paths, c->pod_id))
		c->state = CS_PAUSED;
	return r;
}

int engine_get(struct engine *en, const char *name, struct container_record *ret, struct err *e)
{
	struct container_record c;
	bool gone;
	int r = records_container_get(en->records, name, &c, e);

	if (r == -ENOENT)
		return err_set(e, ENOENT, "no such container: %s", name);
	if (r < 0)
		return r;
	r = reconcile_one(en, &c, &gone, e);
	if (r >= 0 && gone)
		r = err_set(e, ENOENT, "no such container: %s", name);
	if (r < 0) {
		container_record_done(&c);
		return r;
	}
	*ret = c;
	return 0;
}
