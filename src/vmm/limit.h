/* limit: how much of something a second, with a burst. A token bucket as one number: the time up to which what was taken is
 * paid for. Something may be taken whenever that time is not in the future; what is taken then may cost any amount (a request
 * is not cut in two), and the next waits for as long as that costs. While nothing is taken the debt falls to `burst` below
 * zero and no further.
 *
 * One thread at a time. */
#pragma once

#include "vmm.h"

struct vmm_limit {
	uint64_t per_second;
	int64_t burst_ns, paid_ns;
};

void limit_init(struct vmm_limit *l, const struct vmm_limit_plan *plan, int64_t now_ns);
/* For how many nanoseconds nothing may be taken; 0: now. */
int64_t limit_wait(const struct vmm_limit *l, int64_t now_ns);
void limit_take(struct vmm_limit *l, uint64_t n, int64_t now_ns);
int64_t limit_now(void); /* CLOCK_MONOTONIC */
