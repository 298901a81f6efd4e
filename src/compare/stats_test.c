/* Percentiles, intervals and ratios, beside values that were reckoned by hand or with exact binomials. */
#include <math.h>

#include "stats.h"
#include "tap.h"

static bool near(double a, double b) { return fabs(a - b) < 1e-9 * (1 + fabs(b)); }

/* 1, 2 ... n, in another order. */
static void make(size_t n, double first, struct stats *ret)
{
	double *list = tap_keep(calloc(n + 1, sizeof(double)));

	for (size_t i = 0; i < n; i++)
		list[i] = first + (double)((i * 7919) % n);
	is_int(stats_of(list, n, ret), 0);
}

TEST(percentiles_are_samples_by_nearest_rank)
{
	_cleanup_(stats_done) struct stats s;

	make(20, 1, &s);
	ok(s.min == 1 && s.p25 == 5 && s.p50 == 10 && s.p75 == 15 && s.max == 20);
	ok(s.has_p95 && s.p95 == 19 && !s.has_p99);
}

TEST(a_percentile_that_so_few_samples_can_not_give_is_not_given)
{
	_cleanup_(stats_done) struct stats nineteen, many, more;

	make(19, 1, &nineteen);
	make(99, 1, &many);
	make(100, 1, &more);
	ok(!nineteen.has_p95 && many.has_p95 && !many.has_p99 && more.has_p99);
	is_int((int)more.p99, 99);
}

TEST(one_sample_and_none_have_no_spread)
{
	_cleanup_(stats_done) struct stats none, one, two;

	make(0, 0, &none);
	make(1, 7, &one);
	make(2, 7, &two);
	ok(none.n == 0 && !none.has_spread && none.p50 == 0);
	ok(one.p50 == 7 && one.min == 7 && one.max == 7 && !one.has_spread);
	ok(two.has_spread && two.p50 == 7 && two.spread.low == 7 && two.spread.high == 8 && two.spread.confidence == 0.5);
}

TEST(the_spread_is_the_tightest_with_its_confidence)
{
	static const struct {
		size_t n, place;
		double confidence;
	} rows[] = { { 2, 0, .5 },
		     { 5, 0, .9375 },
		     { 6, 0, .96875 },
		     { 8, 0, .9921875 },
		     { 9, 1, .9609375 },
		     { 10, 1, .978515625 },
		     { 12, 2, .96142578125 },
		     { 20, 5, .9586105346679688 },
		     { 100, 39, .9647997997822952 } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		double confidence;
		is_int(spread_place(rows[i].n, &confidence), rows[i].place);
		ok(near(confidence, rows[i].confidence));
	}
}

TEST(the_spread_of_very_many_samples_does_not_underflow)
{
	double confidence;
	size_t place = spread_place(1000000, &confidence);

	/* n/2 less 0.98 times the root of n, within a few */
	ok(place > 499000 && place < 499030);
	ok(confidence >= .95 && confidence < .951);
}

TEST(ratios_have_the_spreads_extremes)
{
	_cleanup_(stats_done) struct stats a, b, zero;
	struct ratio r;

	make(9, 100, &a); /* 104 [101, 107] */
	make(9, 10, &b);  /* 14 [11, 17] */
	make(9, -4, &zero);
	ok(stats_ratio(&a, &b, &r));
	ok(near(r.of, 104. / 14) && near(r.low, 101. / 17) && near(r.high, 107. / 11));
	ok(!stats_ratio(&a, &zero, &r) && !stats_ratio(&zero, &a, &r));
}

TEST(a_difference_needs_spreads_apart_and_runs_enough)
{
	static const struct {
		size_t n, m;
		double apart;
		bool differ;
	} rows[] = { { 20, 20, 100, true }, { 20, 20, 2, false }, { 3, 3, 100, false }, { 4, 4, 100, true },
		     { 3, 5, 100, true },   { 2, 7, 100, false }, { 2, 8, 100, true },  { 1, 50, 100, false } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(stats_done) struct stats a, b;
		make(rows[i].n, 0, &a);
		make(rows[i].m, rows[i].apart, &b);
		if (stats_differ(&a, &b) != rows[i].differ || stats_differ(&b, &a) != rows[i].differ)
			TAP_FAIL("%zu and %zu samples, %g apart", rows[i].n, rows[i].m, rows[i].apart);
	}
}
TAP_MAIN()
