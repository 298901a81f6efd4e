/* ps.c: `berth ps`. */
#include "cli.h"
#include "filter.h"
#include "output.h"
#include "ps_row.h"

struct ps_args {
	bool all, quiet, no_trunc, latest, pod, size;
	int64_t last;
	char *format, *sort, **filters;
};
const struct opt ps_options[] = {
	{ "all", 'a', OPT_FLAG, offsetof(struct ps_args, all), NULL, "also those that do not run" },
	{ "quiet", 'q', OPT_FLAG, offsetof(struct ps_args, quiet), NULL, "print ids only" },
	{ "no-trunc", 0, OPT_FLAG, offsetof(struct ps_args, no_trunc), NULL, "do not shorten ids and commands" },
	{ "filter", 'f', OPT_LIST, offsetof(struct ps_args, filters), "KEY=VALUE",
	  "id, name, label, status, health, ancestor, before, since, network, isolation, pod, volume or exited" },
	{ "format", 0, OPT_STRING, offsetof(struct ps_args, format), "FORMAT", "json, table, or a template such as {{.Names}}" },
	{ "last", 'n', OPT_I64, offsetof(struct ps_args, last), "N", "the N newest, in any state" },
	{ "pod", 'p', OPT_FLAG, offsetof(struct ps_args, pod), NULL, "with the pods that they are in" },
	{ "size", 's', OPT_FLAG, offsetof(struct ps_args, size), NULL, "with what they have written, and all of their files" },
	{ "sort", 0, OPT_STRING, offsetof(struct ps_args, sort), "KEY",
	  "created (default, the newest first), command, id, image, names, runningfor, size or status" },
	{ "latest", 'l', OPT_FLAG, offsetof(struct ps_args, latest), NULL, "the newest, in any state" },
	{ NULL },
};

static const struct column columns[] = {
	{ "CONTAINER ID", "ID" },     { "IMAGE", "Image" },   { "COMMAND", "Command" },
	{ "CREATED", "RunningFor" },  { "STATUS", "Status" }, { "PORTS", "Ports" },
	{ "ISOLATION", "Isolation" }, { "NAMES", "Names" },   { NULL },
};
static const struct column columns_with_pods[] = {
	{ "CONTAINER ID", "ID" }, { "IMAGE", "Image" },
	{ "COMMAND", "Command" }, { "CREATED", "RunningFor" },
	{ "STATUS", "Status" },   { "PORTS", "Ports" },
	{ "NAMES", "Names" },     { "POD ID", "Pod" },
	{ "PODNAME", "PodName" }, { NULL },
};
static const struct column columns_with_sizes[] = {
	{ "CONTAINER ID", "ID" },     { "IMAGE", "Image" },
	{ "COMMAND", "Command" },     { "CREATED", "RunningFor" },
	{ "STATUS", "Status" },       { "PORTS", "Ports" },
	{ "ISOLATION", "Isolation" }, { "NAMES", "Names" },
	{ "SIZE", "Size" },           { NULL },
};
static const struct column others[] = {
	{ "CREATED AT", "CreatedAt" },
	{ "STATE", "State" },
	{ "LABELS", "Labels" },
	{ "MOUNTS", "Mounts" },
	{ "NETWORKS", "Networks" },
	{ "LOCAL VOLUMES", "LocalVolumes" },
	{ "SIZE", "Size" },
	{ "POD ID", "Pod" },
	{ "PODNAME", "PodName" },
	{ NULL },
};

/* "debian" is also meant where the container was made from "debian:latest" or "docker.io/library/debian". */
static bool image_matches(const struct container_record *r, const char *wanted)
{
	struct ref a, b;
	bool same = streq0(r->image_ref, wanted) || (r->image_id && str_after(r->image_id, wanted)) ||
		    (r->image_id && str_after(r->image_id, "sha256:") && str_after(r->image_id + 7, wanted));

	if (same || !r->image_ref || ref_parse(wanted, NULL, &a, NULL) < 0)
		return same;
	if (ref_parse(r->image_ref, NULL, &b, NULL) >= 0) {
		_cleanup_free_ char *x = ref_str(&a), *y = ref_str(&b);
		same = x && y && streq(x, y);
		ref_done(&b);
	}
	ref_done(&a);
	return same;
}

struct listed {
	struct cli *c;
	const struct container_record *r;
};

