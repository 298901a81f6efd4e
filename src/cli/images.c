/* images.c: `berth images`: one row a tag, and one an image without tags. */
#include "image_row.h"

#include "filter.h"

#include <fnmatch.h>

#define ID_SHORT 12

struct images_args {
	bool quiet, no_trunc, all, digests;
	char *format, *sort, **filters;
};
const struct opt images_options[] = {
	{ "quiet", 'q', OPT_FLAG, offsetof(struct images_args, quiet), NULL, "print ids only" },
	{ "all", 'a', OPT_FLAG, offsetof(struct images_args, all), NULL, NULL },
	{ "no-trunc", 0, OPT_FLAG, offsetof(struct images_args, no_trunc), NULL, "do not shorten ids" },
	{ "digests", 0, OPT_FLAG, offsetof(struct images_args, digests), NULL, "with manifest digests" },
	{ "filter", 'f', OPT_LIST, offsetof(struct images_args, filters), "KEY=VALUE",
	  "reference, label, before, since, until, or dangling=true|false" },
	{ "format", 0, OPT_STRING, offsetof(struct images_args, format), "FORMAT",
	  "json, table, or a template such as {{.Repository}}" },
	{ "sort", 0, OPT_STRING, offsetof(struct images_args, sort), "KEY",
	  "created (default, the newest first), id, repository, size or tag" },
	{ NULL },
};

static const struct column columns[] = {
	{ "REPOSITORY", "Repository" }, { "TAG", "Tag" },   { "IMAGE ID", "ID" },
	{ "CREATED", "CreatedSince" },  { "SIZE", "Size" }, { NULL },
};
static const struct column with_digests[] = {
	{ "REPOSITORY", "Repository" },
	{ "TAG", "Tag" },
	{ "DIGEST", "Digest" },
	{ "IMAGE ID", "ID" },
	{ "CREATED", "CreatedSince" },
	{ "SIZE", "Size" },
	{ NULL },
};
static const struct column others[] = { { "CREATED AT", "CreatedAt" }, { "DIGEST", "Digest" }, { NULL } };

/* "debian", "12" of docker.io/library/debian:12; both <none> for NULL. */
static int split_ref(const char *text, char **ret_repository, char **ret_tag, struct err *e)
{
	_cleanup_free_ char *repository = NULL, *tag = NULL;

	if (text) {
		struct ref ref;
		int r = ref_parse(text, NULL, &ref, e);
		if (r < 0)
			return r;
		_cleanup_free_ char *shown = ref_familiar(&ref);
		/* Cut at the tag: a colon before the last slash is a port's. */
		char *slash = shown ? strrchr(shown, '/') : NULL;
		char *end = shown ? strpbrk(slash ? slash : shown, ":@") : NULL;
		repository = shown ? strndup(shown, end ? (size_t)(end - shown) : strlen(shown)) : NULL;
		tag = strdup(ref.tag ? ref.tag : "<none>");
		ref_done(&ref);
	} else {
		repository = strdup("<none>");
		tag = strdup("<none>");
	}
	if (!repository || !tag)
		return err_set(e, ENOMEM, "out of memory");
	*ret_repository = TAKE_PTR(repository);
	*ret_tag = TAKE_PTR(tag);
	return 0;
}

static int add(struct json_object *row, const char *key, const char *text)
{
	return text ? json_add(row, key, json_object_new_string(text)) : -ENOMEM;
}

int image_row(const struct image_record *i, const char *ref, bool no_trunc, struct json_object **ret, struct err *e)
{
	_cleanup_json_ struct json_object *row = json_object_new_object();
	_cleanup_free_ char *repository = NULL, *tag = NULL, *id = NULL, *since = NULL;
	uint64_t created = 0, now = clock_real_ns();
	char size[16], ago[32], at[CREATED_AT_LEN];
	int r = split_ref(ref, &repository, &tag, e);

	if (r < 0)
		return r;
	bool has_date = i->created && clock_parse(i->created, &created) == 0 && created;
	id = no_trunc || !str_after(i->id, "sha256:") ? strdup(i->id) : strndup(i->id + 7, ID_SHORT);
	since = has_date ? str_fmt("%s ago", clock_ago(now > created ? (now - created) / 1000000000 : 0, ago)) : strdup("N/A");
	if (add(row, "Repository", repository) < 0 || add(row, "Tag", tag) < 0 || add(row, "ID", id) < 0 ||
	    add(row, "CreatedSince", since) < 0 || add(row, "CreatedAt", has_date ? created_at(created, at) : "N/A") < 0 ||
	    listing_add_size(row, i->size_bytes, str_human_size(i->size_bytes, size)) < 0 ||
	    add(row, "Digest", i->manifest_digest ? i->manifest_digest : "<none>") < 0)
		return err_set(e, ENOMEM, "out of memory");
	*ret = TAKE_PTR(row);
	return 0;
}

