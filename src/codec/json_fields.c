/* The generic reader, writer and destructor of plain structs, driven by tables of struct field.
 *
 * Invariants: a member is freed before it is filled, so a table can be read over defaults; whatever json_read leaves,
 * json_free_fields takes; a path is only spelled out for containers and in errors, so reading costs no formatting per
 * member. JSON's null means absent, as in the Go programs that write most of these documents. */
#include "json.h"

#include <inttypes.h>
#include <stdio.h>

#define PATH_LEN 192 /* longer paths are cut: they only serve messages */

static void *at(void *obj, size_t offset) { return (char *)obj + offset; }

static const void *cat(const void *obj, size_t offset) { return (const char *)obj + offset; }

/* ---- errors ---- */

/* "found ..." for a person: short values as they are, containers by kind. */
static const char *describe(struct json_object *v, char buf[48])
{
	switch (json_object_get_type(v)) {
	case json_type_null: return "null";
	case json_type_object: return "an object";
	case json_type_array: return "an array";
	default: break;
	}
	const char *s = json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	snprintf(buf, 48, "%.40s%s", s ? s : "?", s && strlen(s) > 40 ? "..." : "");
	return buf;
}

int json_expected(struct json_object *v, const char *path, const char *expected, struct err *e)
{
	char buf[48];

	return err_set(e, EINVAL, "%s%sexpected %s, found %s", path, *path ? ": " : "", expected, describe(v, buf));
}

static int no_memory(const char *path, struct err *e) { return err_set(e, ENOMEM, "%s%sout of memory", path, *path ? ": " : ""); }

/* ---- scalars ---- */

/* What each integer type holds. Rows stand at the index of their type. */
static const struct {
	int64_t min;
	uint64_t max;
	const char *expected;
} ranges[] = {
	[FIELD_U64] = { 0, UINT64_MAX, "a whole number from 0 to 18446744073709551615" },
	[FIELD_I64] = { INT64_MIN + 1, INT64_MAX, "a whole number of 64 bits" },
	[FIELD_U32] = { 0, UINT32_MAX, "a whole number from 0 to 4294967295" },
	[FIELD_I32] = { INT32_MIN, INT32_MAX, "a whole number from -2147483648 to 2147483647" },
};

static bool is_integer(enum field_type t) { return t >= FIELD_U64 && t <= FIELD_I32; }

static int read_integer(struct json_object *v, enum field_type t, void *member, const char *path, struct err *e)
{
	if (!json_object_is_type(v, json_type_int))
		return json_expected(v, path, ranges[t].expected, e);
	int64_t i = json_object_get_int64(v); /* saturates at INT64_MAX; the unsigned view has the rest */
	uint64_t u = i < 0 ? 0 : json_object_get_uint64(v);
	if (i < ranges[t].min || (i >= 0 && u > ranges[t].max))
		return json_expected(v, path, ranges[t].expected, e);
	switch (t) {
	case FIELD_U64: *(uint64_t *)member = u; break;
	case FIELD_I64: *(int64_t *)member = i; break;
	case FIELD_U32: *(uint32_t *)member = (uint32_t)u; break;
	default: *(int32_t *)member = (int32_t)i; break;
	}
	return 0;
}

int json_read_string(struct json_object *v, char **ret, const char *path, struct err *e)
{
	if (!json_object_is_type(v, json_type_string))
		return json_expected(v, path, "a string", e);
	const char *s = json_object_get_string(v);
	if (strlen(s) != (size_t)json_object_get_string_len(v))
		return err_set(e, EINVAL, "%s%sthe string holds a NUL character", path, *path ? ": " : "");
	char *copy = strdup(s);
	if (!copy)
		return no_memory(path, e);
	free(*ret);
	*ret = copy;
	return 0;
}

static int read_strv(struct json_object *v, char ***member, const char *path, struct err *e)
{
	_cleanup_strv_ char **list = NULL;
	char sub[PATH_LEN];

	if (!json_object_is_type(v, json_type_array))
		return json_expected(v, path, "an array of strings", e);
	size_t n = json_object_array_length(v);
	list = calloc(n + 1, sizeof *list);
	if (!list)
		return no_memory(path, e);
	for (size_t i = 0; i < n; i++) {
		struct json_object *item = json_object_array_get_idx(v, i);
		if (!json_object_is_type(item, json_type_string) ||
		    json_object_get_string_len(item) != (int)strlen(json_object_get_string(item)))
			snprintf(sub, sizeof sub, "%s[%zu]", path, i);
		else
			sub[0] = 0;
		int r = json_read_string(item, &list[i], sub, e);
		if (r < 0)
			return r;
	}
	strv_free(*member);
	*member = TAKE_PTR(list);
	return 0;
}

