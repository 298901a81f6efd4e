/* save.c: a comparison as JSON (docs/FORMATS.md). Percentiles and spreads are written for whoever reads the file with other tools. */
#include "compare.h"

#include <stdio.h>

#include "stats.h"

#define DOUBLE_LEN 32

/* The shortest decimal that reads as the same number. */
static const char *double_text(double v, char buf[DOUBLE_LEN])
{
	for (int digits = 6; digits <= 17; digits++) {
		snprintf(buf, DOUBLE_LEN, "%.*g", digits, v);
		if (strtod(buf, NULL) == v)
			break;
	}
	return buf;
}

static struct json_object *number(double v)
{
	char text[DOUBLE_LEN];

	return json_object_new_double_s(v, double_text(v, text));
}

/* On one line, however many there are. */
static struct json_object *samples_json(const struct figure_cell *cell)
{
	_cleanup_buf_ struct buf text = { 0 };
	struct json_object *list = json_object_new_array();
	char one[DOUBLE_LEN];
	bool failed = !list;

	for (size_t i = 0; i < cell->n && !failed; i++) {
		struct json_object *v = number(cell->samples[i]);
		buf_fmt(&text, "%s%s", i ? ", " : "[", double_text(cell->samples[i], one));
		failed = !v || json_object_array_add(list, v) < 0;
		if (failed)
			json_object_put(v);
	}
	buf_str(&text, cell->n ? "]" : "[]");
	char *line = buf_take(&text);
	if (failed || !line) {
		free(line);
		json_object_put(list);
		return NULL;
	}
	json_object_set_serializer(list, json_object_userdata_to_json_string, line, json_object_free_userdata);
	return list;
}

static int add_spread(struct json_object *o, const struct stats *s)
{
	struct json_object *spread = s->has_spread ? json_object_new_object() : NULL;

	if (!s->has_spread)
		return 0;
	if (json_add(spread, "low", number(s->spread.low)) < 0 || json_add(spread, "high", number(s->spread.high)) < 0 ||
	    json_add(spread, "confidence", number(s->spread.confidence)) < 0) {
		json_object_put(spread);
		return -ENOMEM;
	}
	return json_add(o, "spread", spread);
}

static int add_stats(struct json_object *o, const struct figure_cell *cell)
{
	_cleanup_(stats_done) struct stats s = { 0 };

	if (stats_of(cell->samples, cell->n, &s) < 0 || json_add(o, "n", json_object_new_uint64(s.n)) < 0 ||
	    json_add(o, "min", number(s.min)) < 0 || json_add(o, "p50", number(s.p50)) < 0 ||
	    (s.has_p95 && json_add(o, "p95", number(s.p95)) < 0) || (s.has_p99 && json_add(o, "p99", number(s.p99)) < 0) ||
	    json_add(o, "max", number(s.max)) < 0 || add_spread(o, &s) < 0)
		return -ENOMEM;
	return json_add(o, "samples", samples_json(cell));
}

static struct json_object *cell_json(const struct figure_cell *cell)
{
	struct json_object *o = json_object_new_object();
	int r = 0;

	if (cell->n)
		r = add_stats(o, cell);
	else if (cell->why_not)
		r = json_add(o, "whyNot", json_object_new_string(cell->why_not));
	if (o && r == 0)
		return o;
	json_object_put(o);
	return NULL;
}

static int add_text(struct json_object *o, const char *key, const char *text)
{
	return text ? json_add(o, key, json_object_new_string(text)) : 0;
}

/* Appends item, which it takes; a NULL one is -ENOMEM. */
static int append(struct json_object *list, struct json_object *item)
{
	if (list && item && json_object_array_add(list, item) == 0)
		return 0;
	json_object_put(item);
	return -ENOMEM;
}

static struct json_object *figure_json(const struct figure *f, size_t n_ways)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct json_object *cells = json_object_new_array();
	int r = cells ? 0 : -ENOMEM;

	for (size_t i = 0; i < n_ways && r == 0; i++)
		r = append(cells, cell_json(&f->cells[i]));
	if (r < 0 || add_text(o, "group", f->group) < 0 || add_text(o, "id", f->id) < 0 || add_text(o, "title", f->title) < 0 ||
	    add_text(o, "unit", f->unit) < 0 || add_text(o, "how", f->how) < 0 ||
	    add_text(o, "better", f->more_is_better ? "more" : "less") < 0) {
		json_object_put(cells);
		return NULL;
	}
	return json_add(o, "cells", cells) < 0 ? NULL : TAKE_PTR(o);
}

static struct json_object *wall_json(const struct wall *w, size_t n_ways)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct json_object *values = json_object_new_array();
	int r = values ? 0 : -ENOMEM;

	for (size_t i = 0; i < n_ways && r == 0; i++)
		r = w->of_way[i] ? append(values, json_object_new_string(w->of_way[i])) : json_object_array_add(values, NULL);
	if (r < 0 || add_text(o, "id", w->id) < 0 || add_text(o, "title", w->title) < 0 ||
	    add_text(o, "better", w->less_is_better ? "less" : "more") < 0) {
		json_object_put(values);
		return NULL;
	}
	return json_add(o, "values", values) < 0 ? NULL : TAKE_PTR(o);
}

static struct json_object *way_json(const struct figure_way *w)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();

	return add_text(o, "name", w->name) < 0 || add_text(o, "accelerator", w->accelerator) < 0 ? NULL : TAKE_PTR(o);
}

struct json_object *comparison_json(const struct comparison *c)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	_cleanup_json_ struct json_object *ways = json_object_new_array(), *figures = json_object_new_array(),
					  *walls = json_object_new_array();
	int r = 0;

	for (size_t i = 0; i < c->n_ways && r == 0; i++)
		r = append(ways, way_json(&c->ways[i]));
	for (size_t i = 0; i < c->n_figures && r == 0; i++)
		r = append(figures, figure_json(&c->figures[i], c->n_ways));
	for (size_t i = 0; i < c->n_walls && r == 0; i++)
		r = append(walls, wall_json(&c->walls[i], c->n_ways));
	if (r < 0 || add_text(o, "schema", COMPARISON_SCHEMA) < 0 || add_text(o, "title", c->title) < 0 ||
	    add_text(o, "image", c->image) < 0 || add_text(o, "began", c->began) < 0 || add_text(o, "berth", c->berth) < 0 ||
	    json_add(o, "interrupted", json_object_new_boolean(c->was_interrupted)) < 0 ||
	    json_add(o, "machine", json_from_map(&c->machine)) < 0 || json_add(o, "ways", json_object_get(ways)) < 0 ||
	    json_add(o, "figures", json_object_get(figures)) < 0 || json_add(o, "walls", json_object_get(walls)) < 0)
		return NULL;
	return TAKE_PTR(o);
}

int comparison_write_json(const struct comparison *c, int fd, struct err *e)
{
	_cleanup_json_ struct json_object *o = comparison_json(c);
	const char *text = o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
									 JSON_C_TO_STRING_NOSLASHESCAPE)
			     : NULL;
	int r = text ? fd_write_full(fd, text, strlen(text)) : -ENOMEM;

	if (r == 0)
		r = fd_write_full(fd, "\n", 1);
	return r < 0 ? err_set(e, -r, "writing the comparison: %s", strerror(-r)) : 0;
}
