/* volume.c: `berth volume create`, `ls`, `inspect`, `rm`, `prune`. */
#include "cli.h"
#include "filter.h"
#include "output.h"
#include "prune.h"

struct volume_args {
	bool quiet, force, all;
	char *name, *driver, *format, **labels, **options, **filters;
};
#define AT(member) offsetof(struct volume_args, member)
const struct opt volume_create_options[] = {
	{ "name", 0, OPT_STRING, AT(name), "NAME", "the same as the operand" },
	{ "driver", 'd', OPT_STRING, AT(driver), "DRIVER", "local is the only one" },
	{ "opt", 'o', OPT_LIST, AT(options), "NAME=VALUE",
	  "an option of the driver's: size=SIZE; type=tmpfs, device=tmpfs, o=..." },
	{ "label", 0, OPT_LIST, AT(labels), "NAME=VALUE", "attach a label" },
	{ NULL },
};
const struct opt volume_ls_options[] = {
	{ "quiet", 'q', OPT_FLAG, AT(quiet), NULL, "print names only" },
	{ "filter", 'f', OPT_LIST, AT(filters), "KEY=VALUE", "name, label, driver, or dangling=true|false" },
	{ "format", 0, OPT_STRING, AT(format), "FORMAT", "json, table, or a template such as {{.Name}}" },
	{ NULL },
};
const struct opt volume_inspect_options[] = {
	{ "format", 'f', OPT_STRING, AT(format), "FORMAT", "json, or a template such as {{.Mountpoint}}" },
	{ NULL },
};
const struct opt volume_rm_options[] = {
	{ "force", 'f', OPT_FLAG, AT(force), NULL, "what does not exist is no error" },
	{ NULL },
};
const struct opt volume_prune_options[] = {
	{ "all", 'a', OPT_FLAG, AT(all), NULL, "also those that have a name" },
	{ "filter", 0, OPT_LIST, AT(filters), "KEY=VALUE", "only those with, or without, a label: label, label!; or all=true" },
	{ "force", 'f', OPT_FLAG, AT(force), NULL, PRUNE_FORCE_HELP },
	{ NULL },
};

static int out_of_memory(struct err *e) { return err_set(e, ENOMEM, "out of memory"); }

/* ---- create ---- */

static int create(struct cli *c, const struct volume_args *a, struct err *e)
{
	const char *operand = c->n_operands ? c->operands[0] : NULL;
	const struct engine_volume_opts o = {
		.name = operand ? operand : a->name, .driver = a->driver, .options = a->options, .labels = a->labels
	};
	_cleanup_free_ char *name = NULL;
	int r;

	if (operand && a->name)
		return err_set(e, EINVAL,
			       "conflicting options: cannot specify a volume-name through both --name and as a positional arg");
	r = engine_volume_create(c->engine, &o, &name, e);
	if (r >= 0)
		puts(name);
	return r;
}

int cmd_volume_create(struct cli *c, struct err *e)
{
	struct volume_args a = { 0 };
	int r = cli_parse(c, &a, 0, 1, e);

	if (r == 0)
		r = create(c, &a, e);
	opts_done(volume_create_options, &a);
	return MIN(r, 0);
}

/* ---- filters ---- */

static bool matches(const void *thing, const char *key, const char *value)
{
	const struct volume_record *v = thing;

	if (streq(key, "name"))
		return filter_name(v->name, value);
	if (streq(key, "driver"))
		return streq(v->driver, value);
	if (streq(key, "dangling"))
		return v->is_used != filter_bool(value);
	if (streq(key, "label"))
		return filter_label(&v->labels, value);
	if (streq(key, "label!"))
		return !filter_label(&v->labels, value);
	return true; /* "all" */
}

static int check_filters(char *const *filters, const char *const *known, const char *truth, struct err *e)
{
	int r = filters_check(filters, known, e);

	for (; r >= 0 && filters && *filters; filters++)
		if (str_after(*filters, truth) && filter_bool(str_after(*filters, truth)) < 0)
			return err_set(e, EINVAL, "--filter: \"%s\": it is true or false", *filters);
	return r;
}

/* ---- ls ---- */

static const struct column columns[] = { { "DRIVER", "Driver" }, { "VOLUME NAME", "Name" }, { NULL } };
static const struct column others[] = { { "SCOPE", "Scope" },
					{ "MOUNTPOINT", "Mountpoint" },
					{ "LABELS", "Labels" },
					{ "LINKS", "Links" },
					{ "SIZE", "Size" },
					{ "STATUS", "Status" },
					{ "GROUP", "Group" },
					{ "AVAILABILITY", "Availability" },
					{ NULL } };

static int add(struct json_object *row, const char *key, const char *text)
{
	return text ? json_add(row, key, json_object_new_string(text)) : -ENOMEM;
}

