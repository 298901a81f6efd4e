/* events.c: `berth events`: docker's lines and JSON. */
#include "cli.h"
#include "output.h"

#include <time.h>

struct events_args {
	char *since, *until, *format, **filters;
};
const struct opt events_options[] = {
	{ "since", 0, OPT_STRING, offsetof(struct events_args, since), "TIME",
	  "also those from then on: 10m (ago), 2026-01-02T03:04:05Z or seconds since the epoch" },
	{ "until", 0, OPT_STRING, offsetof(struct events_args, until), "TIME", "end then; without it, go on for ever" },
	{ "filter", 'f', OPT_LIST, offsetof(struct events_args, filters), "KEY=VALUE",
	  "type, event, container, image, volume, network or label" },
	{ "format", 0, OPT_STRING, offsetof(struct events_args, format), "FORMAT", "json, or a template such as {{.Action}}" },
	{ NULL },
};

/* ---- filters: values of one key are alternatives, keys are conditions; labels must all be there ---- */

struct told {
	const struct event *v;
	struct json_object *attrs;
};

static const char *attr(const struct told *t, const char *key)
{
	struct json_object *v = NULL;

	return json_object_object_get_ex(t->attrs, key, &v) ? json_object_get_string(v) : NULL;
}

/* "exec_start" is also meant where the event is "exec_start: sh", "health_status" where it is "health_status: healthy". */
static bool is_action(const char *action, const char *wanted)
{
	const char *rest = str_after(action, wanted);

	return rest && (!*rest || *rest == ':');
}

static bool is_image_name(const char *name, const char *wanted)
{
	struct ref a, b;
	bool same = streq0(name, wanted);

	if (same || !name || ref_parse(wanted, NULL, &a, NULL) < 0)
		return same;
	if (ref_parse(name, NULL, &b, NULL) >= 0) {
		_cleanup_free_ char *x = ref_str(&a), *y = ref_str(&b);
		/* Without a tag any is meant. */
		same = x && y && (streq(x, y) || (!strchr(wanted, ':') && streq(a.path, b.path) && streq0(a.domain, b.domain)));
		ref_done(&b);
	}
	ref_done(&a);
	return same;
}

static bool is_label(const struct told *t, const char *wanted)
{
	const char *eq = strchr(wanted, '=');
	_cleanup_free_ char *key = strndup(wanted, eq ? (size_t)(eq - wanted) : strlen(wanted));
	const char *have = key ? attr(t, key) : NULL;

	return have && (!eq || streq(have, eq + 1));
}

static bool is_container(const struct told *t, const char *wanted)
{
	return streq(t->v->type, "container") && *wanted && (str_after(t->v->id, wanted) || streq0(attr(t, "name"), wanted));
}

static bool is_image(const struct told *t, const char *wanted)
{
	if (streq(t->v->type, "image"))
		return streq(t->v->id, wanted) || is_image_name(attr(t, "name"), wanted);
	return streq(t->v->type, "container") && is_image_name(attr(t, "image"), wanted);
}

static bool is_volume(const struct told *t, const char *wanted) { return streq(t->v->type, "volume") && streq(t->v->id, wanted); }
static bool is_network(const struct told *t, const char *wanted)
{
	return streq(t->v->type, "network") && *wanted && (str_after(t->v->id, wanted) || streq0(attr(t, "name"), wanted));
}
static bool is_type(const struct told *t, const char *wanted) { return streq(t->v->type, wanted); }
static bool is_event(const struct told *t, const char *wanted) { return is_action(t->v->action, wanted); }

static const struct key {
	const char *name;
	bool (*matches)(const struct told *t, const char *wanted);
	bool all;
} keys[] = {
	{ "type", is_type },     { "event", is_event },     { "container", is_container },      { "image", is_image },
	{ "volume", is_volume }, { "network", is_network }, { "label", is_label, .all = true },
};

static const struct key *key_of(const char *filter, const char **ret_value)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *rest = str_after(filter, keys[i].name);
		if (rest && *rest == '=') {
			*ret_value = rest + 1;
			return &keys[i];
		}
	}
	return NULL;
}

static int check_filters(char *const *filters, struct err *e)
{
	const char *value;

	for (; filters && *filters; filters++)
		if (!key_of(*filters, &value))
			return err_set(e, EINVAL,
				       "--filter: \"%s\" is not KEY=VALUE with one of type, event, container, image, volume, "
				       "network, label",
				       *filters);
	return 0;
}

static bool passes(const struct told *t, char *const *filters)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		bool any = false, all = true, given = false;
		for (char *const *f = filters; f && *f; f++) {
			const char *value;
			if (key_of(*f, &value) != &keys[i])
				continue;
			bool yes = keys[i].matches(t, value);
			given = true;
			any |= yes;
			all &= yes;
		}
		if (given && !(keys[i].all ? all : any))
			return false;
	}
	return true;
}

/* ---- printing ---- */

