/* against.c: this run beside an earlier one, figure by figure and way by way. A difference is called one only where stats_differ says so; what makes the
 * two runs different things is said first. */
#include "compare.h"

#include <strings.h>

#include "stats.h"

/* Facts that differ between any two runs and tell of no other machine. */
static const char *const passing_facts[] = { "load", "memory available", "uptime" };

static bool is_passing(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(passing_facts); i++)
		if (strcasecmp(key, passing_facts[i]) == 0)
			return true;
	return false;
}

static int say(struct against *a, const char *what, const char *now, const char *earlier)
{
	if (streq0(now, earlier))
		return 0;
	return strv_push_take(&a->differences, str_fmt("%s: %s now, %s then", what, now && *now ? now : "not known",
						       earlier && *earlier ? earlier : "not known"));
}

static int say_facts(struct against *a, const struct comparison *now, const struct comparison *earlier)
{
	char *const *keys = now->machine.keys;
	int r = 0;

	for (size_t i = 0; keys && keys[i] && r == 0; i++)
		if (!is_passing(keys[i]))
			r = say(a, keys[i], now->machine.values[i], map_get(&earlier->machine, keys[i]));
	keys = earlier->machine.keys;
	for (size_t i = 0; keys && keys[i] && r == 0; i++)
		if (!is_passing(keys[i]) && !map_get(&now->machine, keys[i]))
			r = say(a, keys[i], NULL, earlier->machine.values[i]);
	return r;
}

static int say_ways(struct against *a, const struct comparison *now, const struct comparison *earlier)
{
	int r = 0;

	for (size_t i = 0; i < now->n_ways && r == 0; i++) {
		int at = comparison_way(earlier, now->ways[i].name);
		_cleanup_free_ char *what = str_fmt("accelerator of %s", now->ways[i].name);
		if (!what)
			return -ENOMEM;
		if (at >= 0)
			r = say(a, what, now->ways[i].accelerator ? now->ways[i].accelerator : "none",
				earlier->ways[at].accelerator ? earlier->ways[at].accelerator : "none");
	}
	return r;
}

static int say_differences(struct against *a, const struct comparison *now, const struct comparison *earlier)
{
	if (say(a, "what was run", now->title, earlier->title) < 0 ||
	    (now->image && earlier->image && say(a, "image", now->image, earlier->image) < 0) || say_facts(a, now, earlier) < 0 ||
	    say_ways(a, now, earlier) < 0)
		return -ENOMEM;
	if (now->was_interrupted)
		return strv_push(&a->differences, "this run was stopped before its end");
	return earlier->was_interrupted ? strv_push(&a->differences, "the earlier run was stopped before its end") : 0;
}

/* ---- rows ---- */

/* What one run has of a figure in a way: all NULL where it has no samples. */
struct side {
	const struct figure *figure;
	const struct figure_way *way;
	const struct figure_cell *cell;
};

static struct side side_of(const struct comparison *c, const char *figure, const char *way)
{
	const struct figure *f = comparison_figure(c, figure);
	int i = comparison_way(c, way);

	if (!f || i < 0 || !f->cells[i].n)
		return (struct side){ 0 };
	return (struct side){ f, &c->ways[i], &f->cells[i] };
}

/* Why two sides are not of the same thing; NULL: they are, or there is no memory (*failed). */
static char *why_apart(const struct side *now, const struct side *before, bool *failed)
{
	const char *a = now->way->accelerator, *b = before->way->accelerator;
	char *why;

	if (streq(now->figure->unit, before->figure->unit) && streq0(a, b))
		return NULL;
	if (streq0(a, b))
		why = str_fmt("in %s now, in %s then", now->figure->unit, before->figure->unit);
	else
		why = str_fmt("%s now, %s then", a ? a : "no VM", b ? b : "no VM");
	*failed = !why;
	return why;
}

static void judge(struct against_row *row, const struct stats *now, const struct stats *before)
{
	struct ratio ratio;

	if (stats_ratio(now, before, &ratio)) {
		row->ratio = ratio.of;
		row->low = ratio.low;
		row->high = ratio.high;
	}
	if (stats_differ(now, before))
		row->verdict = (now->p50 > before->p50) == row->figure->more_is_better ? AGAINST_BETTER : AGAINST_WORSE;
}

