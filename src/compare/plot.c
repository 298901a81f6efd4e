/* plot.c: what all drawings are made of (plot.h). */
#include "plot.h"

#include "grid.h"
#include "html.h"

#define AXIS_HEIGHT 42 /* labels, and the caption below them */
#define MANY_TICKS  5  /* from here on a narrow page shows every second label */

static double percent(const struct plot *p, double v) { return 2 + 96 * scale_at(&p->scale, v); }

void plot_open(const struct plot *p, const char *id, const char *title, const char *description, int height)
{
	buf_fmt(p->out,
		"<svg class=\"plot\" role=\"img\" width=\"100%%\" height=\"%d\" aria-labelledby=\"%s-t %s-d\"><title "
		"id=\"%s-t\">",
		height + AXIS_HEIGHT, id, id, id);
	html_text(p->out, title);
	buf_fmt(p->out, "</title><desc id=\"%s-d\">", id);
	html_text(p->out, description);
	buf_str(p->out, "</desc>\n");
}

#define LETTER 7   /* pixels, about */
#define ROOM   340 /* of the narrowest axis at a desk */

/* Whether the numbers would stand too close: then every second one is left out. */
static bool is_crowded(const struct scale *s)
{
	char text[NUMBER_LEN];
	size_t width = 0;

	for (size_t i = 0; i < s->n_ticks; i++)
		width += (text_columns(number_tick(s->ticks[i], text), strlen(text)) + 2) * LETTER;
	return width > ROOM;
}

void plot_axis(const struct plot *p, int top, int bottom, const char *caption)
{
	const struct scale *s = &p->scale;
	bool crowded = is_crowded(s);
	char text[NUMBER_LEN];

	for (size_t i = 0; i < s->n_ticks; i++) {
		double x = percent(p, s->ticks[i]);
		buf_fmt(p->out, "<line class=\"grid%s\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"%d\" y2=\"%d\"/>",
			s->ticks[i] == 0 ? " zero" : "", x, x, top, bottom);
		if (crowded && i % 2)
			continue;
		buf_fmt(p->out, "<text class=\"tick%s%s\" x=\"%.2f%%\" y=\"%d\">",
			i % 2 && !crowded && s->n_ticks > MANY_TICKS ? " odd" : "",
			x < 5    ? " first"
			: x > 95 ? " last"
				 : "",
			x, bottom + 15);
		html_text(p->out, number_tick(s->ticks[i], text));
		buf_str(p->out, "</text>");
	}
	html_fmt(p->out, "\n<text class=\"caption\" x=\"98%%\" ");
	buf_fmt(p->out, "y=\"%d\">", bottom + 34);
	html_fmt(p->out, "%s</text>\n", caption);
}

void plot_rule(const struct plot *p, double at, int top, int bottom)
{
	double x = percent(p, at);

	buf_fmt(p->out, "<line class=\"grid zero\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"%d\" y2=\"%d\"/>\n", x, x, top, bottom);
}

void plot_close(const struct plot *p) { buf_str(p->out, "</svg>\n"); }

void plot_labels(const struct plot *p, int y, const char *left, const char *right)
{
	buf_fmt(p->out, "<text class=\"name\" x=\"2%%\" y=\"%d\">", y);
	html_fmt(p->out, "%s</text>", left);
	buf_fmt(p->out, "<text class=\"value\" x=\"98%%\" y=\"%d\">", y);
	html_fmt(p->out, "%s</text>\n", right);
}

/* Around 0,0; filled ones and hollow ones take turns. */
static const char *const marks[MARKS] = {
	"<circle r=\"5\"/>",           "<path d=\"M0-6.5L6.5 0L0 6.5L-6.5 0Z\"/>",
	"<path d=\"M-5-5H5V5H-5Z\"/>", "<path d=\"M0-6L6 5H-6Z\"/>",
	"<path d=\"M0 6L6-5H-6Z\"/>",  "<path d=\"M-5-5L5 5M-5 5L5-5\"/>",
};

const char *plot_mark_shape(size_t which) { return marks[which % MARKS]; }

void plot_mark(const struct plot *p, double at, int y, size_t shape, size_t way)
{
	/* A nested drawing, as paths know no percentages. */
	buf_fmt(p->out, "<svg x=\"%.2f%%\" y=\"%d\" overflow=\"visible\" class=\"mark w%zu\">%s</svg>", percent(p, at), y,
		way % MARKS, plot_mark_shape(shape));
}

void plot_line(const struct plot *p, double from, double to, int y, const char *class, size_t way)
{
	buf_fmt(p->out, "<line class=\"%s w%zu\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"%d\" y2=\"%d\"/>", class, way % MARKS,
		percent(p, from), percent(p, to), y, y);
}
