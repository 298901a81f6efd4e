/* search.c: `berth search`: repositories of a registry, in docker's columns; with --list-tags one's tags, in podman's. */
#include "cli.h"
#include "filter.h"
#include "output.h"
#include "registry_options.h"

#define LIMIT_DEFAULT 25
#define LIMIT_MAX     100 /* docker's index tells no more */
#define TAGS_MAX      10000

struct search_args {
	struct registry_trust trust;
	bool no_trunc, list_tags;
	int64_t limit;
	char **filters, *format;
};
const struct opt search_options[] = {
	{ "limit", 0, OPT_I64, offsetof(struct search_args, limit), "N",
	  "at most so many (default 25; up to 100, of tags 10000)" },
	{ "filter", 'f', OPT_LIST, offsetof(struct search_args, filters), "KEY=VALUE", "stars=N, is-official or is-automated" },
	{ "list-tags", 0, OPT_FLAG, offsetof(struct search_args, list_tags), NULL, "the tags of the repository of that name" },
	{ "no-trunc", 0, OPT_FLAG, offsetof(struct search_args, no_trunc), NULL, "do not shorten descriptions" },
	{ "format", 0, OPT_STRING, offsetof(struct search_args, format), "FORMAT",
	  "json, table, or a template such as {{.Name}}" },
	REGISTRY_OPTIONS(struct search_args, trust),
	{ NULL },
};

static const struct column columns[] = {
	{ "NAME", "Name" }, { "DESCRIPTION", "Description" }, { "STARS", "StarCount" }, { "OFFICIAL", "IsOfficial" }, { NULL },
};
static const struct column others[] = { { "AUTOMATED", "IsAutomated" }, { NULL } };
static const struct column tag_columns[] = { { "NAME", "Name" }, { "TAG", "Tag" }, { NULL } };

static int64_t number(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) ? json_object_get_int64(v) : 0;
}

static bool flag(struct json_object *o, const char *key) { return number(o, key) != 0; }

static bool matches(const void *thing, const char *key, const char *value)
{
	struct json_object *o = *(struct json_object *const *)thing;
	uint64_t stars = 0;

	if (streq(key, "stars"))
		return str_to_u64(value, &stars) == 0 && (uint64_t)number(o, "star_count") >= stars;
	return flag(o, streq(key, "is-official") ? "is_official" : "is_automated") == (filter_bool(value) > 0);
}

static int check_filters(char *const *filters, struct err *e)
{
	static const char *const keys[] = { "stars", "is-official", "is-automated", NULL };
	int r = filters_check(filters, keys, e);

	for (; r >= 0 && filters && *filters; filters++) {
		const char *value = strchr(*filters, '=') + 1;
		uint64_t n;
		if (str_after(*filters, "stars=") ? str_to_u64(value, &n) < 0 : filter_bool(value) < 0)
			r = err_set(e, EINVAL, "--filter: \"%s\": %s is wanted", *filters,
				    str_after(*filters, "stars=") ? "a number" : "true or false");
	}
	return r;
}

static const char *text(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) ? json_object_get_string(v) : "";
}

static int repository_row(struct json_object *o, const char *below, const struct search_args *a, struct json_object *row)
{
	_cleanup_free_ char *name = str_fmt("%s%s", below, text(o, "name")),
			    *about = text_for_table(text(o, "description"), a->no_trunc),
			    *stars = str_fmt("%lld", (long long)number(o, "star_count"));

	if (!name || !about || !stars)
		return -ENOMEM;
	if (json_add(row, "Name", json_object_new_string(name)) < 0 ||
	    json_add(row, "Description", json_object_new_string(about)) < 0 ||
	    json_add(row, "StarCount", json_object_new_string(stars)) < 0 ||
	    json_add(row, "IsOfficial", json_object_new_string(flag(o, "is_official") ? "[OK]" : "")) < 0)
		return -ENOMEM;
	return json_add(row, "IsAutomated", json_object_new_string(flag(o, "is_automated") ? "[OK]" : ""));
}

static int tag_row(struct json_object *tag, const char *name, struct json_object *row)
{
	int r = json_add(row, "Name", json_object_new_string(name));

	return r < 0 ? r : json_add(row, "Tag", json_object_get(tag));
}

static int add_rows(struct json_object *found, const char *name, const struct search_args *a, struct json_object *rows,
		    struct err *e)
{
	for (size_t i = 0; i < json_object_array_length(found); i++) {
		struct json_object *one = json_object_array_get_idx(found, i);
		_cleanup_json_ struct json_object *row = NULL;

		if (!a->list_tags && !filters_pass(a->filters, matches, (const void *)&one))
			continue;
		row = json_object_new_object();
		if (!row || (a->list_tags ? tag_row(one, name, row) : repository_row(one, name, a, row)) < 0 ||
		    json_object_array_add(rows, row) < 0)
			return err_set(e, ENOMEM, "out of memory");
		row = NULL;
	}
	return 0;
}

static int check(const struct search_args *a, struct err *e)
{
	int64_t max = a->list_tags ? TAGS_MAX : LIMIT_MAX;

	if (a->limit < 1 || a->limit > max)
		return err_set(e, EINVAL, "--limit: %lld is out of range; 1 to %lld are possible", (long long)a->limit,
			       (long long)max);
	if (a->list_tags && a->filters)
		return err_set(e, EINVAL, "--filter is not possible with --list-tags: tags have neither stars nor owners");
	return check_filters(a->filters, e);
}

static int find(struct cli *c, const struct search_args *a, struct err *e)
{
	const struct search_opts o = { .trust = a->trust, .limit = (unsigned)a->limit, .tags = a->list_tags };
	const struct listing l = { a->list_tags ? tag_columns : columns, a->list_tags ? NULL : others, a->format, NULL };
	_cleanup_json_ struct json_object *found = NULL, *rows = json_object_new_array();
	_cleanup_free_ char *name = NULL;
	int r = rows ? check(a, e) : err_set(e, ENOMEM, "out of memory");

	if (r >= 0)
		r = engine_search(c->engine, c->operands[0], &o, &found, &name, e);
	if (r >= 0)
		r = add_rows(found, name, a, rows, e);
	return r < 0 ? r : listing_print(&l, rows, e);
}

int cmd_search(struct cli *c, struct err *e)
{
	struct search_args a = { .limit = LIMIT_DEFAULT };
	int r = cli_parse(c, &a, 1, 1, e);

	if (r == 0)
		r = find(c, &a, e);
	opts_done(search_options, &a);
	return MIN(r, 0);
}
