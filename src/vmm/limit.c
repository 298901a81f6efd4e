/* limit: see limit.h. */
#include "limit.h"

#include <time.h>

#define SECOND_NS 1000000000u
#define FAR_NS    (INT64_MAX / 4) /* 73 years: sums of two don't overflow */

int64_t limit_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * SECOND_NS + t.tv_nsec;
}

/* What n costs; rounded up, or small requests would be free. */
static int64_t cost_ns(uint64_t n, uint64_t per_second)
{
	unsigned __int128 ns = ((unsigned __int128)n * SECOND_NS + per_second - 1) / per_second;

	return ns > FAR_NS ? FAR_NS : (int64_t)ns;
}

void limit_init(struct vmm_limit *l, const struct vmm_limit_plan *plan, int64_t now_ns)
{
	uint64_t burst = plan->burst ? plan->burst : plan->per_second / 10;

	*l = (struct vmm_limit){ .per_second = plan->per_second };
	if (!l->per_second)
		return;
	l->burst_ns = cost_ns(burst, l->per_second);
	l->paid_ns = now_ns - l->burst_ns;
}

int64_t limit_wait(const struct vmm_limit *l, int64_t now_ns)
{
	return l->per_second && l->paid_ns > now_ns ? l->paid_ns - now_ns : 0;
}

void limit_take(struct vmm_limit *l, uint64_t n, int64_t now_ns)
{
	if (l->per_second)
		l->paid_ns = MIN(MAX(l->paid_ns, now_ns - l->burst_ns) + cost_ns(n, l->per_second), now_ns + FAR_NS);
}
