/* page_story.c: how long it takes until it runs, in large figures; and the stages on the way there on one axis. */
#include <math.h>
#include <stdio.h>

#include "page.h"
#include "plot.h"

/* The last stage that a user waits for comes first. */
static const char *const told_first[] = { "start.ready", "start.first_byte", "start.first_instruction", "run.whole" };
/* Stages of one start, in the order in which they are reached. */
static const struct stage {
	const char *id, *name;
} stages[] = {
	{ "start.first_instruction", "first instruction" },
	{ "start.first_byte", "first byte of output" },
	{ "start.ready", "ready" },
};

static const struct shown *shown_by_id(const struct page *p, const char *id)
{
	for (size_t i = 0; i < p->c->n_figures; i++)
		if (streq(p->c->figures[i].id, id) && p->shown[i].base < p->shown[i].n_ways)
			return &p->shown[i];
	return NULL;
}

static const struct shown *story_of(const struct page *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(told_first); i++) {
		const struct shown *s = shown_by_id(p, told_first[i]);
		if (s)
			return s;
	}
	for (size_t i = 0; i < p->c->n_figures; i++)
		if (p->shown[i].base < p->shown[i].n_ways)
			return &p->shown[i];
	return NULL;
}

static void put_card(const struct page *p, const struct shown *s, size_t way)
{
	const struct stats *stats = &s->of_way[way];
	char median[NUMBER_LEN], ratio[NUMBER_LEN], low[NUMBER_LEN], high[NUMBER_LEN], n[32];

	html_fmt(p->out, "<div class=\"card\"><dt>%s</dt>", p->labels[way]);
	if (!stats->n) {
		buf_str(p->out, "<dd>not measured</dd></div>\n");
		return;
	}
	html_fmt(p->out, "<dd class=\"large\">%s<span class=\"unit\"> %s</span></dd>\n<dd>",
		 number_text(stats->p50, NARROW_SPACE, median), s->unit);
	snprintf(n, sizeof(n), "%zu", stats->n);
	if (stats->has_spread)
		html_fmt(p->out, "%s\u2013%s, ", number_text(stats->spread.low, NARROW_SPACE, low),
			 number_text(stats->spread.high, NARROW_SPACE, high));
	html_fmt(p->out, "%s run%s", n, stats->n == 1 ? "" : "s");
	if (shown_ratio(s, way, ratio))
		html_fmt(p->out, "<br><b>%s</b> %s", ratio, p->labels[s->base]);
	buf_str(p->out, "</dd></div>\n");
}

/* ---- stages ---- */

/* Medians of all stages in all ways, in one unit. NAN: not measured. */
struct journey {
	const char *unit;
	double *medians; /* n_ways of each stage */
	double least, most;
	size_t n; /* that are there */
};

/* In the figure's own unit. */
static double median_of(const struct figure *f, size_t way)
{
	_cleanup_(stats_done) struct stats s = { 0 };

	if (!f->cells[way].n || stats_of(f->cells[way].samples, f->cells[way].n, &s) < 0)
		return NAN;
	return s.p50;
}

static void add_stage(const struct page *p, size_t stage, struct journey *j)
{
	const struct figure *f = comparison_figure(p->c, stages[stage].id);

	for (size_t way = 0; way < p->c->n_ways; way++) {
		double v = f && streq(f->unit, "ms") ? median_of(f, way) : NAN;
		j->medians[stage * p->c->n_ways + way] = v;
		if (isnan(v))
			continue;
		j->least = j->n ? MIN(j->least, v) : v;
		j->most = j->n ? MAX(j->most, v) : v;
		j->n++;
	}
}

static void to_unit(struct journey *j, size_t n)
{
	struct shown_unit u = unit_shown("ms", j->least);

	j->unit = u.unit;
	j->least *= u.times;
	j->most *= u.times;
	for (size_t i = 0; i < n; i++)
		j->medians[i] *= u.times;
}

static void put_stage_legend(const struct page *p, const struct journey *j)
{
	buf_str(p->out, "<ul class=\"legend\">");
	for (size_t i = 0; i < ARRAY_SIZE(stages); i++) {
		bool is_there = false;
		for (size_t way = 0; way < p->c->n_ways; way++)
			is_there |= !isnan(j->medians[i * p->c->n_ways + way]);
		if (!is_there)
			continue;
		buf_fmt(p->out,
			"<li><svg class=\"mark\" aria-hidden=\"true\" width=\"16\" height=\"16\" viewBox=\"-8 -8 16 "
			"16\">%s</svg> ",
			plot_mark_shape(i));
		html_fmt(p->out, "%s</li>", stages[i].name);
	}
	buf_str(p->out, "</ul>\n");
}

