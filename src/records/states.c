/* The life of a container, as a table that is checked.
 *
 *              put (engine create)
 *                    |
 *                    v   start failed (engine)
 *                 CREATED ------------------------> EXITED <---+
 *                  |   |                            |  ^  |    | process ended (monitor), or
 *    start (monitor)   | rm (engine)   start again  |  |  |    | found dead (engine reconcile)
 *                  |   |               (monitor)    |  |  | rm |
 *                  v   |                            v  |  |    |
 *                 RUNNING <-------------------------+  |  |    |
 *                  |   ^ \_____________________________/  |    |
 *            pause |   | unpause (engine)                 |    |
 *                  v   |                                  |    |
 *                 PAUSED ---------------------------------|----+
 *                      |                                  v
 *                      +--- rm -f, --rm (also RUNNING) -> REMOVING -> (row deleted: records_container_delete)
 *                                                         |  ^
 *                                    rm failed (engine)   v  | rm again
 *                                                         DEAD
 *
 * RUNNING and PAUSED -> RESTARTING when a policy has it started again (monitor), from there RUNNING (monitor), RESTARTING (that start
 * failed), EXITED (stopped while it waits, or its monitor was killed) and REMOVING.
 * EXITED -> EXITED is refused on purpose: whoever records an exit first (the monitor, which saw the code) wins over a reconcile
 * that only found the process gone. */
#include <stdio.h>

#include "records_db.h"

static const char *const names[] = {
	[CS_CREATED] = "created", [CS_RUNNING] = "running",   [CS_PAUSED] = "paused",         [CS_EXITED] = "exited",
	[CS_DEAD] = "dead",       [CS_REMOVING] = "removing", [CS_RESTARTING] = "restarting",
};
_Static_assert(ARRAY_SIZE(names) == CS_RESTARTING + 1, "a name for each state");

#define TO(s) (1u << (s))
static const unsigned allowed[] = {
	/* CREATED -> CREATED notes why a start failed and leaves it startable. */
	[CS_CREATED] = TO(CS_CREATED) | TO(CS_RUNNING) | TO(CS_EXITED) | TO(CS_REMOVING),
	[CS_RUNNING] = TO(CS_PAUSED) | TO(CS_EXITED) | TO(CS_RESTARTING) | TO(CS_REMOVING),
	[CS_PAUSED] = TO(CS_RUNNING) | TO(CS_EXITED) | TO(CS_RESTARTING) | TO(CS_REMOVING),
	[CS_EXITED] = TO(CS_RUNNING) | TO(CS_REMOVING),
	[CS_DEAD] = TO(CS_REMOVING),
	[CS_REMOVING] = TO(CS_DEAD) | TO(CS_REMOVING),
	[CS_RESTARTING] = TO(CS_RUNNING) | TO(CS_RESTARTING) | TO(CS_EXITED) | TO(CS_REMOVING),
};
_Static_assert(ARRAY_SIZE(allowed) == CS_RESTARTING + 1, "a row for each state");

const char *container_state_name(enum container_state s) { return (size_t)s < ARRAY_SIZE(names) ? names[s] : "unknown"; }

bool container_state_may(enum container_state from, enum container_state to)
{
	return (size_t)from < ARRAY_SIZE(allowed) && (size_t)to < ARRAY_SIZE(allowed) && (allowed[from] & TO(to));
}

/* What each arrow writes: entering a state leaves the other states' fields as they are. */
static int write_state(struct records *r, const char *id, enum container_state from, const struct container_record *to,
		       struct err *e)
{
	int64_t state = to->state;

