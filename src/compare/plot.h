/* plot: SVG drawings of figures. Places along the axis are percentages and all else pixels, so a drawing is as wide as its page gives it and its
 * letters keep their size. Each carries a title and a description for who does not see it; ways differ by place and label, never by colour alone. */
#pragma once

#include "scale.h"
#include "shown.h"

struct plot {
	struct buf *out;
	struct scale scale;
};
/* Opens the drawing, whose rows take `height`; the axis comes below. id: ours, letters that need no escape; title, description: anybody's. */
void plot_open(const struct plot *p, const char *id, const char *title, const char *description, int height);
/* Grid lines from top to bottom, the axis' numbers below them, and below those what they are. Before the rows, which lie over it. */
void plot_axis(const struct plot *p, int top, int bottom, const char *caption);
/* A grid line that means something: where a ratio is 1. */
void plot_rule(const struct plot *p, double at, int top, int bottom);
void plot_close(const struct plot *p);
/* A label at the left end of a row, and one at the right. */
void plot_labels(const struct plot *p, int y, const char *left, const char *right);
/* A sign at a value, in the way's colour. */
#define MARKS 6
const char *plot_mark_shape(size_t which); /* as SVG around 0,0 */
void plot_mark(const struct plot *p, double at, int y, size_t shape, size_t way);
/* A line between two values, likewise. class: of page_style.c. */
void plot_line(const struct plot *p, double from, double to, int y, const char *class, size_t way);

/* All runs of one figure, a row a way: strips of dots with boxes, or bars where there is but one value each. id as above. */
void plot_figure(struct buf *out, const char *id, const struct shown *s, const struct figure_way *ways);