static bool has_stage(const struct page *p, const struct journey *j, size_t way)
{
	for (size_t i = 0; i < ARRAY_SIZE(stages); i++)
		if (!isnan(j->medians[i * p->c->n_ways + way]))
			return true;
	return false;
}

#define STAGE_ROW 46

/* The way from the first stage to the last, as a line with its signs. */
static void put_stage_row(const struct page *p, const struct plot *plot, const struct journey *j, size_t way, int y,
			  struct buf *words)
{
	double first = NAN, last = NAN;

	plot_labels(plot, y + 14, p->labels[way], "");
	for (size_t i = 0; i < ARRAY_SIZE(stages); i++) {
		double v = j->medians[i * p->c->n_ways + way];
		if (isnan(v))
			continue;
		first = isnan(first) ? v : first;
		last = v;
	}
	if (!isnan(first))
		plot_line(plot, first, last, y + 32, "journey", way);
	buf_fmt(words, "%s: ", p->labels[way]);
	for (size_t i = 0; i < ARRAY_SIZE(stages); i++) {
		double v = j->medians[i * p->c->n_ways + way];
		char number[NUMBER_LEN];
		if (isnan(v))
			continue;
		plot_mark(plot, v, y + 32, i, way);
		buf_fmt(words, "%s after %s %s; ", stages[i].name, number_text(v, "", number), j->unit);
	}
}

static void put_journey(const struct page *p, const struct journey *j)
{
	_cleanup_buf_ struct buf words = { 0 }, rows = { 0 };
	struct plot plot = { .out = &rows };
	int bottom = 4;

	scale_make(&plot.scale, j->most > 4 * j->least ? SCALE_LOG : SCALE_ZERO, j->least, j->most);
	_cleanup_free_ char *caption = str_fmt("%s%s", unit_in_words(j->unit), plot.scale.is_log ? ", logarithmic" : "");
	for (size_t way = 0; way < p->c->n_ways; way++) {
		if (!has_stage(p, j, way))
			continue;
		put_stage_row(p, &plot, j, way, bottom - 4, &words);
		bottom += STAGE_ROW;
	}
	plot.out = p->out;
	buf_str(p->out, "<figure>\n<figcaption><h3>From the command to the answer</h3></figcaption>\n");
	put_stage_legend(p, j);
	plot_open(&plot, "stages", "Stages of the start, medians", words.data ? words.data : "", bottom);
	plot_axis(&plot, 0, bottom, caption ? caption : "");
	buf_str(p->out, rows.data ? rows.data : "");
	plot_close(&plot);
	buf_str(p->out, "</figure>\n");
	p->out->failed |= words.failed || rows.failed || !caption;
}

static void put_stages(const struct page *p)
{
	size_t n = ARRAY_SIZE(stages) * p->c->n_ways;
	_cleanup_free_ double *medians = calloc(n + 1, sizeof(*medians));
	struct journey j = { .medians = medians };

	p->out->failed |= !medians;
	for (size_t i = 0; i < ARRAY_SIZE(stages) && medians; i++)
		add_stage(p, i, &j);
	if (j.n <= p->c->n_ways)
		return; /* one stage alone: the figure itself shows more */
	to_unit(&j, n);
	put_journey(p, &j);
}

void page_put_story(const struct page *p)
{
	const struct shown *s = story_of(p);

	if (!s) {
		buf_str(p->out, "<section><p class=\"notice\">Nothing was measured.</p></section>\n");
		return;
	}
	html_fmt(p->out, "<section id=\"story\">\n<h2>%s</h2>\n<dl class=\"cards\">\n", s->figure->title);
	for (size_t i = 0; i < p->c->n_ways; i++)
		if (shown_has(s, i))
			put_card(p, s, i);
	buf_str(p->out, "</dl>\n<p class=\"note\">Medians, and below them the interval that holds the median of all possible "
			"runs with at least "
			"95\u202f% confidence, or as much as so few runs allow.</p>\n");
	put_stages(p);
	buf_str(p->out, "</section>\n");
}
