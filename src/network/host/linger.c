/* What has time: a process that outlives the caller by a moment removes devices that nobody has taken along, and networks that nobody has
 * come back to. Removing a bridge takes the kernel some fifty milliseconds, and the next container may well want it again. */
#include <fcntl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "impl.h"
#include "serve.h"

enum { LINGER_MS = 2000 };

static void finish(const struct net_plan *p, const struct outcome *o)
{
	const struct timespec wait = { .tv_sec = LINGER_MS / 1000, .tv_nsec = LINGER_MS % 1000 * 1000000L };
	struct nets n = { .host_ns = -1, .inside = -1 };
	struct err e = { 0 };

	nanosleep(&wait, NULL);
	if (nets_open(&n, &e) < 0)
		return; /* nobody hears of it; the next detach or sweep finds the same */
	for (size_t i = 0; i < o->n_gone; i++)
		(void)link_delete(&n.route, o->gone[i]);
	for (size_t i = 0; i < p->n_endpoints; i++)
		(void)bridge_down_unused(&n, p->endpoints[i].network.device, &e);
	(void)bridge_down_last(&n, &e);
	nets_close(&n);
}

int linger_begin(const struct net_plan *p, const struct outcome *o, struct err *e)
{
	const pid_t pid = fork();

	if (pid < 0)
		return err_set(e, errno, "fork: %s", strerror(errno));
	if (pid > 0)
		return 0;
	setsid();
	if (chdir("/") < 0)
		_exit(1);
	/* Whoever reads from what we have would wait for us. */
	syscall(SYS_close_range, 0, ~0U, 0);
	fd_fill_stdio();
	finish(p, o);
	_exit(0);
}
