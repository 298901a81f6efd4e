/* history.c: `berth history`: how an image came about, newest first, as its configuration tells it. */
#include "cli.h"
#include "output.h"

#define ID_SHORT 12
#define MISSING  "<missing>"

struct history_args {
	bool quiet, no_trunc, raw;
	char *format;
};
const struct opt history_options[] = {
	{ "quiet", 'q', OPT_FLAG, offsetof(struct history_args, quiet), NULL, "print ids only" },
	{ "no-trunc", 0, OPT_FLAG, offsetof(struct history_args, no_trunc), NULL, "do not shorten ids and commands" },
	{ "human", 'H', OPT_FLAG_OFF, offsetof(struct history_args, raw), NULL, "sizes and dates for people (default true)" },
	{ "format", 0, OPT_STRING, offsetof(struct history_args, format), "FORMAT",
	  "json, table, or a template such as {{.CreatedBy}}" },
	{ NULL },
};

static const struct column columns[] = {
	{ "IMAGE", "ID" },  { "CREATED", "CreatedSince" }, { "CREATED BY", "CreatedBy" },
	{ "SIZE", "Size" }, { "COMMENT", "Comment" },      { NULL },
};
static const struct column columns_raw[] = {
	{ "IMAGE", "ID" },  { "CREATED AT", "CreatedAt" }, { "CREATED BY", "CreatedBy" },
	{ "SIZE", "Size" }, { "COMMENT", "Comment" },      { NULL },
};
static const struct column others[] = { { "CREATED AT", "CreatedAt" }, { "CREATED", "CreatedSince" }, { NULL } };

static int add(struct json_object *row, const char *key, const char *text)
{
	return text ? json_add(row, key, json_object_new_string(text)) : -ENOMEM;
}

static int history_row(const struct history *h, const char *id, uint64_t bytes, const struct history_args *a,
		       struct json_object **ret, struct err *e)
{
	_cleanup_json_ struct json_object *row = json_object_new_object();
	_cleanup_free_ char *since = NULL, *by = text_for_table(h->created_by, a->no_trunc),
			    *raw = str_fmt("%llu", (unsigned long long)bytes), *comment = strdup(h->comment ? h->comment : "");
	uint64_t created = 0, now = clock_real_ns();
	char size[16], ago[32], at[RFC3339_LEN];

	bool has_date = h->created && clock_parse(h->created, &created) == 0 && created;
	since = has_date ? str_fmt("%s ago", clock_ago(now > created ? (now - created) / 1000000000 : 0, ago)) : strdup("N/A");
	if (!comment || !raw || add(row, "ID", id) < 0 || add(row, "CreatedSince", since) < 0 ||
	    add(row, "CreatedAt", has_date ? clock_rfc3339(created, at) : "N/A") < 0 || add(row, "CreatedBy", by) < 0 ||
	    add(row, "Size", a->raw ? raw : str_human_size(bytes, size)) < 0 || add(row, "Comment", text_defuse(comment)) < 0)
		return err_set(e, ENOMEM, "out of memory");
	*ret = TAKE_PTR(row);
	return 0;
}

/* From the newest down, as it is printed: the last layer belongs to the last entry that has one. */
static int add_rows(struct cli *c, const struct image *i, const struct history_args *a, struct json_object *rows, struct err *e)
{
	_cleanup_free_ char *id = a->no_trunc || !str_after(i->id, "sha256:") ? strdup(i->id) : strndup(i->id + 7, ID_SHORT);
	size_t layer = strv_len(i->chain_ids);
	int r = 0;

	if (!id)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t k = i->config.n_history; r >= 0 && k-- > 0;) {
		const struct history *h = &i->config.history[k];
		struct json_object *row = NULL;
		uint64_t bytes = 0;

		if (!h->empty_layer && layer > 0)
			r = image_layer_size(engine_store(c->engine), i->chain_ids[--layer], &bytes, e);
		if (r >= 0)
			r = history_row(h, k + 1 == i->config.n_history ? id : MISSING, bytes, a, &row, e);
		if (r >= 0 && json_object_array_add(rows, row) < 0)
			r = err_set(e, ENOMEM, "out of memory");
	}
	return r;
}

static int list(struct cli *c, const struct history_args *a, struct err *e)
{
	const struct listing l = { a->raw ? columns_raw : columns, others, a->format, a->quiet ? "ID" : NULL };
	_cleanup_json_ struct json_object *rows = json_object_new_array();
	struct image i;
	int r = image_find(engine_store(c->engine), c->operands[0], &i, e);

	if (r < 0)
		return r;
	r = rows ? add_rows(c, &i, a, rows, e) : err_set(e, ENOMEM, "out of memory");
	image_done(&i);
	return r < 0 ? r : listing_print(&l, rows, e);
}

int cmd_history(struct cli *c, struct err *e)
{
	struct history_args a = { 0 };
	int r = cli_parse(c, &a, 1, 1, e);

	if (r == 0)
		r = list(c, &a, e);
	opts_done(history_options, &a);
	return MIN(r, 0);
}
