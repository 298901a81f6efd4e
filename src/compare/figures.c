/* figures.c: see figures.h. */
#include "figures.h"

#include <math.h>

/* A copy in which what is no UTF-8 has become U+FFFD: command lines and programs' errors may hold anything. NULL on ENOMEM. */
static char *text_copy(const char *s)
{
	_cleanup_buf_ struct buf b = { 0 };

	buf_str(&b, "");
	while (*s) {
		int n = utf8_len(s, strlen(s));
		buf_add(&b, n > 0 ? s : "\xef\xbf\xbd", n > 0 ? (size_t)n : 3);
		s += n > 0 ? n : 1;
	}
	return buf_take(&b);
}

int comparison_init(struct comparison *c, const char *title, const char *image)
{
	char began[RFC3339_LEN];

	*c = (struct comparison){ .title = text_copy(title), .image = image ? text_copy(image) : NULL };
	c->began = text_copy(clock_rfc3339(clock_real_ns(), began));
	c->berth = text_copy(berth_version());
	return c->title && (c->image || !image) && c->began && c->berth ? 0 : -ENOMEM;
}

static void cells_free(struct figure_cell *cells, size_t n)
{
	for (size_t i = 0; cells && i < n; i++) {
		free(cells[i].samples);
		free(cells[i].why_not);
	}
	free(cells);
}

static void figure_done(struct figure *f, size_t n_ways)
{
	free(f->group);
	free(f->id);
	free(f->title);
	free(f->unit);
	free(f->how);
	cells_free(f->cells, n_ways);
}

static void wall_done(struct wall *w, size_t n_ways)
{
	free(w->id);
	free(w->title);
	for (size_t i = 0; w->of_way && i < n_ways; i++)
		free(w->of_way[i]);
	free(w->of_way);
}

void comparison_done(struct comparison *c)
{
	for (size_t i = 0; i < c->n_figures; i++)
		figure_done(&c->figures[i], c->n_ways);
	for (size_t i = 0; i < c->n_walls; i++)
		wall_done(&c->walls[i], c->n_ways);
	for (size_t i = 0; i < c->n_ways; i++) {
		free(c->ways[i].name);
		free(c->ways[i].accelerator);
	}
	free(c->figures);
	free(c->walls);
	free(c->ways);
	map_done(&c->machine);
	free(c->title);
	free(c->image);
	free(c->began);
	free(c->berth);
	*c = (struct comparison){ 0 };
}

int comparison_add_fact(struct comparison *c, const char *key, const char *value)
{
	_cleanup_free_ char *key_copy = text_copy(key), *value_copy = text_copy(value);

	return key_copy && value_copy ? map_set(&c->machine, key_copy, value_copy) : -ENOMEM;
}

/* Room for one more behind n; false where there is no memory, and the list is as it was. */
#define ONE_MORE(list, n)                                                   \
	({                                                                  \
		void *_more = realloc((list), ((n) + 1) * sizeof(*(list))); \
		if (_more)                                                  \
			(list) = _more;                                     \
		_more != NULL;                                              \
	})

int comparison_add_way(struct comparison *c, const char *name, const char *accelerator)
{
	if (c->n_figures || c->n_walls)
		return -EBUSY;
	if (comparison_way(c, name) >= 0)
		return -EEXIST;
	if (!ONE_MORE(c->ways, c->n_ways))
		return -ENOMEM;
	struct figure_way w = { text_copy(name), accelerator ? text_copy(accelerator) : NULL };
	if (!w.name || (accelerator && !w.accelerator)) {
		free(w.name);
		free(w.accelerator);
		return -ENOMEM;
	}
	c->ways[c->n_ways] = w;
	return (int)c->n_ways++;
}

/* ---- figures ---- */

static size_t find_figure(const struct comparison *c, const char *id)
{
	size_t i = 0;

	while (i < c->n_figures && !streq(c->figures[i].id, id))
		i++;
	return i;
}

/* Before the first of those that the table has further down; others than the table's stand where they came. */
static size_t place_of(const struct comparison *c, const struct figure_kind *kind)
{
	size_t at = c->n_figures;

	for (const struct figure_kind *k = kind; k->id; k++)
		at = MIN(at, find_figure(c, k->id));
	return at;
}

