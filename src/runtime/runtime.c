/* runtime: from argv to the verb, and its error to where the callers of a runtime look for it: the file of --log, whose last
 * line of level "error" go-runc quotes, and standard error, which Podman and people read. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "help.h"
#include "seal.h"
#include "verbs.h"
#include "words.h"

#define PROGRAM "berth-runtime"

struct global_args {
	char *root, *log, *log_format, *rootless, *criu;
	bool is_debug, systemd_cgroup, wants_version;
	bool has_log; /* the file is open */
};

#define AT(m) offsetof(struct global_args, m)
const struct opt global_options[] = {
	{ "root", 0, OPT_STRING, AT(root), "DIR", "where containers are recorded (default /run/berth-runtime)" },
	{ "log", 0, OPT_STRING, AT(log), "FILE", "append errors and warnings to a file" },
	{ "log-format", 0, OPT_STRING, AT(log_format), "FORMAT", "of the log: text or json" },
	{ "debug", 0, OPT_FLAG, AT(is_debug), NULL, "log more" },
	{ "systemd-cgroup", 0, OPT_FLAG, AT(systemd_cgroup), NULL,
	  "cgroups are scopes of systemd; linux.cgroupsPath is SLICE:PREFIX:NAME" },
	{ "rootless", 0, OPT_STRING, AT(rootless), "BOOL", "true, false or auto: whether to go without root's rights" },
	{ "criu", 0, OPT_STRING, AT(criu), "PATH", "the program that checkpoint and restore work with (default criu)" },
	{ "version", 'v', OPT_FLAG, AT(wants_version), NULL, "print the version" },
	{ NULL },
};

static int report(const struct runtime *rt, const struct global_args *g, const struct err *e)
{
	struct err silent = { .msg = "failed without a message" };
	char words[WORDS_LEN];

	words_for_engines(e->msg[0] ? e : &silent, words);
	fflush(stdout);
	if (g->has_log)
		log_error(rt->verb ? rt->verb->name : "main", "%s", words);
	fprintf(stderr, PROGRAM ": %s\n", words);
	return rt->verb && rt->verb->flags & VERB_255 ? 255 : 1;
}

static int print_version(void)
{
	printf(PROGRAM " version %s\ncommit: %s\nspec: 1.2.0\n", berth_version(), build_id());
	return 0;
}

/* ---- global options ---- */