static bool has_mount(const struct listed *l, const char *wanted)
{
	struct engine_mount *list = NULL;
	bool found = false;
	size_t n = 0;

	if (engine_container_mounts(l->c->engine, l->r->id, &list, &n, NULL) < 0)
		return false; /* removed meanwhile */
	for (size_t i = 0; i < n; i++)
		found |= streq(list[i].name, wanted) || streq(list[i].target, wanted);
	engine_mounts_free(list, n);
	return found;
}

static bool is_on_network(const struct listed *l, const char *wanted)
{
	_cleanup_strv_ char **names = NULL;
	struct network_record n;
	bool found = false;

	if (engine_container_networks(l->c->engine, l->r, &names, NULL) < 0)
		return false; /* removed meanwhile */
	for (char **x = names; x && *x; x++)
		found |= streq(*x, wanted);
	/* By its id, as docker has it. */
	if (found || records_network_get(store_records(engine_store(l->c->engine)), wanted, &n, NULL) < 0)
		return found;
	for (char **x = names; x && *x; x++)
		found |= streq(*x, n.name);
	network_record_done(&n);
	return found;
}

static bool matches(const void *thing, const char *key, const char *v)
{
	const struct listed *l = thing;
	const struct container_record *r = l->r;
	char code[12];

	if (streq(key, "id"))
		return str_after(r->id, v);
	if (streq(key, "name"))
		return filter_name(r->name, v);
	if (streq(key, "label"))
		return filter_label(&r->labels, v);
	if (streq(key, "status"))
		return streq(container_state_name(r->state), v);
	if (streq(key, "health"))
		return streq(container_health_name(r->health), v);
	if (streq(key, "network"))
		return is_on_network(l, v);
	if (streq(key, "before") || streq(key, "since"))
		return true; /* the span has judged it */
	if (streq(key, "isolation"))
		return streq(r->isolation, v);
	if (streq(key, "ancestor"))
		return image_matches(r, v);
	if (streq(key, "pod"))
		return r->pod_id && (str_after(r->pod_id, v) || streq0(r->pod_name, v));
	if (streq(key, "volume"))
		return has_mount(l, v);
	snprintf(code, sizeof(code), "%d", r->exit_code);
	return r->state == CS_EXITED && streq(code, v);
}

/* A value that nothing can ever have is a mistake. */
static int check_values(char *const *filters, struct err *e)
{
	static const char *const states[] = { "created", "running", "paused", "restarting", "removing", "exited", "dead", NULL };
	static const char *const healths[] = { "none", "starting", "healthy", "unhealthy", NULL };
	const char *v;
	int64_t code;
	int r = 0;

	for (char *const *at = filters; r == 0 && (v = filter_next(&at, "status"));)
		r = filter_word("status", v, states, e);
	for (char *const *at = filters; r == 0 && (v = filter_next(&at, "health"));)
		r = filter_word("health", v, healths, e);
	for (char *const *at = filters; r == 0 && (v = filter_next(&at, "exited"));)
		if (str_to_i64(v, &code) < 0)
			r = err_set(e, EINVAL, "--filter: \"exited=%s\": an exit code is a number", v);
	return r;
}

static int check_filters(char *const *filters, bool *ret_all, struct err *e)
{
	static const char *const known[] = { "id",    "name",    "label",     "status", "health", "ancestor", "before",
					     "since", "network", "isolation", "pod",    "volume", "exited",   NULL };

	for (char *const *f = filters; f && *f; f++)
		*ret_all |= str_after(*f, "status=") || str_after(*f, "exited=");
	int r = filters_check(filters, known, e);
	return r < 0 ? r : check_values(filters, e);
}

/* before=X, since=X: made before, after that container. Of several the narrowest counts. */
struct span {
	uint64_t after_ns, before_ns;
};

static int read_span(struct cli *c, char *const *filters, struct span *ret, struct err *e)
{
	struct span s = { .before_ns = UINT64_MAX };

	for (; filters && *filters; filters++) {
		const char *before = str_after(*filters, "before="), *since = str_after(*filters, "since=");
		struct container_record r;
		if (!before && !since)
			continue;
		int k = engine_get(c->engine, before ? before : since, &r, e);
		if (k < 0)
			return k;
		if (before)
			s.before_ns = MIN(s.before_ns, r.created_ns);
		else
			s.after_ns = MAX(s.after_ns, r.created_ns);
		container_record_done(&r);
	}
	*ret = s;
	return 0;
}

