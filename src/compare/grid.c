/* grid.c: see grid.h. */
#include "grid.h"

#include <stdio.h>

#define GAP         2
#define LEAST_WIDTH 10 /* of a column */
#define LEAST_FIRST 12 /* of the first, where that lets all others fit */

size_t text_columns(const char *s, size_t n)
{
	size_t columns = 0;

	for (size_t i = 0; i < n; i++)
		columns += ((unsigned char)s[i] & 0xc0) != 0x80;
	return columns;
}

/* Bytes of s that fill a line of at most `width` columns: to its end, to the last blank within, or where one word is longer, as many of it as fit. */
static size_t line_length(const char *s, size_t width)
{
	size_t n = 0, columns = 0, blank = 0;

	for (; s[n] && s[n] != '\n'; n++) {
		columns += ((unsigned char)s[n] & 0xc0) != 0x80;
		if (columns > width)
			return s[n] == ' ' || !blank ? n : blank;
		if (s[n] == ' ' && n > 0)
			blank = n;
	}
	return n;
}

/* What follows a line that was broken: without the blanks or the end of line that broke it. */
static const char *next_line(const char *s)
{
	s += strspn(s, " ");
	return *s == '\n' ? s + 1 : s;
}

/* A copy that can't drive a terminal, nor break a line. NULL on ENOMEM. */
static char *one_line(const char *text)
{
	char *copy = strdup(text);

	for (char *c = copy; c && *c; c++)
		*c = *c == '\t' || *c == '\n' || *c == '\r' ? ' ' : *c;
	return copy ? text_defuse(copy) : NULL;
}

void grid_add(struct grid *g, const char *text) { g->failed |= strv_push_take(&g->cells, one_line(text)) < 0; }

void grid_line(struct grid *g, const char *text)
{
	_cleanup_free_ char *line = one_line(text);
	size_t n = strv_len(g->cells);
	char *both = n && line ? str_fmt("%s\n%s", g->cells[n - 1], line) : NULL;

	g->failed |= !both;
	if (!both)
		return;
	free(g->cells[n - 1]);
	g->cells[n - 1] = both;
}

void grid_fmt(struct grid *g, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (text)
		grid_add(g, text);
	else
		g->failed = true;
}

void grid_done(struct grid *g)
{
	strv_free(g->cells);
	*g = (struct grid){ 0 };
}

static size_t widest(const struct grid *g, size_t column, size_t most)
{
	size_t w = 0;

	for (size_t i = column; g->cells && i < strv_len(g->cells); i += g->n_columns)
		for (const char *s = g->cells[i]; s; s = strchr(s, '\n') ? strchr(s, '\n') + 1 : NULL)
			w = MAX(w, text_columns(s, strcspn(s, "\n")));
	return MIN(w, most);
}

/* Columns of a grid that stand beside each other: the first one, and those from `from` on, before `to`. */
struct panel {
	const size_t *widths;
	size_t from, to;
	const char **rest; /* what each of the row's cells has still to show */
};

static size_t column_of(const struct panel *p, size_t i) { return i ? p->from + i - 1 : 0; }

/* One line of a row. Whether there are more. */
static bool put_line(const struct panel *p, struct buf *out)
{
	size_t blanks = 0;
	bool has_more = false;

	for (size_t i = 0; i < 1 + p->to - p->from; i++) {
		size_t width = p->widths[column_of(p, i)], take = line_length(p->rest[i], width);
		if (take) {
			buf_fmt(out, "%*s%.*s", (int)blanks, "", (int)take, p->rest[i]);
			blanks = 0;
		}
		blanks += width - MIN(width, text_columns(p->rest[i], take)) + GAP;
		p->rest[i] = next_line(p->rest[i] + take);
		has_more |= *p->rest[i] != 0;
	}
	buf_str(out, "\n");
	return has_more;
}

static void put_row(const struct panel *p, char **row, struct buf *out)
{
	for (size_t i = 0; i < 1 + p->to - p->from; i++)
		p->rest[i] = row[column_of(p, i)];
	while (put_line(p, out))
		;
}

/* The first panel's columns, or those behind the last one's, that fit. */
static void next_panel(const struct grid *g, size_t width, struct panel *p)
{
	size_t used = p->widths[0];

	p->from = p->to;
	while (p->to < g->n_columns && (p->to == p->from || used + GAP + p->widths[p->to] <= width))
		used += GAP + p->widths[p->to++];
}

/* Where the columns would fit beside each other behind a first one that is not too narrow, it is so narrow. */
static void narrow_first(const struct grid *g, size_t width, size_t *widths)
{
	size_t others = 0;

	for (size_t i = 1; i < g->n_columns; i++)
		others += GAP + widths[i];
	if (widths[0] + others > width && others + LEAST_FIRST <= width)
		widths[0] = width - others;
}

void grid_put(const struct grid *g, size_t width, size_t first, struct buf *out)
{
	size_t n_rows = g->n_columns ? strv_len(g->cells) / g->n_columns : 0;
	_cleanup_free_ size_t *widths = calloc(g->n_columns + 1, sizeof(*widths));
	_cleanup_free_ const char **rest = calloc(g->n_columns + 1, sizeof(*rest));
	struct panel p = { .widths = widths, .to = 1, .rest = rest };

	out->failed |= g->failed || !widths || !rest;
	if (out->failed || n_rows == 0)
		return;
	widths[0] = widest(g, 0, first);
	for (size_t i = 1; i < g->n_columns; i++)
		widths[i] = MAX(widest(g, i,
				       g->widest                 ? g->widest
				       : width > widths[0] + GAP ? width - widths[0] - GAP
								 : 0),
				LEAST_WIDTH);
	narrow_first(g, width, widths);
	do {
		if (p.to > 1)
			buf_str(out, "\n");
		next_panel(g, width, &p);
		for (size_t row = 0; row < n_rows; row++)
			put_row(&p, g->cells + row * g->n_columns, out);
	} while (p.to < g->n_columns);
}

void text_line(const char *text, size_t width, size_t indent, struct buf *out)
{
	_cleanup_free_ char *line = one_line(text);

	out->failed |= !line;
	for (const char *s = line ? line : ""; *s;) {
		size_t take = line_length(s, width > indent ? width - indent : LEAST_WIDTH);
		buf_add(out, s, take);
		s = next_line(s + take);
		if (*s)
			buf_fmt(out, "\n%*s", (int)indent, "");
	}
	buf_str(out, "\n");
}
