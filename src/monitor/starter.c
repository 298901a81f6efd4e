/* starter: a container that is one of several to be made, all or none (engine/clone.c). Until all are, it lives as long as its first client's
 * connection: that ends when its maker gives them up, or is killed, and no moment of that leaves some of them behind. What says that all
 * are is one write to an eventfd that all their monitors hold. */
#include <poll.h>
#include <signal.h>

#include "monitor_impl.h"

static bool are_all(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1 && p.revents & POLLIN;
}

void starter_gone(struct monitor *m)
{
	m->starter = NULL;
	if (are_all(m->cfg->all_fd))
		return;
	m->is_given_up = true;
	if (m->is_over) { /* its end is recorded */
		m->cfg->on_given_up(m->cfg->arg);
		return;
	}
	m->launch.auto_remove = m->launch.is_volatile = true; /* nobody asks how it ended, nor for its disk */
	m->exit = (struct exit_status){ .code = 128 + SIGKILL, .signal = SIGKILL };
	monitor_main_done(m);
}
