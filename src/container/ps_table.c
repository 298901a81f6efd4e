/* ps_table.c: see ps_table.h. ps prints all processes, and its column PID tells which row is whose. */
#include "ps_table.h"

#include <stdio.h>
#include <string.h>

#define OUTPUT_MAX (16u << 20)

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

static bool is_listed(const pid_t *pids, size_t n, const char *line, int column)
{
	const char *s = line + strspn(line, " ");
	long pid;

	for (; column > 0; column--) {
		s += strcspn(s, " ");
		s += strspn(s, " ");
	}
	pid = strtol(s, NULL, 10);
	for (size_t i = 0; i < n; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

static int run_ps(const char *program, char *const *options, char **ret, struct err *e)
{
	_cleanup_strv_ char **argv = NULL;
	int r;

	if (!program)
		return err_set(e, ENOENT, "there is no ps program on this host: install procps");
	r = strv_push(&argv, program);
	if (r >= 0 && !*options)
		r = strv_push(&argv, "-ef");
	for (; r >= 0 && *options; options++)
		r = strv_push(&argv, *options);
	return r < 0 ? err_set(e, ENOMEM, "out of memory") : spawn_output(argv, OUTPUT_MAX, ret, e);
}

int ps_table_print(const pid_t *pids, size_t n, char *const *options, struct err *e)
{
	_cleanup_free_ char *program = spawn_find("ps"); /* the host's, whatever the container has */
	_cleanup_free_ char *out = NULL;
	_cleanup_strv_ char **lines = NULL;
	int column, r = run_ps(program, options, &out, e);

	if (r < 0)
		return r;
	if (!(lines = strv_split(out, '\n')))
		return err_set(e, ENOMEM, "out of memory");
	if ((column = pid_column(lines[0])) < 0)
		return err_set(e, EINVAL, "couldn't find the PID field in ps output: choose options that print it");
	puts(lines[0]);
	for (char **l = lines + 1; *l; l++)
		if (**l && is_listed(pids, n, *l, column))
			puts(*l);
	return 0;
}
