/* secret.c: `berth secret create`, `ls`, `inspect`, `exists`, `rm`: podman's. */
#include "cli.h"
#include "filter.h"
#include "output.h"

#include <unistd.h>

struct secret_args {
	bool quiet, all, ignores, replaces, is_env, shows;
	char *driver, *format, **labels, **filters;
};
#define AT(member) offsetof(struct secret_args, member)
const struct opt secret_create_options[] = {
	{ "driver", 'd', OPT_STRING, AT(driver), "DRIVER", "file is the only one" },
	{ "label", 'l', OPT_LIST, AT(labels), "NAME=VALUE", "attach a label" },
	{ "env", 0, OPT_FLAG, AT(is_env), NULL, "the operand is the name of an environment variable" },
	{ "replace", 0, OPT_FLAG, AT(replaces), NULL, "in the place of one of that name" },
	{ NULL },
};
const struct opt secret_ls_options[] = {
	{ "quiet", 'q', OPT_FLAG, AT(quiet), NULL, "print ids only" },
	{ "filter", 'f', OPT_LIST, AT(filters), "KEY=VALUE", "name, id or label" },
	{ "format", 0, OPT_STRING, AT(format), "FORMAT", "json, table, or a template such as {{.Name}}" },
	{ NULL },
};
const struct opt secret_inspect_options[] = {
	{ "format", 'f', OPT_STRING, AT(format), "FORMAT", "json, or a template such as {{.Spec.Name}}" },
	{ "showsecret", 0, OPT_FLAG, AT(shows), NULL, "with what is secret" },
	{ NULL },
};
const struct opt secret_exists_options[] = { { NULL } };
const struct opt secret_rm_options[] = {
	{ "all", 'a', OPT_FLAG, AT(all), NULL, "all that there are" },
	{ "ignore", 'i', OPT_FLAG, AT(ignores), NULL, "what does not exist is no error" },
	{ NULL },
};

/* ---- create ---- */

/* A byte too many is enough to know that it is too long. */
static int read_data(struct cli *c, const struct secret_args *a, char **ret, size_t *ret_len, struct err *e)
{
	const char *from = c->operands[1], *value;
	int r;

	if (a->is_env) {
		value = getenv(from);
		if (!value)
			return err_set(e, ENOENT, "cannot create store secret data: environment variable %s is not set", from);
		*ret = strdup(value);
		*ret_len = strlen(value);
		return *ret ? 0 : err_set(e, ENOMEM, "out of memory");
	}
	if (streq(from, "-") && isatty(STDIN_FILENO))
		return err_set(e, EINVAL, "if `-` is used, data must be passed into stdin");
	r = streq(from, "-") ? fd_read_all(STDIN_FILENO, SECRET_MAX, ret, ret_len)
			     : file_read(AT_FDCWD, from, SECRET_MAX, ret, ret_len);
	if (r == -EFBIG)
		return err_set(e, EINVAL, "secret data must be larger than 0 and less than %d bytes", SECRET_MAX);
	return r < 0 ? err_set(e, -r, "%s: %s", streq(from, "-") ? "standard input" : from, strerror(-r)) : 0;
}

static int create(struct cli *c, const struct secret_args *a, struct err *e)
{
	_cleanup_free_ char *id = NULL, *data = NULL;
	size_t len = 0;
	int r;

	if (a->driver && !streq(a->driver, "file"))
		return err_set(e, EINVAL, "--driver: \"%s\" is not there; file is the only one", a->driver);
	r = read_data(c, a, &data, &len, e);
	if (r < 0)
		return r;
	const struct secret_create_opts o = {
		.name = c->operands[0], .data = data, .len = len, .labels = a->labels, .replaces = a->replaces
	};
	r = engine_secret_create(c->engine, &o, &id, e);
	explicit_bzero(data, len);
	if (r >= 0)
		puts(id);
	return r;
}

int cmd_secret_create(struct cli *c, struct err *e)
{
	struct secret_args a = { 0 };
	int r = cli_parse(c, &a, 2, 2, e);

	if (r == 0)
		r = create(c, &a, e);
	opts_done(secret_create_options, &a);
	return MIN(r, 0);
}

/* ---- ls ---- */

static bool matches(const void *thing, const char *key, const char *v)
{
	const struct secret *s = thing;

	return streq(key, "name") ? filter_name(s->name, v)
	       : streq(key, "id") ? !!str_after(s->id, v)
				  : filter_label(&s->labels, v);
}

static int add_ago(struct json_object *row, const char *key, const char *at)
{
	uint64_t then = 0, now = clock_real_ns();
	char ago[32];

	if (clock_parse(at, &then) < 0)
		then = now;
	_cleanup_free_ char *text = str_fmt("%s ago", clock_ago(now > then ? (now - then) / 1000000000 : 0, ago));
	return text ? json_add(row, key, json_object_new_string(text)) : -ENOMEM;
}