	switch (to->state) {
	case CS_RUNNING:
		if (from == CS_PAUSED)
			break;
		return db_run(
			r, "record a start", e,
			"UPDATE containers SET state=?2, started_ns=?3, exit_code=0, oom_killed=0, error=NULL, is_stopped=0,"
			" health=?4, restart_count=CASE WHEN ?5 THEN restart_count ELSE 0 END WHERE id=?1",
			"tiiii", id, state, (int64_t)to->started_ns, (int64_t)to->health, (int64_t)(from == CS_RESTARTING));
	case CS_EXITED:
		if (from == CS_RESTARTING)
			return db_run(r, "record an end", e,
				      "UPDATE containers SET state=?2, is_stopped=?3, error=coalesce(?4, error), ports_json=NULL "
				      "WHERE id=?1",
				      "tiit", id, state, (int64_t)to->is_stopped, to->error);
		return db_run(
			r, "record an exit", e,
			"UPDATE containers SET state=?2, finished_ns=?3, exit_code=?4, oom_killed=?5, error=?6, is_stopped=?7,"
			" ports_json=NULL WHERE id=?1",
			"tiiiiti", id, state, (int64_t)to->finished_ns, (int64_t)to->exit_code, (int64_t)to->oom_killed,
			to->error, (int64_t)to->is_stopped);
	case CS_RESTARTING:
		return db_run(r, "record an exit", e,
			      "UPDATE containers SET state=?2, finished_ns=?3, exit_code=?4, oom_killed=?5, error=?6,"
			      " restart_count=restart_count+1, ports_json=NULL WHERE id=?1",
			      "tiiiit", id, state, (int64_t)to->finished_ns, (int64_t)to->exit_code, (int64_t)to->oom_killed,
			      to->error);
	case CS_CREATED:
		return db_run(r, "record a failed start", e,
			      "UPDATE containers SET state=?2, exit_code=?3, error=?4, ports_json=NULL WHERE id=?1", "tiit", id,
			      state, (int64_t)to->exit_code, to->error);
	case CS_REMOVING:
		return db_run(
			r, "record a removal", e,
			"UPDATE containers SET state=?2, error=coalesce(?3, error), auto_remove=(auto_remove OR ?4) WHERE id=?1",
			"titi", id, state, to->error, (int64_t)to->auto_remove);
	case CS_PAUSED:
	case CS_DEAD: break;
	}
	return db_run(r, "record a state", e, "UPDATE containers SET state=?2, error=coalesce(?3, error) WHERE id=?1", "tit", id,
		      state, to->error);
}

int container_died(struct records *r, const char *id, const struct container_record *to, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	uint64_t started = 0;
	char extra[96];
	int k = db_query(r, &s, e, "SELECT started_ns FROM containers WHERE id=?1", "t", id);

	if (k < 0 || (k = db_step(r, s, "read a state", e)) <= 0)
		return k;
	started = (uint64_t)sqlite3_column_int64(s, 0);
	snprintf(extra, sizeof(extra), "{\"execDuration\":\"%llu\",\"exitCode\":\"%d\"}",
		 (unsigned long long)(started && to->finished_ns > started ? (to->finished_ns - started) / 1000000000 : 0),
		 to->exit_code);
	if (to->oom_killed && (k = container_event(r, id, "oom", NULL, e)) < 0)
		return k;
	k = container_event(r, id, "die", extra, e);
	return k < 0 ? k : endpoints_event(r, id, "disconnect", e);
}

static int began(struct records *r, const char *id, struct err *e)
{
	int k = endpoints_event(r, id, "connect", e);

	return k < 0 ? k : container_event(r, id, "start", NULL, e);
}

/* The event of that arrow, if any. */
static int note(struct records *r, const char *id, enum container_state from, const struct container_record *to, struct err *e)
{
	switch (to->state) {
	case CS_RUNNING: return from == CS_PAUSED ? container_event(r, id, "unpause", NULL, e) : began(r, id, e);
	case CS_PAUSED: return container_event(r, id, "pause", NULL, e);
	case CS_EXITED:
		if (from == CS_RESTARTING) /* it had died before */
			return 0;
		return container_died(r, id, to, e);
	case CS_RESTARTING:
	case CS_CREATED: return container_died(r, id, to, e);
	case CS_DEAD:
	case CS_REMOVING: break;
	}
	return 0;
}

