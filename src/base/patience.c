/* patience: see patience.h. */
#include "patience.h"

#include "spawn.h"

bool patience_is_over(pid_t pid, unsigned naps, uint64_t had_ms)
{
	if (naps < PATIENCE_MS / PATIENCE_NAP_MS)
		return false;
	return naps >= PATIENCE_MOST_MS / PATIENCE_NAP_MS || pid_cpu_ms(pid) >= had_ms + PATIENCE_MS;
}

static void on_nap(struct loop *l, int fd, uint32_t events, void *arg);

/* Those that need not wait any longer; all, where there is no memory to wait. */
static void send_waiting(struct patience *p, bool is_over)
{
	for (int sig = 1; sig <= 64; sig++) {
		uint64_t bit = UINT64_C(1) << (sig - 1);

		if (!(p->waiting & bit) || (!is_over && pid_is_deaf_at_work(p->pid, sig)))
			continue;
		p->waiting &= ~bit;
		p->send(p->arg, sig);
	}
	if (p->waiting && loop_timer(p->loop, PATIENCE_NAP_MS, on_nap, p, &p->timer) < 0)
		send_waiting(p, true);
}

static void on_nap(struct loop *l _unused_, int fd _unused_, uint32_t events _unused_, void *arg)
{
	struct patience *p = arg;

	p->timer = NULL; /* one that has fired is gone */
	send_waiting(p, patience_is_over(p->pid, ++p->naps, p->had_ms));
}

bool patience_holds(struct patience *p, int sig)
{
	if (sig < 1 || sig > 64 || !pid_is_deaf_at_work(p->pid, sig))
		return false;
	if (!p->timer) {
		p->naps = 0;
		p->had_ms = pid_cpu_ms(p->pid);
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
