/* stats: what samples say, without a word on how they are distributed. */
#pragma once

#include "util.h"

/* An interval that holds the median of all runs that might have been made, between two order statistics of those that were. confidence: the
 * chance that it does, 0 to 1; the least that is at least SPREAD_CONFIDENCE, or where so few samples can't give that, of least and most. */
struct spread {
	double low, high, confidence;
};
#define SPREAD_CONFIDENCE 0.95

/* Percentiles are by nearest rank: samples that occurred. One that would be the largest sample is not given (has_p95: from 20 samples on,
 * has_p99: from 100), as nothing tells it from a p100. */
struct stats {
	size_t n;
	double min, p25, p50, p75, p95, p99, max;
	bool has_p95, has_p99;
	bool has_spread; /* from two samples on */
	struct spread spread;
	double *sorted; /* owned */
};
/* All samples are finite. n 0 gives zeroes. 0 or -ENOMEM; stats_done it. */
int stats_of(const double *samples, size_t n, struct stats *ret);
void stats_done(struct stats *s);

/* Of the median of n samples: the place, from 0, of the interval's lower end (the upper is n - 1 - it), and its confidence. n > 1. */
size_t spread_place(size_t n, double *ret_confidence);

/* a's median over b's, and the least and most that their spreads allow. */
struct ratio {
	double of, low, high;
};
/* False where there is none to tell: no samples, or a median that is not above zero. high: INFINITY where b's spread reaches zero. */
bool stats_ratio(const struct stats *a, const struct stats *b, struct ratio *ret);
/* Whether their medians differ beyond what chance explains: their spreads don't touch, and there are so many samples that all of one below
 * all of the other would come about by chance in less than one case of twenty (four and four, three and five, two and eight). */
bool stats_differ(const struct stats *a, const struct stats *b);
