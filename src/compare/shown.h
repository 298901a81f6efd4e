/* shown: a figure made ready to be shown: its samples in the unit that they read best in, and what they say in each way. */
#pragma once

#include "figures.h"
#include "number.h"
#include "stats.h"

struct shown {
	const struct figure *figure;
	const char *unit; /* "" for a count */
	size_t n_ways;
	struct stats *of_way; /* in that unit */
	size_t base;          /* the first way that has samples: ratios are to it; n_ways: none has */
};
/* 0 or -ENOMEM; shown_done it in any case. */
int shown_of(const struct figure *f, size_t n_ways, struct shown *ret);
void shown_done(struct shown *s);

/* "5.21 [5.02–5.44]", with the interval's confidence where it is less than SPREAD_CONFIDENCE: "[5.02–5.44, 75 %]". NULL on ENOMEM. */
char *shown_median(const struct stats *s, const char *gap);
/* "p95 6.10, p99 6.90", and where there are too few samples for one "most 6.90"; NULL on ENOMEM. */
char *shown_tail(const struct stats *s, const char *gap);
/* "232×" of the base; false where there is none to tell, also for the base itself. */
bool shown_ratio(const struct shown *s, size_t way, char buf[NUMBER_LEN]);
