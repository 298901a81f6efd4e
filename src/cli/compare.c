/* compare.c: `berth compare`: measure, or read what was measured; then print, draw, save, hold against an earlier run, recommend. */
#include "cli.h"
#include "compare.h"
#include "draft.h"
#include "measure.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { COUNT = 10, INSTANCES = 3, ROUNDS = 3, TIMEOUT_S = 60, MOST = 1000, INTERRUPTED = 130 };

struct compare_args {
	struct measure_options o;
	char *from, *html, *save, *against, *format;
	char **isolations, **parts, **needs;
	bool recommends;
	int64_t density, timeout_s;
	size_t failed; /* parts that could not be measured */
};
#define AT(member) offsetof(struct compare_args, member)

/* Options of `run` that all that is measured gets; `run` itself judges their values. X(id, name, letter, type, value, help) */
#define PASSED(X)                                                                                                     \
	X(env, "env", 'e', OPT_STRING, "NAME[=VALUE]", "set an environment variable")                                 \
	X(env_file, "env-file", 0, OPT_STRING, "FILE", "set the variables of a file")                                 \
	X(user, "user", 'u', OPT_STRING, "USER[:GROUP]", "run as this user")                                          \
	X(workdir, "workdir", 'w', OPT_STRING, "DIR", "working directory")                                            \
	X(entrypoint, "entrypoint", 0, OPT_STRING, "COMMAND", "instead of the image's ENTRYPOINT")                    \
	X(volume, "volume", 'v', OPT_STRING, "[SOURCE:]PATH[:ro,...]", "mount a volume, or a host directory or file") \
	X(mount, "mount", 0, OPT_STRING, "type=volume|bind|tmpfs,...", "mount by named parts")                        \
	X(tmpfs, "tmpfs", 0, OPT_STRING, "PATH[:OPTIONS]", "an empty file system in memory")                          \
	X(network, "network", 0, OPT_STRING, "NETWORK", "bridge (default), none or a network")                        \
	X(memory, "memory", 'm', OPT_STRING, "SIZE", "memory limit")                                                  \
	X(cpus, "cpus", 0, OPT_STRING, "N", "processor time, in processors")                                          \
	X(pids_limit, "pids-limit", 0, OPT_STRING, "N", "processes and threads")                                      \
	X(ulimit, "ulimit", 0, OPT_STRING, "NAME=SOFT[:HARD]", "a limit of setrlimit(2)")                             \
	X(cap_add, "cap-add", 0, OPT_STRING, "CAPABILITY", "add a capability, or ALL")                                \
	X(cap_drop, "cap-drop", 0, OPT_STRING, "CAPABILITY", "take a capability away, or ALL")                        \
	X(security_opt, "security-opt", 0, OPT_STRING, "OPTION", "seccomp=unconfined|FILE, ...")                      \
	X(sysctl, "sysctl", 0, OPT_STRING, "NAME=VALUE", "a kernel setting of its namespaces")                        \
	X(kernel, "kernel", 0, OPT_STRING, "KERNEL", "vm: boot this kernel, a name (kernel ls) or a file")            \
	X(init, "init", 0, OPT_FLAG, NULL, "a small init as PID 1")                                                   \
	X(read_only, "read-only", 0, OPT_FLAG, NULL, "its files can't be written")                                    \
	X(privileged, "privileged", 0, OPT_FLAG, NULL, "no wall against the host's devices and settings")

static int pass(void *args, const char *name, const char *value, struct err *e)
{
	struct compare_args *a = args;

	return strv_push_take(&a->o.passed, value ? str_fmt("%s=%s", name, value) : strdup(name)) < 0
		       ? err_set(e, ENOMEM, "out of memory")
		       : 0;
}
#define PASS_FUNCTION(id, name, letter, type, value, help) \
	static int pass_##id(void *args, const char *v, struct err *e) { return pass(args, "--" name, v, e); }
#define PASS_ROW(id, name, letter, type, value, help) { name, letter, type, 0, value, help, pass_##id },
PASSED(PASS_FUNCTION)

const struct opt compare_options[] = {
	{ "isolation", 0, OPT_LIST, AT(isolations), "KIND[,...]",
	  "container and vm (default); vm-tcg: a machine that is emulated whole" },
	{ "count", 'n', OPT_I64, AT(o.count), "N", "starts of each (default 10)" },
	{ "instances", 0, OPT_I64, AT(o.instances), "N", "side by side, for memory (default 3)" },
	{ "rounds", 0, OPT_I64, AT(o.rounds), "N", "of the probes of speed and network (default 3)" },
	{ "only", 0, OPT_LIST, AT(parts), "PART[,...]", "start, speed, network, memory, walls (default all)" },
	{ "ready", 0, OPT_STRING, AT(o.ready), "WHAT",
	  "it is up when this answers: http://localhost:PORT/PATH, tcp:PORT or log:TEXT" },
	{ "timeout", 0, OPT_SECONDS, AT(timeout_s), "TIME", "give up waiting for one start (default 60s)" },
	{ "density", 0, OPT_BYTES, AT(density), "SIZE", "how many fit in so much memory (default: the host's)" },
	{ "format", 0, OPT_STRING, AT(format), "FORMAT", "table (default) or json" },
	{ "html", 0, OPT_STRING, AT(html), "FILE", "also as a page with plots" },
	{ "save", 0, OPT_STRING, AT(save), "FILE", "keep the figures, for --from and --against" },
	{ "from", 0, OPT_STRING, AT(from), "FILE", "measure nothing: show what was saved there" },
	{ "against", 0, OPT_STRING, AT(against), "FILE", "hold it against what was saved there" },
	{ "recommend", 0, OPT_FLAG, AT(recommends), NULL, "which isolation the figures and the needs speak for" },
	{ "need", 0, OPT_LIST, AT(needs), "NEED[,...]", "for --recommend: untrusted, own-kernel, other-os, density, start-up" },
	{ "quiet", 'q', OPT_FLAG, AT(o.is_quiet), NULL, "say nothing of what is being done" },
	PASSED(PASS_ROW){ NULL },
};

