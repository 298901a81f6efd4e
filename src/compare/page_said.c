/* page_said.c: conclusions: which isolation, and what has changed since an earlier run. */
#include <math.h>
#include <stdio.h>

#include "page.h"

static void put_voices(const struct page *p, const struct recommendation *r, bool are_against, const char *heading)
{
	bool is_first = true;

	for (size_t i = 0; i < r->n_voices; i++) {
		const struct voice *v = &r->voices[i];
		if ((v->weight == VOICE_AGAINST) != are_against)
			continue;
		if (is_first)
			html_fmt(p->out, "<h3>%s</h3>\n<ul class=\"voices\">\n", heading);
		is_first = false;
		html_fmt(p->out, "<li><b>%s</b>%s %s</li>\n", v->rule,
			 v->weight == VOICE_DECIDES ? " (asked for; it decides)."
			 : v->is_asked              ? " (asked for)."
						    : ".",
			 v->reason);
	}
	if (!is_first)
		buf_str(p->out, "</ul>\n");
}

static void put_unknown(const struct page *p, const char *what)
{
	buf_str(p->out, "<p class=\"note\">Not known: ");
	html_prose(p->out, what);
	buf_str(p->out, "</p>\n");
}

void page_put_recommendation(const struct page *p, const struct recommendation *r)
{
	html_fmt(p->out,
		 "<section id=\"recommendation\">\n<h2>Recommendation: %s</h2>\n<p><code>berth run --isolation %s</code></p>\n",
		 streq(r->way, "vm") ? "a virtual machine" : "a container", r->way);
	if (!r->n_voices)
		buf_str(p->out, "<p>No rule spoke: a container, which is what <code>berth run</code> gives unasked.</p>\n");
	put_voices(p, r, false, "What speaks for it");
	put_voices(p, r, true, "What is against it");
	for (size_t i = 0; r->unknown && r->unknown[i]; i++)
		put_unknown(p, r->unknown[i]);
	buf_str(p->out, "</section>\n");
}

/* A sign and a class by verdict: the sign says it too. */
static const struct {
	const char *sign, *class;
} verdicts[] = {
	[AGAINST_UNSURE] = { "=", "same" },      [AGAINST_BETTER] = { "\u25b2", "better" },
	[AGAINST_WORSE] = { "\u25bc", "worse" }, [AGAINST_APART] = { "\u2260", "same" },
	[AGAINST_NEW] = { "+", "same" },         [AGAINST_GONE] = { "\u2212", "same" },
};

static void put_medians(const struct page *p, const struct against_row *row)
{
	double least = row->n_before && row->n_now ? MIN(fabs(row->before), fabs(row->now)) : fabs(row->now + row->before);
	struct shown_unit u = unit_shown(row->figure->unit, row->verdict == AGAINST_APART ? 0 : least);
	char before[NUMBER_LEN], now[NUMBER_LEN];

	number_text(row->before * u.times, NARROW_SPACE, before);
	number_text(row->now * u.times, NARROW_SPACE, now);
	html_fmt(p->out, "<td role=\"cell\">%s \u2192 %s <span class=\"unit\">%s</span></td>", row->n_before ? before : "\u2013",
		 row->n_now ? now : "\u2013", streq(u.unit, "count") ? "" : u.unit);
}

static void put_row(const struct page *p, const struct against_row *row, bool has_verdict)
{
	char ratio[NUMBER_LEN], low[NUMBER_LEN], high[NUMBER_LEN];

	_cleanup_free_ char *way = way_label(row->way);

	p->out->failed |= !way;
	html_fmt(p->out, "<tr role=\"row\"><th scope=\"row\" role=\"rowheader\">%s, %s</th>", row->figure->title, way ? way : "");
	put_medians(p, row);
	buf_str(p->out, "<td role=\"cell\">");
	if (row->ratio > 0)
		html_fmt(p->out, "%s <span class=\"unit\">%s\u2013%s</span>", number_ratio(row->ratio, ratio),
			 number_text(row->low, "", low), number_text(row->high, "", high));
	buf_str(p->out, "</td>");
	if (has_verdict)
		html_fmt(p->out, "<td role=\"cell\" class=\"verdict %s\"><span aria-hidden=\"true\">%s</span> %s%s%s</td>",
			 verdicts[row->verdict].class, verdicts[row->verdict].sign, against_words(row), row->why ? ": " : "",
			 row->why ? row->why : "");
	buf_str(p->out, "</tr>\n");
}

/* Rows with something to say, or those without. */
static void put_rows(const struct page *p, const struct against *a, bool are_unsure, const char *caption)
{
	static const char *const titles[] = { "Figure", "median then \u2192 now", "times", "verdict" };
	size_t n = are_unsure ? a->n_of[AGAINST_UNSURE] : a->n_rows - a->n_of[AGAINST_UNSURE];

	if (!n)
		return;
	html_fmt(p->out,
		 "<table class=\"ways then\" role=\"table\">\n<caption>%s</caption>\n<thead role=\"rowgroup\"><tr role=\"row\">",
		 caption);
	for (size_t i = 0; i < ARRAY_SIZE(titles) - are_unsure; i++)
		html_fmt(p->out, "<th scope=\"col\" role=\"columnheader\">%s</th>", titles[i]);
	buf_str(p->out, "</tr></thead>\n<tbody role=\"rowgroup\">\n");
	for (size_t i = 0; i < a->n_rows; i++)
		if ((a->rows[i].verdict == AGAINST_UNSURE) == are_unsure)
			put_row(p, &a->rows[i], !are_unsure);
	buf_str(p->out, "</tbody>\n</table>\n");
}

void page_put_against(const struct page *p, const struct against *a)
{
	_cleanup_free_ char *earlier = page_when(a->earlier);
	char numbers[128];

	html_fmt(p->out, "<section id=\"against\">\n<h2>Against the run of %s</h2>\n", earlier ? earlier : a->earlier);
	snprintf(numbers, sizeof(numbers), "%zu better, %zu worse, %zu without a difference that so many runs can show.",
		 a->n_of[AGAINST_BETTER], a->n_of[AGAINST_WORSE], a->n_of[AGAINST_UNSURE]);
	html_fmt(p->out, "<p>%s</p>\n", numbers);
	if (a->differences)
		buf_str(p->out, "<div class=\"notice\"><b>These were not the same conditions.</b> What differs below may come of "
				"that.<ul>\n");
	for (size_t i = 0; a->differences && a->differences[i]; i++)
		html_fmt(p->out, "<li>%s</li>\n", a->differences[i]);
	if (a->differences)
		buf_str(p->out, "</ul></div>\n");
	put_rows(p, a, false, "What differs");
	put_rows(p, a, true, "No difference that this many runs can show");
	buf_str(p->out, "</section>\n");
}
