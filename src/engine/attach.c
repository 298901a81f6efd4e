/* attach.c: this terminal becomes one more client of a running container. */
#include "engine_impl.h"

int engine_attach(struct engine *en, const char *name, const struct start_opts *o, struct exit_status *ret_exit,
		  bool *ret_detached, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	struct container_record c;
	struct attach_opts a = { .want_stdin = o->want_stdin, .sig_proxy = o->sig_proxy, .detach_keys = o->detach_keys };
	int r = engine_get(en, name, &c, e);

	if (r < 0)
		return r;
	if (c.state == CS_RESTARTING)
		r = err_set(e, EAGAIN, "cannot attach to a restarting container, wait until it is running");
	else if (c.state != CS_RUNNING)
		r = err_set(e, EINVAL, "cannot attach to container %s: it is %s; start it first", c.name,
			    container_state_name(c.state));
	if (r >= 0)
		r = monitor_connect(en->paths, c.id, &fd, e);
	if (r >= 0)
		note_event(en, &c, "attach");
	a.has_tty = c.has_tty;
	container_record_done(&c);
	if (r >= 0)
		r = client_want_streams(fd, o->want_stdin, e);
	return r < 0 ? r : attach_run(fd, &a, ret_exit, ret_detached, e);
}