static int add_row(struct cli *c, const struct volume_record *v, struct json_object *rows)
{
	static const char *const unknown[] = { "Availability", "Group", "Links", "Size", "Status" }; /* docker's words for them */
	_cleanup_free_ char *at = engine_volume_mountpoint(c->engine, v->name);
	struct json_object *row = json_object_new_object();
	int r = add(row, "Driver", v->driver);

	if (r == 0)
		r = listing_add_labels(row, &v->labels);
	if (r == 0)
		r = add(row, "Mountpoint", at);
	if (r == 0)
		r = add(row, "Name", v->name);
	if (r == 0)
		r = add(row, "Scope", "local");
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(unknown); i++)
		r = add(row, unknown[i], "N/A");
	if (r == 0 && json_object_array_add(rows, row) == 0)
		return 0;
	json_object_put(row);
	return -ENOMEM;
}

static int list_all(struct cli *c, const struct volume_args *a, struct err *e)
{
	static const char *const known[] = { "name", "label", "driver", "dangling", NULL };
	const struct listing l = { columns, others, a->format, a->quiet ? "Name" : NULL };
	_cleanup_json_ struct json_object *rows = json_object_new_array();
	struct volume_record *all = NULL;
	size_t n = 0;
	int r = check_filters(a->filters, known, "dangling=", e);

	if (r >= 0)
		r = rows ? engine_volume_list(c->engine, &all, &n, e) : out_of_memory(e);
	for (size_t i = 0; r >= 0 && i < n; i++)
		if (filters_pass(a->filters, matches, &all[i]) && add_row(c, &all[i], rows) < 0)
			r = out_of_memory(e);
	volume_records_free(all, n);
	return r < 0 ? r : listing_print(&l, rows, e);
}

int cmd_volume_ls(struct cli *c, struct err *e)
{
	struct volume_args a = { 0 };
	int r = cli_parse(c, &a, 0, 0, e);

	if (r == 0)
		r = list_all(c, &a, e);
	opts_done(volume_ls_options, &a);
	return MIN(r, 0);
}

/* ---- inspect ---- */

static int find(struct cli *c, const char *name, void *arg, struct json_object **ret, struct err *e)
{
	(void)arg;
	return engine_volume_inspect(c->engine, name, ret, e);
}

int cmd_volume_inspect(struct cli *c, struct err *e)
{
	struct volume_args a = { 0 };
	int r = cli_parse(c, &a, 1, CLI_ANY, e);

	r = r == 0 ? inspect_all(c, a.format, find, NULL, e) : MIN(r, 0);
	opts_done(volume_inspect_options, &a);
	return r;
}

/* ---- rm, prune ---- */

static int rm_one(struct cli *c, const char *name, void *arg, struct err *e)
{
	const struct volume_args *a = arg;
	int r = engine_volume_remove(c->engine, name, NULL, e);

	if (r == -ENOENT && a->force)
		r = 0;
	if (r >= 0)
		puts(name);
	return r;
}

int cmd_volume_rm(struct cli *c, struct err *e)
{
	struct volume_args a = { 0 };
	int r = cli_parse(c, &a, 1, CLI_ANY, e);

	return r == 0 ? cli_each(c, rm_one, &a) : MIN(r, 0);
}

int prune_volumes(struct cli *c, bool all, char *const *filters, uint64_t *ret_freed, struct err *e)
{
	struct volume_record *list = NULL;
	size_t n = 0, gone = 0;
	int r = engine_volume_list(c->engine, &list, &n, e);

	for (size_t i = 0; r >= 0 && i < n; i++) {
		uint64_t freed = 0;
		if (list[i].is_used || (!all && !map_get(&list[i].labels, VOLUME_ANONYMOUS)) ||
		    !filters_pass(filters, matches, &list[i]))
			continue;
		r = engine_volume_remove(c->engine, list[i].name, &freed, e);
		if (r == -EBUSY || r == -ENOENT) { /* used or gone meanwhile */
			r = 0;
			continue;
		}
		if (r >= 0)
			printf("%s%s\n", gone++ ? "" : "Deleted Volumes:\n", list[i].name);
		*ret_freed += freed;
	}
	volume_records_free(list, n);
	if (gone)
		puts("");
	return r;
}

int cmd_volume_prune(struct cli *c, struct err *e)
{
	static const char *const known[] = { "label", "label!", "all", NULL };
	struct volume_args a = { 0 };
	uint64_t freed = 0;
	char size[16];
	int r = cli_parse(c, &a, 0, 0, e);

	if (r == 0)
		r = check_filters(a.filters, known, "all=", e);
	for (char **f = a.filters; r == 0 && f && *f; f++)
		if (str_after(*f, "all="))
			a.all |= filter_bool(str_after(*f, "all=")) > 0;
	if (r == 0 &&
	    (r = prune_asked(a.all ? "all volumes that no container uses" : "all volumes without a name that no container uses",
			     a.force, e)) > 0) {
		r = prune_volumes(c, a.all, a.filters, &freed, e);
		if (r == 0)
			printf("Total reclaimed space: %s\n", str_human_size(freed, size));
	}
	opts_done(volume_prune_options, &a);
	return MIN(r, 0);
}
