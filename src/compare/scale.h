/* scale: from values to places along an axis. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define TICKS_MAX 16
struct scale {
	bool is_log;
	double low, high; /* the axis' ends */
	double ticks[TICKS_MAX];
	size_t n_ticks;
};
enum scale_kind {
	SCALE_FIT,  /* what shows most: logarithmic where the range is wide; not from zero where all values are close together */
	SCALE_ZERO, /* linear, with zero on it: for bars, whose length means something */
	SCALE_LOG,  /* for ratios; min > 0 */
};
/* Ends and ticks are round numbers; three to TICKS_MAX / 2 ticks, and min and max are within. Finite values, min <= max. */
void scale_make(struct scale *s, enum scale_kind kind, double min, double max);
/* 0 at low, 1 at high; what is beyond an end is at it. */
double scale_at(const struct scale *s, double v);
