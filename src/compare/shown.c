/* shown.c: see shown.h. */
#include "shown.h"

#include <math.h>

/* The least median that is not zero: what the unit has to suit. */
static double least_of(const struct shown *s)
{
	double least = 0;

	for (size_t i = 0; i < s->n_ways; i++) {
		double v = fabs(s->of_way[i].p50);
		if (v > 0 && (least == 0 || v < least))
			least = v;
	}
	return least;
}

static void scale(struct stats *s, double times)
{
	double *const values[] = {
		&s->min, &s->p25, &s->p50, &s->p75, &s->p95, &s->p99, &s->max, &s->spread.low, &s->spread.high
	};

	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		*values[i] *= times;
	for (size_t i = 0; i < s->n; i++)
		s->sorted[i] *= times;
}

size_t comparison_base(const struct comparison *c)
{
	for (size_t i = 0; i < c->n_figures; i++)
		for (size_t way = 0; way < c->n_ways; way++)
			if (c->figures[i].cells[way].n)
				return way;
	return 0;
}

int shown_of(const struct figure *f, size_t n_ways, size_t base, struct shown *ret)
{
	*ret = (struct shown){
		.figure = f, .n_ways = n_ways, .base = n_ways, .of_way = calloc(n_ways + 1, sizeof(*ret->of_way))
	};
	if (!ret->of_way)
		return -ENOMEM;
	for (size_t i = 0; i < n_ways; i++) {
		int r = stats_of(f->cells[i].samples, f->cells[i].n, &ret->of_way[i]);
		if (r < 0)
			return r;
		if (f->cells[i].n && (ret->base == n_ways || i == base))
			ret->base = i;
	}
	struct shown_unit u = unit_shown(f->unit, least_of(ret));
	for (size_t i = 0; i < n_ways; i++)
		scale(&ret->of_way[i], u.times);
	ret->unit = streq(u.unit, "count") ? "" : u.unit;
	return 0;
}

bool shown_has(const struct shown *s, size_t way) { return s->of_way[way].n || s->figure->cells[way].why_not; }

void shown_done(struct shown *s)
{
	for (size_t i = 0; s->of_way && i < s->n_ways; i++)
		stats_done(&s->of_way[i]);
	free_ptr(&s->of_way);
}

char *shown_median(const struct stats *s, const char *gap)
{
	char median[NUMBER_LEN], low[NUMBER_LEN], high[NUMBER_LEN];

	number_text(s->p50, gap, median);
	if (!s->has_spread)
		return strdup(median);
	number_text(s->spread.low, gap, low);
	number_text(s->spread.high, gap, high);
	return str_fmt("%s [%s\u2013%s]", median, low, high);
}

char *shown_runs(const struct stats *s)
{
	if (!s->has_spread || s->spread.confidence >= SPREAD_CONFIDENCE)
		return str_fmt("n %zu", s->n);
	return str_fmt("n %zu (%.0f %%)", s->n, s->spread.confidence * 100);
}

char *shown_tail(const struct stats *s, const char *gap)
{
	char p95[NUMBER_LEN], p99[NUMBER_LEN], most[NUMBER_LEN];

	number_text(s->p95, gap, p95);
	number_text(s->p99, gap, p99);
	number_text(s->max, gap, most);
	if (s->has_p99)
		return str_fmt("p95 %s, p99 %s", p95, p99);
	return s->has_p95 ? str_fmt("p95 %s, most %s", p95, most) : str_fmt("most %s", most);
}

bool shown_ratio(const struct shown *s, size_t way, char buf[NUMBER_LEN])
{
	struct ratio r;

	if (way == s->base || s->base == s->n_ways || !stats_ratio(&s->of_way[way], &s->of_way[s->base], &r))
		return false;
	number_ratio(r.of, buf);
	return true;
}
