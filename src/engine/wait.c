/* wait.c: the end of a container, and its exit code; or other things that happen to it. */
#include "engine_impl.h"

#include <poll.h>
#include <unistd.h>

static int code_of(const struct container_record *c, int *ret_exit_code, struct err *e)
{
	if (c->exit_code < 0 && c->state == CS_EXITED)
		return err_set(e, EIO, "container %s: %s", c->name, c->error ? c->error : "the exit code is unknown");
	*ret_exit_code = MAX(c->exit_code, 0);
	return 0;
}

static int wait_end(struct engine *en, const char *name, int *ret_exit_code, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	_cleanup_free_ char *id = NULL;
	struct container_record c;
	struct exit_status st = { 0 };
	int r = engine_get(en, name, &c, e);

	if (r < 0)
		return r;
	if (!container_is_up(c.state)) {
		r = code_of(&c, ret_exit_code, e);
		container_record_done(&c);
		return r;
	}
	id = strdup(c.id);
	container_record_done(&c);
	if (!id)
		return OUT_OF_MEMORY(e);
	r = monitor_connect(en->paths, id, &fd, e);
	if (r >= 0)
		r = client_wait_exit(fd, -1, &st, e);
	if (r > 0) {
		*ret_exit_code = st.code;
		return 0;
	}
	if (!client_is_gone(r))
		return r;
	/* It ended between two looks, or its monitor was killed: the record knows. */
	r = engine_get(en, id, &c, e);
	if (r < 0)
		return r;
	r = code_of(&c, ret_exit_code, e);
	container_record_done(&c);
	return r;
}

/* ---- whatever else ---- */

#define PIECE 256

/* Of one that is gone already (--rm): its end is among the events behind seq. 1 and the code, 0: none is. */
static int code_from_events(struct engine *en, const char *id, uint64_t seq, int *ret_exit_code, struct err *e)
{
	bool found = false;
	int r;

	do {
		struct event *list = NULL;
		size_t n = 0;

		r = records_events(en->records, seq, 0, PIECE, &list, &n, e);
		for (size_t i = 0; r >= 0 && i < n; i++) {
			_cleanup_json_ struct json_object *attrs = NULL;
			struct json_object *code;

			seq = list[i].seq;
			if (!streq(list[i].id, id) || !streq(list[i].action, "die") || !list[i].attrs_json ||
			    json_parse(list[i].attrs_json, strlen(list[i].attrs_json), "event", &attrs, NULL) < 0 ||
			    !json_object_object_get_ex(attrs, "exitCode", &code))
				continue;
			*ret_exit_code = (int)json_object_get_int64(code);
			found = true;
		}
		events_free(list, n);
		if (r >= 0 && n < PIECE)
			break;
	} while (r >= 0);
	return r < 0 ? r : found;
}

struct waiting {
	struct engine *en;
	const char *id;
	unsigned for_what;
	uint64_t finished_ns; /* of the end before */
	uint64_t seq;         /* of the last event before all this */
	int code;             /* the last that was known */
	bool was_up;
};

static bool is_so(const struct waiting *w, const struct container_record *c)
{
	static const struct {
		unsigned what;
		enum container_state state;
	} states[] = { { WAIT_CREATED, CS_CREATED },
		       { WAIT_RUNNING, CS_RUNNING },
		       { WAIT_PAUSED, CS_PAUSED },
		       { WAIT_RESTARTING, CS_RESTARTING },
		       { WAIT_REMOVING, CS_REMOVING } };

	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		if ((w->for_what & states[i].what) && c->state == states[i].state)
			return true;
	return (w->for_what & WAIT_HEALTHY && c->state == CS_RUNNING && c->health == HEALTH_HEALTHY) ||
	       (w->for_what & WAIT_UNHEALTHY && c->state == CS_RUNNING && c->health == HEALTH_UNHEALTHY);
}

static bool has_ended(const struct waiting *w, const struct container_record *c)
{
	if (w->for_what & WAIT_NEXT_EXIT && c->finished_ns != w->finished_ns)
		return true;
	return w->for_what & WAIT_ENDED && !container_is_up(c->state);
}

/* 1 and the code, 0: not yet. */
static int look(struct waiting *w, int *ret_exit_code, struct err *e)
{
	struct container_record c;
	struct err gone = { 0 };
	int r = engine_get(w->en, w->id, &c, &gone);

	if (r == -ENOENT && w->for_what & (WAIT_REMOVED | WAIT_ENDED | WAIT_NEXT_EXIT)) {
		*ret_exit_code = w->code;
		r = code_from_events(w->en, w->id, w->seq, ret_exit_code, e);
		return r < 0 ? r : 1;
	}
	if (r < 0) {
		*e = gone;
		return r;
	}
	r = 0;
	if (!container_is_up(c.state))
		w->code = c.exit_code;
	if (has_ended(w, &c)) {
		r = code_of(&c, ret_exit_code, e);
		r = r < 0 ? r : 1;
	} else if (is_so(w, &c)) {
		*ret_exit_code = WAIT_NO_CODE;
		r = 1;
	}
	w->was_up = container_is_up(c.state);
	container_record_done(&c);
	return r;
}

/* Every commit with an event in it makes the descriptor readable; health and pauses have events too. */
static void wait_for_event(int watch, uint64_t ms)
{
	struct pollfd p = { .fd = watch, .events = POLLIN };
	char sink[4096];

	if (poll(&p, 1, (int)MIN(ms, (uint64_t)INT32_MAX)) > 0)
		while (read(watch, sink, sizeof(sink)) > 0)
			;
}

static int wait_states(struct waiting *w, uint64_t interval_ms, int *ret_exit_code, struct err *e)
{
	_cleanup_fd_ int watch = -1;
	int r = records_events_watch(w->en->records, &watch, e);

	while (r >= 0 && (r = look(w, ret_exit_code, e)) == 0) {
		/* An end is heard of its monitor, with the code, before a container that is not kept is gone. */
		if (w->was_up && !(w->for_what & ~(unsigned)(WAIT_NEXT_EXIT | WAIT_REMOVED)) &&
		    (r = wait_end(w->en, w->id, &w->code, e)) < 0 && r != -ENOENT)
			return r;
		if (r >= 0 && w->was_up && w->for_what & WAIT_NEXT_EXIT) {
			*ret_exit_code = w->code;
			return 0;
		}
		r = 0;
		wait_for_event(watch, interval_ms);
	}
	return MIN(r, 0);
}

int engine_wait(struct engine *en, const char *name, unsigned for_what, uint64_t interval_ms, int *ret_exit_code, struct err *e)
{
	struct waiting w = { .en = en, .for_what = for_what };
	struct container_record c;
	int r = records_event_last(en->records, &w.seq, e);

	if (r >= 0)
		r = engine_get(en, name, &c, e);
	if (r < 0)
		return r;
	_cleanup_free_ char *id = strdup(c.id);
	w.id = id;
	w.finished_ns = c.finished_ns;
	w.code = MAX(c.exit_code, 0);
	container_record_done(&c);
	if (!id)
		return OUT_OF_MEMORY(e);
	if (for_what != WAIT_ENDED)
		return wait_states(&w, interval_ms, ret_exit_code, e);
	struct err gone = { 0 };
	r = wait_end(en, id, ret_exit_code, &gone);
	if (r == -ENOENT && (r = code_from_events(en, id, w.seq, ret_exit_code, e)) == 0)
		r = -ENOENT;
	if (r < 0 && e && !e->no)
		*e = gone;
	return MIN(r, 0);
}
