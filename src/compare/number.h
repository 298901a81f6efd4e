/* number: figures as people read them. */
#pragma once

#include <stddef.h>

/* "0.0312", "5.21", "52.1", "521", "52130": three significant digits, and all that stand before the point. gap: what parts thousands from
 * 10000 on ("" or a space), at most 4 bytes. Returns buf. */
#define NUMBER_LEN   64
#define NARROW_SPACE "\u202f"
char *number_text(double v, const char *gap, char buf[NUMBER_LEN]);
/* The same of a round number, without the zeroes behind the point: "0.5", "2.5", "50". Thousands are parted by NARROW_SPACE. */
char *number_tick(double v, char buf[NUMBER_LEN]);
/* "2.31×", "0.043×", "232×"; returns buf. */
char *number_ratio(double v, char buf[NUMBER_LEN]);

/* The unit that a figure is shown in, and what its samples are multiplied by: "ms", the least of which are 1200, become "s". typical: the smallest
 * value that shall still read well. unit is the caller's or static. */
struct shown_unit {
	const char *unit;
	double times;
};
struct shown_unit unit_shown(const char *unit, double typical);
/* "milliseconds" for "ms"; the unit itself where it has no longer name, "number" for a count. */
const char *unit_in_words(const char *unit);