/* Only for who asks: it takes each container's config.json. */
static bool wants_mounts(const char *format)
{
	return format && (strstr(format, "Mounts") || strstr(format, "LocalVolumes") || strstr(format, "json"));
}

/* Likewise: it takes a look at every file. */
static bool wants_sizes(const struct ps_args *a)
{
	return a->size || (a->format && strstr(a->format, ".Size")) || streq0(a->sort, "size");
}

/* "12B (virtual 5MB)" */
static int add_size(struct cli *c, const struct container_record *r, struct json_object *row, struct err *e)
{
	char rw[16], root[16];
	uint64_t rw_bytes, root_bytes;
	int k = engine_container_size(c->engine, r, &rw_bytes, &root_bytes, e);

	if (k < 0)
		return k;
	_cleanup_free_ char *text = str_fmt("%s (virtual %s)", str_human_size(rw_bytes, rw), str_human_size(root_bytes, root));
	return !text || listing_add_size(row, rw_bytes, text) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

static int add_mounts(struct cli *c, const char *id, bool no_trunc, struct json_object *row, struct err *e)
{
	struct engine_mount *list = NULL;
	size_t n = 0;
	int r = engine_container_mounts(c->engine, id, &list, &n, NULL);

	if (r < 0) /* removed meanwhile */
		return 0;
	r = ps_row_mounts(list, n, no_trunc, row, e);
	engine_mounts_free(list, n);
	return r;
}

static int add_networks(struct cli *c, const struct container_record *rec, struct json_object *row, struct err *e)
{
	_cleanup_strv_ char **names = NULL;
	int r = engine_container_networks(c->engine, rec, &names, NULL);

	return r < 0 ? 0 : ps_row_networks(names, row, e); /* removed meanwhile */
}

static const struct sort_key sort_keys[] = {
	{ "created", NULL },  { "runningfor", NULL }, { "command", "Command" }, { "id", "ID" }, { "image", "Image" },
	{ "names", "Names" }, { "size", "Size" },     { "status", "Status" },   { NULL },
};

static int print(struct cli *c, const struct ps_args *a, const struct span *span, const struct container_record *list, size_t n,
		 struct err *e)
{
	const struct listing how = { a->pod    ? columns_with_pods
				     : a->size ? columns_with_sizes
					       : columns,
				     others, a->format, a->quiet ? "ID" : NULL };
	_cleanup_json_ struct json_object *rows = json_object_new_array();
	uint64_t now = clock_real_ns();
	size_t printed = 0, most = a->latest ? 1 : a->last > 0 ? (size_t)a->last : SIZE_MAX;

	for (size_t i = 0; rows && i < n && printed < most; i++) {
		const struct listed l = { c, &list[i] };
		struct json_object *row = NULL;
		if (list[i].created_ns <= span->after_ns || list[i].created_ns >= span->before_ns ||
		    !filters_pass(a->filters, matches, &l))
			continue;
		int r = ps_row(&list[i], now, a->no_trunc, &row, e);
		if (r >= 0 && wants_mounts(a->format) && (r = add_mounts(c, list[i].id, a->no_trunc, row, e)) < 0)
			json_object_put(row);
		if (r >= 0 && (r = add_networks(c, &list[i], row, e)) < 0)
			json_object_put(row);
		if (r >= 0 && wants_sizes(a) && (r = add_size(c, &list[i], row, e)) < 0)
			json_object_put(row);
		if (r < 0)
			return r;
		if (json_object_array_add(rows, row) < 0)
			return err_set(e, ENOMEM, "out of memory");
		printed++;
	}
	if (!rows)
		return err_set(e, ENOMEM, "out of memory");
	int r = listing_sort(rows, sort_keys, a->sort, e);
	return r < 0 ? r : listing_print(&how, rows, e);
}

int cmd_ps(struct cli *c, struct err *e)
{
	struct ps_args a = { 0 };
	struct container_record *list = NULL;
	struct span span = { 0 };
	size_t n = 0;
	bool all = false;
	int r = cli_parse(c, &a, 0, 0, e);

	if (r == 0)
		r = check_filters(a.filters, &all, e);
	if (r == 0)
		r = read_span(c, a.filters, &span, e);
	if (r == 0)
		r = engine_list(c->engine, a.all || all || a.latest || a.last > 0, &list, &n, e);
	if (r == 0) {
		r = print(c, &a, &span, list, n, e);
		engine_list_free(list, n);
	}
	opts_done(ps_options, &a);
	return MIN(r, 0);
}
