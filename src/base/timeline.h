/* When each stage of something was reached: what `run --trace-startup` prints. Marking costs one clock read (25 ns), so it is
 * done always and printed when asked for. */
#pragma once

#include "clock.h"

#define TIMELINE_MAX 32

struct timeline {
	size_t n;
	struct {
		const char *what; /* a literal */
		uint64_t us;      /* clock_mono_us */
	} mark[TIMELINE_MAX];
};
/* `what` has just been reached. Beyond TIMELINE_MAX marks nothing more is kept. */
void timeline_mark(struct timeline *t, const char *what);
/* One line a mark on fd: milliseconds since began_us, who, what. */
void timeline_print(const struct timeline *t, uint64_t began_us, const char *who, int fd);
/* The same line, for a stage timed elsewhere. */
void timeline_line(uint64_t us, uint64_t began_us, const char *who, const char *what, int fd);
