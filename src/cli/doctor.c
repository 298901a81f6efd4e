/* doctor: `berth doctor`: what this host offers, what is missing, and what to do about it. */
#include "doctor.h"
#include "cli.h"
#include "output.h"

struct doctor_args {
	char *format;
	bool quiet;
};
#define AT(field) offsetof(struct doctor_args, field)

const struct opt doctor_options[] = {
	{ "format", 'f', OPT_STRING, AT(format), "FORMAT", "json, or a template such as {{.Subject}}: {{.Finding}}" },
	{ "quiet", 'q', OPT_FLAG, AT(quiet), NULL, "only what is not as it should be" },
	{ NULL },
};

static int add_row(struct json_object *rows, const struct doctor_finding *f, struct err *e)
{
	struct json_object *o = json_object_new_object();

	if (!o || json_object_array_add(rows, o) < 0) {
		json_object_put(o);
		return err_set(e, ENOMEM, "out of memory");
	}
	if (json_add(o, "Area", json_object_new_string(f->area)) < 0 ||
	    json_add(o, "Subject", json_object_new_string(f->subject)) < 0 ||
	    json_add(o, "Level", json_object_new_string(doctor_level_name(f->level))) < 0 ||
	    json_add(o, "Finding", json_object_new_string(f->text)) < 0 ||
	    json_add(o, "Remedy", json_object_new_string(f->remedy ? f->remedy : "")) < 0)
		return err_set(e, ENOMEM, "out of memory");
	return 0;
}

/* Colours only where a person looks, and NO_COLOR is not set (no-color.org). */
static void print_row(const struct doctor_finding *f, bool has_colors)
{
	static const char *const colors[] = {
		[DOCTOR_OK] = "\033[32m", [DOCTOR_NOTE] = "\033[36m", [DOCTOR_WARNING] = "\033[33m", [DOCTOR_ERROR] = "\033[31m"
	};
	_cleanup_free_ char *text = strdup(f->text);

	printf("  %s%-7s%s  %-13s %s\n", has_colors ? colors[f->level] : "", doctor_level_name(f->level),
	       has_colors ? "\033[0m" : "", f->subject, text ? text_defuse(text) : "");
	if (f->remedy)
		printf("  %-7s  %-13s -> %s\n", "", "", f->remedy);
}

static void print_all(const struct doctor_finding *list, size_t n, enum doctor_level least)
{
	const char *no_color = getenv("NO_COLOR"), *area = NULL;
	bool has_colors = isatty(STDOUT_FILENO) && !(no_color && *no_color);

	for (size_t i = 0; i < n; i++) {
		if (list[i].level < least)
			continue;
		if (!area || !streq(area, list[i].area))
			printf("%s%s\n", area ? "\n" : "", list[i].area);
		area = list[i].area;
		print_row(&list[i], has_colors);
	}
}

static int print_rows(const struct doctor_finding *list, size_t n, enum doctor_level least, const char *format, struct err *e)
{
	static const struct column columns[] = { { "AREA", "Area" },       { "SUBJECT", "Subject" }, { "LEVEL", "Level" },
						 { "FINDING", "Finding" }, { "REMEDY", "Remedy" },   { NULL } };
	const struct listing l = { columns, NULL, format, NULL };
	_cleanup_json_ struct json_object *rows = json_object_new_array();
	int r = rows ? 0 : err_set(e, ENOMEM, "out of memory");

	for (size_t i = 0; i < n && r == 0; i++)
		if (list[i].level >= least)
			r = add_row(rows, &list[i], e);
	return r < 0 ? r : listing_print(&l, rows, e);
}

/* Exit status 1 where something does not work: the same meaning in scripts. */
int cmd_doctor(struct cli *c, struct err *e)
{
	struct doctor_finding *list = NULL;
	struct doctor_args a = { 0 };
	bool is_broken = false;
	size_t n = 0;
	int r = cli_parse(c, &a, 0, 0, e), status;

	if (r == 0)
		r = paths_name(&c->paths, c->root, c->run, e);
	if (r == 0)
		r = doctor_look(&c->paths, &list, &n, e);
	status = r;
	if (status == 0) {
		enum doctor_level least = a.quiet ? DOCTOR_NOTE : DOCTOR_OK;
		if (a.format)
			r = print_rows(list, n, least, a.format, e);
		else
			print_all(list, n, least);
		for (size_t i = 0; i < n; i++)
			is_broken |= list[i].level == DOCTOR_ERROR;
	}
	doctor_done(list, n);
	opts_done(doctor_options, &a);
	return r < 0 ? r : status == 0 && is_broken;
}
