/* said_json.c: what is said of a comparison, for tools: beside it, not in it, as it can always be said anew. */
#include "compare.h"

static const char *const verdicts[] = {
	[AGAINST_UNSURE] = "unsure", [AGAINST_BETTER] = "better", [AGAINST_WORSE] = "worse",
	[AGAINST_APART] = "apart",   [AGAINST_NEW] = "new",       [AGAINST_GONE] = "gone",
};
static const char *const weights[] = { [VOICE_AGAINST] = "against", [VOICE_SPEAKS] = "speaks", [VOICE_DECIDES] = "decides" };

static int add_text(struct json_object *o, const char *key, const char *text)
{
	return json_add(o, key, json_object_new_string(text));
}

/* Each adds a new object to a list, which owns it. */
static struct json_object *next_of(struct json_object *list)
{
	struct json_object *o = list ? json_object_new_object() : NULL;

	if (o && json_object_array_add(list, o) < 0) {
		json_object_put(o);
		return NULL;
	}
	return o;
}

static int add_row(struct json_object *list, const struct against_row *row)
{
	struct json_object *o = next_of(list);
	int r = o ? add_text(o, "id", row->figure->id) : -ENOMEM;

	if (r >= 0)
		r = add_text(o, "way", row->way->name);
	if (r >= 0)
		r = add_text(o, "verdict", verdicts[row->verdict]);
	if (r >= 0 && row->n_before)
		r = json_add(o, "before", json_object_new_double(row->before));
	if (r >= 0 && row->n_now)
		r = json_add(o, "now", json_object_new_double(row->now));
	if (r >= 0 && row->ratio > 0)
		r = json_add(o, "ratio", json_object_new_double(row->ratio));
	return r >= 0 && row->why ? add_text(o, "why", row->why) : r;
}

struct json_object *against_json(const struct against *a)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct json_object *rows = NULL;
	int r = o ? add_text(o, "earlier", a->earlier) : -ENOMEM;

	if (r >= 0)
		r = json_add(o, "differences", json_from_strv(a->differences));
	if (r >= 0)
		r = json_add(o, "rows", rows = json_object_new_array());
	for (size_t i = 0; i < a->n_rows && r >= 0; i++)
		r = add_row(rows, &a->rows[i]);
	return r < 0 ? NULL : TAKE_PTR(o);
}

static int add_voice(struct json_object *list, const struct voice *v)
{
	struct json_object *o = next_of(list);
	int r = o ? add_text(o, "rule", v->rule) : -ENOMEM;

	if (r >= 0)
		r = add_text(o, "for", v->for_way);
	if (r >= 0)
		r = add_text(o, "weight", weights[v->weight]);
	if (r >= 0)
		r = json_add(o, "asked", json_object_new_boolean(v->is_asked));
	return r >= 0 ? add_text(o, "reason", v->reason) : r;
}

struct json_object *recommendation_json(const struct recommendation *rec)
{
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct json_object *voices = NULL;
	int r = o ? add_text(o, "way", rec->way) : -ENOMEM;

	if (r >= 0)
		r = json_add(o, "unknown", json_from_strv(rec->unknown));
	if (r >= 0)
		r = json_add(o, "voices", voices = json_object_new_array());
	for (size_t i = 0; i < rec->n_voices && r >= 0; i++)
		r = add_voice(voices, &rec->voices[i]);
	return r < 0 ? NULL : TAKE_PTR(o);
}
