/* template_functions.c: the functions of templates, as one table, and Go's ways of printing a value and of finding it true. */
#include "template_impl.h"

#include <ctype.h>

/* ---- printing and truth, as Go has them ---- */

void template_value(struct json_object *v, struct buf *out)
{
	bool first = true;

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
	case json_type_object:
		buf_str(out, "map[");
		json_object_object_foreach(v, key, member)
		{
			buf_fmt(out, "%s%s:", first ? "" : " ", key);
			template_value(member, out);
			first = false;
		}
		buf_str(out, "]");
		return;
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

/* index X K...: each K goes one deeper; what is not there is "no value", as of a Go map. */
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
	{ "println", 1, TEMPLATE_ARGS_MAX, fn_println },
	{ "eq", 2, TEMPLATE_ARGS_MAX, fn_eq },
	{ "ne", 2, 2, fn_ne },
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