static int open_log(struct global_args *g, struct err *e)
{
	bool json = g->log_format && streq(g->log_format, "json");
	int fd;

	if (g->log_format && !json && !streq(g->log_format, "text"))
		return err_set(e, EINVAL, "--log-format: \"%s\" is neither text nor json", g->log_format);
	log_setup(PROGRAM, g->is_debug ? LOG_DEBUG_ : LOG_INFO_, json);
	if (!g->log || !*g->log)
		return 0;
	fd = open(g->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_set(e, errno, "--log %s: %s", g->log, strerror(errno));
	log_to(fd); /* for the rest of this process's life */
	g->has_log = true;
	return 0;
}

static int choose_rootless(const struct global_args *g, struct runtime *rt, struct err *e)
{
	const char *v = g->rootless ? g->rootless : "auto";

	if (streq(v, "auto"))
		rt->is_rootless = geteuid() != 0 || in_user_namespace();
	else if (streq(v, "true") || streq(v, "false"))
		rt->is_rootless = streq(v, "true");
	else
		return err_set(e, EINVAL, "--rootless: \"%s\" is none of true, false, auto", v);
	return 0;
}

/* Root of somebody's user namespace has the session's directory too, unless it plays root in a system container, as runc tells
 * the two apart. */
static bool is_sessions(const char *run)
{
	const char *user = getenv("USER");

	if (geteuid() != 0)
		return true;
	return run && *run && in_user_namespace() && !(user && streq(user, "root"));
}

/* Absolute, since create changes into the bundle. */
static int choose_root(const struct global_args *g, struct runtime *rt, struct err *e)
{
	const char *run = secure_getenv("XDG_RUNTIME_DIR");
	_cleanup_free_ char *cwd = NULL;

	if (g->root && g->root[0] == '/') {
		rt->root = strdup(g->root);
	} else if (g->root && *g->root) {
		cwd = get_current_dir_name();
		rt->root = cwd ? str_fmt("%s/%s", cwd, g->root) : NULL;
	} else if (!is_sessions(run)) {
		rt->root = strdup("/run/berth-runtime");
	} else if (run && run[0] == '/') {
		rt->root = str_fmt("%s/berth-runtime", run);
	} else {
		return err_set(e, ENOENT,
			       "without root's rights XDG_RUNTIME_DIR must say where to record: set it, or give --root");
	}
	return rt->root ? 0 : err_set(e, ENOMEM, "out of memory");
}

static int read_globals(struct global_args *g, struct runtime *rt, struct err *e)
{
	int r = open_log(g, e);

	rt->systemd_cgroup = g->systemd_cgroup;
	rt->criu = g->criu;
	if (r == 0)
		r = choose_rootless(g, rt, e);
	return r < 0 ? r : choose_root(g, rt, e);
}

/* ---- the verb ---- */

static int check_operands(const struct runtime *rt, struct err *e)
{
	const struct verb *v = rt->verb;

	if (rt->n_operands < v->fewest)
		return err_set(e, EINVAL, "%s: an operand is missing; usage: " PROGRAM " %s [OPTION...] %s", v->name, v->name,
			       v->operands);
	if (v->most >= 0 && rt->n_operands > v->most)
		return err_set(e, EINVAL, "%s: unexpected operand \"%s\"; usage: " PROGRAM " %s [OPTION...] %s", v->name,
			       rt->operands[v->most], v->name, v->operands);
	return 0;
}

static int flush(struct err *e)
{
	if ((fflush(stdout) == EOF || ferror(stdout)) && errno != EPIPE)
		return err_set(e, errno ? errno : EIO, "write to standard output: %s", strerror(errno ? errno : EIO));
	return 0;
}

static int run_verb(struct runtime *rt, int argc, char **argv, struct err *e)
{
	union verb_opts opts = { 0 };
	bool help = false;
	int r = opts_parse(rt->verb->options, rt->verb->flags & VERB_STOP, argc, argv, &opts, &rt->n_operands, &help, e);

	rt->operands = argv;
	if (r < 0)
		err_push(e, r, "%s", rt->verb->name);
	else if (help)
		help_verb(rt->verb);
	else if ((r = check_operands(rt, e)) == 0)
		r = rt->verb->run(rt, &opts, e);
	opts_done(rt->verb->options, &opts);
	return r >= 0 && flush(e) < 0 ? -EIO : r;
}

static int dispatch(struct runtime *rt, struct global_args *g, int argc, char **argv, char **whole_argv, struct err *e)
{
	bool help;
	int n, r = opts_parse(global_options, true, argc, argv, g, &n, &help, e);

	if (r < 0)
		return r;
	if (g->wants_version)
		return print_version();
	if (help || n == 0 || streq(argv[0], "help")) {
		help_overall(help || n ? stdout : stderr);
		return help || n ? flush(e) : 1;
	}
	r = read_globals(g, rt, e);
	if (r < 0)
		return r;
	rt->verb = verb_find(argv[0]);
	if (!rt->verb)
		return verb_unknown(argv[0], e);
	if (rt->verb->flags & VERB_ENTER) {
		r = trace_pass_on(&rt->trace, e);
		if (r == 0)
			r = seal_self(whole_argv, &rt->spent, e);
		if (r < 0)
			return r;
		trace_sealed(&rt->trace);
	}
	return run_verb(rt, n, argv, e);
}

int runtime_main(int argc, char **argv)
{
	struct runtime rt = { .spent = -1 };
	struct global_args g = { 0 };
	struct err e = { 0 };
	/* opts_parse moves words about; a second self gets them as they came. */
	_cleanup_strv_ char **whole = strv_copy(argv);
	int r;

	trace_begin(&rt.trace);
	fd_fill_stdio();
	signal(SIGPIPE, SIG_IGN);
	log_setup(PROGRAM, LOG_INFO_, false);
	r = whole ? dispatch(&rt, &g, argc, argv, whole, &e) : err_set(&e, ENOMEM, "out of memory");
	trace_print(&rt.trace);
	if (r < 0)
		r = report(&rt, &g, &e);
	opts_done(global_options, &g);
	free(rt.root);
	return r;
}
