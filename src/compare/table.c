/* table.c: a comparison for people on a terminal: a block for each group, the ways as columns, up to three lines a figure. */
#include "compare.h"

#include <ctype.h>

#include "grid.h"
#include "shown.h"

#define FIRST_WIDTH 22 /* of the column with titles */

/* Why cells are empty, each reason once; a cell refers to it by its number, from 1. */
static size_t note_of(char ***notes, const char *text)
{
	size_t i = 0;

	while (*notes && (*notes)[i] && !streq((*notes)[i], text))
		i++;
	if (!*notes || !(*notes)[i])
		return strv_push(notes, text) < 0 ? 0 : i + 1;
	return i + 1;
}

static void add_owned(struct grid *g, char *text)
{
	g->failed |= !text;
	grid_add(g, text ? text : "");
	free(text);
}

static void line_owned(struct grid *g, char *text)
{
	g->failed |= !text;
	grid_line(g, text ? text : "");
	free(text);
}

/* A cell of three lines: the median and its spread, the tail, the runs and the ratio. */
static void add_samples(struct grid *g, const struct shown *s, size_t way)
{
	const struct stats *stats = &s->of_way[way];
	_cleanup_free_ char *runs = shown_runs(stats);
	char ratio[NUMBER_LEN];

	add_owned(g, shown_median(stats, ""));
	if (stats->n > 1)
		line_owned(g, shown_tail(stats, ""));
	g->failed |= !runs;
	if (runs && shown_ratio(s, way, ratio))
		line_owned(g, str_fmt("%s, %s", runs, ratio));
	else
		grid_line(g, runs ? runs : "");
}

/* Ways of which a group has nothing to say have no column in its block. */
static int add_figure(struct grid *g, const struct comparison *c, const struct figure *f, const bool *has_way, char ***notes)
{
	_cleanup_(shown_done) struct shown s = { 0 };
	int r = shown_of(f, c->n_ways, comparison_base(c), &s);

	if (r < 0)
		return r;
	grid_fmt(g, "%s%s%s", f->title, *s.unit ? ", " : "", s.unit);
	for (size_t i = 0; i < c->n_ways; i++) {
		if (!has_way[i])
			continue;
		if (s.of_way[i].n)
			add_samples(g, &s, i);
		else if (f->cells[i].why_not)
			grid_fmt(g, "none (%zu)", note_of(notes, f->cells[i].why_not));
		else
			grid_add(g, "-");
	}
	return 0;
}

/* "START-UP", and the ways with their accelerators. */
static void add_heading(struct grid *g, const struct comparison *c, const char *title, const bool *has_way)
{
	_cleanup_free_ char *upper = strdup(title);

	for (char *p = upper; p && *p; p++)
		*p = (char)toupper((unsigned char)*p);
	grid_add(g, upper ? upper : title);
	for (size_t i = 0; i < c->n_ways; i++)
		if (has_way[i])
			add_owned(g, way_label(&c->ways[i]));
}

/* Whether a figure before this one is of its group: then the block has been printed. */
static bool is_printed(const struct comparison *c, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (streq(c->figures[i].group, c->figures[at].group))
			return true;
	return false;
}

/* Which ways the group of figure `at` says anything of; how many. */
static size_t ways_of_group(const struct comparison *c, size_t at, bool *has_way)
{
	size_t n = 0;

	for (size_t way = 0; way < c->n_ways; way++) {
		for (size_t i = at; i < c->n_figures; i++)
			if (streq(c->figures[i].group, c->figures[at].group))
				has_way[way] |= c->figures[i].cells[way].n || c->figures[i].cells[way].why_not;
		n += has_way[way];
	}
	return n;
}

static int put_group(const struct comparison *c, size_t at, size_t width, char ***notes, struct buf *out)
{
	_cleanup_free_ bool *has_way = calloc(c->n_ways + 1, sizeof(*has_way));
	_cleanup_(grid_done) struct grid g = { 0 };
	int r = has_way ? 0 : -ENOMEM;

	if (r < 0)
		return r;
	g.n_columns = ways_of_group(c, at, has_way) + 1;
	add_heading(&g, c, c->figures[at].group, has_way);
	for (size_t i = at; i < c->n_figures && r == 0; i++)
		if (streq(c->figures[i].group, c->figures[at].group))
			r = add_figure(&g, c, &c->figures[i], has_way, notes);
	buf_str(out, "\n");
	grid_put(&g, width, FIRST_WIDTH, out);
	return r;
}