/* What the two sides make; at least one has samples. */
static int fill_row(struct against_row *row, const struct side *now, const struct side *before)
{
	_cleanup_(stats_done) struct stats s = { 0 }, t = { 0 };
	const struct side *there = now->cell ? now : before;
	bool failed = false;

	*row = (struct against_row){ .figure = there->figure, .way = there->way };
	if ((now->cell && stats_of(now->cell->samples, now->cell->n, &s) < 0) ||
	    (before->cell && stats_of(before->cell->samples, before->cell->n, &t) < 0))
		return -ENOMEM;
	row->now = s.p50;
	row->before = t.p50;
	row->n_now = s.n;
	row->n_before = t.n;
	if (!now->cell || !before->cell) {
		row->verdict = now->cell ? AGAINST_NEW : AGAINST_GONE;
		return 0;
	}
	row->why = why_apart(now, before, &failed);
	if (row->why)
		row->verdict = AGAINST_APART;
	else
		judge(row, &s, &t);
	return failed ? -ENOMEM : 0;
}

static int add_row(struct against *a, const struct side *now, const struct side *before)
{
	struct against_row *more;

	if (!now->cell && !before->cell)
		return 0;
	more = realloc(a->rows, (a->n_rows + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	a->rows = more;
	if (fill_row(&more[a->n_rows], now, before) < 0)
		return -ENOMEM;
	a->n_of[more[a->n_rows++].verdict]++;
	return 0;
}

/* All ways of one figure: this run's, then those that only the earlier one has. */
static int add_figure(struct against *a, const char *figure, const struct comparison *now, const struct comparison *earlier)
{
	int r = 0;

	for (size_t i = 0; i < now->n_ways + earlier->n_ways && r == 0; i++) {
		const char *way = i < now->n_ways ? now->ways[i].name : earlier->ways[i - now->n_ways].name;
		struct side s = side_of(now, figure, way), t = side_of(earlier, figure, way);
		if (i < now->n_ways || comparison_way(now, way) < 0)
			r = add_row(a, &s, &t);
	}
	return r;
}

int comparison_against(const struct comparison *now, const struct comparison *earlier, struct against *ret, struct err *e)
{
	struct against a = { .earlier = strdup(earlier->began) };
	int r = a.earlier ? say_differences(&a, now, earlier) : -ENOMEM;

	for (size_t i = 0; i < now->n_figures + earlier->n_figures && r == 0; i++) {
		const char *id = i < now->n_figures ? now->figures[i].id : earlier->figures[i - now->n_figures].id;
		if (i < now->n_figures || !comparison_figure(now, id))
			r = add_figure(&a, id, now, earlier);
	}
	if (r < 0) {
		against_done(&a);
		return err_set(e, -r, "out of memory");
	}
	*ret = a;
	return 0;
}

void against_done(struct against *a)
{
	free(a->earlier);
	strv_free(a->differences);
	for (size_t i = 0; i < a->n_rows; i++)
		free(a->rows[i].why);
	free(a->rows);
	*a = (struct against){ 0 };
}

/* ---- for people ---- */

const char *against_words(const struct against_row *row)
{
	bool is_time = streq(row->figure->unit, "ms") || streq(row->figure->unit, "\u00b5s") || streq(row->figure->unit, "ns");
	bool is_better = row->verdict == AGAINST_BETTER;

	switch (row->verdict) {
	case AGAINST_BETTER:
	case AGAINST_WORSE:
		if (is_time)
			return is_better ? "faster, beyond the spread" : "slower, beyond the spread";
		return is_better ? "better, beyond the spread" : "worse, beyond the spread";
	case AGAINST_APART: return "not compared";
	case AGAINST_NEW: return "new";
	case AGAINST_GONE: return "not measured now";
	case AGAINST_UNSURE: break;
	}
	return "no difference that this many runs can show";
}
