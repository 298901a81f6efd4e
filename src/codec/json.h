/* JSON through json-c, strict: UTF-8 validated, nothing behind the document, duplicate keys refused, depth <= 64.
 * The typed getters name the full path in their errors: ".linux.namespaces[3].type: expected a string, found 5". */
#pragma once

#include <json-c/json.h>

#include "base.h"

/* text need not be NUL-terminated. what names the input in errors ("config.json"). Caller json_object_put()s. */
int json_parse(const char *text, size_t len, const char *what, struct json_object **ret, struct err *e);
static inline void json_put_ptr(struct json_object **o)
{
	if (*o)
		json_object_put(*o);
}
#define _cleanup_json_ _cleanup_(json_put_ptr)

/* Tables of fields: one row fills one member of a plain struct. Used for every document that Berth reads or writes. */
enum field_type {
	FIELD_STRING, /* char *, malloc'd */
	FIELD_BOOL,   /* bool */
	FIELD_U64,
	FIELD_I64,
	FIELD_U32,
	FIELD_I32,        /* range-checked; 18446744073709551615 is kept exactly */
	FIELD_STRV,       /* char ** */
	FIELD_MAP,        /* struct string_map: object of strings */
	FIELD_OBJECT,     /* embedded struct, .table */
	FIELD_OBJECT_PTR, /* struct X *, calloc'd (NULL when absent), .table, .size */
	FIELD_ARRAY,      /* struct X *items + size_t n (n at .count_offset), .table, .size */
	FIELD_CUSTOM,     /* .parse / .print */
};
enum { FIELD_REQUIRED = 1, FIELD_OMIT_EMPTY = 2 };
struct field {
	const char *name;
	enum field_type type;
	size_t offset;
	unsigned flags;
	const struct field *table; /* ends with .name = NULL */
	size_t size, count_offset;
	int (*parse)(struct json_object *v, void *member, const char *path, struct err *e);
	struct json_object *(*print)(const void *member);
	void (*free)(void *member);
};
/* Unknown keys are ignored (forward compatibility) unless strict. On failure *obj may be half filled: json_free_fields it. */
int json_read(struct json_object *o, const struct field *table, void *obj, const char *path, struct err *e);
struct json_object *json_write(const struct field *table, const void *obj); /* NULL on ENOMEM */
void json_free_fields(const struct field *table, void *obj);

struct string_map {
	char **keys, **values;
}; /* two strv of equal length */
const char *map_get(const struct string_map *m, const char *key);
int map_set(struct string_map *m, const char *key, const char *value);
void map_done(struct string_map *m);
