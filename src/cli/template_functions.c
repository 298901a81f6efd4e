/* template_functions.c: the functions of templates, as one table, and Go's ways of printing a value and of finding it true. */
#include "template_impl.h"

#include <ctype.h>

/* ---- printing and truth, as Go has them ---- */

static int compare_keys(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

const char **template_keys(struct json_object *map)
{
	const char **keys = calloc((size_t)json_object_object_length(map) + 1, sizeof(*keys));
	size_t n = 0;

	if (!keys)
		return NULL;
	json_object_object_foreach(map, key, member)
	{
		(void)member;
		keys[n++] = key;
	}
	qsort(keys, n, sizeof(*keys), compare_keys);
	return keys;
}

static void put_map(struct json_object *map, struct buf *out)
{
	_cleanup_free_ const char **keys = template_keys(map);

	out->failed |= !keys;
	buf_str(out, "map[");
	for (const char **key = keys; key && *key; key++) {
		buf_fmt(out, "%s%s:", key == keys ? "" : " ", *key);
		template_value(json_object_object_get(map, *key), out);
	}
	buf_str(out, "]");
}

void template_value(struct json_object *v, struct buf *out)
{
	switch (json_object_get_type(v)) {
	case json_type_null: buf_str(out, "<no value>"); return;
	case json_type_string: buf_add(out, json_object_get_string(v), (size_t)json_object_get_string_len(v)); return;
	case json_type_array:
		buf_str(out, "[");
		for (size_t i = 0; i < json_object_array_length(v); i++) {
			buf_str(out, i ? " " : "");
			template_value(json_object_array_get_idx(v, i), out);
		}
		buf_str(out, "]");
		return;
	case json_type_object: put_map(v, out); return;
	default: buf_str(out, json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN));
	}
}

bool template_is_true(struct json_object *v)
{
	switch (json_object_get_type(v)) {
	case json_type_null: return false;
	case json_type_boolean: return json_object_get_boolean(v);
	case json_type_string: return json_object_get_string_len(v) > 0;
	case json_type_array: return json_object_array_length(v) > 0;
	case json_type_object: return json_object_object_length(v) > 0;
	default: return json_object_get_double(v) != 0;
	}
}

/* ---- functions ---- */

static struct json_object *text_of(const struct buf *b)
{
	return json_object_new_string_len(b->data ? b->data : "", (int)b->len);
}

