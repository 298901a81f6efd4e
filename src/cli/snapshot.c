/* snapshot.c: `berth snapshot ...`: saved virtual machines. */
#include "cli.h"
#include "output.h"

#define ID_SHORT 12

struct snapshot_args {
	bool quiet, no_trunc, is_diff, tracks;
	char *format;
};
const struct opt snapshot_create_options[] = {
	{ "diff", 0, OPT_FLAG, offsetof(struct snapshot_args, is_diff), NULL,
	  "of memory save only what was written since the last one with --track or --diff, which it needs from then on" },
	{ "track", 0, OPT_FLAG, offsetof(struct snapshot_args, tracks), NULL,
	  "count from here on what is written, so that the next may be a --diff" },
	{ "quiet", 'q', OPT_FLAG, offsetof(struct snapshot_args, quiet), NULL, "do not say how long the VM was paused" },
	{ NULL },
};
const struct opt snapshot_ls_options[] = {
	{ "quiet", 'q', OPT_FLAG, offsetof(struct snapshot_args, quiet), NULL, "print ids only" },
	{ "no-trunc", 0, OPT_FLAG, offsetof(struct snapshot_args, no_trunc), NULL, "do not shorten ids" },
	{ "format", 0, OPT_STRING, offsetof(struct snapshot_args, format), "FORMAT",
	  "json, table, or a template such as {{.Name}}" },
	{ NULL },
};
const struct opt snapshot_inspect_options[] = {
	{ "format", 'f', OPT_STRING, offsetof(struct snapshot_args, format), "FORMAT", "json, or a template such as {{.Size}}" },
	{ NULL },
};
const struct opt snapshot_rm_options[] = { { NULL } };

static const struct column columns[] = {
	{ "SNAPSHOT ID", "ID" }, { "NAME", "Name" },
	{ "PARENT", "Parent" },  { "VM", "VM" },
	{ "IMAGE", "Image" },    { "CREATED", "CreatedSince" },
	{ "SIZE", "Size" },      { NULL },
};
static const struct column others[] = { { "CREATED AT", "CreatedAt" }, { NULL } };

int cmd_snapshot_create(struct cli *c, struct err *e)
{
	struct snapshot_args a = { 0 };
	struct engine_snapshot_info info;
	struct engine_snapshot_opts o = { NULL };
	char size[16];
	int r = cli_parse(c, &a, 1, 2, e);

	if (r != 0)
		return MIN(r, 0);
	o.name = c->n_operands > 1 ? c->operands[1] : NULL;
	o.is_diff = a.is_diff;
	o.tracks = a.tracks;
	r = engine_snapshot_create(c->engine, c->operands[0], &o, &info, e);
	if (r < 0)
		return r;
	puts(info.id);
	if (!a.quiet)
		fprintf(stderr, "snapshot %s: %s%s%s, the VM stood still for %.1f ms\n", info.name,
			str_human_size(info.size_bytes, size), info.parent_name ? " beyond " : "", info.parent_name ?: "",
			(double)info.pause_us / 1000);
	engine_snapshot_info_done(&info);
	return 0;
}

static int add(struct json_object *row, const char *key, const char *text)
{
	return text ? json_add(row, key, json_object_new_string(text)) : -ENOMEM;
}

static int add_row(const struct snapshot_record *s, bool no_trunc, struct json_object *rows)
{
	struct json_object *row = json_object_new_object();
	_cleanup_free_ char *id = no_trunc ? strdup(s->id) : strndup(s->id, ID_SHORT), *since = NULL;
	uint64_t now = clock_real_ns();
	char size[16], ago[32], at[RFC3339_LEN];

	since = str_fmt("%s ago", clock_ago(now > s->created_ns ? (now - s->created_ns) / 1000000000 : 0, ago));
	if (add(row, "ID", id) < 0 || add(row, "Name", s->name) < 0 || add(row, "Parent", s->parent_name ?: "") < 0 ||
	    add(row, "VM", s->vm_name) < 0 || add(row, "Image", s->image_ref ?: s->image_id) < 0 ||
	    add(row, "CreatedSince", since) < 0 || add(row, "CreatedAt", clock_rfc3339(s->created_ns, at)) < 0 ||
	    add(row, "Size", str_human_size(s->size_bytes, size)) < 0 || json_object_array_add(rows, row) < 0) {
		json_object_put(row);
		return -ENOMEM;
	}
	return 0;
}

static int list(struct cli *c, const struct snapshot_args *a, struct err *e)
{
	const struct listing l = { columns, others, a->format, a->quiet ? "ID" : NULL };
	_cleanup_json_ struct json_object *rows = json_object_new_array();
	struct snapshot_record *all = NULL;
	size_t n = 0;
	int r = engine_snapshot_list(c->engine, &all, &n, e);

	if (r >= 0 && !rows)
		r = err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; r >= 0 && i < n; i++)
		if (add_row(&all[i], a->no_trunc, rows) < 0)
			r = err_set(e, ENOMEM, "out of memory");
	snapshot_records_free(all, n);
	return r < 0 ? r : listing_print(&l, rows, e);
}

int cmd_snapshot_ls(struct cli *c, struct err *e)
{
	struct snapshot_args a = { 0 };
	int r = cli_parse(c, &a, 0, 0, e);

	if (r == 0)
		r = list(c, &a, e);
	opts_done(snapshot_ls_options, &a);
	return MIN(r, 0);
}

static int inspect_one(struct cli *c, const char *name, void *arg, struct err *e)
{
	const struct snapshot_args *a = arg;
	_cleanup_json_ struct json_object *o = NULL;
	int r = engine_snapshot_inspect(c->engine, name, &o, e);

	return r < 0 ? r : document_print(o, a->format, e);
}

int cmd_snapshot_inspect(struct cli *c, struct err *e)
{
	struct snapshot_args a = { 0 };
	int r = cli_parse(c, &a, 1, CLI_ANY, e);

	r = r == 0 ? cli_each(c, inspect_one, &a) : MIN(r, 0);
	opts_done(snapshot_inspect_options, &a);
	return r;
}

static int rm_one(struct cli *c, const char *name, void *arg, struct err *e)
{
	int r = engine_snapshot_remove(c->engine, name, e);

	(void)arg;
	if (r >= 0)
		puts(name);
	return r;
}

int cmd_snapshot_rm(struct cli *c, struct err *e)
{
	int r = cli_parse(c, NULL, 1, CLI_ANY, e);

	return r == 0 ? cli_each(c, rm_one, NULL) : MIN(r, 0);
}
