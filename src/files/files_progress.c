/* How far a copy has come, on the terminal: one line, drawn anew every 100 ms, wiped at the end. */
#include <stdio.h>

#include "files.h"

#define DRAW_US 100000u

void files_progress(struct file_sink *s, uint64_t bytes)
{
	uint64_t now;
	char size[16];

	s->bytes += bytes;
	if (!s->progress)
		return;
	now = clock_mono_us();
	if (s->shown_us && now - s->shown_us < DRAW_US)
		return;
	if (s->shown_us)
		dprintf(2, "\r\033[K%s %s", s->progress, str_human_size(s->bytes, size));
	s->shown_us = now;
}

void files_progress_end(struct file_sink *s)
{
	if (s->progress && s->shown_us)
		dprintf(2, "\r\033[K");
	s->shown_us = 0;
}
