/* kill.c: one signal to a container's main process. */
#include "engine_impl.h"

#include <signal.h>

#define KILL_TIMEOUT_MS 10000

int engine_kill(struct engine *en, const char *name, int sig, struct err *e)
{
	struct container_record c;
	struct exit_status st;
	_cleanup_fd_ int fd = -1;
	int r = engine_get(en, name, &c, e);

	if (r < 0)
		return r;
	if (!container_is_up(c.state))
		r = err_set(e, ESRCH, "cannot kill container %s: it is not running", c.name);
	if (r >= 0)
		r = pod_must_not_be_paused(en, &c, e);
	if (r >= 0)
		r = monitor_connect(en->paths, c.id, &fd, e);
	if (r >= 0)
		r = client_signal(fd, sig, e);
	/* After SIGKILL the next command may expect it gone. */
	if (r >= 0 && sig == SIGKILL)
		r = client_wait_exit(fd, KILL_TIMEOUT_MS, &st, e);
	container_record_done(&c);
	return fd >= 0 && client_is_gone(r) ? 0 : MIN(r, 0);
}
