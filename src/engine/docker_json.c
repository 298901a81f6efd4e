/* docker_json.c: see docker_json.h. */
#include "docker_json.h"

struct doc doc_new(bool *failed)
{
	struct doc d = { json_object_new_object(), failed };

	*failed = !d.o;
	return d;
}

void doc_put(struct doc d, const char *key, struct json_object *v)
{
	if (json_add(d.o, key, v) < 0)
		*d.failed = true;
}

struct doc doc_sub(struct doc d, const char *key)
{
	struct doc sub = { json_object_new_object(), d.failed };

	if (json_add(d.o, key, sub.o) < 0) {
		*d.failed = true;
		sub.o = NULL;
	}
	return sub;
}

void doc_null(struct doc d, const char *key)
{
	if (!d.o || json_object_object_add(d.o, key, NULL) < 0)
		*d.failed = true;
}

void doc_text(struct doc d, const char *key, const char *s) { doc_put(d, key, json_object_new_string(s ? s : "")); }

void doc_bool(struct doc d, const char *key, bool b) { doc_put(d, key, json_object_new_boolean(b)); }

void doc_int(struct doc d, const char *key, int64_t v) { doc_put(d, key, json_object_new_int64(v == SPEC_UNSET ? 0 : v)); }

void doc_time(struct doc d, const char *key, uint64_t real_ns)
{
	char text[RFC3339_LEN];

	doc_text(d, key, real_ns ? clock_rfc3339(real_ns, text) : "0001-01-01T00:00:00Z");
}

void doc_list(struct doc d, const char *key, char *const *v)
{
	if (v && *v)
		doc_put(d, key, json_from_strv(v));
	else
		doc_null(d, key);
}

void doc_set(struct doc d, const char *key, char *const *keys)
{
	if (!keys || !*keys)
		return;
	struct doc set = doc_sub(d, key);
	for (; *keys; keys++)
		doc_sub(set, *keys);
}

void doc_map(struct doc d, const char *key, const struct string_map *m) { doc_put(d, key, json_from_map(m)); }
