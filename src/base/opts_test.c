/* The option parser: its grammar, its refusals, its advice. */
#include "opts.h"

#include "str.h"
#include "tap.h"

struct args {
	bool is_a, is_b, no_proxy;
	char *name;
	char **list;
	int64_t number, size, time_s;
	double cpus;
};
static int set_upper(void *args, const char *value, struct err *e)
{
	struct args *a = args;

	if (streq(value, "bad"))
		return err_set(e, EINVAL, "not that one");
	a->number = (int64_t)strlen(value);
	return 0;
}

static const struct opt table[] = {
	{ "alpha", 'a', OPT_FLAG, offsetof(struct args, is_a), NULL, "a flag" },
	{ "beta", 'b', OPT_FLAG, offsetof(struct args, is_b), NULL, "a flag" },
	{ "sig-proxy", 0, OPT_FLAG_OFF, offsetof(struct args, no_proxy), NULL, "a flag that is on" },
	{ "name", 'n', OPT_STRING, offsetof(struct args, name), "NAME", "a text" },
	{ "env", 'e', OPT_LIST, offsetof(struct args, list), "X", "a list" },
	{ "number", 0, OPT_I64, offsetof(struct args, number), "N", "a number" },
	{ "memory", 'm', OPT_BYTES, offsetof(struct args, size), "SIZE", "a size" },
	{ "swap", 0, OPT_BYTES_ANY, offsetof(struct args, size), "SIZE", "a size or -1" },
	{ "time", 't', OPT_SECONDS, offsetof(struct args, time_s), "S", "a time" },
	{ "cpus", 0, OPT_DOUBLE, offsetof(struct args, cpus), "N", "a fraction" },
	{ "special", 0, OPT_STRING, 0, "X", "its own reader", set_upper },
	{ NULL },
};

/* Splits at blanks; "''" is an empty word. *ret_n as from opts_parse, or its error. */
static char words[512], *line_argv[64];
static bool help;
static struct err e;
static int parse(const char *line, bool stop, struct args *a)
{
	int argc = 0, n = -1, r;

	*a = (struct args){ 0 };
	e = (struct err){ 0 };
	snprintf(words, sizeof(words), "verb %s", line);
	for (char *save, *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save))
		line_argv[argc++] = streq(w, "''") ? w + 2 : w;
	line_argv[argc] = NULL;
	r = opts_parse(table, stop, argc, line_argv, a, &n, &help, &e);
	return r < 0 ? r : n;
}

TEST(a_flag_has_five_spellings)
{
	static const char *const on[] = { "-a", "--alpha", "--alpha=true", "--alpha=1", "-a=true" };
	static const char *const off[] = { "--alpha=false", "-a --alpha=0", "-a=false" };
	struct args a;

	for (size_t i = 0; i < ARRAY_SIZE(on); i++) {
		is_int(parse(on[i], false, &a), 0);
		ok(a.is_a);
	}
	for (size_t i = 0; i < ARRAY_SIZE(off); i++) {
		is_int(parse(off[i], false, &a), 0);
		ok(!a.is_a);
	}
}

TEST(a_value_has_six_spellings)
{
	static const char *const lines[] = { "--name x=1", "--name=x=1", "-n x=1", "-nx=1", "-n=x=1", "-abn x=1" };
	struct args a;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		is_int(parse(lines[i], false, &a), 0);
		is_str(a.name, "x=1");
		opts_done(table, &a);
	}
}

TEST(bundled_letters_set_each_flag)
{
	struct args a;

	is_int(parse("-ab", false, &a), 0);
	ok(a.is_a && a.is_b);
}

TEST(a_list_grows_and_a_text_is_replaced)
{
	struct args a;

	is_int(parse("-e one --env two --env=three --name x --name y", false, &a), 0);
	is_int(strv_len(a.list), 3);
	is_str(a.list[2], "three");
	is_str(a.name, "y");
	opts_done(table, &a);
	ok(!a.list && !a.name);
}

TEST(a_flag_that_is_on_is_stored_as_not)
{
	struct args a;

	parse("--sig-proxy=false", false, &a);
	ok(a.no_proxy);
	parse("--sig-proxy", false, &a);
	ok(!a.no_proxy);
}

