/* measure_walls.c: the walls of each way, as `berth audit` finds them. */
#include "json.h"
#include "measure_impl.h"
#include "walls.h"

/* What `audit` does not take: it makes no difference to a wall. */
static bool is_of_audit(const char *option)
{
	static const char *const others[] = {
		"--env=", "--env-file=", "--workdir=", "--entrypoint=", "--cpus=", "--pids-limit="
	};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (str_after(option, others[i]))
			return false;
	return true;
}

static int audit_words(const struct measure *m, const struct way *way, char ***v)
{
	static const char *const always[] = { "audit", "--format", "json", "--isolation" };
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(always) && r >= 0; i++)
		r = strv_push(v, always[i]);
	if (r >= 0)
		r = strv_push(v, way->isolation);
	for (char **p = m->o->passed; p && *p && r >= 0; p++)
		if (is_of_audit(*p))
			r = strv_push(v, *p);
	return r < 0 ? r : strv_push(v, m->o->image);
}

static int add_wall(struct measure *m, size_t way, struct json_object *o, struct err *e)
{
	struct json_object *id, *title, *values, *value;
	const struct wall_kind *kind = NULL;
	int r;

	if (!json_object_object_get_ex(o, "id", &id) || !json_object_object_get_ex(o, "title", &title) ||
	    !json_object_object_get_ex(o, "values", &values) || !(value = json_object_array_get_idx(values, 0)))
		return err_set(e, EIO, "audit: a wall without id, title or value");
	for (size_t i = 0; i < n_wall_kinds && !kind; i++)
		if (streq(wall_kinds[i].id, json_object_get_string(id)))
			kind = &wall_kinds[i];
	r = comparison_add_wall(m->c, json_object_get_string(id), json_object_get_string(title), kind && kind->less_is_better,
				way, json_object_get_string(value));
	return r < 0 ? err_set(e, -r, "wall %s: %s", json_object_get_string(id), strerror(-r)) : 0;
}

static int walls_of(struct measure *m, size_t way, struct err *e)
{
	_cleanup_json_ struct json_object *said = NULL;
	_cleanup_free_ char *text = NULL;
	_cleanup_strv_ char **v = NULL;
	struct json_object *walls;
	int r;

	progress(m, "walls: %s", m->ways[way]->name);
	if (audit_words(m, m->ways[way], &v) < 0)
		return err_set(e, ENOMEM, "out of memory");
	r = run_whole(m, m->ways[way], WORDS_OF(v), &text, e);
	if (r >= 0)
		r = json_parse(text, strlen(text), "audit", &said, e);
	if (r < 0)
		return r;
	if (!json_object_object_get_ex(said, "walls", &walls) || !json_object_is_type(walls, json_type_array))
		return err_set(e, EIO, "audit: it tells of no walls");
	for (size_t i = 0; i < json_object_array_length(walls) && r >= 0; i++)
		r = add_wall(m, way, json_object_array_get_idx(walls, i), e);
	return r < 0 ? r : stop_is_wanted(m, 0, e);
}

int measure_walls(struct measure *m, struct err *e)
{
	int r = 0;

	for (size_t w = 0; w < m->n_ways && r >= 0; w++)
		if (m->ways[w]->isolation)
			r = walls_of(m, w, e);
	return r;
}
