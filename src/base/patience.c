/* patience: see patience.h. */
#include "patience.h"

#include "spawn.h"

static void on_nap(struct loop *l, int fd _unused_, uint32_t events _unused_, void *arg)
{
	struct patience *p = arg;

	p->timer = NULL; /* one that has fired is gone */
	p->naps++;
	for (int sig = 1; sig <= 64; sig++) {
		uint64_t bit = UINT64_C(1) << (sig - 1);

		if (!(p->waiting & bit) || (p->naps < PATIENCE_MS / PATIENCE_NAP_MS && pid_is_deaf_at_work(p->pid, sig)))
			continue;
		p->waiting &= ~bit;
		p->send(p->arg, sig);
	}
	if (p->waiting && loop_timer(l, PATIENCE_NAP_MS, on_nap, p, &p->timer) < 0) {
		p->naps = PATIENCE_MS; /* no memory to wait: now */
		on_nap(l, -1, 0, p);
	}
}

bool patience_holds(struct patience *p, int sig)
{
	if (sig < 1 || sig > 64 || !pid_is_deaf_at_work(p->pid, sig))
		return false;
	if (!p->timer) {
		p->naps = 0;
		if (loop_timer(p->loop, PATIENCE_NAP_MS, on_nap, p, &p->timer) < 0)
			return false;
	}
	p->waiting |= UINT64_C(1) << (sig - 1);
	return true;
}

void patience_end(struct patience *p)
{
	loop_del(p->timer);
	p->timer = NULL;
	p->waiting = 0;
}
