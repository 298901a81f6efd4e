/* grid: text in columns for a terminal: cells are wrapped to their column, and columns that don't fit beside each other come below. */
#pragma once

#include "base.h"

struct grid {
	char **cells; /* strv, row by row */
	size_t n_columns;
	size_t widest; /* that a column but the first may be; 0: a line */
	bool failed;   /* out of memory */
};
/* One more cell, the rows' left to right. It is defused, and of one line. */
void grid_add(struct grid *g, const char *text);
/* Another line of the cell that was added last. */
void grid_line(struct grid *g, const char *text);
void grid_fmt(struct grid *g, const char *fmt, ...) _printf_(2, 3);
/* Appends the rows to out, each no wider than `width` columns where words allow. The first column is at most `first` wide and stands again before the
 * columns that came below. */
void grid_put(const struct grid *g, size_t width, size_t first, struct buf *out);
void grid_done(struct grid *g);

/* Columns that n bytes of UTF-8 take, each character counted as one. */
size_t text_columns(const char *s, size_t n);
/* Appends text and a newline: defused, wrapped at blanks to `width`, each line behind `indent` blanks but the first, which begins where it is. */
void text_line(const char *text, size_t width, size_t indent, struct buf *out);
