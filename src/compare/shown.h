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
	size_t base; /* ratios are to this way: the comparison's base, or where that has no samples the first that has; n_ways: none has */
};
/* The way that the others are compared with: the first that has samples of the first figure that any has. */
size_t comparison_base(const struct comparison *c);
/* 0 or -ENOMEM; shown_done it in any case. */
int shown_of(const struct figure *f, size_t n_ways, size_t base, struct shown *ret);
/* Whether anything is to be said of it in this way: samples, or why there are none. */
bool shown_has(const struct shown *s, size_t way);
void shown_done(struct shown *s);

/* "5.21 [5.02–5.44]"; NULL on ENOMEM. */
char *shown_median(const struct stats *s, const char *gap);
/* "p95 6.10, p99 6.90", and where there are too few samples for one "most 6.90"; NULL on ENOMEM. */
char *shown_tail(const struct stats *s, const char *gap);
/* "n 3", with the spread's confidence where it is less than SPREAD_CONFIDENCE: "n 3 (75 %)". NULL on ENOMEM. */
char *shown_runs(const struct stats *s);
/* "232×" of the base; false where there is none to tell, also for the base itself. */
bool shown_ratio(const struct shown *s, size_t way, char buf[NUMBER_LEN]);
