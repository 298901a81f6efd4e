/* events.c: what has happened, and what happens from now on. The record is the queue: it is read in pieces, and nothing of it is
 * held while a piece is printed, so that a reader who stops stops nobody else. */
#include "engine_impl.h"

#include <poll.h>
#include <unistd.h>

#define PIECE 256
/* A writer that was killed between its commit and its touch (records/events.c) tells nobody: then it is this late. */
#define LOOK_MS 30000

struct stream {
	struct engine *en;
	const struct event_query *q;
	int watch;
	uint64_t seq; /* of the last that was seen */
	int (*cb)(const struct event *v, void *arg);
	void *arg;
};

static void tell_lost(struct stream *s, uint64_t next)
{
	if (s->seq && next > s->seq + 1)
		log_warn("events", "%llu events were dropped before they were read", (unsigned long long)(next - s->seq - 1));
}

/* One piece: how many, or -errno; *ret_end: there is no need to go on. */
static int pass_on(struct stream *s, bool *ret_end, int *ret_answer, struct err *e)
{
	struct event *list = NULL;
	size_t n = 0;
	int r = records_events(s->en->records, s->seq, s->q->from_now ? 0 : s->q->since_ns, PIECE, &list, &n, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n && !*ret_end; i++) {
		/* With --since what lies before it is no loss. */
		if (!s->q->since_ns || s->q->from_now)
			tell_lost(s, list[i].seq);
		s->seq = list[i].seq;
		if (s->q->until_ns && list[i].time_ns > s->q->until_ns)
			*ret_end = true;
		else if ((*ret_answer = s->cb(&list[i], s->arg)) != 0)
			*ret_end = true;
	}
	events_free(list, n);
	return (int)n;
}

/* 1: look again; 0: the time is over. */
static int wait_for_more(struct stream *s, struct err *e)
{
	struct pollfd p = { .fd = s->watch, .events = POLLIN };
	uint64_t now = clock_real_ns(), ms = LOOK_MS;
	char sink[4096];

	if (s->q->until_ns) {
		if (now >= s->q->until_ns)
			return 0;
		ms = MIN(ms, (s->q->until_ns - now) / 1000000 + 1);
	}
	if (poll(&p, 1, (int)ms) < 0 && errno != EINTR)
		return err_set(e, errno, "wait for events: %s", strerror(errno));
	while (read(s->watch, sink, sizeof(sink)) > 0)
		;
	return 1;
}

int engine_events(struct engine *en, const struct event_query *q, int (*cb)(const struct event *v, void *arg), void *arg,
		  struct err *e)
{
	_cleanup_fd_ int watch = -1;
	struct stream s = { .en = en, .q = q, .cb = cb, .arg = arg };
	bool is_over = false;
	int answer = 0, r = q->from_now ? records_event_last(en->records, &s.seq, e) : 0;

	/* In this order: what happens between the two is passed on at the first look, and who sees us watch can count on what is to come. */
	if (r >= 0)
		r = records_events_watch(en->records, &watch, e);
	s.watch = watch;
	while (r >= 0 && !is_over) {
		r = pass_on(&s, &is_over, &answer, e);
		/* What came before the end of the time may have been written a moment later. */
		if (r == 0 && !is_over && (r = wait_for_more(&s, e)) == 0) {
			while ((r = pass_on(&s, &is_over, &answer, e)) > 0 && !is_over)
				;
			break;
		}
	}
	return r < 0 ? r : answer;
}

int engine_note_event(struct engine *en, const char *id, const char *action, const char *extra_json, struct err *e)
{
	return records_container_event(en->records, id, action, extra_json, e);
}

static int event_of(struct engine *en, const struct container_record *c, const char *action, struct err *e)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();

	for (size_t i = 0; c->labels.keys && c->labels.keys[i]; i++)
		if (json_add(o, c->labels.keys[i], json_object_new_string(c->labels.values[i])) < 0)
			return OUT_OF_MEMORY(e);
	if (json_add(o, "image",
		     json_object_new_string(c->image_ref  ? c->image_ref
					    : c->image_id ? c->image_id
							  : "")) < 0 ||
	    json_add(o, "name", json_object_new_string(c->name)) < 0)
		return OUT_OF_MEMORY(e);
	return records_event_add(en->records, "container", action, c->id,
				 json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN), e);
}

void note_event(struct engine *en, const struct container_record *c, const char *action)
{
	struct err e = { 0 };

	if (event_of(en, c, action, &e) < 0)
		log_warn("events", "%s of container %s is not in the record: %s", action, c->name, e.msg);
}

void note_event_by_id(struct engine *en, const char *id, const char *action)
{
	struct err e = { 0 };

	if (records_container_event(en->records, id, action, NULL, &e) < 0)
		log_warn("events", "%s of container %.12s is not in the record: %s", action, id, e.msg);
}

void note_image_event(struct engine *en, const char *action, const char *id, const char *name)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct err e = { 0 };
	int r = json_add(o, "name", json_object_new_string(name)) < 0 ? OUT_OF_MEMORY(&e) : 0;

	if (r == 0)
		r = records_event_add(en->records, "image", action, id,
				      json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
				      &e);
	if (r < 0)
		log_warn("events", "%s of image %s is not in the record: %s", action, name, e.msg);
}