static int fn_json(struct tmpl *t, const struct value *a, size_t n, struct value *ret)
{
	(void)n;
	(void)t;
	ret->v = json_object_new_string(
		json_object_to_json_string_ext(a[0].v, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	return 0;
}

static int fn_len(struct tmpl *t, const struct value *a, size_t n, struct value *ret)
{
	(void)n;
	switch (json_object_get_type(a[0].v)) {
	case json_type_array: ret->v = json_object_new_int64((int64_t)json_object_array_length(a[0].v)); return 0;
	case json_type_object: ret->v = json_object_new_int64(json_object_object_length(a[0].v)); return 0;
	case json_type_string: ret->v = json_object_new_int64(json_object_get_string_len(a[0].v)); return 0;
	case json_type_null: ret->v = json_object_new_int64(0); return 0;
	default: return template_bad(t, "len of what has no length");
	}
}

/* Of the map of texts a user fills, such as labels, what is not there is "", as of such a map in Go. */
static struct json_object *not_there(struct json_object *map)
{
	_cleanup_free_ const char **keys = map ? template_keys(map) : NULL;

	for (const char **key = keys; key && *key; key++) {
		if (!json_object_is_type(json_object_object_get(map, *key), json_type_string))
			return NULL;
	}
	return json_object_new_string("");
}

/* index X K...: each K goes one deeper. */
static int fn_index(struct tmpl *t, const struct value *a, size_t n, struct value *ret)
{
	struct json_object *v = a[0].v;

	for (size_t i = 1; i < n; i++) {
		struct json_object *key = a[i].v, *next = NULL;
		if (json_object_is_type(v, json_type_array) && json_object_is_type(key, json_type_int)) {
			int64_t at = json_object_get_int64(key);
			if (at < 0 || (size_t)at >= json_object_array_length(v))
				return template_bad(t, "index out of range");
			next = json_object_array_get_idx(v, (size_t)at);
		} else if (json_object_is_type(v, json_type_object) && json_object_is_type(key, json_type_string)) {
			json_object_object_get_ex(v, json_object_get_string(key), &next);
		} else if (v) {
			return template_bad(t, "index wants a list and a number, or a map and a string");
		}
		if (!next && i + 1 == n && json_object_is_type(key, json_type_string)) {
			ret->v = not_there(v);
			return 0;
		}
		v = next;
	}
	ret->v = json_object_get(v);
	return 0;
}

static int fn_join(struct tmpl *t, const struct value *a, size_t n, struct value *ret)
{
	_cleanup_buf_ struct buf b = { 0 };

	(void)n;
	if (!json_object_is_type(a[0].v, json_type_array) || !json_object_is_type(a[1].v, json_type_string))
		return template_bad(t, "join wants a list and a separator");
	for (size_t i = 0; i < json_object_array_length(a[0].v); i++) {
		buf_str(&b, i ? json_object_get_string(a[1].v) : "");
		template_value(json_object_array_get_idx(a[0].v, i), &b);
	}
	ret->v = text_of(&b);
	return 0;
}

static int change_case(const struct value *a, struct value *ret, int (*turn)(int))
{
	_cleanup_buf_ struct buf b = { 0 };

	template_value(a[0].v, &b);
	for (size_t i = 0; i < b.len; i++)
		b.data[i] = (char)turn((unsigned char)b.data[i]);
	ret->v = text_of(&b);
	return 0;
}

static int fn_upper(struct tmpl *t, const struct value *a, size_t n, struct value *ret)
{
	(void)t;
	(void)n;
	return change_case(a, ret, toupper);
}

static int fn_lower(struct tmpl *t, const struct value *a, size_t n, struct value *ret)
{
	(void)t;
	(void)n;
	return change_case(a, ret, tolower);
}

/* Go's: between two values that are no texts stands a blank. */
static int fn_print(struct tmpl *t, const struct value *a, size_t n, struct value *ret)
{
	_cleanup_buf_ struct buf b = { 0 };

	(void)t;
	for (size_t i = 0; i < n; i++) {
		bool parts =
			i && !json_object_is_type(a[i].v, json_type_string) && !json_object_is_type(a[i - 1].v, json_type_string);
		buf_str(&b, parts ? " " : "");
		template_value(a[i].v, &b);
	}
	ret->v = text_of(&b);
	return 0;
}

static int fn_println(struct tmpl *t, const struct value *a, size_t n, struct value *ret)
{
	_cleanup_buf_ struct buf b = { 0 };

	(void)t;
	for (size_t i = 0; i < n; i++) {
		buf_str(&b, i ? " " : "");
		template_value(a[i].v, &b);
	}
	buf_str(&b, "\n");
	ret->v = text_of(&b);
	return 0;
}

static bool equals_any(const struct value *a, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		if (json_object_equal(a[0].v, a[i].v))
			return true;
	}
	return false;
}

static int fn_eq(struct tmpl *t, const struct value *a, size_t n, struct value *ret)
{
	(void)t;
	ret->v = json_object_new_boolean(equals_any(a, n));
	return 0;
}

static int fn_ne(struct tmpl *t, const struct value *a, size_t n, struct value *ret)
{
	(void)t;
	ret->v = json_object_new_boolean(!equals_any(a, n));
	return 0;
}

/* -1, 0, 1 of two numbers or two texts. */
static int compare(struct tmpl *t, const struct value *a, int *ret)
{
	enum json_type x = json_object_get_type(a[0].v), y = json_object_get_type(a[1].v);
	bool numbers = (x == json_type_int || x == json_type_double) && (y == json_type_int || y == json_type_double);

	if (numbers) {
		double m = json_object_get_double(a[0].v), n = json_object_get_double(a[1].v);
		*ret = m < n ? -1 : m > n;
		return 0;
	}
	if (x != json_type_string || y != json_type_string)
		return template_bad(t, "two numbers or two texts can be compared");
	*ret = strcmp(json_object_get_string(a[0].v), json_object_get_string(a[1].v));
	return 0;
}

#define COMPARISON(name, op)                                                                \
	static int name(struct tmpl *t, const struct value *a, size_t n, struct value *ret) \
	{                                                                                   \
		int order = 0, r = compare(t, a, &order);                                   \
                                                                                            \
		(void)n;                                                                    \
		ret->v = json_object_new_boolean(order op 0);                               \
		return r;                                                                   \
	}
COMPARISON(fn_lt, <)
COMPARISON(fn_le, <=)
COMPARISON(fn_gt, >)
COMPARISON(fn_ge, >=)
#undef COMPARISON

static int fn_not(struct tmpl *t, const struct value *a, size_t n, struct value *ret)
{
	(void)t;
	(void)n;
	ret->v = json_object_new_boolean(!template_is_true(a[0].v));
	return 0;
}

/* The first false argument, else the last (Go's `and`); `or` is the mirror image. */
static int fn_and(struct tmpl *t, const struct value *a, size_t n, struct value *ret)
{
	size_t i = 0;

	(void)t;
	while (i + 1 < n && template_is_true(a[i].v))
		i++;
	ret->v = json_object_get(a[i].v);
	return 0;
}

static int fn_or(struct tmpl *t, const struct value *a, size_t n, struct value *ret)
{
	size_t i = 0;

	(void)t;
	while (i + 1 < n && !template_is_true(a[i].v))
		i++;
	ret->v = json_object_get(a[i].v);
	return 0;
}

static const struct template_function functions[] = {
	{ "json", 1, 1, fn_json },
	{ "len", 1, 1, fn_len },
	{ "index", 1, TEMPLATE_ARGS_MAX, fn_index },
	{ "join", 2, 2, fn_join },
	{ "upper", 1, 1, fn_upper },
	{ "lower", 1, 1, fn_lower },
	{ "title", 1, 1, template_fn_title },
	{ "slice", 1, 3, template_fn_slice },
	{ "split", 2, 2, template_fn_split },
	{ "truncate", 2, 2, template_fn_truncate },
	{ "pad", 3, 3, template_fn_pad },
	{ "print", 0, TEMPLATE_ARGS_MAX, fn_print },
	{ "printf", 1, TEMPLATE_ARGS_MAX, template_fn_printf },
	{ "println", 0, TEMPLATE_ARGS_MAX, fn_println },
	{ "eq", 2, TEMPLATE_ARGS_MAX, fn_eq },
	{ "ne", 2, 2, fn_ne },
	{ "lt", 2, 2, fn_lt },
	{ "le", 2, 2, fn_le },
	{ "gt", 2, 2, fn_gt },
	{ "ge", 2, 2, fn_ge },
	{ "not", 1, 1, fn_not },
	{ "and", 1, TEMPLATE_ARGS_MAX, fn_and },
	{ "or", 1, TEMPLATE_ARGS_MAX, fn_or },
};

const struct template_function *template_function_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		if (streq(functions[i].name, name))
			return &functions[i];
	}
	return NULL;
}
