/* cli.c: from argv to a verb and from its result to an exit status. Global options stand before the verb. */
#include "cli.h"
#include "rootless.h"

#include <signal.h>
#include <unistd.h>

struct global_args {
	char *root, *run, *log_level;
	bool is_debug, wants_version;
};

const struct opt global_options[] = {
	{ "root", 0, OPT_STRING, offsetof(struct global_args, root), "DIR",
	  "images and containers (default /var/lib/berth, a user's ~/.local/share/berth; $BERTH_ROOT)" },
	{ "run", 0, OPT_STRING, offsetof(struct global_args, run), "DIR",
	  "state of what runs (default /run/berth, a user's $XDG_RUNTIME_DIR/berth; $BERTH_RUN)" },
	{ "log-level", 'l', OPT_STRING, offsetof(struct global_args, log_level), "LEVEL", "debug, info, warn or error" },
	{ "debug", 'D', OPT_FLAG, offsetof(struct global_args, is_debug), NULL, "the same as --log-level debug" },
	{ "version", 'v', OPT_FLAG, offsetof(struct global_args, wants_version), NULL, "print the version" },
	{ NULL },
};

#define PRUNE "berth system prune"

int cli_report(const struct cli *c, const struct err *e)
{
	const char *msg = e->msg[0] ? e->msg : "failed without a message";
	bool is_full = e->no == ENOSPC && !strstr(msg, PRUNE) && (strstr(msg, strerror(ENOSPC)) || strstr(msg, "disk is full"));
	const char *remedy = is_full ? "; if that is the store's disk, `" PRUNE "` gives space back" : "";

	fflush(stdout);
	if (c->command)
		fprintf(stderr, "berth %s: %s%s\n", c->command->name, msg, remedy);
	else
		fprintf(stderr, "berth: %s%s\n", msg, remedy);
	return e->exit ? e->exit : 125;
}

int cli_flush(struct err *e)
{
	/* EPIPE is the reader's choice (`berth ps | head -1`), not an error of ours. */
	if ((fflush(stdout) == EOF || ferror(stdout)) && errno != EPIPE)
		return err_set(e, errno ? errno : EIO, "write to standard output: %s", strerror(errno ? errno : EIO));
	return 0;
}

static int check_operands(const struct cli *c, int min, int max, struct err *e)
{
	const char *what = c->command->operands;

	if (c->n_operands < min)
		return err_set(e, EINVAL, "%s missing; usage: berth %s [OPTION...] %s",
			       min - c->n_operands > 1 ? "operands are" : "an operand is", c->command->name, what);
	if (max >= 0 && c->n_operands > max)
		return err_set(e, EINVAL, "unexpected operand \"%s\"; usage: berth %s [OPTION...]%s%s", c->operands[max],
			       c->command->name, *what ? " " : "", what);
	return 0;
}

int cli_parse(struct cli *c, void *args, int min, int max, struct err *e)
{
	bool help;
	int r = opts_parse(c->command->options, c->command->flags & CMD_STOP, c->argc, c->argv, args, &c->n_operands, &help, e);
	if (r < 0)
		return r;
	c->operands = c->argv;
	if (help) {
		help_command(stdout, c->command);
		return 1;
	}
	r = check_operands(c, min, max, e);
	if (r < 0)
		return r;
	if (!(c->command->flags & (CMD_STORE | CMD_ENGINE)))
		return 0;
	r = paths_init(&c->paths, c->root, c->run, e);
	if (r >= 0)
		r = rootless_enter(&c->paths, e);
	if (r < 0)
		return r;
	return c->command->flags & CMD_STORE ? engine_open(&c->paths, &c->engine, e) : engine_new(&c->paths, &c->engine, e);
}

int cli_each(struct cli *c, int (*deed)(struct cli *c, const char *operand, void *arg, struct err *e), void *arg)
{
	int status = 0;

	for (int i = 0; i < c->n_operands; i++) {
		struct err e = { 0 };
		if (deed(c, c->operands[i], arg, &e) < 0)
			status = cli_report(c, &e);
	}
	return status;
}

