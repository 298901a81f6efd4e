/* Limits, on a clock of this test's own. */
#include "limit.h"

#include "tap.h"

enum { MS = 1000000 };

/* How many requests of `cost` pass from *now on within ms, by somebody who asks every 0.1 ms. */
static unsigned passed(struct vmm_limit *l, uint64_t cost, int64_t *now, unsigned ms)
{
	unsigned n = 0;

	for (int64_t end = *now + (int64_t)ms * MS; *now < end; *now += MS / 10)
		while (n < 1000000 && limit_wait(l, *now) == 0) {
			limit_take(l, cost, *now);
			n++;
		}
	return n;
}

TEST(no_limit_never_waits)
{
	const struct vmm_limit_plan plan = { 0, 5 };
	struct vmm_limit l;

	limit_init(&l, &plan, 0);
	for (int i = 0; i < 1000; i++)
		limit_take(&l, UINT64_MAX, 0);
	is_int(limit_wait(&l, 0), 0);
}

TEST(a_burst_at_once_then_the_rate)
{
	const struct vmm_limit_plan plan = { 1000, 50 };
	struct vmm_limit l;
	int64_t now = 7;

	limit_init(&l, &plan, now);
	/* What falls due at the moment of asking passes as well, hence one more. */
	is_int(passed(&l, 1, &now, 1), 51);
	unsigned n = passed(&l, 1, &now, 1000);
	ok(n >= 999 && n <= 1001);
}

TEST(what_was_not_taken_is_not_saved_beyond_the_burst)
{
	const struct vmm_limit_plan plan = { 1000, 50 };
	struct vmm_limit l;
	int64_t now = 0;

	limit_init(&l, &plan, now);
	(void)passed(&l, 1, &now, 100);
	now += 3600LL * 1000 * MS;
	is_int(passed(&l, 1, &now, 1), 51);
}

TEST(a_request_larger_than_the_burst_passes_and_is_paid_for_afterwards)
{
	const struct vmm_limit_plan plan = { 1000, 10 };
	struct vmm_limit l;

	limit_init(&l, &plan, 0);
	is_int(limit_wait(&l, 0), 0);
	limit_take(&l, 2010, 0);
	is_int(limit_wait(&l, 0), 2000LL * MS);
	is_int(limit_wait(&l, 1999LL * MS), MS);
	is_int(limit_wait(&l, 2000LL * MS), 0);
}

TEST(the_burst_is_a_tenth_of_a_second_where_none_is_given)
{
	const struct vmm_limit_plan plan = { 1000, 0 };
	struct vmm_limit l;
	int64_t now = 0;

	limit_init(&l, &plan, now);
	is_int(passed(&l, 1, &now, 1), 101);
}

TEST(numbers_at_the_edge_neither_wrap_nor_stop_for_ever)
{
	const struct vmm_limit_plan slow = { 1, UINT64_MAX }, fast = { UINT64_MAX, UINT64_MAX };
	struct vmm_limit l;

	limit_init(&l, &slow, 0);
	for (int i = 0; i < 100; i++)
		limit_take(&l, UINT64_MAX, 0);
	ok(limit_wait(&l, 0) > 0);
	limit_init(&l, &fast, 0);
	limit_take(&l, 1, 0);
	is_int(limit_wait(&l, 0), 0);
	limit_take(&l, UINT64_MAX, 0);
	ok(limit_wait(&l, 0) <= 1000LL * MS);
}

TAP_MAIN()