/* As docker has it: local time, nine digits, the zone as +01:00 or Z. */
static void put_time(struct buf *b, uint64_t ns)
{
	time_t t = (time_t)(ns / 1000000000);
	char text[64] = "", zone[16] = "";
	struct tm tm;

	if (localtime_r(&t, &tm)) {
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
		strftime(zone, sizeof(zone), "%z", &tm);
	}
	buf_fmt(b, "%s.%09u", text, (unsigned)(ns % 1000000000));
	if (streq(zone, "+0000") || strlen(zone) != 5)
		buf_str(b, "Z");
	else
		buf_fmt(b, "%.3s:%s", zone, zone + 3);
}

static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static int put_line(struct buf *b, const struct told *t)
{
	size_t n = t->attrs ? (size_t)json_object_object_length(t->attrs) : 0, i = 0;
	const char **names = calloc(n + 1, sizeof(*names));

	if (!names)
		return -ENOMEM;
	put_time(b, t->v->time_ns);
	buf_fmt(b, " %s %s %s", t->v->type, t->v->action, t->v->id);
	if (t->attrs) {
		json_object_object_foreach(t->attrs, key, value)
		{
			(void)value;
			names[i++] = key;
		}
	}
	qsort(names, n, sizeof(*names), by_name);
	for (i = 0; i < n; i++)
		buf_fmt(b, "%s%s=%s", i ? ", " : " (", names[i], attr(t, names[i]));
	buf_str(b, n ? ")" : "");
	free(names);
	return b->failed ? -ENOMEM : 0;
}

/* go: with the names of docker's Go struct, which templates use, in the place of those of its JSON. */
static struct json_object *document(const struct told *t, bool go)
{
	struct json_object *o = json_object_new_object(), *actor = json_object_new_object();
	const char *from = streq(t->v->type, "image") ? attr(t, "name") : attr(t, "image");
	const struct {
		const char *json, *go;
		struct json_object *value;
	} members[] = {
		{ "status", "Status", json_object_new_string(t->v->action) },
		{ "id", "ID", json_object_new_string(t->v->id) },
		{ "from", "From", json_object_new_string(from ? from : "") },
		{ "Type", "Type", json_object_new_string(t->v->type) },
		{ "Action", "Action", json_object_new_string(t->v->action) },
		{ "Actor", "Actor", actor },
		{ "scope", "Scope", json_object_new_string("local") },
		{ "time", "Time", json_object_new_int64((int64_t)(t->v->time_ns / 1000000000)) },
		{ "timeNano", "TimeNano", json_object_new_int64((int64_t)t->v->time_ns) },
	};
	int r = json_add(actor, "ID", json_object_new_string(t->v->id));

	if (r >= 0)
		r = json_add(actor, "Attributes", t->attrs ? json_object_get(t->attrs) : json_object_new_object());
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		int k = json_add(o, go ? members[i].go : members[i].json, members[i].value);
		r = MIN(r, k);
	}
	if (r >= 0)
		return o;
	json_object_put(o);
	return NULL;
}

static int put_formatted(struct buf *b, const struct told *t, const char *format, struct err *e)
{
	bool is_json = streq(format, "json") || streq(format, "{{json .}}");
	_cleanup_json_ struct json_object *o = document(t, !is_json);

	if (!o)
		return err_set(e, ENOMEM, "out of memory");
	if (!is_json)
		return template_render(format, o, b, e);
	buf_str(b, json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	return 0;
}

struct printer {
	const struct events_args *a;
	struct err *e;
};

static int print_event(const struct event *v, void *arg)
{
	const struct printer *p = arg;
	_cleanup_json_ struct json_object *attrs = NULL;
	_cleanup_buf_ struct buf b = { 0 };
	struct told t = { .v = v };
	int r = v->attrs_json ? json_parse(v->attrs_json, strlen(v->attrs_json), "an event's attributes", &attrs, p->e) : 0;

	t.attrs = attrs;
	if (r < 0 || !passes(&t, p->a->filters))
		return r;
	if (p->a->format)
		r = put_formatted(&b, &t, p->a->format, p->e);
	else if (put_line(&b, &t) < 0)
		r = err_set(p->e, ENOMEM, "out of memory");
	if (r < 0)
		return r;
	buf_str(&b, "");
	if (b.failed)
		return err_set(p->e, ENOMEM, "out of memory");
	puts(p->a->format ? b.data : text_defuse(b.data));
	r = cli_flush(p->e);
	return r < 0 ? r : ferror(stdout) != 0; /* the reader has gone: that is the end */
}

int cmd_events(struct cli *c, struct err *e)
{
	struct events_args a = { 0 };
	struct event_query q = { 0 };
	struct printer p = { .a = &a, .e = e };
	int r = cli_parse(c, &a, 0, 0, e);

	if (r == 0)
		r = check_filters(a.filters, e);
	if (r == 0)
		r = cli_read_time("--since", a.since, &q.since_ns, e);
	if (r == 0)
		r = cli_read_time("--until", a.until, &q.until_ns, e);
	q.from_now = !a.since && !a.until; /* docker's: with --until alone, the past too */
	if (r == 0)
		r = engine_events(c->engine, &q, print_event, &p, e);
	opts_done(events_options, &a);
	return MIN(r, 0);
}
