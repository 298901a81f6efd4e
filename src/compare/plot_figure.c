/* plot_figure.c: all runs of one figure, way by way, on one axis. */
#include <math.h>

#include "html.h"
#include "plot.h"

#define ROW        52
#define STRIP      34  /* a row's middle, from its top */
#define HALF       12  /* half a box' height */
#define DOTS_MOST  300 /* a row; of more samples as many are shown, evenly from the least to the most */
#define DOT_RADIUS 2.6
#define BOX_LEAST  5 /* samples: of fewer a quartile says nothing that the dots don't */

static bool is_same(const struct stats *s) { return s->n < 3 || s->min == s->max; }

/* One value a way: then its length is what there is to see. */
static bool has_bars(const struct shown *s)
{
	for (size_t i = 0; i < s->n_ways; i++)
		if (s->of_way[i].n && !is_same(&s->of_way[i]))
			return false;
	return true;
}

static void make_scale(const struct shown *s, bool bars, struct scale *ret)
{
	double least = INFINITY, most = -INFINITY;

	for (size_t i = 0; i < s->n_ways; i++) {
		if (!s->of_way[i].n)
			continue;
		least = MIN(least, s->of_way[i].min);
		most = MAX(most, s->of_way[i].max);
	}
	scale_make(ret, bars ? SCALE_ZERO : SCALE_FIT, least, most);
}

static void put_dots(const struct plot *p, const struct stats *s, int y, size_t way)
{
	size_t n = MIN(s->n, DOTS_MOST);
	double up = 0.5;

	buf_fmt(p->out, "<g class=\"dots w%zu\">", way % MARKS);
	for (size_t i = 0; i < n; i++) {
		size_t at = n == 1 ? 0 : (size_t)((double)i * (double)(s->n - 1) / (double)(n - 1) + 0.5);
		/* Steps of the golden ratio spread neighbours apart, and are the same in each drawing. */
		up = fmod(up + 0.6180339887, 1);
		buf_fmt(p->out, "<circle cx=\"%.2f%%\" cy=\"%.1f\" r=\"%.1f\"/>", 2 + 96 * scale_at(&p->scale, s->sorted[at]),
			y + (up - 0.5) * 2 * (HALF - 3), DOT_RADIUS);
	}
	buf_str(p->out, "</g>");
}

static void put_box(const struct plot *p, double from, double to, int y, int half, const char *class, size_t way)
{
	double x = 2 + 96 * scale_at(&p->scale, MIN(from, to)), end = 2 + 96 * scale_at(&p->scale, MAX(from, to));

	buf_fmt(p->out, "<rect class=\"%s w%zu\" x=\"%.2f%%\" width=\"%.2f%%\" y=\"%d\" height=\"%d\"/>", class, way % MARKS, x,
		end - x, y - half, 2 * half);
}

static void put_median(const struct plot *p, double v, int y, int half, size_t way)
{
	double x = 2 + 96 * scale_at(&p->scale, v);

	buf_fmt(p->out, "<line class=\"median w%zu\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"%d\" y2=\"%d\"/>\n", way % MARKS, x, x,
		y - half, y + half);
}

static void put_strip(const struct plot *p, const struct stats *s, int y, size_t way)
{
	if (s->n >= BOX_LEAST)
		put_box(p, s->p25, s->p75, y, HALF, "box", way);
	put_dots(p, s, y, way);
	if (s->has_spread)
		plot_line(p, s->spread.low, s->spread.high, y + HALF + 4, "spread", way);
	put_median(p, s->p50, y, HALF + 2, way);
}

static void put_row(const struct plot *p, const struct shown *s, size_t way, const struct figure_way *w, int y, bool bars)
{
	const struct stats *stats = &s->of_way[way];
	_cleanup_free_ char *label = way_label(w);
	_cleanup_free_ char *value = NULL;
	char number[NUMBER_LEN];

	if (stats->n)
		value = str_fmt("%s%s%s", number_text(stats->p50, NARROW_SPACE, number), *s->unit ? "\u00a0" : "", s->unit);
	else
		value = strdup("none: see below");
	p->out->failed |= !label || !value;
	plot_labels(p, y + 13, label ? label : "", value ? value : "");
	if (stats->n && bars) {
		put_box(p, 0, stats->p50, y + STRIP, HALF - 4, "bar", way);
		if (stats->min != stats->max)
			put_dots(p, stats, y + STRIP, way);
		put_median(p, stats->p50, y + STRIP, HALF - 4, way);
	} else if (stats->n) {
		put_strip(p, stats, y + STRIP, way);
	}
}

/* What there is to see, in words. */
static void describe(const struct shown *s, const struct figure_way *ways, struct buf *out)
{
	for (size_t i = 0; i < s->n_ways; i++) {
		const struct stats *stats = &s->of_way[i];
		_cleanup_free_ char *label = way_label(&ways[i]), *median = shown_median(stats, "");
		char least[NUMBER_LEN], most[NUMBER_LEN];

		out->failed |= !label || !median;
		if (!stats->n || out->failed)
			continue;
		buf_fmt(out, "%s: median %s %s, %zu runs from %s to %s. ", label, median, s->unit, stats->n,
			number_text(stats->min, "", least), number_text(stats->max, "", most));
	}
}

void plot_figure(struct buf *out, const char *id, const struct shown *s, const struct figure_way *ways)
{
	_cleanup_buf_ struct buf words = { 0 };
	struct plot p = { .out = out };
	bool bars = has_bars(s);
	int bottom = 4, y = 0;

	if (s->base == s->n_ways)
		return;
	for (size_t i = 0; i < s->n_ways; i++)
		bottom += shown_has(s, i) ? ROW : 0;
	describe(s, ways, &words);
	out->failed |= words.failed;
	make_scale(s, bars, &p.scale);
	plot_open(&p, id, s->figure->title, words.data ? words.data : "", bottom);
	_cleanup_free_ char *caption =
		str_fmt("%s%s%s", unit_in_words(*s->unit ? s->unit : "count"), p.scale.is_log ? ", logarithmic" : "",
			!p.scale.is_log && (p.scale.low > 0 || p.scale.high < 0) ? ", not from zero" : "");
	plot_axis(&p, 0, bottom, caption ? caption : "");
	for (size_t i = 0; i < s->n_ways; i++) {
		if (!shown_has(s, i))
			continue;
		put_row(&p, s, i, &ways[i], y, bars);
		y += ROW;
	}
	plot_close(&p);
}
