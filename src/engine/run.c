/* run.c: create and start in one, as `berth run` and `docker run` do. */
#include "engine_impl.h"

int engine_run(struct engine *en, const struct run_opts *o, char **ret_id, struct exit_status *ret_exit, bool *ret_detached,
	       struct err *e)
{
	_cleanup_free_ char *id = NULL;
	const struct start_opts start = {
		.attach = !o->is_detached,
		.want_stdin = o->is_interactive && !o->is_detached,
		.sig_proxy = !o->no_sig_proxy && !o->has_tty,
		.detach_keys = o->detach_keys,
	};
	int r = engine_create(en, o, &id, e);

	if (r < 0)
		return r;
	r = start_container(en, id, o->has_tty, o->trace_startup, &start, ret_exit, ret_detached, e);
	if (r >= 0)
		*ret_id = TAKE_PTR(id);
	return r;
}
