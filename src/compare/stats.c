/* stats.c: see stats.h. */
#include "stats.h"

#include <math.h>
#include <string.h>

static int compare_doubles(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;

	return (a > b) - (a < b);
}

/* The place, from 0, of a percentile by nearest rank. */
static size_t place_of_percent(size_t n, size_t percent) { return (n * percent + 99) / 100 - 1; }

/* The k-th smallest (from 0) of n samples is above the median with the chance that at most k of n fair coins show heads, and so for the other
 * end: what is between them has it with 1 - 2 P(X <= k), X binomial (n, 1/2). The logarithms of its terms do not underflow. */
size_t spread_place(size_t n, double *ret_confidence)
{
	double log_term = -(double)n * log(2), below = exp(log_term);
	size_t k = 0;

	while (k + 1 < n / 2) {
		double next;
		log_term += log((double)(n - k) / (double)(k + 1));
		next = below + exp(log_term);
		if (1 - 2 * next < SPREAD_CONFIDENCE)
			break;
		below = next;
		k++;
	}
	*ret_confidence = 1 - 2 * below;
	return k;
}

int stats_of(const double *samples, size_t n, struct stats *ret)
{
	struct stats s = { .n = n, .sorted = calloc(n + 1, sizeof(double)) };

	if (!s.sorted)
		return -ENOMEM;
	if (n > 0) {
		memcpy(s.sorted, samples, n * sizeof(double));
		qsort(s.sorted, n, sizeof(double), compare_doubles);
		s.min = s.sorted[0];
		s.max = s.sorted[n - 1];
		s.p25 = s.sorted[place_of_percent(n, 25)];
		s.p50 = s.sorted[place_of_percent(n, 50)];
		s.p75 = s.sorted[place_of_percent(n, 75)];
		s.p95 = s.sorted[place_of_percent(n, 95)];
		s.p99 = s.sorted[place_of_percent(n, 99)];
		s.has_p95 = place_of_percent(n, 95) + 1 < n;
		s.has_p99 = place_of_percent(n, 99) + 1 < n;
	}
	if (n > 1) {
		size_t k = spread_place(n, &s.spread.confidence);
		s.has_spread = true;
		s.spread.low = s.sorted[k];
		s.spread.high = s.sorted[n - 1 - k];
	}
	*ret = s;
	return 0;
}

void stats_done(struct stats *s) { free_ptr(&s->sorted); }

bool stats_ratio(const struct stats *a, const struct stats *b, struct ratio *ret)
{
	double a_low = a->has_spread ? a->spread.low : a->p50, a_high = a->has_spread ? a->spread.high : a->p50;
	double b_low = b->has_spread ? b->spread.low : b->p50, b_high = b->has_spread ? b->spread.high : b->p50;

	if (!a->n || !b->n || a->p50 <= 0 || b->p50 <= 0)
		return false;
	*ret = (struct ratio){ a->p50 / b->p50, MAX(a_low, 0) / b_high, b_low > 0 ? a_high / b_low : INFINITY };
	return true;
}

/* How likely it is that of a + b equal runs, dealt out at random, all of one side lie below or above all of the other: 2 / C(a + b, a). */
static double chance_of_apart(size_t a, size_t b)
{
	double chance = 2;

	for (size_t i = 1; i <= MIN(a, b) && chance > 1e-9; i++)
		chance *= (double)i / (double)(MAX(a, b) + i);
	return chance;
}

bool stats_differ(const struct stats *a, const struct stats *b)
{
	if (!a->has_spread || !b->has_spread || chance_of_apart(a->n, b->n) >= 1 - SPREAD_CONFIDENCE)
		return false;
	return a->spread.high < b->spread.low || b->spread.high < a->spread.low;
}
