/* page_cost.c: everything at a glance: each figure of each further way as a multiple of one way's, on one axis; then the medians as a table. */
#include <math.h>
#include <stdio.h>

#include "page.h"
#include "plot.h"

/* How many times the base a way costs: of what is better when more, the other way round, so that right is worse in every row. */
static bool cost_of(const struct page *p, const struct shown *s, size_t way, struct ratio *ret)
{
	struct ratio r;

	if (way == p->base || s->base != p->base || !stats_ratio(&s->of_way[way], &s->of_way[p->base], &r))
		return false;
	*ret = s->figure->more_is_better ? (struct ratio){ 1 / r.of, 1 / r.high, r.low > 0 ? 1 / r.low : INFINITY } : r;
	return ret->of > 0 && isfinite(ret->of);
}

/* Whether a way has a sign in any row. */
static bool has_cost(const struct page *p, size_t way)
{
	struct ratio r;

	for (size_t i = 0; i < p->c->n_figures; i++)
		if (cost_of(p, &p->shown[i], way, &r))
			return true;
	return false;
}

struct glance {
	const struct page *p;
	struct plot plot;
	size_t rows;
	double least, most; /* of medians: spreads may go beyond the axis */
};

static bool has_row(const struct page *p, const struct shown *s)
{
	struct ratio r;

	for (size_t way = 0; way < s->n_ways; way++)
		if (cost_of(p, s, way, &r))
			return true;
	return false;
}

static void find_range(struct glance *g)
{
	g->least = g->most = 1;
	for (size_t i = 0; i < g->p->c->n_figures; i++) {
		g->rows += has_row(g->p, &g->p->shown[i]);
		for (size_t way = 0; way < g->p->c->n_ways; way++) {
			struct ratio r;
			if (!cost_of(g->p, &g->p->shown[i], way, &r))
				continue;
			g->least = MIN(g->least, r.of);
			g->most = MAX(g->most, r.of);
		}
	}
}

#define ROW 36

static void put_row(const struct glance *g, const struct shown *s, int y, struct buf *words)
{
	char ratio[NUMBER_LEN];
	const char *right = "";

	for (size_t way = 0; way < s->n_ways; way++) {
		struct ratio r;
		if (!cost_of(g->p, s, way, &r))
			continue;
		number_ratio(r.of, ratio);
		buf_fmt(words, "%s, %s: %s; ", s->figure->title, g->p->labels[way], ratio);
		right = s->n_ways == 2 ? ratio : "";
		plot_line(&g->plot, r.low, r.high, y + 25, "journey", way);
		plot_mark(&g->plot, r.of, y + 25, way, way);
	}
	plot_labels(&g->plot, y + 13, s->figure->title, right);
}

static void put_legend(const struct page *p)
{
	buf_str(p->out, "<ul class=\"legend\">");
	for (size_t way = 0; way < p->c->n_ways; way++) {
		if (!has_cost(p, way))
			continue;
		buf_fmt(p->out,
			"<li><svg class=\"mark w%zu\" aria-hidden=\"true\" width=\"16\" height=\"16\" viewBox=\"-8 -8 16 "
			"16\">%s</svg> ",
			way % MARKS, plot_mark_shape(way));
		html_fmt(p->out, "%s</li>", p->labels[way]);
	}
	buf_str(p->out, "</ul>\n");
}

static void put_plot(struct glance *g)
{
	_cleanup_buf_ struct buf words = { 0 }, rows = { 0 };
	int y = 0, bottom = (int)g->rows * ROW + 6;

	g->plot.out = &rows;
	scale_make(&g->plot.scale, SCALE_LOG, g->least, g->most);
	for (size_t i = 0; i < g->p->c->n_figures; i++) {
		if (!has_row(g->p, &g->p->shown[i]))
			continue;
		put_row(g, &g->p->shown[i], y, &words);
		y += ROW;
	}
	g->plot.out = g->p->out;
	_cleanup_free_ char *caption = str_fmt("times %s; further right is worse", g->p->labels[g->p->base]);
	plot_open(&g->plot, "costs", "All figures as multiples", words.data ? words.data : "", bottom);
	plot_axis(&g->plot, 0, bottom, caption ? caption : "");
	plot_rule(&g->plot, 1, 0, bottom);
	buf_str(g->p->out, rows.data ? rows.data : "");
	plot_close(&g->plot);
	g->p->out->failed |= words.failed || rows.failed || !caption;
}

static void put_cell(const struct page *p, const struct shown *s, size_t way)
{
	const struct stats *stats = &s->of_way[way];
	char median[NUMBER_LEN], ratio[NUMBER_LEN];

	buf_fmt(p->out, "<td role=\"cell\"%s ", stats->n ? "" : " class=\"absent\"");
	html_fmt(p->out, "data-way=\"%s\">", p->labels[way]);
	if (stats->n)
		html_fmt(p->out, "%s <span class=\"unit\">%s</span>", number_text(stats->p50, NARROW_SPACE, median), s->unit);
	else
		buf_str(p->out, "\u2013");
	if (stats->n && shown_ratio(s, way, ratio))
		html_fmt(p->out, " <span class=\"ratio\">%s</span>", ratio);
	buf_str(p->out, "</td>");
}

static void put_table(const struct page *p)
{
	buf_str(p->out, "<table class=\"ways\" role=\"table\">\n<caption>Medians, and how many times as much they are</caption>\n"
			"<thead role=\"rowgroup\"><tr role=\"row\"><th scope=\"col\" role=\"columnheader\">Figure</th>");
	for (size_t way = 0; way < p->c->n_ways; way++)
		if (comparison_has_figures(p->c, way))
			html_fmt(p->out, "<th scope=\"col\" role=\"columnheader\">%s</th>", p->labels[way]);
	buf_str(p->out, "</tr></thead>\n<tbody role=\"rowgroup\">\n");
	for (size_t i = 0; i < p->c->n_figures; i++) {
		if (p->shown[i].base == p->shown[i].n_ways)
			continue;
		html_fmt(p->out, "<tr role=\"row\"><th scope=\"row\" role=\"rowheader\">%s</th>", p->c->figures[i].title);
		for (size_t way = 0; way < p->c->n_ways; way++)
			if (comparison_has_figures(p->c, way))
				put_cell(p, &p->shown[i], way);
		buf_str(p->out, "</tr>\n");
	}
	buf_str(p->out, "</tbody>\n</table>\n");
}

void page_put_costs(const struct page *p)
{
	struct glance g = { .p = p };

	if (!p->c->n_figures)
		return;
	find_range(&g);
	buf_str(p->out, "<section id=\"glance\">\n<h2>All figures at a glance</h2>\n");
	if (g.rows) {
		html_fmt(p->out,
			 "<figure>\n<figcaption><p>Each figure as a multiple of what <b>%s</b> has; throughput and the "
			 "like, where more is better, the "
			 "other way round. The lines are what the spreads of both allow.</p></figcaption>\n",
			 p->labels[p->base]);
		put_legend(p);
		put_plot(&g);
		buf_str(p->out, "</figure>\n");
	}
	put_table(p);
	buf_str(p->out, "</section>\n");
}
