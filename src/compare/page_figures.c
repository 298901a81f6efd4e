/* page_figures.c: group by group, each figure with all its runs and its numbers. */
#include <stdio.h>

#include "page.h"
#include "plot.h"

bool page_begins_group(const struct comparison *c, size_t figure)
{
	for (size_t i = 0; i < figure; i++)
		if (streq(c->figures[i].group, c->figures[figure].group))
			return false;
	return true;
}

/* The columns of numbers; those that no way has samples enough for are left out. */
static const struct column {
	const char *title;
	size_t offset;     /* of a double in struct stats */
	size_t has_offset; /* of a bool, or SIZE_MAX: always */
} columns[] = {
	{ "median", offsetof(struct stats, p50), SIZE_MAX },
	{ "p95", offsetof(struct stats, p95), offsetof(struct stats, has_p95) },
	{ "p99", offsetof(struct stats, p99), offsetof(struct stats, has_p99) },
	{ "most", offsetof(struct stats, max), offsetof(struct stats, has_spread) },
};

static bool has_column(const struct stats *s, const struct column *c)
{
	return s->n && (c->has_offset == SIZE_MAX || *(const bool *)(const void *)((const char *)s + c->has_offset));
}

static bool is_shown(const struct shown *s, const struct column *c)
{
	for (size_t i = 0; i < s->n_ways; i++)
		if (has_column(&s->of_way[i], c))
			return true;
	return false;
}

static void put_number(const struct page *p, const struct stats *s, const struct column *c)
{
	char number[NUMBER_LEN];

	html_fmt(p->out, "<td role=\"cell\" data-way=\"%s\">", c->title);
	if (has_column(s, c))
		html_fmt(p->out, "%s",
			 number_text(*(const double *)(const void *)((const char *)s + c->offset), NARROW_SPACE, number));
	buf_str(p->out, "</td>");
}

static bool has_spreads(const struct shown *s)
{
	for (size_t i = 0; i < s->n_ways; i++)
		if (s->of_way[i].has_spread)
			return true;
	return false;
}

static void put_spread(const struct page *p, const struct stats *s)
{
	char low[NUMBER_LEN], high[NUMBER_LEN], confidence[16];

	buf_str(p->out, "<td role=\"cell\" data-way=\"spread\">");
	if (s->has_spread) {
		html_fmt(p->out, "%s\u2013%s", number_text(s->spread.low, NARROW_SPACE, low),
			 number_text(s->spread.high, NARROW_SPACE, high));
		snprintf(confidence, sizeof(confidence), "%.0f", s->spread.confidence * 100);
		if (s->spread.confidence < SPREAD_CONFIDENCE)
			html_fmt(p->out, " <span class=\"unit\">(%s\u202f%%)</span>", confidence);
	}
	buf_str(p->out, "</td>");
}

static void put_way(const struct page *p, const struct shown *s, size_t way)
{
	const struct stats *stats = &s->of_way[way];
	const char *why = s->figure->cells[way].why_not;
	char ratio[NUMBER_LEN], n[32];
	size_t n_columns = has_spreads(s) ? 3 : 2;

	html_fmt(p->out, "<tr role=\"row\"><th scope=\"row\" role=\"rowheader\">%s</th>", p->labels[way]);
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		n_columns += is_shown(s, &columns[i]);
	if (!stats->n) {
		buf_fmt(p->out, "<td role=\"cell\" class=\"why\" colspan=\"%zu\">", n_columns);
		html_fmt(p->out, "%s</td></tr>\n", why ? why : "");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
		if (is_shown(s, &columns[i]))
			put_number(p, stats, &columns[i]);
		if (i == 0 && has_spreads(s))
			put_spread(p, stats);
	}
	snprintf(n, sizeof(n), "%zu", stats->n);
	html_fmt(p->out, "<td role=\"cell\" data-way=\"runs\">%s</td><td role=\"cell\" data-way=\"times\">%s</td></tr>\n", n,
		 shown_ratio(s, way, ratio) ? ratio
		 : way == s->base           ? "1"
					    : "");
}

