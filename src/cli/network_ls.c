/* network_ls.c: `berth network ls`, by docker's rules. */
#include "cli.h"
#include "filter.h"
#include "output.h"

enum { ID_SHORT = 12 };
struct ls_args {
	bool quiet, no_trunc;
	char *format, **filters;
};
const struct opt network_ls_options[] = {
	{ "quiet", 'q', OPT_FLAG, offsetof(struct ls_args, quiet), NULL, "print ids only" },
	{ "no-trunc", 0, OPT_FLAG, offsetof(struct ls_args, no_trunc), NULL, "print whole ids" },
	{ "filter", 'f', OPT_LIST, offsetof(struct ls_args, filters), "KEY=VALUE",
	  "driver, id, label, name, scope, type=custom|builtin, or dangling=true|false" },
	{ "format", 0, OPT_STRING, offsetof(struct ls_args, format), "FORMAT", "json, table, or a template such as {{.Name}}" },
	{ NULL },
};

static bool is_dangling(const struct network_record *n) { return !n->n_endpoints && !engine_network_is_predefined(n->name); }

static bool matches(const void *thing, const char *key, const char *value)
{
	const struct network_record *n = thing;

	if (streq(key, "driver"))
		return streq(n->driver, value);
	if (streq(key, "id"))
		return filter_name(n->id, value);
	if (streq(key, "name"))
		return filter_name(n->name, value);
	if (streq(key, "scope"))
		return streq(value, "local");
	if (streq(key, "type"))
		return engine_network_is_predefined(n->name) == streq(value, "builtin");
	if (streq(key, "dangling"))
		return is_dangling(n) == (filter_bool(value) > 0);
	return filter_label(&n->labels, value);
}

static int check_filters(char *const *filters, struct err *e)
{
	static const char *const known[] = { "driver", "id", "label", "name", "scope", "type", "dangling", NULL };
	static const char *const types[] = { "custom", "builtin", NULL };
	const char *v;
	int r = filters_check(filters, known, e);

	for (char *const *at = filters; r == 0 && (v = filter_next(&at, "type"));)
		r = filter_word("type", v, types, e);
	for (char *const *at = filters; r == 0 && (v = filter_next(&at, "dangling"));)
		if (filter_bool(v) < 0)
			r = err_set(e, EINVAL, "--filter: \"dangling=%s\": it is true or false", v);
	return r;
}

static const struct column columns[] = {
	{ "NETWORK ID", "ID" }, { "NAME", "Name" }, { "DRIVER", "Driver" }, { "SCOPE", "Scope" }, { NULL }
};
static const struct column others[] = { { "IPV4", "IPv4" },
					{ "IPV6", "IPv6" },
					{ "INTERNAL", "Internal" },
					{ "LABELS", "Labels" },
					{ "CREATED AT", "CreatedAt" },
					{ NULL } };

static int fill_row(const struct network_record *n, bool no_trunc, struct json_object *row, struct err *e)
{
	_cleanup_free_ char *id = strndup(n->id, no_trunc ? strlen(n->id) : ID_SHORT);
	bool ipv6 = false, internal = false;
	char when[CREATED_AT_LEN];
	int r = engine_network_traits(n, &ipv6, &internal, e);

	if (r < 0)
		return r;
	const struct {
		const char *key, *text;
	} texts[] = { { "CreatedAt", created_at(n->created_ns, when) },
		      { "Driver", n->driver },
		      { "ID", id },
		      { "IPv4", "true" },
		      { "IPv6", ipv6 ? "true" : "false" },
		      { "Internal", internal ? "true" : "false" },
		      { "Name", n->name },
		      { "Scope", "local" } };
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (!texts[i].text || json_add(row, texts[i].key, json_object_new_string(texts[i].text)) < 0)
			return err_set(e, ENOMEM, "out of memory");
	return listing_add_labels(row, &n->labels) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

static int add_row(const struct network_record *n, bool no_trunc, struct json_object *rows, struct err *e)
{
	struct json_object *row = json_object_new_object();
	int r = row ? fill_row(n, no_trunc, row, e) : err_set(e, ENOMEM, "out of memory");

	if (r >= 0 && json_object_array_add(rows, row) < 0)
		r = err_set(e, ENOMEM, "out of memory");
	if (r < 0)
		json_object_put(row);
	return r;
}

static int list_all(struct cli *c, const struct ls_args *a, struct err *e)
{
	const struct listing l = { columns, others, a->format, a->quiet ? "ID" : NULL };
	_cleanup_json_ struct json_object *rows = json_object_new_array();
	struct network_record *all = NULL;
	size_t n = 0;
	int r = check_filters(a->filters, e);

	if (r >= 0)
		r = rows ? engine_network_list(c->engine, &all, &n, e) : err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; r >= 0 && i < n; i++)
		if (filters_pass(a->filters, matches, &all[i]))
			r = add_row(&all[i], a->no_trunc, rows, e);
	network_records_free(all, n);
	return r < 0 ? r : listing_print(&l, rows, e);
}

int cmd_network_ls(struct cli *c, struct err *e)
{
	struct ls_args a = { 0 };
	int r = cli_parse(c, &a, 0, 0, e);

	if (r == 0)
		r = list_all(c, &a, e);
	opts_done(network_ls_options, &a);
	return MIN(r, 0);
}
