/* wait.c: the end of a container, and its exit code. */
#include "engine_impl.h"

static int code_of(const struct container_record *c, int *ret_exit_code, struct err *e)
{
	if (c->exit_code < 0 && c->state == CS_EXITED)
		return err_set(e, EIO, "container %s: %s", c->name, c->error ? c->error : "the exit code is unknown");
	*ret_exit_code = MAX(c->exit_code, 0);
	return 0;
}

int engine_wait(struct engine *en, const char *name, int *ret_exit_code, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	_cleanup_free_ char *id = NULL;
	struct container_record c;
	struct exit_status st = { 0 };
	int r = engine_get(en, name, &c, e);

	if (r < 0)
		return r;
	if (c.state != CS_RUNNING && c.state != CS_PAUSED) {
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
