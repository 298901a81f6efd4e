/* run_args.c: the command line of `run` and `create` beyond its options: files of variables, IMAGE and COMMAND. */
#include "run_args.h"

#include <unistd.h>

#define ENV_FILE_MAX (1u << 20)

void run_args_init(struct run_args *a)
{
	*a = (struct run_args){ 0 };
	run_opts_init(&a->o);
}

void run_args_done(struct run_args *a)
{
	strv_free(a->env_files);
	strv_free(a->label_files);
	run_opts_done(&a->o);
}

int run_set_vm(void *args, const char *value, struct err *e)
{
	struct run_args *a = args;

	if (value && !streq(value, "true"))
		return err_set(e, EINVAL, "takes no value; --isolation container is the opposite");
	free(a->o.isolation);
	a->o.isolation = strdup("vm");
	return a->o.isolation ? 0 : err_set(e, ENOMEM, "out of memory");
}

int run_set_network(void *args, const char *value, struct err *e)
{
	struct run_args *a = args;

	if (a->o.network)
		return strv_push(&a->o.more_networks, value) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
	a->o.network = strdup(value);
	return a->o.network ? 0 : err_set(e, ENOMEM, "out of memory");
}

int run_set_missing(void *args, const char *value, struct err *e)
{
	(void)args;
	(void)value;
	return err_set(e, EOPNOTSUPP, "is docker's, and not possible in this version of Berth");
}

int run_set_volume_driver(void *args, const char *value, struct err *e)
{
	(void)args;
	return streq(value, "local") ? 0 : err_set(e, EINVAL, "\"%s\" is not known; local is the only one", value);
}

int run_set_cpus(void *args, const char *value, struct err *e)
{
	struct run_args *a = args;

	/* 0 would mean "not given" from here on. */
	if (opt_read_double(value, &a->o.cpus) < 0 || a->o.cpus <= 0)
		return err_set(e, EINVAL, "\"%s\" is not a number above 0, such as 1.5", value);
	return 0;
}

int terminal_check(bool has_tty, bool is_interactive, struct err *e)
{
	if (has_tty && is_interactive && !isatty(STDIN_FILENO))
		return err_set(e, ENOTTY,
			       "-t wants a terminal, and standard input is none; leave -t out, or run it on a terminal");
	return 0;
}

int run_set_entrypoint(void *args, const char *value, struct err *e)
{
	struct run_args *a = args;

	free(a->o.entrypoint);
	a->o.entrypoint = strdup(value);
	a->o.has_entrypoint = true;
	return a->o.entrypoint ? 0 : err_set(e, ENOMEM, "out of memory");
}

static int check_env_name(const char *line, const char *path, size_t number, struct err *e)
{
	size_t n = strcspn(line, "=");

	if (n == 0)
		return err_set(e, EINVAL, "%s:%zu: \"%s\" has no variable name before the '='", path, number, line);
	if (strcspn(line, " \t") < n)
		return err_set(e, EINVAL, "%s:%zu: \"%.*s\": a variable name can't hold white space", path, number, (int)n, line);
	return 0;
}

int env_file_read(const char *path, char ***v, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0, number = 0;
	int r = file_read(AT_FDCWD, path, ENV_FILE_MAX, &text, &len);

	if (r < 0)
		return err_set(e, -r, "%s: %s", path, strerror(-r));
	if (strlen(text) != len)
		return err_set(e, EINVAL, "%s: holds a NUL byte: not a file of variables", path);
	_cleanup_strv_ char **lines = strv_split(text, '\n');
	if (!lines)
		return err_set(e, ENOMEM, "out of memory");
	for (char **l = lines; *l; l++) {
		char *line = *l + strspn(*l, " \t"), *cr = strrchr(line, '\r');
		number++;
		if (cr && !cr[1])
			*cr = 0;
		if (!*line || *line == '#')
			continue;
		r = check_env_name(line, path, number, e);
		if (r < 0)
			return r;
		if (strv_push(v, line) < 0)
			return err_set(e, ENOMEM, "out of memory");
	}
	return 0;
}