static void put_numbers(const struct page *p, const struct shown *s)
{
	html_fmt(p->out,
		 "<table class=\"numbers\" role=\"table\">\n<caption class=\"unseen\">%s%s%s</caption>\n<thead "
		 "role=\"rowgroup\"><tr role=\"row\">",
		 s->figure->title, *s->unit ? ", " : "", s->unit);
	html_fmt(p->out, "<th scope=\"col\" role=\"columnheader\">%s</th>", *s->unit ? s->unit : "way");
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
		if (is_shown(s, &columns[i]))
			html_fmt(p->out, "<th scope=\"col\" role=\"columnheader\">%s</th>", columns[i].title);
		if (i == 0 && has_spreads(s))
			buf_str(p->out, "<th scope=\"col\" role=\"columnheader\">spread</th>");
	}
	buf_str(p->out, "<th scope=\"col\" role=\"columnheader\">runs</th><th scope=\"col\" "
			"role=\"columnheader\">times</th></tr></thead>\n"
			"<tbody role=\"rowgroup\">\n");
	for (size_t way = 0; way < s->n_ways; way++)
		if (shown_has(s, way))
			put_way(p, s, way);
	buf_str(p->out, "</tbody>\n</table>\n");
}

static void put_figure(const struct page *p, size_t at)
{
	const struct shown *s = &p->shown[at];
	char id[32];

	snprintf(id, sizeof(id), "figure-%zu", at);
	html_fmt(p->out, "<figure id=\"%s\">\n<figcaption><h3>%s</h3>", id, s->figure->title);
	html_fmt(p->out, "<p>%s ", s->figure->more_is_better ? "More is better." : "Less is better.");
	html_prose(p->out, s->figure->how ? s->figure->how : "");
	buf_str(p->out, "</p></figcaption>\n");
	snprintf(id, sizeof(id), "plot-%zu", at);
	plot_figure(p->out, id, s, p->c->ways);
	put_numbers(p, s);
	buf_str(p->out, "</figure>\n");
}

/* A figure that no way has samples of: each reason once. */
static void put_missing(const struct page *p, const struct figure *f)
{
	const char *said = NULL;

	html_fmt(p->out, "<p class=\"note\"><b>%s</b> was not measured", f->title);
	for (size_t i = 0; i < p->c->n_ways; i++) {
		const char *why = f->cells[i].why_not;
		if (!why || (said && streq(why, said)))
			continue;
		html_fmt(p->out, "%s", said ? "; " : ": ");
		html_prose(p->out, why);
		said = why;
	}
	buf_str(p->out, ".</p>\n");
}

void page_put_groups(const struct page *p)
{
	const struct comparison *c = p->c;

	for (size_t i = 0; i < c->n_figures; i++) {
		char id[32];
		if (!page_begins_group(c, i))
			continue;
		snprintf(id, sizeof(id), "group-%zu", i);
		html_fmt(p->out, "<section id=\"%s\">\n<h2>%s</h2>\n", id, c->figures[i].group);
		if (i == 0)
			buf_str(p->out, "<p class=\"note\">A dot is a run, the box the middle half of them, the upright line the "
					"median, and the bar "
					"below its spread.</p>\n");
		buf_str(p->out, "<div class=\"figures\">\n");
		for (size_t k = i; k < c->n_figures; k++)
			if (streq(c->figures[k].group, c->figures[i].group) && p->shown[k].base < c->n_ways)
				put_figure(p, k);
		buf_str(p->out, "</div>\n");
		for (size_t k = i; k < c->n_figures; k++)
			if (streq(c->figures[k].group, c->figures[i].group) && p->shown[k].base == c->n_ways)
				put_missing(p, &c->figures[k]);
		buf_str(p->out, "</section>\n");
	}
}
