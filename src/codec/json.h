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
enum {
	FIELD_REQUIRED = 1,   /* absent or null is an error */
	FIELD_OMIT_EMPTY = 2, /* zero, false, empty lists, maps and objects are not written */
	FIELD_HAS = 4,        /* scalars: .count_offset is that of a `bool has_x`, set by reading, asked by writing */
	FIELD_STRICT = 8,     /* in the last row (.name = NULL): keys without a row are errors */
	FIELD_NAMED = 16,     /* FIELD_CUSTOM with .table: an object of names, and the table is of each value */
};
/* Narrow, as each process that reads documents has the tables of all of them in pages of its own (they are relocated). */
struct field {
	const char *name;
	enum field_type type : 8;
	unsigned offset : 16, flags : 8;
	const struct field *table; /* ends with .name = NULL; of a FIELD_CUSTOM only json_unknown asks */
	unsigned size : 16, count_offset : 16;
	union {
		/* FIELD_CUSTOM. member is at .offset, so a row with offset 0 is given the whole struct. May be NULL. */
		int (*parse)(struct json_object *v, void *member, const char *path, struct err *e);
		void (*init)(void *item); /* FIELD_ARRAY, FIELD_OBJECT_PTR: sets defaults that are not zero, before reading */
	};
	struct json_object *(*print)(const void *member); /* NULL = left out of the text (errno ENOMEM: failed) */
	void (*free)(void *member);
};
/* path: of o within its document, "" at the top. null counts as absent. Unknown keys are ignored (forward compatibility)
 * unless FIELD_STRICT. Members hold their defaults or zero beforehand. On failure *obj may be half filled:
 * json_free_fields it. */
int json_read(struct json_object *o, const struct field *table, void *obj, const char *path, struct err *e);
/* Strings and lists that are NULL or have no items (FIELD_REQUIRED lists are then []), and FIELD_I64 of INT64_MIN, are
 * left out. NULL on ENOMEM. */
struct json_object *json_write(const struct field *table, const void *obj);
/* After json_read: appends the paths of keys without a row to *list, `max` at most. *ret_n: how many there are. 0 or -ENOMEM. A
 * FIELD_CUSTOM is looked into where it has a table: of the object, or of each item of a list. */
int json_unknown(struct json_object *o, const struct field *table, const char *path, size_t max, char ***list, size_t *ret_n);
void json_free_fields(const struct field *table, void *obj);

struct string_map {
	char **keys, **values;
}; /* two strv of equal length */
/* Value of key, owned by m, or NULL. */
const char *map_get(const struct string_map *m, const char *key);
/* Adds or replaces; copies both. 0 or -ENOMEM (m unchanged). */
int map_set(struct string_map *m, const char *key, const char *value);
void map_done(struct string_map *m);

/* For custom rows. "PATH: expected EXPECTED, found 5"; returns -EINVAL. */
int json_expected(struct json_object *v, const char *path, const char *expected, struct err *e);
/* *ret (malloc'd; the old value is freed) from a string without NUL characters. */
int json_read_string(struct json_object *v, char **ret, const char *path, struct err *e);
/* Takes v also on failure; a NULL o or v is -ENOMEM, so calls chain. */
int json_add(struct json_object *o, const char *key, struct json_object *v);
struct json_object *json_from_strv(char *const *v);            /* NULL list = []; NULL on ENOMEM */
struct json_object *json_from_map(const struct string_map *m); /* NULL on ENOMEM */