static int read_state(struct records *r, const char *id, enum container_state *ret, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *s = NULL;
	int k = db_query(r, &s, e, "SELECT state FROM containers WHERE id=?1", "t", id);

	if (k < 0 || (k = db_step(r, s, "read a state", e)) < 0)
		return k;
	if (k == 0)
		return err_set(e, ENOENT, "no such container: %s", id);
	*ret = (enum container_state)sqlite3_column_int(s, 0);
	return 0;
}

const char *container_health_name(enum container_health h)
{
	static const char *const words[] = {
		[HEALTH_NONE] = "none",
		[HEALTH_STARTING] = "starting",
		[HEALTH_HEALTHY] = "healthy",
		[HEALTH_UNHEALTHY] = "unhealthy",
	};

	return (size_t)h < ARRAY_SIZE(words) ? words[h] : "unknown";
}

int records_container_stopped(struct records *r, const char *id, struct err *e)
{
	int k = db_begin(r, true, e);

	if (k < 0)
		return k;
	k = db_run(r, "note a wish to stop", e, "UPDATE containers SET is_stopped=1 WHERE id=?1", "t", id);
	if (k == 0)
		return db_commit(r, e);
	db_rollback(r);
	return k;
}

int records_container_health(struct records *r, const char *id, enum container_health health, struct err *e)
{
	_cleanup_free_ char *action = str_fmt("health_status: %s", container_health_name(health));
	int k = action ? db_begin(r, false, e) : err_set(e, ENOMEM, "records: out of memory");

	if (k < 0)
		return k;
	k = db_run(r, "note a container's health", e, "UPDATE containers SET health=?2 WHERE id=?1 AND state IN (?3, ?4)", "tiii",
		   id, (int64_t)health, (int64_t)CS_RUNNING, (int64_t)CS_PAUSED);
	if (k == 0 && sqlite3_changes(r->db) > 0)
		k = container_event(r, id, action, NULL, e);
	if (k == 0)
		return db_commit(r, e);
	db_rollback(r);
	return k;
}

int records_container_options(struct records *r, const char *id, const char *options_json, struct err *e)
{
	int k = db_begin(r, true, e);

	if (k < 0)
		return k;
	k = db_run(r, "note a container's options", e, "UPDATE containers SET options_json=?2 WHERE id=?1", "tt", id,
		   options_json);
	if (k == 0 && sqlite3_changes(r->db) == 0)
		k = err_set(e, ENOENT, "container %.12s is no longer there", id);
	if (k == 0)
		k = container_event(r, id, "update", NULL, e);
	if (k == 0)
		return db_commit(r, e);
	db_rollback(r);
	return k;
}

int records_container_ports(struct records *r, const char *id, const char *ports_json, struct err *e)
{
	int k = db_begin(r, false, e);

	if (k < 0)
		return k;
	k = db_run(r, "note a container's ports", e, "UPDATE containers SET ports_json=?2 WHERE id=?1", "tt", id, ports_json);
	if (k == 0)
		return db_commit(r, e);
	db_rollback(r);
	return k;
}

int records_container_state(struct records *r, const char *id, const struct container_record *to, struct err *e)
{
	enum container_state from = CS_CREATED;
	int k = db_begin(r, to->state == CS_REMOVING, e); /* its files go next */

	if (k < 0)
		return k;
	k = read_state(r, id, &from, e);
	if (k == 0 && !container_state_may(from, to->state))
		k = err_set(e, EINVAL, "container %.12s is %s: it can't become %s", id, container_state_name(from),
			    container_state_name(to->state));
	if (k == 0)
		k = write_state(r, id, from, to, e);
	if (k == 0)
		k = note(r, id, from, to, e);
	if (k == 0)
		return db_commit(r, e);
	db_rollback(r);
	return k;
}
