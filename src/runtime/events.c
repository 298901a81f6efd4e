/* events: what a container uses, every so often or once, and that it ran out of memory: one JSON object a line, as runc's. Ends
 * with the container. */
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "record.h"

#define INTERVAL_DEFAULT_MS 5000

static int set_interval(void *args, const char *value, struct err *e)
{
	struct events_opts *o = args;

	if (str_to_duration_ms(value, &o->interval_ms) < 0 || o->interval_ms == 0 || o->interval_ms > INT_MAX)
		return err_set(e, EINVAL, "\"%.40s\" is not a time above 0 such as 5s or 500ms", value);
	return 0;
}

const struct opt events_options[] = {
	{ "interval", 0, OPT_STRING, 0, "TIME", "how often statistics are printed (default 5s)", set_interval },
	{ "stats", 0, OPT_FLAG, offsetof(struct events_opts, is_once), NULL, "print statistics once and end" },
	{ NULL },
};

/* Takes data, also on failure; NULL = an event that is its own message. */
static int print_event(const char *type, const char *id, struct json_object *data, struct err *e)
{
	_cleanup_json_ struct json_object *o = json_object_new_object(), *owned = data;

	if (json_add(o, "type", json_object_new_string(type)) < 0 || json_add(o, "id", json_object_new_string(id)) < 0 ||
	    (data && json_add(o, "data", TAKE_PTR(owned)) < 0))
		return err_set(e, ENOMEM, "out of memory");
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	if (fflush(stdout) == EOF)
		return err_set(e, errno, "write to standard output: %s", strerror(errno));
	return 0;
}

static int print_stats(const char *id, struct cgroup *cg, struct err *e)
{
	struct json_object *data;
	int r = cgroup_report(cg, &data, e);

	return r < 0 ? r : print_event("stats", id, data, e);
}

/* -> 0 when the container has ended. */
static int follow(const char *id, struct cgroup *cg, int pidfd, uint64_t interval_ms, struct err *e)
{
	_cleanup_(cgroup_oom_free_ptr) struct cgroup_oom *oom = NULL;
	struct pollfd p[] = { { .fd = pidfd, .events = POLLIN }, { .fd = -1, .events = POLLIN } };
	uint64_t next = clock_mono_us() / 1000 + interval_ms;
	int r = cgroup_oom_open(cg, &oom, e);

	if (r < 0)
		return r;
	p[1].fd = cgroup_oom_fd(oom);
	for (;;) {
		uint64_t now = clock_mono_us() / 1000;
		if (poll(p, ARRAY_SIZE(p), now < next ? (int)(next - now) : 0) < 0 && errno != EINTR)
			return err_set(e, errno, "poll: %s", strerror(errno));
		r = p[1].revents ? cgroup_oom_next(oom) : 0;
		if (r > 0 && print_event("oom", id, NULL, e) < 0)
			return -EIO;
		if (p[0].revents || r < 0)
			return 0;
		if (clock_mono_us() / 1000 < next)
			continue;
		r = print_stats(id, cg, e);
		if (r < 0)
			return r;
		next += interval_ms;
	}
}

static int watch(const struct held *h, const struct host *host, const struct events_opts *o, struct err *e)
{
	_cleanup_fd_ int pidfd = h->rec.pid > 0 ? pidfd_open_((pid_t)h->rec.pid) : -ESRCH;
	struct cgroup *cg = NULL;
	int r;

	/* The pidfd first, then whether the pid is still who it was: after that it can't become somebody else. */
	if (pidfd < 0 || !record_live_pid(&h->rec))
		return err_set(e, ESRCH, "container not running: %s", h->rec.id);
	r = record_cgroup(&h->rec, host, &cg, e);
	if (r == 0)
		r = o->is_once ? print_stats(h->rec.id, cg, e)
			       : follow(h->rec.id, cg, pidfd, o->interval_ms ? o->interval_ms : INTERVAL_DEFAULT_MS, e);
	cgroup_free(cg);
	return r;
}

int verb_events(struct runtime *rt, union verb_opts *opts, struct err *e)
{
	_cleanup_held_ struct held h = HELD_NONE;
	struct host host = { 0 };
	int r = record_open(rt, rt->operands[0], UNLOCKED, &h, e);

	if (r == 0)
		r = host_probe_cgroup(&host, e);
	if (r == 0)
		r = watch(&h, &host, &opts->events, e);
	host_done(&host);
	return r;
}