int env_complete(char **v, struct err *e)
{
	for (; v && *v; v++) {
		const char *value = strchr(*v, '=') ? NULL : getenv(*v);
		if (!**v || **v == '=')
			return err_set(e, EINVAL, "--env: \"%s\" has no variable name", *v);
		if (!value)
			continue;
		char *whole = str_fmt("%s=%s", *v, value);
		if (!whole)
			return err_set(e, ENOMEM, "out of memory");
		free(*v);
		*v = whole;
	}
	return 0;
}

int env_files_prepend(char *const *paths, char ***v, struct err *e)
{
	_cleanup_strv_ char **all = NULL;

	for (; paths && *paths; paths++) {
		int r = env_file_read(*paths, &all, e);
		if (r < 0)
			return r;
	}
	for (char **s = *v; s && *s; s++) {
		if (strv_push(&all, *s) < 0)
			return err_set(e, ENOMEM, "out of memory");
	}
	strv_free(*v);
	*v = TAKE_PTR(all);
	return 0;
}

/* The whole of ours, before all that was given: that overrides it. */
static int prepend_ours(char ***v, struct err *e)
{
	_cleanup_strv_ char **all = strv_copy(environ);

	if (!all)
		return err_set(e, ENOMEM, "out of memory");
	for (char **s = *v; s && *s; s++)
		if (strv_push(&all, *s) < 0)
			return err_set(e, ENOMEM, "out of memory");
	strv_free(*v);
	*v = TAKE_PTR(all);
	return 0;
}

static int finish_tmpfs(struct run_args *a, struct err *e)
{
	static const char *const places[] = { "/run", "/tmp:mode=1777", "/var/tmp:mode=1777" };

	for (size_t i = 0; a->readonly_tmpfs && a->o.is_readonly && i < ARRAY_SIZE(places); i++)
		if (strv_push(&a->o.tmpfs, places[i]) < 0)
			return err_set(e, ENOMEM, "out of memory");
	return 0;
}

/* The monitor's current directory is not ours. */
static int finish_pidfile(struct run_args *a, struct err *e)
{
	_cleanup_free_ char *here = NULL;
	char *whole;

	if (!a->o.pidfile || !*a->o.pidfile || *a->o.pidfile == '/')
		return 0;
	here = getcwd(NULL, 0);
	if (!here)
		return err_set(e, errno, "--pidfile: the current directory: %s", strerror(errno));
	whole = str_fmt("%s/%s", here, a->o.pidfile);
	if (!whole)
		return err_set(e, ENOMEM, "out of memory");
	free(a->o.pidfile);
	a->o.pidfile = whole;
	return 0;
}

int run_default_network(struct run_opts *o, struct err *e)
{
	const char *site = getenv("BERTH_NETWORK");

	if (o->network || (o->pod && *o->pod))
		return 0;
	o->network = strdup(site && *site ? site : "bridge");
	return o->network ? 0 : err_set(e, ENOMEM, "out of memory");
}

int run_args_finish(struct run_args *a, struct cli *c, struct err *e)
{
	int r = finish_tmpfs(a, e);

	if (a->o.isolation && streq(a->o.isolation, "default")) { /* docker's word for none */
		free(a->o.isolation);
		a->o.isolation = NULL;
	}
	if (a->o.name && a->o.name[0] == '/' && a->o.name[1]) /* as inspect prints it (docker's) */
		memmove(a->o.name, a->o.name + 1, strlen(a->o.name));

	if (r >= 0)
		r = finish_pidfile(a, e);
	if (r >= 0)
		r = run_default_network(&a->o, e);

	if (r >= 0 && a->env_files)
		r = env_files_prepend(a->env_files, &a->o.env, e);
	if (r >= 0 && a->env_host)
		r = prepend_ours(&a->o.env, e);
	if (r >= 0 && a->label_files)
		r = env_files_prepend(a->label_files, &a->o.labels, e);
	if (r >= 0)
		r = env_complete(a->o.env, e);
	if (r < 0)
		return r;
	a->o.image = strdup(c->operands[0]);
	a->o.command = strv_copy(c->operands + 1);
	if (!a->o.image || (c->n_operands > 1 && !a->o.command))
		return err_set(e, ENOMEM, "out of memory");
	return 0;
}
