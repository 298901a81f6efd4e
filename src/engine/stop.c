/* stop.c: `stop`: ask with the stop signal, wait, kill, wait (F23). Whether it has ended is the monitor's word, not a guess. */
#include "engine_impl.h"

#include <signal.h>

#define STOP_TIMEOUT_S  10
#define KILL_TIMEOUT_MS 10000

int stop_words(const struct container_record *c, int wished, int64_t *timeout_s, int *ret, struct err *e)
{
	struct run_opts o;
	int sig, r = options_parse(c->options_json, &o, e);

	if (r < 0)
		return r;
	sig = wished ? wished : o.stop_signal ? signal_parse(o.stop_signal) : SIGTERM;
	if (*timeout_s == SPEC_UNSET)
		*timeout_s = o.stop_timeout_s == SPEC_UNSET ? STOP_TIMEOUT_S : o.stop_timeout_s;
	run_opts_done(&o);
	*ret = sig > 0 ? sig : SIGTERM; /* an image may name a signal that does not exist */
	return 0;
}

static int stop_running(struct engine *en, const struct container_record *c, int64_t timeout_s, int sig, struct err *e)
{
	_cleanup_fd_ int fd = -1, monitor = -1;
	struct exit_status st;
	int r = records_container_stopped(en->records, c->id, e); /* whatever it ends of: no policy starts it again */

	if (r >= 0)
		r = monitor_pidfd(en->paths, c->id, &monitor, e);
	if (r >= 0)
		r = client_connect(en, c->id, monitor, &fd, e);
	if (client_is_gone(r))
		return 0; /* ended meanwhile */
	if (r >= 0)
		r = client_signal(fd, sig, e);
	if (r >= 0)
		r = client_wait_exit(fd, timeout_s < 0 ? -1 : (int)MIN(timeout_s * 1000, (int64_t)INT32_MAX), &st, e);
	if (r == 0) {
		r = client_signal(fd, SIGKILL, e);
		if (r >= 0)
			r = client_wait_exit(fd, KILL_TIMEOUT_MS, &st, e);
		if (r == 0)
			return err_set(e, ETIMEDOUT, "container %s did not die within %d seconds of SIGKILL", c->name,
				       KILL_TIMEOUT_MS / 1000);
	}
	return client_is_gone(r) ? 0 : MIN(r, 0);
}

int engine_stop(struct engine *en, const char *name, int64_t timeout_s, int sig, struct err *e)
{
	const char *what = NULL;
	struct container_record c;
	int r = engine_get(en, name, &c, e);

	if (r < 0)
		return r;
	r = pod_must_not_be_paused(en, &c, e);
	if (r >= 0)
		r = container_life(en, &c, &what, e);
	if (r >= 0 && what) { /* docker: stopping what doesn't run is no error */
		r = stop_words(&c, sig, &timeout_s, &sig, e);
		if (r >= 0)
			r = stop_running(en, &c, timeout_s, sig, e);
		if (r >= 0)
			note_event(en, &c, "stop");
	}
	container_record_done(&c);
	return r;
}

int engine_restart(struct engine *en, const char *name, int64_t timeout_s, int sig, struct err *e)
{
	static const struct start_opts quiet = { 0 };
	struct exit_status st;
	struct container_record c;
	bool detached;
	int r = engine_stop(en, name, timeout_s, sig, e);

	if (r >= 0)
		r = engine_start(en, name, &quiet, &st, &detached, e);
	if (r >= 0)
		r = engine_get(en, name, &c, e);
	if (r < 0)
		return r;
	note_event(en, &c, "restart");
	container_record_done(&c);
	return 0;
}