TEST(operands_may_stand_between_options)
{
	struct args a;

	is_int(parse("one -a two --name x three", false, &a), 3);
	ok(a.is_a);
	is_str(line_argv[0], "one");
	is_str(line_argv[2], "three");
	ok(line_argv[3] == NULL);
	opts_done(table, &a);
}

TEST(stop_at_operand_leaves_the_commands_own_options_alone)
{
	struct args a;

	is_int(parse("-a image -b --name", true, &a), 3);
	ok(a.is_a && !a.is_b);
	is_str(line_argv[1], "-b");
	is_str(line_argv[2], "--name");
}

TEST(two_dashes_end_the_options)
{
	struct args a;

	is_int(parse("-a -- -b --name", false, &a), 2);
	ok(!a.is_b);
	is_str(line_argv[0], "-b");
}

TEST(a_single_dash_is_an_operand)
{
	struct args a;

	is_int(parse("- -a", false, &a), 1);
	is_str(line_argv[0], "-");
}

TEST(numbers_sizes_times_and_fractions_are_read)
{
	struct args a;

	is_int(parse("--number -5 -m 512m --time 1m30s --cpus 1.5", false, &a), 0);
	is_int(a.number, -5);
	is_int(a.size, 512 << 20);
	is_int(a.time_s, 90);
	ok(a.cpus == 1.5);
	is_int(parse("--swap -1 -t -1", false, &a), 0);
	is_int(a.size, -1);
	is_int(a.time_s, -1);
}

TEST(a_wrong_value_is_named_with_its_option_and_what_would_be_right)
{
	static const struct {
		const char *line, *says;
	} cases[] = {
		{ "--memory 12x", "--memory: \"12x\" is not a size such as 512m" },
		{ "-m 12x", "-m: \"12x\"" },
		{ "--memory -1", "--memory: \"-1\" is not a size" },
		{ "--number 1.5", "--number: \"1.5\" is not a whole number" },
		{ "--number 99999999999999999999", "is not a whole number" },
		{ "--cpus inf", "--cpus: \"inf\" is not a number" },
		{ "--cpus 0x10", "--cpus: \"0x10\" is not a number" },
		{ "--cpus -1", "is not a number" },
		{ "--alpha=maybe", "--alpha: \"maybe\" is not true or false" },
		{ "--time soon", "--time: \"soon\" is not seconds" },
		{ "--special bad", "--special: not that one" },
		{ "--name", "--name needs a value" },
		{ "-an", "-n needs a value" },
	};
	struct args a;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		is_int(parse(cases[i].line, false, &a), -EINVAL);
		has_str(e.msg, cases[i].says);
		opts_done(table, &a);
	}
}

TEST(abbreviations_are_refused_with_the_whole_name)
{
	struct args a;

	is_int(parse("--alph", false, &a), -EINVAL);
	is_str(e.msg, "unknown option --alph; did you mean --alpha?");
	is_int(parse("--mem=5", false, &a), -EINVAL);
	has_str(e.msg, "did you mean --memory?");
}

TEST(a_misspelling_is_answered_with_the_nearest_name)
{
	struct args a;

	is_int(parse("--nmae x", false, &a), -EINVAL);
	has_str(e.msg, "did you mean --name?");
	is_int(parse("--zzzzzzzz", false, &a), -EINVAL);
	ok(!strstr(e.msg, "did you mean"));
	has_str(e.msg, "--help");
}

TEST(an_unknown_letter_is_named_with_its_bundle)
{
	struct args a;

	is_int(parse("-xa", false, &a), -EINVAL);
	has_str(e.msg, "unknown option -x");
}

TEST(help_is_known_without_a_row)
{
	struct args a;

	is_int(parse("--help", false, &a), 0);
	ok(help);
	is_int(parse("-h", false, &a), 0);
	ok(help);
	is_int(parse("-a", false, &a), 0);
	ok(!help);
}

TEST(a_row_with_its_own_reader_is_given_the_value)
{
	struct args a;

	is_int(parse("--special abc", false, &a), 0);
	is_int(a.number, 3);
}

TEST(an_empty_value_is_a_value)
{
	struct args a;

	is_int(parse("--name= -a", false, &a), 0);
	is_str(a.name, "");
	opts_done(table, &a);
	is_int(parse("--name '' -a", false, &a), 0);
	is_str(a.name, "");
	ok(a.is_a);
	opts_done(table, &a);
}

TAP_MAIN()
