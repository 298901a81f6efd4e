/* scale.c: see scale.h. */
#include "scale.h"

#include <math.h>

#include "util.h"

#define WIDE_RANGE 20  /* from here on small values could not be told apart on a linear axis */
#define CLOSE      0.5 /* least over most: from here on zero would take more of the axis than the values */
#define STEPS      5   /* of a linear axis, about */

/* The first of 1, 2, 2.5, 5, 10 times a power of ten that is at least v. */
static double round_up(double v)
{
	static const double mantissas[] = { 1, 2, 2.5, 5 };
	double power = pow(10, floor(log10(v)));

	for (size_t i = 0; i < ARRAY_SIZE(mantissas); i++)
		if (mantissas[i] * power >= v * (1 - 1e-9))
			return mantissas[i] * power;
	return 10 * power;
}

static void make_linear(struct scale *s, double min, double max)
{
	double span = max > min ? max - min : max != 0 ? fabs(max) : 1, step = round_up(span / STEPS);
	double first = floor(min / step + 1e-9), last = ceil(max / step - 1e-9);

	if (first == last)
		last++;
	s->low = first * step;
	s->high = last * step;
	while (s->n_ticks < TICKS_MAX && first + (double)s->n_ticks <= last) {
		s->ticks[s->n_ticks] = (first + (double)s->n_ticks) * step;
		s->n_ticks++;
	}
}

/* The ticks of one decade, few enough for as many decades as there are. */
struct decade {
	double most; /* decades */
	size_t n;
	double ticks[3];
};
static const struct decade decades[] = {
	{ 2.1, 3, { 1, 2, 5 } }, { 3.7, 2, { 1, 3 } }, { 8.1, 1, { 1 } }, { INFINITY, 1, { 1 } }
};

/* Tick number i, counted from that at 1. */
static double log_tick(const struct decade *d, double every, long i)
{
	long n = (long)d->n, decade = i >= 0 ? i / n : -((-i + n - 1) / n);

	return d->ticks[i - decade * n] * pow(10, (double)decade * every);
}

static void make_log(struct scale *s, double min, double max)
{
	const struct decade *d = decades;
	double span = log10(max / min), every = 1;
	long first, last;

	while (span > d->most)
		d++;
	if (span > 8.1)
		every = ceil(span / 8);
	first = (long)floor(log10(min) / every) * (long)d->n;
	while (log_tick(d, every, first + 1) <= min * (1 + 1e-9))
		first++;
	for (last = first + 1; log_tick(d, every, last) < max * (1 - 1e-9);)
		last++;
	s->is_log = true;
	s->low = log_tick(d, every, first);
	s->high = log_tick(d, every, last);
	for (long i = first; i <= last && s->n_ticks < TICKS_MAX; i++)
		s->ticks[s->n_ticks++] = log_tick(d, every, i);
}

void scale_make(struct scale *s, enum scale_kind kind, double min, double max)
{
	*s = (struct scale){ .n_ticks = 0 };
	if (min > 0 && (kind == SCALE_LOG || (kind == SCALE_FIT && max / min >= WIDE_RANGE)))
		make_log(s, min, max);
	else if (kind == SCALE_FIT && min * max > 0 && MIN(fabs(min), fabs(max)) > CLOSE * MAX(fabs(min), fabs(max)))
		make_linear(s, min, max);
	else
		make_linear(s, MIN(min, 0), MAX(max, 0));
}

double scale_at(const struct scale *s, double v)
{
	double at = s->is_log ? log(v / s->low) / log(s->high / s->low) : (v - s->low) / (s->high - s->low);

	return !(at > 0) ? 0 : at < 1 ? at : 1; /* NaN: at the low end */
}