static const char *member(struct json_object *row, const char *key)
{
	return json_object_get_string(json_object_object_get(row, key));
}

/* "debian" or "debian:12", also with a shell's wildcards. */
static bool row_has_name(struct json_object *row, const char *wanted)
{
	_cleanup_free_ char *whole = str_fmt("%s:%s", member(row, "Repository"), member(row, "Tag"));
	struct ref ref;
	bool same = fnmatch(wanted, member(row, "Repository"), FNM_PATHNAME) == 0 ||
		    (whole && fnmatch(wanted, whole, FNM_PATHNAME) == 0);

	if (same || ref_parse(wanted, NULL, &ref, NULL) < 0)
		return same;
	_cleanup_free_ char *familiar = ref_familiar(&ref);
	same = familiar && whole && streq(familiar, whole);
	ref_done(&ref);
	return same;
}

struct listed {
	struct json_object *row;
	const struct image_record *image;
};

static bool matches(const void *thing, const char *key, const char *value)
{
	const struct listed *l = thing;

	if (streq(key, "reference"))
		return row_has_name(l->row, value);
	if (streq(key, "dangling"))
		return filter_bool(value) == streq(member(l->row, "Repository"), "<none>");
	return image_filter_matches(l->image, key, value);
}

static int check_filters(struct cli *c, char *const *filters, struct image_span *span, struct err *e)
{
	static const char *const known[] = { "reference", "label", "label!", "before", "since", "until", "dangling", NULL };
	int r = filters_check(filters, known, e);

	return r < 0 ? r : image_filters_read(c, filters, span, e);
}

static int add_rows(struct cli *c, const struct image_record *i, const struct images_args *a, struct json_object *rows,
		    struct err *e)
{
	const char *wanted = c->n_operands ? c->operands[0] : NULL;
	_cleanup_strv_ char **refs = NULL, **ids = NULL;
	int r = records_tags(store_records(engine_store(c->engine)), i->id, &refs, &ids, e);
	size_t n = r < 0 ? 0 : MAX(strv_len(refs), (size_t)1);

	for (size_t k = 0; r >= 0 && k < n; k++) {
		struct json_object *row = NULL;
		r = image_row(i, refs ? refs[k] : NULL, a->no_trunc, &row, e);
		if (r < 0)
			return r;
		const struct listed l = { row, i };
		if ((wanted && !row_has_name(row, wanted)) || !filters_pass(a->filters, matches, &l))
			json_object_put(row);
		else if (json_object_array_add(rows, row) < 0)
			return err_set(e, ENOMEM, "out of memory");
	}
	return r;
}

static const struct sort_key sort_keys[] = {
	{ "created", NULL }, { "id", "ID" }, { "repository", "Repository" }, { "size", "Size" }, { "tag", "Tag" }, { NULL },
};

static int list(struct cli *c, const struct images_args *a, struct err *e)
{
	const struct listing l = { a->digests ? with_digests : columns, others, a->format, a->quiet ? "ID" : NULL };
	_cleanup_json_ struct json_object *rows = json_object_new_array();
	struct image_record *images = NULL;
	struct image_span span = { 0 };
	size_t n = 0;
	int r = check_filters(c, a->filters, &span, e);

	if (r >= 0)
		r = records_image_list(store_records(engine_store(c->engine)), &images, &n, e);
	for (size_t i = 0; r >= 0 && rows && i < n; i++)
		if (image_in_span(&images[i], &span))
			r = add_rows(c, &images[i], a, rows, e);
	for (size_t i = 0; i < n; i++)
		image_record_done(&images[i]);
	free(images);
	if (r >= 0)
		r = rows ? listing_sort(rows, sort_keys, a->sort, e) : err_set(e, ENOMEM, "out of memory");
	return r < 0 ? r : listing_print(&l, rows, e);
}

int cmd_images(struct cli *c, struct err *e)
{
	struct images_args a = { 0 };
	int r = cli_parse(c, &a, 0, 1, e);

	if (r == 0)
		r = list(c, &a, e);
	opts_done(images_options, &a);
	return MIN(r, 0);
}
