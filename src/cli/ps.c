/* ps.c: `berth ps`. */
#include "cli.h"
#include "output.h"
#include "ps_row.h"

struct ps_args {
	bool all, quiet, no_trunc, latest, pod;
	int64_t last;
	char *format, **filters;
};
const struct opt ps_options[] = {
	{ "all", 'a', OPT_FLAG, offsetof(struct ps_args, all), NULL, "also those that do not run" },
	{ "quiet", 'q', OPT_FLAG, offsetof(struct ps_args, quiet), NULL, "print ids only" },
	{ "no-trunc", 0, OPT_FLAG, offsetof(struct ps_args, no_trunc), NULL, "do not shorten ids and commands" },
	{ "filter", 'f', OPT_LIST, offsetof(struct ps_args, filters), "KEY=VALUE",
	  "id, name, label, status, ancestor, isolation, pod or exited" },
	{ "format", 0, OPT_STRING, offsetof(struct ps_args, format), "FORMAT", "json, table, or a template such as {{.Names}}" },
	{ "last", 'n', OPT_I64, offsetof(struct ps_args, last), "N", "the N newest, in any state" },
	{ "pod", 'p', OPT_FLAG, offsetof(struct ps_args, pod), NULL, "with the pods that they are in" },
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

static bool names_a_filter(const char *key)
{
	static const char *const known[] = { "id", "name", "label", "status", "ancestor", "isolation", "exited", "pod" };

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (streq(known[i], key))
			return true;
	}
	return false;
}

static bool label_matches(const struct string_map *labels, const char *wanted)
{
	const char *eq = strchr(wanted, '='), *have;
	_cleanup_free_ char *key = strndup(wanted, eq ? (size_t)(eq - wanted) : strlen(wanted));

	have = key ? map_get(labels, key) : NULL;
	return have && (!eq || streq(have, eq + 1));
}

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

static bool matches(const struct container_record *r, const char *key, const char *v)
{
	char code[12];

	if (streq(key, "id"))
		return str_after(r->id, v);
	if (streq(key, "name"))
		return strstr(r->name, *v == '/' ? v + 1 : v);
	if (streq(key, "label"))
		return label_matches(&r->labels, v);
	if (streq(key, "status"))
		return streq(container_state_name(r->state), v);
	if (streq(key, "isolation"))
		return streq(r->isolation, v);
	if (streq(key, "ancestor"))
		return image_matches(r, v);
	if (streq(key, "pod"))
		return r->pod_id && (str_after(r->pod_id, v) || streq0(r->pod_name, v));
	snprintf(code, sizeof(code), "%d", r->exit_code);
	return r->state == CS_EXITED && streq(code, v);
}

/* Filters of one key are alternatives, of different keys conditions (docker's rule); labels must all be there. */
static bool passes(const struct container_record *r, char *const *filters)
{
	for (char *const *f = filters; f && *f; f++) {
		size_t n = strcspn(*f, "=");
		bool any = false;
		for (char *const *g = filters; *g; g++) {
			_cleanup_free_ char *key = strndup(*g, n);
			if (strncmp(*f, *g, n + 1) == 0 && key && (!streq(key, "label") || f == g))
				any |= matches(r, key, *g + n + 1);
		}
		if (!any)
			return false;
	}
	return true;
}

static int check_filters(char *const *filters, bool *ret_all, struct err *e)
{
	for (; filters && *filters; filters++) {
		size_t n = strcspn(*filters, "=");
		_cleanup_free_ char *key = strndup(*filters, n);
		if (!key)
			return err_set(e, ENOMEM, "out of memory");
		if (!(*filters)[n] || !names_a_filter(key))
			return err_set(e, EINVAL,
				       "--filter: \"%s\" is not KEY=VALUE with one of id, name, label, status, ancestor, "
				       "isolation, pod, exited",
				       *filters);
		*ret_all |= streq(key, "status") || streq(key, "exited");
	}
	return 0;
}

static int print(const struct ps_args *a, const struct container_record *list, size_t n, struct err *e)
{
	const struct listing l = { a->pod ? columns_with_pods : columns, others, a->format, a->quiet ? "ID" : NULL };
	_cleanup_json_ struct json_object *rows = json_object_new_array();
	uint64_t now = clock_real_ns();
	size_t printed = 0, most = a->latest ? 1 : a->last > 0 ? (size_t)a->last : SIZE_MAX;

	for (size_t i = 0; rows && i < n && printed < most; i++) {
		struct json_object *row = NULL;
		if (!passes(&list[i], a->filters))
			continue;
		int r = ps_row(&list[i], now, a->no_trunc, &row, e);
		if (r < 0)
			return r;
		if (json_object_array_add(rows, row) < 0)
			return err_set(e, ENOMEM, "out of memory");
		printed++;
	}
	return rows ? listing_print(&l, rows, e) : err_set(e, ENOMEM, "out of memory");
}

int cmd_ps(struct cli *c, struct err *e)
{
	struct ps_args a = { 0 };
	struct container_record *list = NULL;
	size_t n = 0;
	bool all = false;
	int r = cli_parse(c, &a, 0, 0, e);

	if (r == 0)
		r = check_filters(a.filters, &all, e);
	if (r == 0)
		r = engine_list(c->engine, a.all || all || a.latest || a.last > 0, &list, &n, e);
	if (r == 0) {
		r = print(&a, list, n, e);
		engine_list_free(list, n);
	}
	opts_done(ps_options, &a);
	return MIN(r, 0);
}
