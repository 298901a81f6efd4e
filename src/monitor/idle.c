/* What a monitor keeps while nothing happens: as little as it can. A container may run for months, and there may be thousands. */
#include "monitor_impl.h"

#define IDLE_MS 1000 /* short runs, and the next of several requests, don't pay for it */

static void on_idle(void *arg)
{
	struct monitor *m = arg;

	if (m->cfg->on_idle)
		m->cfg->on_idle(m->cfg->arg);
	idle_give_back();
}

void idle_begin(struct monitor *m) { loop_when_idle(m->loop, IDLE_MS, on_idle, m); }