/* Which ways any wall is known of; how many. */
static size_t ways_of_walls(const struct comparison *c, bool *has_way)
{
	size_t n = 0;

	for (size_t way = 0; way < c->n_ways; way++) {
		has_way[way] = comparison_has_walls(c, way);
		n += has_way[way];
	}
	return n;
}

#define WALL_LEAST 16 /* of a column of words */

static int put_walls(const struct comparison *c, size_t width, struct buf *out)
{
	_cleanup_free_ bool *has_way = calloc(c->n_ways + 1, sizeof(*has_way));
	_cleanup_(grid_done) struct grid g = { 0 };
	size_t n = has_way ? ways_of_walls(c, has_way) : 0;

	if (!has_way)
		return -ENOMEM;
	if (!n)
		return 0;
	g.n_columns = n + 1;
	g.widest = MAX(width > FIRST_WIDTH ? (width - FIRST_WIDTH) / n - MIN((width - FIRST_WIDTH) / n, 2) : 0, WALL_LEAST);
	add_heading(&g, c, "Walls", has_way);
	for (size_t i = 0; i < c->n_walls; i++) {
		grid_add(&g, c->walls[i].title);
		for (size_t way = 0; way < c->n_ways; way++)
			if (has_way[way])
				grid_add(&g, c->walls[i].of_way[way] ? c->walls[i].of_way[way] : "-");
	}
	buf_str(out, "\n");
	grid_put(&g, width, FIRST_WIDTH, out);
	return 0;
}

static void put_head(const struct comparison *c, size_t width, struct buf *out)
{
	_cleanup_free_ char *run = str_fmt("%s, berth %s", c->began, c->berth);

	text_line(c->title, width, 0, out);
	text_line(run ? run : "", width, 0, out);
	for (size_t i = 0; c->machine.keys && c->machine.keys[i]; i++) {
		_cleanup_free_ char *line = str_fmt("%s: %s", c->machine.keys[i], c->machine.values[i]);
		text_line(line ? line : "", width, 2, out);
	}
	if (c->was_interrupted)
		text_line("It was stopped before its end: these are the runs until then.", width, 0, out);
}

static void put_legend(const struct comparison *c, char **notes, size_t width, struct buf *out)
{
	buf_str(out, "\n");
	for (size_t i = 0; notes && notes[i]; i++) {
		buf_fmt(out, "(%zu) ", i + 1);
		text_line(notes[i], width, 4, out);
	}
	if (!c->n_figures)
		return;
	_cleanup_free_ char *legend = str_fmt("Each figure: the median and in brackets its spread, two runs between which the "
					      "median of all possible runs lies with "
					      "at least 95 %% confidence, or as much as is said behind n, the runs; percentiles "
					      "by nearest rank; \u00d7, times %s.",
					      c->ways[comparison_base(c)].name);
	out->failed |= !legend;
	text_line(legend ? legend : "", width, 0, out);
}

int comparison_print_table(const struct comparison *c, int fd, size_t width, struct err *e)
{
	_cleanup_strv_ char **notes = NULL;
	_cleanup_buf_ struct buf out = { 0 };
	int r = 0;

	put_head(c, width, &out);
	for (size_t i = 0; i < c->n_figures && r == 0; i++)
		if (!is_printed(c, i))
			r = put_group(c, i, width, &notes, &out);
	if (r == 0)
		r = put_walls(c, width, &out);
	put_legend(c, notes, width, &out);
	if (r < 0 || out.failed)
		return err_set(e, ENOMEM, "out of memory");
	r = fd_write_full(fd, out.data, out.len);
	return r < 0 ? err_set(e, -r, "writing the table: %s", strerror(-r)) : 0;
}
