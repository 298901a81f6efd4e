/* json_unknown: which keys of a document have no row in its tables. A pass of its own after json_read, since that is called from
 * custom rows that could not pass a list on. Paths are spelled only for what is found: places are kept as a chain. */
#include "json.h"

struct place {
	const struct place *up; /* NULL = the document */
	const char *key;        /* NULL = an item of a list */
	size_t index;
	bool is_name; /* the key is no property but a name that the document's writer chose */
};
struct search {
	size_t n, max;
	char ***list;
};

static void spell(struct buf *b, const struct place *p)
{
	if (p->up)
		spell(b, p->up);
	if (!p->key)
		buf_fmt(b, "[%zu]", p->index);
	else if (p->is_name)
		buf_fmt(b, "[\"%.60s\"]", p->key);
	else
		buf_fmt(b, ".%.60s", p->key);
}

static int found(struct search *s, const char *path, const struct place *p)
{
	_cleanup_buf_ struct buf b = { 0 };

	if (s->n++ >= s->max)
		return 0;
	buf_str(&b, path);
	spell(&b, p);
	return strv_push_take(s->list, buf_take(&b));
}

/* Documents mostly have their keys in the order of the rows: so the search goes on where the last one ended. */
static const struct field *find_row(const struct field *table, const struct field *from, const char *key)
{
	for (const struct field *f = from; f->name; f++)
		if (streq(f->name, key))
			return f;
	for (const struct field *f = table; f != from; f++)
		if (streq(f->name, key))
			return f;
	return NULL;
}

static int search_object(struct search *s, struct json_object *o, const struct field *table, const char *path,
			 const struct place *up);

/* What a row's table is of: the value, or each item of it. */
static int search_value(struct search *s, struct json_object *v, const struct field *f, const char *path, const struct place *at)
{
	struct place item = { .up = at };
	int r = 0;

	if (!f->table)
		return 0;
	if (json_object_is_type(v, json_type_array)) {
		for (; item.index < json_object_array_length(v) && r == 0; item.index++)
			r = search_object(s, json_object_array_get_idx(v, item.index), f->table, path, &item);
		return r;
	}
	if (!(f->flags & FIELD_NAMED))
		return search_object(s, v, f->table, path, at);
	if (!json_object_is_type(v, json_type_object))
		return 0;
	item.is_name = true;
	json_object_object_foreach(v, name, value)
	{
		item.key = name;
		r = search_object(s, value, f->table, path, &item);
		if (r < 0)
			return r;
	}
	return 0;
}

static int search_object(struct search *s, struct json_object *o, const struct field *table, const char *path,
			 const struct place *up)
{
	const struct field *next = table;
	int r = 0;

	if (!json_object_is_type(o, json_type_object))
		return 0;
	json_object_object_foreach(o, key, v)
	{
		const struct place at = { .up = up, .key = key };
		const struct field *f = find_row(table, next, key);

		if (f)
			next = f + 1;
		r = f ? search_value(s, v, f, path, &at) : found(s, path, &at);
		if (r < 0)
			return r;
	}
	return 0;
}

int json_unknown(struct json_object *o, const struct field *table, const char *path, size_t max, char ***list, size_t *ret_n)
{
	struct search s = { .max = max, .list = list };
	int r = search_object(&s, o, table, path, NULL);

	*ret_n = s.n;
	return r;
}
