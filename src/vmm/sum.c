/* sum: see sum.h. The library is its header: inlined, and of it only what is called. */
#include "sum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(sizeof(XXH64_state_t) <= sizeof(struct sum), "a state has room");

static XXH64_state_t *state_of(struct sum *s) { return (XXH64_state_t *)s->state; }

void sum_init(struct sum *s) { (void)XXH64_reset(state_of(s), 0); }

void sum_add(struct sum *s, const void *p, size_t n)
{
	if (n > 0)
		(void)XXH64_update(state_of(s), p, n);
}

uint64_t sum_end(const struct sum *s) { return XXH64_digest((const XXH64_state_t *)s->state); }
