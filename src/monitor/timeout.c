/* timeout.c: --timeout: a container's process that runs longer is killed. Each life has the whole time; while it stands still the time goes
 * on. What a restart policy makes of such an end is what it makes of any. */
#include <signal.h>

#include "monitor_impl.h"

static void on_timeout(struct loop *l _unused_, int fd _unused_, uint32_t events _unused_, void *arg)
{
	struct monitor *m = arg;
	struct err e = { 0 };

	m->timeout = NULL;
	log_warn("timeout", "container %.12s has run for %llu s: it is killed", m->cfg->id,
		 (unsigned long long)m->launch.timeout_ms / 1000);
	if (monitor_signal_main(m, SIGKILL, &e) < 0 && e.no != ESRCH)
		log_error("timeout", "%s", e.msg);
}

void timeout_begin(struct monitor *m)
{
	if (m->launch.timeout_ms && loop_timer(m->loop, m->launch.timeout_ms, on_timeout, m, &m->timeout) < 0)
		log_error("timeout", "out of memory: container %.12s may run for ever", m->cfg->id);
}

void timeout_end(struct monitor *m)
{
	loop_del(m->timeout);
	m->timeout = NULL;
}
