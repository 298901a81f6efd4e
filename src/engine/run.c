/* run.c: create and start in one, as `berth run` and `docker run` do.
 *
 * The monitor is spawned first: while this process finds the image and writes bundle and record, it gets itself ready on the
 * other processor. It does nothing that others could see before it hears that the container is made (monitor_go), and leaves
 * without a trace when that fails. */
#include "engine_impl.h"
#include "network_wishes.h"

/* A guess, so that the monitor can begin with it: config.json decides. */
static bool wants_network(const struct run_opts *o)
{
	enum network_kind kind = network_kind_of(o);

	return !o->pod && (!o->isolation || streq(o->isolation, "container")) && (kind == NETWORK_NONE || kind == NETWORK_OWN);
}

static int make_and_go(struct engine *en, const struct run_opts *o, const char *id, struct exit_status *ret_exit,
		       bool *ret_detached, struct err *e)
{
	const unsigned streams = o->attach ? o->attach : ATTACH_STDIN | ATTACH_STDOUT | ATTACH_STDERR;
	const struct start_opts start = {
		.attach = !o->is_detached,
		.want_stdin = o->is_interactive && !o->is_detached && streams & ATTACH_STDIN,
		.drops_stdout = !(streams & ATTACH_STDOUT),
		.drops_stderr = !(streams & ATTACH_STDERR),
		.sig_proxy = !o->no_sig_proxy && !o->has_tty,
		.detach_keys = o->detach_keys,
	};
	struct waiting_monitor w = { .fd = -1 };
	const struct monitor_opts m = { .shows_stderr = o->trace_startup, .new_network = wants_network(o) };
	int r = monitor_prepare(en, id, &m, &w, e);

	if (r >= 0)
		r = engine_open_store(en, e);
	if (r >= 0)
		r = create_container(en, o, id, e);
	if (r < 0) {
		monitor_dismiss(&w);
		return r;
	}
	if (start.attach)
		note_event_by_id(en, id, "attach");
	r = monitor_go(&w, o->has_tty, &start, ret_exit, ret_detached, e);
	timeline_mark(&en->timeline, "done");
	if (o->trace_startup)
		timeline_print(&en->timeline, en->timeline.mark[0].us, "berth", STDERR_FILENO);
	return r;
}

int engine_run(struct engine *en, const struct run_opts *o, char **ret_id, struct exit_status *ret_exit, bool *ret_detached,
	       struct err *e)
{
	_cleanup_free_ char *id = malloc(ID_LEN + 1);
	int r = id ? options_check(o, e) : OUT_OF_MEMORY(e);

	if (r >= 0 && (r = id_new(id)) < 0)
		err_set(e, -r, "make an id: %s", strerror(-r));
	if (r >= 0)
		r = make_and_go(en, o, id, ret_exit, ret_detached, e);
	if (r >= 0)
		*ret_id = TAKE_PTR(id);
	return r;
}
