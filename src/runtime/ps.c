/* ps: the processes of a container, as numbers or as the host's ps(1) shows them. */
#include <stdio.h>

#include "record.h"

const struct opt ps_options[] = {
	{ "format", 'f', OPT_STRING, offsetof(union verb_opts, ps_format), "FORMAT", "table or json" },
	{ NULL },
};

#define OUTPUT_MAX (16u << 20)

struct pids {
	pid_t *v;
	size_t n;
};

static void print_json(const struct pids *p)
{
	putchar('[');
	for (size_t i = 0; i < p->n; i++)
		printf("%s%d", i ? "," : "", (int)p->v[i]);
	puts("]");
}

/* The index of the word "PID" in ps's heading, or -1. */
static int pid_column(const char *heading)
{
	int column = 0;

	for (const char *s = heading + strspn(heading, " "); *s; column++, s += strspn(s, " ")) {
		size_t n = strcspn(s, " ");

		if (n == 3 && strncmp(s, "PID", 3) == 0)
			return column;
		s += n;
	}
	return -1;
}

static long column_number(const char *line, int column)
{
	const char *s = line + strspn(line, " ");

	for (; column > 0; column--) {
		s += strcspn(s, " ");
		s += strspn(s, " ");
	}
	return strtol(s, NULL, 10);
}

static bool is_listed(const struct pids *p, long pid)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->v[i] == pid)
			return true;
	return false;
}

static int print_table(const struct pids *p, char *const *options, struct err *e)
{
	_cleanup_free_ char *program = spawn_find("ps"), *out = NULL;
	_cleanup_strv_ char **argv = NULL, **lines = NULL;
	int r, column;

	if (!program)
		return err_set(e, ENOENT, "ps: there is no ps program on this host; --format json needs none");
	r = strv_push(&argv, program);
	if (r == 0 && !*options)
		r = strv_push(&argv, "-ef");
	for (; r == 0 && *options; options++)
		r = strv_push(&argv, *options);
	if (r < 0)
		return err_set(e, -r, "out of memory");
	r = spawn_output(argv, OUTPUT_MAX, &out, e);
	if (r < 0)
		return r;
	lines = strv_split(out, '\n');
	if (!lines)
		return err_set(e, ENOMEM, "out of memory");
	column = pid_column(lines[0]);
	if (column < 0)
		return err_set(e, EINVAL, "ps: couldn't find the PID field in its output: choose options that print it");
	puts(lines[0]);
	for (char **l = lines + 1; *l; l++)
		if (**l && is_listed(p, column_number(*l, column)))
			puts(*l);
	return 0;
}

int verb_ps(struct runtime *rt, union verb_opts *opts, struct err *e)
{
	const char *format = opts->ps_format ? opts->ps_format : "table";
	_cleanup_held_ struct held h = HELD_NONE;
	struct host host = { 0 };
	struct pids p = { 0 };
	int r;

	if (!streq(format, "json") && !streq(format, "table"))
		return err_set(e, EINVAL, "--format: \"%s\" is neither table nor json", format);
	r = record_open(rt, rt->operands[0], UNLOCKED, &h, e);
	if (r == 0)
		r = host_probe_cgroup(&host, e);
	if (r == 0)
		r = record_pids(&h.rec, &host, &p.v, &p.n, e);
	if (r == 0 && streq(format, "json"))
		print_json(&p);
	else if (r == 0)
		r = print_table(&p, rt->operands + 1, e);
	free(p.v);
	host_done(&host);
	return r;
}
