/* system_check.c: `berth system check`: what is damaged or left over, by name, with what to do about it. */
#include <unistd.h>

#include "cli.h"
#include "output.h"

struct check_args {
	bool repair, quiet;
	char *format;
};
const struct opt system_check_options[] = {
	{ "repair", 0, OPT_FLAG, offsetof(struct check_args, repair), NULL,
	  "remove leftovers, and set damaged objects aside so that the next pull fetches them" },
	{ "quiet", 'q', OPT_FLAG, offsetof(struct check_args, quiet), NULL, "no progress" },
	{ "format", 0, OPT_STRING, offsetof(struct check_args, format), "FORMAT",
	  "json, or a template for each finding such as {{.Name}}" },
	{ NULL },
};

struct printer {
	const char *format;
	struct json_object *rows; /* with a format */
	bool draws;               /* a line on the terminal, to be wiped before anything else is said */
	bool failed;
	size_t found, repaired, set_aside;
};

static void wipe(const struct printer *p)
{
	if (p->draws)
		fputs("\r\033[K", stderr);
}

static void on_progress(size_t n, size_t of, const char *what, void *arg)
{
	const struct printer *p = arg;
	_cleanup_free_ char *name = strndup(what, 60);

	if (p->draws && name)
		fprintf(stderr, "\r\033[Kchecking %zu of %zu: %s", n, of, text_defuse(name));
}

static void print_text(const struct check_finding *f)
{
	_cleanup_buf_ struct buf b = { 0 };

	buf_fmt(&b, "%s %s: %s", f->kind, f->name, f->problem);
	for (char *const *i = f->images; i && *i; i++)
		buf_fmt(&b, "%s%s", i == f->images ? " (image " : ", ", *i);
	buf_str(&b, f->images && *f->images ? ")" : "");
	if (f->is_repaired)
		buf_str(&b, ": repaired");
	else if (f->remedy)
		buf_fmt(&b, "%s: %s", f->is_set_aside ? ": set aside" : "", f->remedy);
	if (b.data)
		puts(text_defuse(b.data));
}

static int add_row(struct json_object *rows, const struct check_finding *f)
{
	struct json_object *row = json_object_new_object(), *images = json_object_new_array();
	const char *state = f->is_repaired ? "repaired" : f->is_set_aside ? "set aside" : "damaged";
	int r = json_add(row, "Kind", json_object_new_string(f->kind));

	if (r == 0)
		r = json_add(row, "Name", json_object_new_string(f->name));
	if (r == 0)
		r = json_add(row, "Problem", json_object_new_string(f->problem));
	if (r == 0)
		r = json_add(row, "Remedy", json_object_new_string(f->remedy && !f->is_repaired ? f->remedy : ""));
	if (r == 0)
		r = json_add(row, "State", json_object_new_string(state));
	for (char *const *i = f->images; r == 0 && i && *i; i++)
		r = json_object_array_add(images, json_object_new_string(*i)) < 0 ? -ENOMEM : 0;
	if (r == 0)
		r = json_add(row, "Images", images);
	else
		json_object_put(images);
	if (r == 0)
		r = json_object_array_add(rows, row) < 0 ? -ENOMEM : 0;
	if (r < 0)
		json_object_put(row);
	return r;
}

static void on_found(const struct check_finding *f, void *arg)
{
	struct printer *p = arg;

	wipe(p);
	p->found++;
	p->repaired += f->is_repaired;
	p->set_aside += f->is_set_aside && !f->is_repaired;
	if (!p->format)
		print_text(f);
	else if (add_row(p->rows, f) < 0)
		p->failed = true;
	fflush(stdout);
}

static int print_rows(const struct printer *p, struct err *e)
{
	static const struct column columns[] = { { "KIND", "Kind" },       { "NAME", "Name" },     { "STATE", "State" },
						 { "PROBLEM", "Problem" }, { "REMEDY", "Remedy" }, { NULL } };
	const struct listing l = { columns, NULL, p->format, NULL };

	return listing_print(&l, p->rows, e);
}

/* The last line; exit status or -errno. */
static int conclude(const struct printer *p, int remaining, bool repair, struct err *e)
{
	if (p->format && remaining > 0)
		return 125;
	if (p->format)
		return 0;
	if (p->found == 0)
		puts("all objects are whole");
	else if (remaining == 0)
		printf("%zu repaired: all objects are whole\n", p->repaired);
	if (remaining == 0)
		return 0;
	return err_set(
		e, EIO, "%d problem%s found%s", remaining, remaining == 1 ? "" : "s",
		!repair ? "; `berth system check --repair` removes leftovers, and what is damaged so that a pull brings it again"
		: p->set_aside ? " that pulling or loading the images again puts right"
			       : " that can't be repaired from here");
}

int cmd_system_check(struct cli *c, struct err *e)
{
	struct check_args a = { 0 };
	struct printer p = { .rows = json_object_new_array() };
	int r = cli_parse(c, &a, 0, 0, e);

	if (r == 0) {
		const struct check_opts o = { .repair = a.repair, .found = on_found, .progress = on_progress, .arg = &p };
		p.format = a.format;
		p.draws = !a.quiet && isatty(STDERR_FILENO);
		r = p.rows ? engine_check(c->engine, &o, e) : err_set(e, ENOMEM, "out of memory");
		wipe(&p);
		if (r >= 0 && p.failed)
			r = err_set(e, ENOMEM, "out of memory");
		if (r >= 0 && p.format) {
			int k = print_rows(&p, e);
			r = k < 0 ? k : r;
		}
		if (r >= 0)
			r = conclude(&p, r, a.repair, e);
	} else {
		r = MIN(r, 0);
	}
	json_object_put(p.rows);
	opts_done(system_check_options, &a);
	return r;
}
