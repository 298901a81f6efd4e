/* against_print.c: what against.c has found, for people on a terminal. */
#include <math.h>

#include "compare.h"
#include "grid.h"
#include "number.h"

#define FIRST_WIDTH 34

static void add_row(struct grid *g, const struct against_row *row)
{
	double least = row->n_before && row->n_now ? MIN(fabs(row->now), fabs(row->before)) : fabs(row->now + row->before);
	struct shown_unit u = unit_shown(row->figure->unit, row->verdict == AGAINST_APART ? 0 : least);
	char before[NUMBER_LEN], now[NUMBER_LEN], ratio[NUMBER_LEN], low[NUMBER_LEN], high[NUMBER_LEN];
	const char *unit = streq(u.unit, "count") ? "" : u.unit;

	number_text(row->before * u.times, "", before);
	number_text(row->now * u.times, "", now);
	_cleanup_free_ char *way = way_label(row->way);

	g->failed |= !way;
	grid_fmt(g, "%s, %s%s%s", row->figure->title, way ? way : "", *unit ? ", " : "", unit);
	grid_fmt(g, "%s \u2192 %s", row->n_before ? before : "-", row->n_now ? now : "-");
	number_ratio(row->ratio, ratio);
	number_text(row->low, "", low);
	number_text(row->high, "", high);
	_cleanup_free_ char *words = str_fmt("%s%s%s", against_words(row), row->why ? ": " : "", row->why ? row->why : "");
	g->failed |= !words;
	if (row->ratio > 0)
		grid_fmt(g, "%s [%s\u2013%s]", ratio, low, high);
	else
		grid_add(g, words ? words : "");
	if (row->ratio > 0 && row->verdict != AGAINST_UNSURE)
		grid_line(g, words ? words : "");
}

/* Rows with something to say, or those without. */
static void put_rows(const struct against *a, bool are_unsure, size_t width, struct buf *out)
{
	_cleanup_(grid_done) struct grid g = { .n_columns = 3 };

	for (size_t i = 0; i < a->n_rows; i++)
		if ((a->rows[i].verdict == AGAINST_UNSURE) == are_unsure)
			add_row(&g, &a->rows[i]);
	if (g.cells)
		buf_fmt(out, "\n%s\n", are_unsure ? "NO DIFFERENCE THAT THIS MANY RUNS CAN SHOW" : "WHAT DIFFERS");
	grid_put(&g, width, FIRST_WIDTH, out);
}

int against_print(const struct against *a, int fd, size_t width, struct err *e)
{
	_cleanup_buf_ struct buf out = { 0 };
	int r;

	_cleanup_free_ char *head =
		str_fmt("AGAINST THE RUN OF %s: better %zu, worse %zu, no difference shown %zu, not compared %zu", a->earlier,
			a->n_of[AGAINST_BETTER], a->n_of[AGAINST_WORSE], a->n_of[AGAINST_UNSURE],
			a->n_of[AGAINST_APART] + a->n_of[AGAINST_NEW] + a->n_of[AGAINST_GONE]);
	out.failed = !head;
	buf_str(&out, "\n");
	text_line(head ? head : "", width, 2, &out);
	for (size_t i = 0; a->differences && a->differences[i]; i++) {
		buf_str(&out, i ? "                  " : "NOT THE SAME RUN: ");
		text_line(a->differences[i], width, 18, &out);
	}
	put_rows(a, false, width, &out);
	put_rows(a, true, width, &out);
	r = out.failed ? -ENOMEM : fd_write_full(fd, out.data, out.len);
	return r < 0 ? err_set(e, -r, "writing the table: %s", strerror(-r)) : 0;
}