/* Each item of lists that may be given again and hold several: "a,b". */
static int each_word(char *const *lists, int (*take)(struct compare_args *a, const char *word, struct err *e),
		     struct compare_args *a, struct err *e)
{
	int r = 0;

	for (; lists && *lists && r >= 0; lists++) {
		_cleanup_strv_ char **words = strv_split(*lists, ',');

		if (!words)
			return err_set(e, ENOMEM, "out of memory");
		for (char **w = words; *w && r >= 0; w++)
			r = take(a, *w, e);
	}
	return r;
}

static int take_isolation(struct compare_args *a, const char *word, struct err *e)
{
	if (strv_len(a->o.isolations) + 1 >= MEASURE_WAYS_MAX)
		return err_set(e, EINVAL, "--isolation: at most %d", MEASURE_WAYS_MAX - 1);
	return strv_push(&a->o.isolations, word) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

static int take_part(struct compare_args *a, const char *word, struct err *e)
{
	static const struct {
		const char *word;
		enum measure_part part;
	} parts[] = { { "start", MEASURE_START },
		      { "speed", MEASURE_SPEED },
		      { "network", MEASURE_NETWORK },
		      { "memory", MEASURE_MEMORY },
		      { "walls", MEASURE_WALLS } };

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (streq(parts[i].word, word)) {
			a->o.parts |= parts[i].part;
			return 0;
		}
	return err_set(e, EINVAL, "--only %s: start, speed, network, memory and walls are known", word);
}

static int read_needs(const struct compare_args *a, unsigned *ret, struct err *e)
{
	int r = 0;

	*ret = 0;
	for (char **list = a->needs; list && *list && r >= 0; list++) {
		_cleanup_strv_ char **words = strv_split(*list, ',');

		if (!words)
			return err_set(e, ENOMEM, "out of memory");
		for (char **w = words; *w && r >= 0; w++)
			r = need_parse(*w, ret, e);
	}
	if (r >= 0 && a->needs && !a->recommends)
		return err_set(e, EINVAL, "--need is for --recommend");
	return r;
}

static int check_number(const char *option, int64_t v, int64_t least, struct err *e)
{
	return v < least || v > MOST ? err_set(e, EINVAL, "%s %lld: %lld to %d", option, (long long)v, (long long)least, MOST)
				     : 0;
}

static int complete(struct compare_args *a, struct cli *c, struct err *e)
{
	int r = each_word(a->isolations, take_isolation, a, e);

	if (r >= 0)
		r = each_word(a->parts, take_part, a, e);
	for (int i = 0; i < 2 && r >= 0 && !a->isolations; i++)
		r = take_isolation(a, i ? "vm" : "container", e);
	if (r >= 0)
		r = check_number("--count", a->o.count, 1, e);
	if (r >= 0)
		r = check_number("--instances", a->o.instances, 1, e);
	if (r >= 0)
		r = check_number("--rounds", a->o.rounds, 1, e);
	if (r >= 0 && a->format && !streq(a->format, "table") && !streq(a->format, "json"))
		return err_set(e, EINVAL, "--format %s: table or json", a->format);
	if (r >= 0 && a->timeout_s < 1)
		return err_set(e, EINVAL, "--timeout: at least 1 second");
	if (r < 0)
		return r;
	if (!a->o.parts)
		a->o.parts = MEASURE_ALL;
	a->o.timeout_ms = (uint64_t)a->timeout_s * 1000;
	a->o.density_bytes = (uint64_t)MAX(a->density, 0);
	a->o.root = c->root;
	a->o.run = c->run;
	return 0;
}

static int measure_now(struct compare_args *a, struct cli *c, struct comparison *ret, struct err *e)
{
	_cleanup_free_ char *libexec = paths_libexec();
	_cleanup_buf_ struct buf title = { 0 };
	int r;

	a->o.image = c->operands[0];
	a->o.command = c->operands + 1;
	a->o.libexec = libexec;
	for (char **w = c->operands; *w; w++)
		buf_fmt(&title, "%s%s", w == c->operands ? "" : w == c->operands + 1 ? ": " : " ", *w);
	r = !libexec || title.failed || comparison_init(ret, title.data, NULL) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
	return r < 0 ? r : compare_measure(&a->o, ret, &a->failed, e);
}

/* What is to be shown: of now, and of an earlier run where there is one. */
struct shown {
	struct comparison now, earlier;
	struct against against;
	struct recommendation recommendation;
	bool has_against, has_recommendation;
};

static void shown_done(struct shown *s)
{
	recommendation_done(&s->recommendation);
	against_done(&s->against);
	comparison_done(&s->earlier);
	comparison_done(&s->now);
}

static int write_draft(const struct shown *s, const char *path, bool is_page, struct err *e)
{
	const struct against *a = s->has_against ? &s->against : NULL;
	const struct recommendation *rec = s->has_recommendation ? &s->recommendation : NULL;
	struct draft d;
	int r = draft_open(&d, path), k;

	if (r < 0) {
		draft_done(&d);
		return err_set(e, -r, "%s: %s", path, strerror(-r));
	}
	r = is_page ? comparison_write_page(&s->now, a, rec, d.fd, e) : comparison_write_json(&s->now, d.fd, e);
	if (r >= 0 && (k = draft_keep(&d, 0644)) < 0)
		r = err_set(e, -k, "%s: %s", path, strerror(-k));
	draft_done(&d);
	return r;
}

static size_t width(void)
{
	struct winsize w;

	return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col ? w.ws_col : TABLE_WIDTH;
}

/* The comparison as it is saved; with what is said of it beside it where that was asked for. */
static int print_json(const struct shown *s, struct err *e)
{
	_cleanup_json_ struct json_object *all = NULL;
	const char *text;

	if (!s->has_against && !s->has_recommendation)
		return comparison_write_json(&s->now, STDOUT_FILENO, e);
	all = json_object_new_object();
	if (!all || json_add(all, "comparison", comparison_json(&s->now)) < 0 ||
	    (s->has_against && json_add(all, "against", against_json(&s->against)) < 0) ||
	    (s->has_recommendation && json_add(all, "recommendation", recommendation_json(&s->recommendation)) < 0) ||
	    !(text = json_object_to_json_string_ext(all, JSON_C_TO_STRING_PLAIN)))
		return err_set(e, ENOMEM, "out of memory");
	puts(text);
	return cli_flush(e);
}

static int print(const struct compare_args *a, const struct shown *s, struct err *e)
{
	int r;

	if (a->format && streq(a->format, "json"))
		return print_json(s, e);
	r = comparison_print_table(&s->now, STDOUT_FILENO, width(), e);
	if (r >= 0 && s->has_against)
		r = against_print(&s->against, STDOUT_FILENO, width(), e);
	if (r >= 0 && s->has_recommendation)
		r = recommendation_print(&s->recommendation, STDOUT_FILENO, width(), e);
	return r;
}

static int show(const struct compare_args *a, unsigned needs, struct shown *s, struct err *e)
{
	int r = 0;

	/* First what can't be measured again is safe. */
	if (a->save)
		r = write_draft(s, a->save, false, e);
	if (r >= 0 && a->against) {
		r = comparison_against(&s->now, &s->earlier, &s->against, e);
		s->has_against = r >= 0;
	}
	if (r >= 0 && a->recommends) {
		r = comparison_recommend(&s->now, needs, &s->recommendation, e);
		s->has_recommendation = r >= 0;
	}
	if (r >= 0 && a->html)
		r = write_draft(s, a->html, true, e);
	return r < 0 ? r : print(a, s, e);
}

/* Files that are to be read are read before anything is measured. */
static int compare(struct compare_args *a, struct cli *c, struct shown *s, struct err *e)
{
	unsigned needs = 0;
	int r = read_needs(a, &needs, e);

	if (r >= 0 && !a->from && c->n_operands < 1)
		r = err_set(e, EINVAL, "an image is missing: berth compare [OPTIONS] IMAGE [COMMAND...]");
	if (r >= 0 && a->from && c->n_operands)
		r = err_set(e, EINVAL, "--from %s measures nothing: no image, please", a->from);
	if (r >= 0 && a->against)
		r = comparison_read(a->against, &s->earlier, e);
	if (r >= 0)
		r = a->from ? comparison_read(a->from, &s->now, e) : measure_now(a, c, &s->now, e);
	return r < 0 ? r : show(a, needs, s, e);
}

int cmd_compare(struct cli *c, struct err *e)
{
	struct compare_args a = { .o = { .count = COUNT, .instances = INSTANCES, .rounds = ROUNDS }, .timeout_s = TIMEOUT_S };
	struct shown s = { 0 };
	int r = cli_parse(c, &a, 0, CLI_ANY, e);

	if (r == 0)
		r = complete(&a, c, e);
	if (r == 0)
		r = compare(&a, c, &s, e);
	if (r >= 0 && !a.from)
		r = s.now.was_interrupted ? INTERRUPTED : a.failed ? 1 : 0;
	shown_done(&s);
	strv_free(a.o.passed);
	strv_free(a.o.isolations);
	opts_done(compare_options, &a);
	return r;
}