static int read_map(struct json_object *v, struct string_map *member, const char *path, struct err *e)
{
	if (!json_object_is_type(v, json_type_object))
		return json_expected(v, path, "an object of strings", e);
	size_t n = (size_t)json_object_object_length(v), i = 0;
	/* Keys are unique by json_parse, so filling in order spares map_set's search, which is quadratic in all. */
	member->keys = calloc(n + 1, sizeof *member->keys);
	member->values = calloc(n + 1, sizeof *member->values);
	if (!member->keys || !member->values)
		return no_memory(path, e);
	json_object_object_foreach(v, key, item)
	{
		char sub[PATH_LEN];

		snprintf(sub, sizeof sub, "%s[\"%.60s\"]", path, key);
		int r = json_read_string(item, &member->values[i], sub, e);
		if (r < 0)
			return r;
		member->keys[i] = strdup(key);
		if (!member->keys[i++])
			return no_memory(path, e);
	}
	return 0;
}

/* ---- the driver ---- */

static void free_one(const struct field *f, void *obj);

static int read_array(struct json_object *v, const struct field *f, void *obj, const char *path, struct err *e)
{
	char sub[PATH_LEN];

	if (!json_object_is_type(v, json_type_array))
		return json_expected(v, path, "an array", e);
	size_t n = json_object_array_length(v);
	if (n == 0)
		return 0;
	char *items = calloc(n, f->size);
	if (!items)
		return no_memory(path, e);
	*(void **)at(obj, f->offset) = items;
	*(size_t *)at(obj, f->count_offset) = n; /* at once: zeroed items are freeable, whatever happens below */
	for (size_t i = 0; i < n; i++) {
		snprintf(sub, sizeof sub, "%s[%zu]", path, i);
		if (f->init)
			f->init(items + i * f->size);
		int r = json_read(json_object_array_get_idx(v, i), f->table, items + i * f->size, sub, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_one(struct json_object *v, const struct field *f, void *obj, const char *path, struct err *e)
{
	void *member = at(obj, f->offset);

	free_one(f, obj);
	switch (f->type) {
	case FIELD_STRING: return json_read_string(v, member, path, e);
	case FIELD_BOOL:
		if (!json_object_is_type(v, json_type_boolean))
			return json_expected(v, path, "true or false", e);
		*(bool *)member = json_object_get_boolean(v);
		return 0;
	case FIELD_U64:
	case FIELD_I64:
	case FIELD_U32:
	case FIELD_I32: return read_integer(v, f->type, member, path, e);
	case FIELD_STRV: return read_strv(v, member, path, e);
	case FIELD_MAP: return read_map(v, member, path, e);
	case FIELD_OBJECT: return json_read(v, f->table, member, path, e);
	case FIELD_OBJECT_PTR:
		if (!json_object_is_type(v, json_type_object))
			return json_expected(v, path, "an object", e);
		*(void **)member = calloc(1, f->size);
		if (!*(void **)member)
			return no_memory(path, e);
		if (f->init)
			f->init(*(void **)member);
		return json_read(v, f->table, *(void **)member, path, e);
	case FIELD_ARRAY: return read_array(v, f, obj, path, e);
	case FIELD_CUSTOM: return f->parse ? f->parse(v, member, path, e) : 0;
	}
	return err_set(e, EINVAL, "%s: field of unknown type %d", path, (int)f->type);
}

/* Containers and custom readers need their whole path beforehand; scalars only when they fail. */
static bool is_scalar(enum field_type t) { return t == FIELD_STRING || t == FIELD_BOOL || is_integer(t); }

static int refuse_unknown(struct json_object *o, const struct field *table, const char *path, struct err *e)
{
	json_object_object_foreach(o, key, v)
	{
		const struct field *f = table;
		(void)v;
		while (f->name && !streq(f->name, key))
			f++;
		if (!f->name)
			return err_set(e, EINVAL, "%s.%.60s: not a property that is known here", path, key);
	}
	return 0;
}

int json_read(struct json_object *o, const struct field *table, void *obj, const char *path, struct err *e)
{
	const struct field *f;
	char sub[PATH_LEN];

	if (!json_object_is_type(o, json_type_object))
		return json_expected(o, path, "an object", e);
	for (f = table; f->name; f++) {
		struct json_object *v = NULL;
		json_object_object_get_ex(o, f->name, &v);
		if (!v) {
			if (f->flags & FIELD_REQUIRED)
				return err_set(e, EINVAL, "%s.%s: missing", path, f->name);
			continue;
		}
		if (is_scalar(f->type)) {
			struct err scalar = {};
			int r = read_one(v, f, obj, "", &scalar);
			if (r < 0)
				return err_set(e, -r, "%s.%s: %s", path, f->name, scalar.msg);
		} else {
			snprintf(sub, sizeof sub, "%s.%s", path, f->name);
			int r = read_one(v, f, obj, sub, e);
			if (r < 0)
				return r;
		}
		if (f->flags & FIELD_HAS)
			*(bool *)at(obj, f->count_offset) = true;
	}
	return f->flags & FIELD_STRICT ? refuse_unknown(o, table, path, e) : 0;
}

/* ---- writing ---- */

struct json_object *json_from_strv(char *const *v)
{
	struct json_object *a = json_object_new_array();

	for (size_t i = 0; a && v && v[i]; i++) {
		struct json_object *s = json_object_new_string(v[i]);
		if (!s || json_object_array_add(a, s) < 0) {
			json_object_put(s);
			json_object_put(a);
			return NULL;
		}
	}
	return a;
}

int json_add(struct json_object *o, const char *key, struct json_object *v)
{
	if (o && v && json_object_object_add(o, key, v) == 0)
		return 0;
	json_object_put(v);
	return -ENOMEM;
}

struct json_object *json_from_map(const struct string_map *m)
{
	struct json_object *o = json_object_new_object();

	for (size_t i = 0; o && m->keys && m->keys[i]; i++) {
		if (json_add(o, m->keys[i], json_object_new_string(m->values[i])) < 0) {
			json_object_put(o);
			return NULL;
		}
	}
	return o;
}

static struct json_object *write_array(const struct field *f, const void *obj)
{
	const char *items = *(char *const *)cat(obj, f->offset);
	size_t n = *(const size_t *)cat(obj, f->count_offset);
	struct json_object *a = json_object_new_array();

	for (size_t i = 0; a && i < n; i++) {
		struct json_object *v = json_write(f->table, items + i * f->size);
		if (!v || json_object_array_add(a, v) < 0) {
			json_object_put(v);
			json_object_put(a);
			return NULL;
		}
	}
	return a;
}

static uint64_t integer_bits(const struct field *f, const void *member)
{
	switch (f->type) {
	case FIELD_U32: return *(const uint32_t *)member;
	case FIELD_I32: return (uint64_t)(int64_t) * (const int32_t *)member;
	default: return *(const uint64_t *)member;
	}
}

/* Whether the member is left out of the text: absent strings and lists and INT64_MIN always, zeroes on request. A list
 * that readers require is written as []. */
static bool is_left_out(const struct field *f, const void *obj)
{
	const void *member = cat(obj, f->offset);
	bool omit = f->flags & FIELD_OMIT_EMPTY, required = f->flags & FIELD_REQUIRED;

	if (f->flags & FIELD_HAS)
		return !*(const bool *)cat(obj, f->count_offset);
	switch (f->type) {
	case FIELD_STRING: return !*(char *const *)member;
	case FIELD_BOOL: return omit && !*(const bool *)member;
	case FIELD_I64: return *(const int64_t *)member == INT64_MIN || (omit && *(const int64_t *)member == 0);
	case FIELD_U64:
	case FIELD_U32:
	case FIELD_I32: return omit && integer_bits(f, member) == 0;
	case FIELD_STRV: {
		char **v = *(char **const *)member;
		return v ? omit && !v[0] : omit || !required;
	}
	case FIELD_MAP: {
		const struct string_map *m = member;
		return omit && (!m->keys || !m->keys[0]);
	}
	case FIELD_ARRAY: return !required && *(const size_t *)cat(obj, f->count_offset) == 0;
	case FIELD_OBJECT_PTR: return !*(void *const *)member;
	default: return false;
	}
}

static struct json_object *write_one(const struct field *f, const void *obj)
{
	const void *member = cat(obj, f->offset);

	switch (f->type) {
	case FIELD_STRING: return json_object_new_string(*(char *const *)member);
	case FIELD_BOOL: return json_object_new_boolean(*(const bool *)member);
	case FIELD_I64:
	case FIELD_I32: return json_object_new_int64((int64_t)integer_bits(f, member));
	case FIELD_U64:
	case FIELD_U32: return json_object_new_uint64(integer_bits(f, member));
	case FIELD_STRV: return json_from_strv(*(char **const *)member);
	case FIELD_MAP: return json_from_map(member);
	case FIELD_OBJECT: return json_write(f->table, member);
	case FIELD_OBJECT_PTR: return json_write(f->table, *(void *const *)member);
	case FIELD_ARRAY: return write_array(f, obj);
	default: return NULL;
	}
}

struct json_object *json_write(const struct field *table, const void *obj)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();

	if (!o)
		return NULL;
	for (const struct field *f = table; f->name; f++) {
		struct json_object *v;
		if (f->type == FIELD_CUSTOM) {
			errno = 0;
			v = f->print ? f->print(cat(obj, f->offset)) : NULL;
			if (!v && errno == ENOMEM)
				return NULL;
			if (!v)
				continue;
		} else {
			if (is_left_out(f, obj))
				continue;
			v = write_one(f, obj);
		}
		if (v && f->type == FIELD_OBJECT && (f->flags & FIELD_OMIT_EMPTY) && json_object_object_length(v) == 0) {
			json_object_put(v);
			continue;
		}
		if (json_add(o, f->name, v) < 0)
			return NULL;
	}
	return TAKE_PTR(o);
}

/* ---- freeing ---- */

static void free_one(const struct field *f, void *obj)
{
	void *member = at(obj, f->offset);

	switch (f->type) {
	case FIELD_STRING: free_ptr(member); break;
	case FIELD_STRV:
		strv_free(*(char ***)member);
		*(char ***)member = NULL;
		break;
	case FIELD_MAP: map_done(member); break;
	case FIELD_OBJECT: break; /* its own members are freed one by one as they are read */
	case FIELD_OBJECT_PTR:
		if (*(void **)member)
			json_free_fields(f->table, *(void **)member);
		free_ptr(member);
		break;
	case FIELD_ARRAY: {
		char *items = *(char **)member;
		size_t *n = at(obj, f->count_offset);
		for (size_t i = 0; items && i < *n; i++)
			json_free_fields(f->table, items + i * f->size);
		free_ptr(member);
		*n = 0;
		break;
	}
	case FIELD_CUSTOM:
		if (f->free)
			f->free(member);
		break;
	default: break;
	}
	if (f->flags & FIELD_HAS)
		*(bool *)at(obj, f->count_offset) = false;
}

void json_free_fields(const struct field *table, void *obj)
{
	for (const struct field *f = table; f->name; f++) {
		if (f->type == FIELD_OBJECT)
			json_free_fields(f->table, at(obj, f->offset));
		free_one(f, obj);
	}
}

/* ---- string_map ---- */

static ssize_t map_find(const struct string_map *m, const char *key)
{
	for (size_t i = 0; m->keys && m->keys[i]; i++)
		if (streq(m->keys[i], key))
			return (ssize_t)i;
	return -1;
}

const char *map_get(const struct string_map *m, const char *key)
{
	ssize_t i = map_find(m, key);

	return i < 0 ? NULL : m->values[i];
}

int map_set(struct string_map *m, const char *key, const char *value)
{
	ssize_t i = map_find(m, key);
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	if (i >= 0) {
		free(m->values[i]);
		m->values[i] = copy;
		return 0;
	}
	int r = strv_push_take(&m->values, copy);
	if (r < 0)
		return r;
	r = strv_push(&m->keys, key); /* keys last: readers walk the keys */
	if (r < 0) {
		size_t last = strv_len(m->values) - 1;
		free_ptr(&m->values[last]);
	}
	return r;
}

void map_done(struct string_map *m)
{
	strv_free(m->keys);
	strv_free(m->values);
	m->keys = m->values = NULL;
}