static int set_log_level(const struct global_args *g, struct cli *c, struct err *e)
{
	static const char *const names[] = { "debug", "info", "warn", "error" };
	static const enum log_level levels[] = { LOG_DEBUG_, LOG_INFO_, LOG_WARN_, LOG_ERROR_ };

	c->is_debug = g->is_debug;
	if (g->is_debug || !g->log_level) {
		log_setup("berth", g->is_debug ? LOG_DEBUG_ : LOG_INFO_, false);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (streq(g->log_level, names[i])) {
			c->is_debug = i == 0;
			log_setup("berth", levels[i], false);
			return 0;
		}
	}
	return err_set(e, EINVAL, "--log-level: \"%s\" is none of debug, info, warn, error", g->log_level);
}

static int dispatch(struct cli *c, int argc, char **argv, struct err *e)
{
	int words, r;

	if (streq(argv[0], "help")) {
		const struct command *about = argc > 1 ? command_find(argc - 1, argv + 1, &words) : NULL;
		if (argc == 2 && command_is_group(argv[1])) {
			help_group(stdout, argv[1]);
			return 0;
		}
		if (argc > 1 && !about)
			return command_unknown(argc - 1, argv + 1, e);
		if (about)
			help_command(stdout, about);
		else
			help_overall(stdout);
		return 0;
	}
	if (argc > 1 && command_is_group(argv[0]) && (streq(argv[1], "--help") || streq(argv[1], "-h"))) {
		help_group(stdout, argv[0]);
		return 0;
	}
	c->command = command_find(argc, argv, &words);
	if (!c->command)
		return command_unknown(argc, argv, e);
	c->argc = argc - words + 1;
	c->argv = argv + words - 1;
	r = c->command->run(c, e);
	if (r >= 0 && cli_flush(e) < 0)
		return -EIO;
	return r;
}

static int main_with(struct cli *c, struct global_args *g, int argc, char **argv, struct err *e)
{
	bool help;
	int n, r;

	log_setup("berth", LOG_INFO_, false);
	r = opts_parse(global_options, true, argc, argv, g, &n, &help, e);
	if (r < 0)
		return r;
	if (g->wants_version) {
		printf("berth %s (%s)\n", berth_version(), build_id());
		return 0;
	}
	if (help || n == 0) {
		help_overall(help ? stdout : stderr);
		return help ? 0 : 125;
	}
	r = set_log_level(g, c, e);
	if (r < 0)
		return r;
	c->root = g->root;
	c->run = g->run;
	return dispatch(c, n, argv, e);
}

int cli_main(int argc, char **argv)
{
	struct cli c = { 0 };
	struct global_args g = { 0 };
	struct err e = { 0 };
	int r;

	fd_fill_stdio();
	/* A reader that went away shows as EPIPE on write, so that cleanup still happens. */
	signal(SIGPIPE, SIG_IGN);
	r = main_with(&c, &g, argc, argv, &e);
	if (r < 0)
		r = cli_report(&c, &e);
	if (c.engine)
		engine_close(c.engine);
	opts_done(global_options, &g);
	strv_free(c.picked);
	paths_done(&c.paths);
	return r;
}

int cli_read_time(const char *option, const char *s, uint64_t *ret_ns, struct err *e)
{
	uint64_t ms, now = clock_real_ns();

	if (s && s[strspn(s, "0123456789.")] && str_to_duration_ms(s, &ms) == 0) {
		*ret_ns = ms * 1000000 < now ? now - ms * 1000000 : 0;
		return 0;
	}
	if (s && clock_parse(s, ret_ns) < 0)
		return err_set(e, EINVAL, "%s: \"%s\" is no time; 10m, 2026-01-02T03:04:05Z or 1760000000 are", option, s);
	return 0;
}
