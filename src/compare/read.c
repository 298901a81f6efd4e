/* read.c: a comparison out of JSON of anybody's. Nothing is taken on trust: lengths agree with the ways, numbers are finite, ids are unique; what
 * is derived (percentiles, spreads) is not read but reckoned anew. The document is read as it is written (struct document), checked, and then
 * becomes a comparison. */
#include "compare.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#define FILE_MAX    (64u << 20)
#define WAYS_MAX    64
#define FIGURES_MAX 1000
#define TEXT_MAX    4096
#define WAY_MAX     64 /* of a way and of its accelerator: they stand in each table and drawing */
#define UNIT_MAX    16

struct read_figure {
	char *group, *id, *title, *unit, *how, *better;
	struct figure_cell *cells;
	size_t n_cells;
};
struct values {
	char **list; /* NULLs are among them */
	size_t n;
};
struct read_wall {
	char *id, *title, *better;
	struct values values;
};
struct document {
	struct comparison c; /* ways, texts, machine */
	struct read_figure *figures;
	struct read_wall *walls;
	size_t n_figures, n_walls;
};

static int read_samples(struct json_object *v, void *member, const char *path, struct err *e)
{
	struct figure_cell *cell = member;
	char sub[256];

	if (!json_object_is_type(v, json_type_array))
		return json_expected(v, path, "an array of numbers", e);
	size_t n = json_object_array_length(v);
	free(cell->samples);
	cell->samples = calloc(n + 1, sizeof(double));
	if (!cell->samples)
		return err_set(e, ENOMEM, "out of memory");
	for (cell->n = 0; cell->n < n; cell->n++) {
		struct json_object *item = json_object_array_get_idx(v, cell->n);
		bool is_number = json_object_is_type(item, json_type_double) || json_object_is_type(item, json_type_int);
		double d = is_number ? json_object_get_double(item) : NAN;

		if (!isfinite(d)) {
			snprintf(sub, sizeof(sub), "%s[%zu]", path, cell->n);
			return json_expected(item, sub, "a finite number", e);
		}
		cell->samples[cell->n] = d;
	}
	return 0;
}

static void free_samples(void *member) { free_ptr(&((struct figure_cell *)member)->samples); }

