/* Axes: round ticks, ends that hold what is drawn, and logarithms only where they are needed. */
#include <math.h>

#include "scale.h"
#include "tap.h"
#include "util.h"

static const struct {
	enum scale_kind kind;
	double min, max;
	bool is_log;
	double low, high;
} rows[] = {
	{ SCALE_FIT, 5, 90, false, 0, 100 },
	{ SCALE_FIT, 5, 120, true, 5, 200 },
	{ SCALE_FIT, 5.2, 1240, true, 3, 3000 },
	{ SCALE_FIT, 0.001, 5e4, true, 0.001, 1e5 },
	{ SCALE_FIT, 100, 110, false, 100, 110 },
	{ SCALE_FIT, 0, 1000, false, 0, 1000 },
	{ SCALE_FIT, -5, 1000, false, -250, 1000 },
	{ SCALE_FIT, -110, -100, false, -110, -100 },
	{ SCALE_FIT, 7, 7, false, 6, 8 },
	{ SCALE_FIT, 0, 0, false, 0, 0.2 },
	{ SCALE_FIT, 1, 1e30, true, 1, 1e32 },
	{ SCALE_ZERO, 100, 110, false, 0, 125 },
	{ SCALE_ZERO, 5, 5, false, 0, 5 },
	{ SCALE_LOG, 0.5, 2, true, 0.5, 2 },
	{ SCALE_LOG, 1, 1, true, 1, 2 },
};

TEST(ends_are_round_and_hold_the_values)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct scale s;
		scale_make(&s, rows[i].kind, rows[i].min, rows[i].max);
		if (s.is_log != rows[i].is_log || fabs(s.low - rows[i].low) > 1e-9 * (1 + fabs(rows[i].max)) ||
		    fabs(s.high - rows[i].high) > 1e-9 * (1 + fabs(rows[i].max)))
			TAP_FAIL("%g to %g: %s from %g to %g", rows[i].min, rows[i].max, s.is_log ? "log" : "linear", s.low,
				 s.high);
		ok(s.low <= rows[i].min && s.high >= rows[i].max && s.low < s.high);
	}
}

TEST(ticks_are_few_and_in_order_from_end_to_end)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct scale s;
		scale_make(&s, rows[i].kind, rows[i].min, rows[i].max);
		if (s.n_ticks < 2 || s.n_ticks > 11)
			TAP_FAIL("%g to %g: %zu ticks", rows[i].min, rows[i].max, s.n_ticks);
		ok(scale_at(&s, s.ticks[0]) == 0 && fabs(scale_at(&s, s.ticks[s.n_ticks - 1]) - 1) < 1e-9);
		for (size_t k = 1; k < s.n_ticks; k++)
			ok(s.ticks[k] > s.ticks[k - 1]);
	}
}

TEST(places_follow_the_scale)
{
	struct scale s;

	scale_make(&s, SCALE_FIT, 1, 100);
	ok(s.is_log && fabs(scale_at(&s, 10) - 0.5) < 1e-9);
	scale_make(&s, SCALE_ZERO, 0, 100);
	ok(fabs(scale_at(&s, 25) - 0.25) < 1e-9);
	ok(scale_at(&s, -1) == 0 && scale_at(&s, 1e9) == 1 && scale_at(&s, NAN) == 0 && scale_at(&s, INFINITY) == 1);
}
TAP_MAIN()
