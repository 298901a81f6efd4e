#include <stdio.h>

#include "timeline.h"

void timeline_mark(struct timeline *t, const char *what)
{
	if (t->n == TIMELINE_MAX)
		return;
	t->mark[t->n].what = what;
	t->mark[t->n++].us = clock_mono_us();
}

void timeline_line(uint64_t us, uint64_t began_us, const char *who, const char *what, int fd)
{
	dprintf(fd, "%10.3f ms  %-9s %s\n", (double)(int64_t)(us - began_us) / 1e3, who, what);
}

void timeline_print(const struct timeline *t, uint64_t began_us, const char *who, int fd)
{
	for (size_t i = 0; i < t->n; i++)
		timeline_line(t->mark[i].us, began_us, who, t->mark[i].what, fd);
}