/* Strings and nulls. */
static int read_values(struct json_object *v, void *member, const char *path, struct err *e)
{
	struct values *values = member;

	if (!json_object_is_type(v, json_type_array))
		return json_expected(v, path, "an array of strings and nulls", e);
	size_t n = json_object_array_length(v);
	values->list = calloc(n + 1, sizeof(char *));
	if (!values->list)
		return err_set(e, ENOMEM, "out of memory");
	for (values->n = 0; values->n < n; values->n++) {
		struct json_object *item = json_object_array_get_idx(v, values->n);
		char sub[256];
		int r;

		snprintf(sub, sizeof(sub), "%s[%zu]", path, values->n);
		r = item ? json_read_string(item, &values->list[values->n], sub, e) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

static void free_values(void *member)
{
	struct values *values = member;

	for (size_t i = 0; i < values->n; i++)
		free(values->list[i]);
	free_ptr(&values->list);
	values->n = 0;
}

#define AT(struct_name, member) offsetof(struct struct_name, member)
static const struct field way_rows[] = {
	{ "name", FIELD_STRING, AT(figure_way, name), FIELD_REQUIRED },
	{ "accelerator", FIELD_STRING, AT(figure_way, accelerator) },
	{ .name = NULL },
};
static const struct field cell_rows[] = {
	{ "samples", FIELD_CUSTOM, 0, .parse = read_samples, .free = free_samples },
	{ "whyNot", FIELD_STRING, AT(figure_cell, why_not) },
	{ .name = NULL },
};
static const struct field figure_rows[] = {
	{ "group", FIELD_STRING, AT(read_figure, group), FIELD_REQUIRED },
	{ "id", FIELD_STRING, AT(read_figure, id), FIELD_REQUIRED },
	{ "title", FIELD_STRING, AT(read_figure, title), FIELD_REQUIRED },
	{ "unit", FIELD_STRING, AT(read_figure, unit), FIELD_REQUIRED },
	{ "how", FIELD_STRING, AT(read_figure, how) },
	{ "better", FIELD_STRING, AT(read_figure, better), FIELD_REQUIRED },
	{ "cells", FIELD_ARRAY, AT(read_figure, cells), FIELD_REQUIRED, cell_rows, sizeof(struct figure_cell),
	  AT(read_figure, n_cells) },
	{ .name = NULL },
};
static const struct field wall_rows[] = {
	{ "id", FIELD_STRING, AT(read_wall, id), FIELD_REQUIRED },
	{ "title", FIELD_STRING, AT(read_wall, title), FIELD_REQUIRED },
	{ "better", FIELD_STRING, AT(read_wall, better), FIELD_REQUIRED },
	{ "values", FIELD_CUSTOM, AT(read_wall, values), FIELD_REQUIRED, .parse = read_values, .free = free_values },
	{ .name = NULL },
};
static const struct field document_rows[] = {
	{ "title", FIELD_STRING, AT(document, c.title), FIELD_REQUIRED },
	{ "image", FIELD_STRING, AT(document, c.image) },
	{ "began", FIELD_STRING, AT(document, c.began), FIELD_REQUIRED },
	{ "berth", FIELD_STRING, AT(document, c.berth), FIELD_REQUIRED },
	{ "interrupted", FIELD_BOOL, AT(document, c.was_interrupted) },
	{ "machine", FIELD_MAP, AT(document, c.machine), FIELD_REQUIRED },
	{ "ways", FIELD_ARRAY, AT(document, c.ways), FIELD_REQUIRED, way_rows, sizeof(struct figure_way),
	  AT(document, c.n_ways) },
	{ "figures", FIELD_ARRAY, AT(document, figures), FIELD_REQUIRED, figure_rows, sizeof(struct read_figure),
	  AT(document, n_figures) },
	{ "walls", FIELD_ARRAY, AT(document, walls), 0, wall_rows, sizeof(struct read_wall), AT(document, n_walls) },
	{ .name = NULL },
};

static int wrong(struct err *e, const char *list, size_t i, const char *rest)
{
	return err_set(e, EINVAL, ".%s[%zu]%s", list, i, rest);
}

static int check_better(const char *better, const char *list, size_t i, struct err *e)
{
	return streq(better, "less") || streq(better, "more") ? 0 : wrong(e, list, i, ".better: expected \"less\" or \"more\"");
}

/* Ids lead from one file to another, and become ids of the page. */
static int check_id(const char *id, const char *list, size_t i, struct err *e)
{
	size_t n = strlen(id);

	return n > 0 && n <= 64 && strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789._-") == n
		       ? 0
		       : wrong(e, list, i, ".id: expected 1 to 64 of a-z, 0-9, \".\", \"_\", \"-\"");
}

static int check_ways(const struct document *d, struct err *e)
{
	const struct comparison *c = &d->c;

	if (c->n_ways == 0 || c->n_ways > WAYS_MAX)
		return err_set(e, EINVAL, ".ways: expected 1 to %d of them, found %zu", WAYS_MAX, c->n_ways);
	for (size_t i = 0; i < c->n_ways; i++)
		if (!*c->ways[i].name || comparison_way(c, c->ways[i].name) != (int)i)
			return wrong(e, "ways", i, ".name: empty, or there twice");
	for (size_t i = 0; i < c->n_ways; i++)
		if (strlen(c->ways[i].name) > WAY_MAX || (c->ways[i].accelerator && strlen(c->ways[i].accelerator) > WAY_MAX))
			return wrong(e, "ways", i, ": a name or an accelerator of more than 64 bytes");
	return 0;
}

static int check_figures(const struct document *d, struct err *e)
{
	int r = 0;

	if (d->n_figures > FIGURES_MAX)
		return err_set(e, EINVAL, ".figures: %zu of them: %d at most are read", d->n_figures, FIGURES_MAX);
	for (size_t i = 0; r == 0 && i < d->n_figures; i++) {
		const struct read_figure *f = &d->figures[i];
		r = check_id(f->id, "figures", i, e);
		for (size_t k = 0; r == 0 && k < i; k++)
			r = streq(d->figures[k].id, f->id) ? wrong(e, "figures", i, ".id: there twice") : 0;
		if (r == 0)
			r = check_better(f->better, "figures", i, e);
		if (r == 0 && strlen(f->unit) > UNIT_MAX)
			r = wrong(e, "figures", i, ".unit: more than 16 bytes");
		if (r == 0 && f->n_cells != d->c.n_ways)
			r = err_set(e, EINVAL, ".figures[%zu].cells: expected %zu, one a way, found %zu", i, d->c.n_ways,
				    f->n_cells);
	}
	return r;
}

static int check_walls(const struct document *d, struct err *e)
{
	int r = 0;

	if (d->n_walls > FIGURES_MAX)
		return err_set(e, EINVAL, ".walls: %zu of them: %d at most are read", d->n_walls, FIGURES_MAX);
	for (size_t i = 0; r == 0 && i < d->n_walls; i++) {
		const struct read_wall *w = &d->walls[i];
		r = check_id(w->id, "walls", i, e);
		for (size_t k = 0; r == 0 && k < i; k++)
			r = streq(d->walls[k].id, w->id) ? wrong(e, "walls", i, ".id: there twice") : 0;
		if (r == 0)
			r = check_better(w->better, "walls", i, e);
		if (r == 0 && w->values.n != d->c.n_ways)
			r = err_set(e, EINVAL, ".walls[%zu].values: expected %zu, one a way, found %zu", i, d->c.n_ways,
				    w->values.n);
	}
	return r;
}

/* Strings anywhere in it. */
static int check_lengths(struct json_object *o, struct err *e)
{
	int r = 0;

	if (json_object_is_type(o, json_type_string) && json_object_get_string_len(o) > TEXT_MAX)
		return err_set(e, EINVAL, "a text of %d bytes: %d at most are read", json_object_get_string_len(o), TEXT_MAX);
	if (json_object_is_type(o, json_type_array)) {
		for (size_t i = 0; r == 0 && i < json_object_array_length(o); i++)
			r = check_lengths(json_object_array_get_idx(o, i), e);
	} else if (json_object_is_type(o, json_type_object)) {
		json_object_object_foreach(o, key, v)
		{
			if (r == 0 && strlen(key) > TEXT_MAX)
				r = err_set(e, EINVAL, "a key of %zu bytes: %d at most are read", strlen(key), TEXT_MAX);
			if (r == 0)
				r = check_lengths(v, e);
		}
	}
	return r;
}

static int check(const struct document *d, struct err *e)
{
	uint64_t began;

	if (clock_parse(d->c.began, &began) < 0)
		return err_set(e, EINVAL, ".began: expected a time such as 2026-01-02T03:04:05Z");
	int r = check_ways(d, e);
	if (r == 0)
		r = check_figures(d, e);
	return r < 0 ? r : check_walls(d, e);
}

static int check_schema(struct json_object *o, struct err *e)
{
	struct json_object *schema = NULL;
	const char *found;

	json_object_object_get_ex(o, "schema", &schema);
	found = json_object_is_type(schema, json_type_string) ? json_object_get_string(schema) : NULL;
	if (!found)
		return err_set(e, EINVAL, ".schema: missing");
	return streq(found, COMPARISON_SCHEMA)
		       ? 0
		       : err_set(e, EPROTONOSUPPORT, ".schema: \"%.60s\", and this berth reads \"" COMPARISON_SCHEMA "\"", found);
}

static int read_document(struct json_object *o, struct document *d, struct err *e)
{
	int r = check_schema(o, e);

	if (r == 0)
		r = check_lengths(o, e);
	if (r == 0)
		r = json_read(o, document_rows, d, "", e);
	return r < 0 ? r : check(d, e);
}

static void take_figures(struct read_figure *from, size_t n, struct comparison *c)
{
	for (; c->n_figures < n; c->n_figures++) {
		struct read_figure *f = &from[c->n_figures];
		struct figure *to = &c->figures[c->n_figures];

		to->group = TAKE_PTR(f->group);
		to->id = TAKE_PTR(f->id);
		to->title = TAKE_PTR(f->title);
		to->unit = TAKE_PTR(f->unit);
		to->how = TAKE_PTR(f->how);
		to->more_is_better = streq(f->better, "more");
		to->cells = TAKE_PTR(f->cells);
		f->n_cells = 0;
	}
}

static void take_walls(struct read_wall *from, size_t n, struct comparison *c)
{
	for (; c->n_walls < n; c->n_walls++) {
		struct read_wall *w = &from[c->n_walls];
		struct wall *to = &c->walls[c->n_walls];

		to->id = TAKE_PTR(w->id);
		to->title = TAKE_PTR(w->title);
		to->of_way = TAKE_PTR(w->values.list);
		to->less_is_better = streq(w->better, "less");
		w->values.n = 0;
	}
}

/* What is taken from the document is no longer the document's. */
static int take(struct document *d, struct comparison *ret)
{
	struct comparison c = d->c;

	d->c = (struct comparison){ 0 };
	c.figures = calloc(d->n_figures + 1, sizeof(*c.figures));
	c.walls = calloc(d->n_walls + 1, sizeof(*c.walls));
	if (!c.figures || !c.walls) {
		comparison_done(&c);
		return -ENOMEM;
	}
	take_figures(d->figures, d->n_figures, &c);
	take_walls(d->walls, d->n_walls, &c);
	*ret = c;
	return 0;
}

int comparison_parse(const char *text, size_t len, const char *what, struct comparison *ret, struct err *e)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct document d = { 0 };
	struct err inner = { 0 };
	int r = json_parse(text, len, what, &o, e);

	if (r < 0)
		return r;
	r = read_document(o, &d, &inner);
	if (r == 0 && take(&d, ret) < 0)
		r = err_set(&inner, ENOMEM, "out of memory");
	json_free_fields(document_rows, &d);
	return r == 0 ? 0
		      : err_set(e, -r, "%s: %s: give a file that `berth compare --save` of this version wrote", what, inner.msg);
}

int comparison_read(const char *path, struct comparison *ret, struct err *e)
{
	_cleanup_fd_ int opened = streq(path, "-") ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	_cleanup_free_ char *text = NULL;
	const char *what = streq(path, "-") ? "standard input" : path;
	size_t len;

	if (opened < 0 && !streq(path, "-"))
		return err_set(e, errno, "%s: %s: give a file that `berth compare --save` wrote", path, strerror(errno));
	int r = fd_read_all(opened < 0 ? STDIN_FILENO : opened, FILE_MAX, &text, &len);
	if (r == -EFBIG)
		return err_set(e, EFBIG, "%s: more than %u MiB: give a file that `berth compare --save` wrote", what,
			       FILE_MAX >> 20);
	return r < 0 ? err_set(e, -r, "%s: %s", what, strerror(-r)) : comparison_parse(text, len, what, ret, e);
}
