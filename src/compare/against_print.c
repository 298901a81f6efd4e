/* against_print.c: what against.c has found, for people on a terminal. */
#include <math.h>

#include "compare.h"
#include "grid.h"
#include "number.h"

#define FIRST_WIDTH 30

static void add_row(struct grid *g, const struct against_row *row)
{
	struct shown_unit u =
		unit_shown(row->figure->unit, row->before ? MIN(fabs(row->now), fabs(row->before)) : fabs(row->now));
	char before[NUMBER_LEN], now[NUMBER_LEN], ratio[NUMBER_LEN], low[NUMBER_LEN], high[NUMBER_LEN];
	const char *unit = streq(u.unit, "count") ? "" : u.unit;

	number_text(row->before * u.times, "", before);
	number_text(row->now * u.times, "", now);
	grid_fmt(g, "%s, %s%s%s", row->figure->title, row->way->name, *unit ? ", " : "", unit);
	if (row->verdict == AGAINST_APART) {
		grid_fmt(g, "%s: %s", against_words(row), row->why);
		grid_add(g, "");
		return;
	}
	grid_fmt(g, "%s \u2192 %s", row->n_before ? before : "-", row->n_now ? now : "-");
	number_ratio(row->ratio, ratio);
	number_text(row->low, "", low);
	number_text(row->high, "", high);
	if (row->ratio > 0)
		grid_fmt(g, "%s [%s\u2013%s] %s", ratio, low, high, against_words(row));
	else
		grid_add(g, against_words(row));
}

int against_print(const struct against *a, int fd, size_t width, struct err *e)
{
	_cleanup_(grid_done) struct grid g = { .n_columns = 3 };
	_cleanup_buf_ struct buf out = { 0 };
	int r;

	buf_fmt(&out, "AGAINST THE RUN OF %s\n", a->earlier);
	for (size_t i = 0; a->differences && a->differences[i]; i++) {
		buf_str(&out, i ? "                  " : "NOT THE SAME RUN: ");
		text_line(a->differences[i], width, 18, &out);
	}
	for (size_t i = 0; i < a->n_rows; i++)
		add_row(&g, &a->rows[i]);
	grid_put(&g, width, FIRST_WIDTH, &out);
	buf_fmt(&out, "better %zu, worse %zu, no difference shown %zu, not compared %zu\n", a->n_of[AGAINST_BETTER],
		a->n_of[AGAINST_WORSE], a->n_of[AGAINST_UNSURE],
		a->n_of[AGAINST_APART] + a->n_of[AGAINST_NEW] + a->n_of[AGAINST_GONE]);
	r = out.failed ? -ENOMEM : fd_write_full(fd, out.data, out.len);
	return r < 0 ? err_set(e, -r, "writing the table: %s", strerror(-r)) : 0;
}