static int secret_row(const struct secret *s, struct json_object **ret, struct err *e)
{
	_cleanup_json_ struct json_object *row = json_object_new_object();

	if (!row || json_add(row, "ID", json_object_new_string(s->id)) < 0 ||
	    json_add(row, "Name", json_object_new_string(s->name)) < 0 ||
	    json_add(row, "Driver", json_object_new_string("file")) < 0 || add_ago(row, "CreatedAt", s->created) < 0 ||
	    add_ago(row, "UpdatedAt", s->updated) < 0)
		return err_set(e, ENOMEM, "out of memory");
	*ret = TAKE_PTR(row);
	return 0;
}

static int list(struct cli *c, const struct secret_args *a, struct err *e)
{
	static const struct column columns[] = { { "ID", "ID" },
						 { "NAME", "Name" },
						 { "DRIVER", "Driver" },
						 { "CREATED", "CreatedAt" },
						 { "UPDATED", "UpdatedAt" },
						 { NULL } };
	static const char *const known[] = { "name", "id", "label", NULL };
	const struct listing l = { columns, NULL, a->format, a->quiet ? "ID" : NULL };
	_cleanup_json_ struct json_object *rows = json_object_new_array();
	struct secret *all = NULL;
	size_t n = 0;
	int r = filters_check(a->filters, known, e);

	if (r >= 0)
		r = engine_secret_list(c->engine, &all, &n, e);
	for (size_t i = 0; r >= 0 && rows && i < n; i++) {
		struct json_object *row = NULL;
		if (!filters_pass(a->filters, matches, &all[i]))
			continue;
		r = secret_row(&all[i], &row, e);
		if (r >= 0 && json_object_array_add(rows, row) < 0)
			r = err_set(e, ENOMEM, "out of memory");
	}
	secret_list_free(all, n);
	return r < 0 ? r : rows ? listing_print(&l, rows, e) : err_set(e, ENOMEM, "out of memory");
}

int cmd_secret_ls(struct cli *c, struct err *e)
{
	struct secret_args a = { 0 };
	int r = cli_parse(c, &a, 0, 0, e);

	if (r == 0)
		r = list(c, &a, e);
	opts_done(secret_ls_options, &a);
	return MIN(r, 0);
}

/* ---- inspect, exists, rm ---- */

static int find(struct cli *c, const char *name, void *arg, struct json_object **ret, struct err *e)
{
	const struct secret_args *a = arg;

	return engine_secret_inspect(c->engine, name, a->shows, ret, e);
}

int cmd_secret_inspect(struct cli *c, struct err *e)
{
	struct secret_args a = { 0 };
	int r = cli_parse(c, &a, 1, CLI_ANY, e);

	r = r == 0 ? inspect_all(c, a.format, find, &a, e) : MIN(r, 0);
	opts_done(secret_inspect_options, &a);
	return r;
}

int cmd_secret_exists(struct cli *c, struct err *e)
{
	struct secret s = { 0 };
	int r = cli_parse(c, NULL, 1, 1, e);

	if (r != 0)
		return MIN(r, 0);
	r = engine_secret_get(c->engine, c->operands[0], &s, e);
	if (r == -ENOENT) {
		*e = (struct err){ 0 };
		return 1;
	}
	secret_done(&s);
	return r;
}

static int remove_one(struct cli *c, const char *name, void *arg, struct err *e)
{
	const struct secret_args *a = arg;
	_cleanup_free_ char *id = NULL;
	int r = engine_secret_remove(c->engine, name, &id, e);

	if (r == -ENOENT && a->ignores) {
		*e = (struct err){ 0 };
		return 0;
	}
	if (r >= 0)
		puts(id);
	return r;
}

static int remove_all(struct cli *c, struct secret_args *a, struct err *e)
{
	struct secret *all = NULL;
	size_t n = 0;
	int r = engine_secret_list(c->engine, &all, &n, e);

	for (size_t i = 0; r >= 0 && i < n; i++)
		r = remove_one(c, all[i].name, a, e);
	secret_list_free(all, n);
	return r;
}

static int remove_some(struct cli *c, struct secret_args *a, struct err *e)
{
	if (a->all && c->n_operands)
		return err_set(e, EINVAL, "--all and names are two different wishes; give one of them");
	if (!a->all && !c->n_operands)
		return err_set(e, EINVAL, "an operand is missing: at least one secret's name, or --all");
	return a->all ? remove_all(c, a, e) : cli_each(c, remove_one, a);
}

int cmd_secret_rm(struct cli *c, struct err *e)
{
	struct secret_args a = { 0 };
	int r = cli_parse(c, &a, 0, CLI_ANY, e);

	r = r == 0 ? remove_some(c, &a, e) : MIN(r, 0);
	opts_done(secret_rm_options, &a);
	return r;
}
