/* pause.c: `pause`, `unpause`: all processes of a container, or a whole VM, stand still. The monitor does it; the record says so. */
#include "engine_impl.h"

static int ask(struct engine *en, const struct container_record *c, bool on, struct err *e)
{
	const uint8_t payload[4] = { on };
	_cleanup_fd_ int fd = -1;
	int r = monitor_connect(en->paths, c->id, &fd, e);

	return r < 0 ? r : monitor_request(fd, FRAME_PAUSE, 0, payload, sizeof(payload), NULL, e);
}

int engine_pause(struct engine *en, const char *name, bool on, struct err *e)
{
	const struct container_record to = { .state = on ? CS_PAUSED : CS_RUNNING };
	enum container_state from = on ? CS_RUNNING : CS_PAUSED;
	struct container_record c;
	int r = engine_get(en, name, &c, e);

	if (r < 0)
		return r;
	r = pod_must_not_be_paused(en, &c, e);
	if (r >= 0 && c.state == to.state)
		r = err_set(e, EBUSY, on ? "container %s is paused already" : "container %s is not paused", c.name);
	else if (r >= 0 && c.state != from)
		r = err_set(e, ESRCH, "container %s is %s: it can't be %s", c.name, container_state_name(c.state),
			    on ? "paused" : "unpaused");
	if (r >= 0)
		r = ask(en, &c, on, e);
	/* A crash between the two leaves one that stands still and is said to run: pausing it again sets that right. */
	if (r >= 0)
		r = records_container_state(en->records, c.id, &to, e);
	container_record_done(&c);
	return r;
}