static int insert_figure(struct comparison *c, const struct figure_kind *kind, size_t at)
{
	if (!ONE_MORE(c->figures, c->n_figures))
		return -ENOMEM;
	struct figure f = { .group = text_copy(kind->group),
			    .id = text_copy(kind->id),
			    .title = text_copy(kind->title),
			    .unit = text_copy(kind->unit),
			    .how = kind->how ? text_copy(kind->how) : NULL,
			    .more_is_better = kind->more_is_better,
			    .cells = calloc(c->n_ways + 1, sizeof(*f.cells)) };
	if (!f.group || !f.id || !f.title || !f.unit || (kind->how && !f.how) || !f.cells) {
		figure_done(&f, c->n_ways);
		return -ENOMEM;
	}
	memmove(&c->figures[at + 1], &c->figures[at], (c->n_figures - at) * sizeof(*c->figures));
	c->figures[at] = f;
	c->n_figures++;
	return 0;
}

int comparison_add_figure(struct comparison *c, const struct figure_kind *kind)
{
	return find_figure(c, kind->id) < c->n_figures ? -EEXIST : insert_figure(c, kind, c->n_figures);
}

/* The cell, in a figure that is added if need be. */
static int cell_at(struct comparison *c, const char *id, size_t way, struct figure_cell **ret)
{
	size_t at = find_figure(c, id);
	const struct figure_kind *kind = figure_kind_of(id);

	if (way >= c->n_ways || (at == c->n_figures && !kind))
		return -ENOENT;
	if (at == c->n_figures) {
		at = place_of(c, kind);
		int r = insert_figure(c, kind, at);
		if (r < 0)
			return r;
	}
	*ret = &c->figures[at].cells[way];
	return 0;
}

int comparison_add_sample(struct comparison *c, const char *id, size_t way, double value)
{
	struct figure_cell *cell;
	int r = isfinite(value) ? cell_at(c, id, way, &cell) : -EDOM;

	if (r < 0)
		return r;
	if (!ONE_MORE(cell->samples, cell->n))
		return -ENOMEM;
	cell->samples[cell->n++] = value;
	free_ptr(&cell->why_not);
	return 0;
}

int comparison_say_why_not(struct comparison *c, const char *id, size_t way, const char *why)
{
	struct figure_cell *cell;
	int r = cell_at(c, id, way, &cell);

	if (r < 0 || cell->n)
		return r;
	char *copy = text_copy(why);
	if (!copy)
		return -ENOMEM;
	free(cell->why_not);
	cell->why_not = copy;
	return 0;
}

/* ---- walls ---- */

static size_t find_wall(const struct comparison *c, const char *id)
{
	size_t i = 0;

	while (i < c->n_walls && !streq(c->walls[i].id, id))
		i++;
	return i;
}

static int append_wall(struct comparison *c, const char *id, const char *title, bool less_is_better)
{
	if (!ONE_MORE(c->walls, c->n_walls))
		return -ENOMEM;
	struct wall w = { text_copy(id), text_copy(title), calloc(c->n_ways + 1, sizeof(*w.of_way)), less_is_better };
	if (!w.id || !w.title || !w.of_way) {
		wall_done(&w, c->n_ways);
		return -ENOMEM;
	}
	c->walls[c->n_walls++] = w;
	return 0;
}

int comparison_add_wall(struct comparison *c, const char *id, const char *title, bool less_is_better, size_t way,
			const char *value)
{
	size_t at = find_wall(c, id);
	int r = way < c->n_ways ? 0 : -ENOENT;

	if (r == 0 && at == c->n_walls)
		r = append_wall(c, id, title, less_is_better);
	if (r < 0)
		return r;
	char *copy = text_copy(value);
	if (!copy)
		return -ENOMEM;
	free(c->walls[at].of_way[way]);
	c->walls[at].of_way[way] = copy;
	return 0;
}

/* ---- looking ---- */

const struct figure *comparison_figure(const struct comparison *c, const char *id)
{
	size_t at = find_figure(c, id);

	return at < c->n_figures ? &c->figures[at] : NULL;
}

const struct wall *comparison_wall(const struct comparison *c, const char *id)
{
	size_t at = find_wall(c, id);

	return at < c->n_walls ? &c->walls[at] : NULL;
}

bool comparison_has_walls(const struct comparison *c, size_t way)
{
	for (size_t i = 0; i < c->n_walls; i++)
		if (c->walls[i].of_way[way])
			return true;
	return false;
}

bool comparison_has_figures(const struct comparison *c, size_t way)
{
	for (size_t i = 0; i < c->n_figures; i++)
		if (c->figures[i].cells[way].n)
			return true;
	return false;
}

int comparison_way(const struct comparison *c, const char *name)
{
	for (size_t i = 0; i < c->n_ways; i++)
		if (streq(c->ways[i].name, name))
			return (int)i;
	return -1;
}

char *way_label(const struct figure_way *w)
{
	return w->accelerator ? str_fmt("%s (%s)", w->name, w->accelerator) : text_copy(w->name);
}
