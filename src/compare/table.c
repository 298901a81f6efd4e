/* table.c: a comparison for people on a terminal: a block for each group, the ways as columns, three lines a figure. */
#include "compare.h"

#include <ctype.h>

#include "grid.h"
#include "shown.h"

#define FIRST_WIDTH 28 /* of the column with titles */

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

static void add_medians(struct grid *g, const struct shown *s, char ***notes)
{
	grid_fmt(g, "%s%s%s", s->figure->title, *s->unit ? ", " : "", s->unit);
	for (size_t i = 0; i < s->n_ways; i++) {
		const struct figure_cell *cell = &s->figure->cells[i];
		if (cell->n)
			add_owned(g, shown_median(&s->of_way[i], ""));
		else if (cell->why_not)
			grid_fmt(g, "none (%zu)", note_of(notes, cell->why_not));
		else
			grid_add(g, "-");
	}
}

static void add_tails(struct grid *g, const struct shown *s)
{
	grid_add(g, "");
	for (size_t i = 0; i < s->n_ways; i++) {
		if (s->of_way[i].n > 1)
			add_owned(g, shown_tail(&s->of_way[i], ""));
		else
			grid_add(g, "");
	}
}

static void add_runs(struct grid *g, const struct shown *s, const struct comparison *c)
{
	grid_fmt(g, "  runs%s%s", s->base < s->n_ways ? ", times " : "", s->base < s->n_ways ? c->ways[s->base].name : "");
	for (size_t i = 0; i < s->n_ways; i++) {
		char ratio[NUMBER_LEN];
		bool has_ratio = shown_ratio(s, i, ratio);
		if (s->of_way[i].n)
			grid_fmt(g, "n %zu%s%s", s->of_way[i].n, has_ratio ? ", " : "", has_ratio ? ratio : "");
		else
			grid_add(g, "");
	}
}

static int add_figure(struct grid *g, const struct comparison *c, const struct figure *f, char ***notes)
{
	_cleanup_(shown_done) struct shown s = { 0 };
	int r = shown_of(f, c->n_ways, &s);

	if (r < 0)
		return r;
	add_medians(g, &s, notes);
	if (s.base == s.n_ways)
		return 0;
	add_tails(g, &s);
	add_runs(g, &s, c);
	return 0;
}

/* "START-UP", and the ways with their accelerators. */
static void add_heading(struct grid *g, const struct comparison *c, const char *title)
{
	_cleanup_free_ char *upper = strdup(title);

	for (char *p = upper; p && *p; p++)
		*p = (char)toupper((unsigned char)*p);
	grid_add(g, upper ? upper : title);
	for (size_t i = 0; i < c->n_ways; i++)
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

static int put_group(const struct comparison *c, size_t at, size_t width, char ***notes, struct buf *out)
{
	_cleanup_(grid_done) struct grid g = { .n_columns = c->n_ways + 1 };
	int r = 0;

	add_heading(&g, c, c->figures[at].group);
	for (size_t i = at; i < c->n_figures && r == 0; i++)
		if (streq(c->figures[i].group, c->figures[at].group))
			r = add_figure(&g, c, &c->figures[i], notes);
	buf_str(out, "\n");
	grid_put(&g, width, FIRST_WIDTH, out);
	return r;
}

static void put_walls(const struct comparison *c, size_t width, struct buf *out)
{
	_cleanup_(grid_done) struct grid g = { .n_columns = c->n_ways + 1 };

	if (!c->n_walls)
		return;
	add_heading(&g, c, "Walls");
	for (size_t i = 0; i < c->n_walls; i++) {
		grid_add(&g, c->walls[i].title);
		for (size_t k = 0; k < c->n_ways; k++)
			grid_add(&g, c->walls[i].of_way[k] ? c->walls[i].of_way[k] : "-");
	}
	buf_str(out, "\n");
	grid_put(&g, width, FIRST_WIDTH, out);
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
	if (c->n_figures)
		text_line("Each figure: the median and in brackets its spread, between which the median of all runs lies with at "
			  "least "
			  "95 % confidence (or as much as is said, where the runs are few); percentiles by nearest rank; n, the "
			  "runs.",
			  width, 0, out);
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
	put_walls(c, width, &out);
	put_legend(c, notes, width, &out);
	if (r < 0 || out.failed)
		return err_set(e, ENOMEM, "out of memory");
	r = fd_write_full(fd, out.data, out.len);
	return r < 0 ? err_set(e, -r, "writing the table: %s", strerror(-r)) : 0;
}
