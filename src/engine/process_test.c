/* Docker's rules for what is executed, with which environment and limits; names; capabilities. */
#include "engine_impl.h"

#include "tap.h"

static char **words(const char *line)
{
	char **v = line && *line ? strv_split(line, ' ') : NULL;

	for (char **w = v; w && *w; w++) {
		if (streq(*w, "''"))
			(*w)[0] = 0;
	}
	return v;
}

static char *joined(char *const *v)
{
	struct buf b = { 0 };

	for (char *const *w = v; w && *w; w++)
		buf_fmt(&b, "%s%s", w == v ? "" : " ", *w);
	return tap_keep(b.data ? buf_take(&b) : strdup(""));
}

TEST(entrypoint_cmd_and_command_merge_as_dockers)
{
	static const struct {
		const char *image_entrypoint, *image_cmd, *entrypoint, *command, *want;
	} cases[] = {
		{ "", "sh", NULL, "", "sh" },
		{ "", "sh", NULL, "ls -l", "ls -l" },
		{ "nginx -g", "x y", NULL, "", "nginx -g x y" },
		{ "nginx -g", "x y", NULL, "z", "nginx -g z" },
		{ "nginx -g", "x y", "sh", "", "sh" },
		{ "nginx -g", "x y", "sh", "-c ls", "sh -c ls" },
		{ "nginx -g", "x y", "", "ls -l", "ls -l" },
		{ "nginx", "", NULL, "", "nginx" },
		{ "nginx", "x", "[\"a\",\"b\"]", "c", "a b c" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct image_config ic = { 0 };
		struct run_opts o;
		struct err e = { 0 };
		char **args = NULL;
		run_opts_init(&o);
		ic.config.entrypoint = words(cases[i].image_entrypoint);
		ic.config.cmd = words(cases[i].image_cmd);
		o.has_entrypoint = cases[i].entrypoint;
		o.entrypoint = cases[i].entrypoint ? strdup(cases[i].entrypoint) : NULL;
		o.command = words(cases[i].command);
		if (process_args(&o, &ic, &args, &e) < 0)
			TAP_FAIL("case %zu: %s", i, e.msg);
		is_str(joined(args), cases[i].want);
		strv_free(args);
		run_opts_done(&o);
		image_config_done(&ic);
	}
}

TEST(nothing_to_execute_is_an_error_that_says_so)
{
	struct image_config ic = { 0 };
	struct run_opts o;
	struct err e = { 0 };
	char **args = NULL;

	run_opts_init(&o);
	is_int(process_args(&o, &ic, &args, &e), -EINVAL);
	has_str(e.msg, "neither ENTRYPOINT nor CMD");
	/* The image's CMD does not serve an entrypoint of the command line. */
	ic.config.cmd = words("sh");
	o.has_entrypoint = true;
	o.entrypoint = strdup("");
	is_int(process_args(&o, &ic, &args, &e), -EINVAL);
	o.command = words("''");
	is_int(process_args(&o, &ic, &args, &e), -EINVAL);
	has_str(e.msg, "empty word");
	run_opts_done(&o);
	image_config_done(&ic);
}

TEST(environment_is_path_host_term_image_options)
{
	struct image_config ic = { 0 };
	struct run_opts o;
	struct err e = { 0 };
	char **env = NULL;

	run_opts_init(&o);
	ic.config.env = words("A=1 B=2 C=3 PATH=/image junk =x");
	o.env = words("B=two C D=4 E=");
	o.has_tty = true;
	is_int(process_env(&o, &ic, "box", &env, &e), 0);
	is_str(env_get(env, "PATH"), "/image");
	is_str(env_get(env, "HOSTNAME"), "box");
	is_str(env_get(env, "TERM"), "xterm");
	is_str(env_get(env, "A"), "1");
	is_str(env_get(env, "B"), "two");
	ok(!env_get(env, "C"));
	is_str(env_get(env, "D"), "4");
	is_str(env_get(env, "E"), "");
	is_int(strv_len(env), 7);
	strv_free(env);
	run_opts_done(&o);
	image_config_done(&ic);
}

TEST(a_default_path_is_given_and_no_term_without_a_terminal)
{
	struct image_config ic = { 0 };
	struct run_opts o;
	struct err e = { 0 };
	char **env = NULL;

	run_opts_init(&o);
	is_int(process_env(&o, &ic, "box", &env, &e), 0);
	has_str(env_get(env, "PATH"), "/usr/bin");
	ok(!env_get(env, "TERM"));
	strv_free(env);
	env = NULL;
	o.env = words("=x");
	is_int(process_env(&o, &ic, "box", &env, &e), -EINVAL);
	has_str(e.msg, "\"=x\" has no variable name");
	run_opts_done(&o);
}

TEST(ulimits_are_read_and_their_mistakes_named)
{
	static const struct {
		const char *text, *says;
	} wrong[] = {
		{ "nofile", "is not NAME=SOFT[:HARD]" },     { "nofiles=1", "no limit named \"nofiles\"" },
		{ "nofile=x", "limits are whole numbers" },  { "nofile=2:1", "the soft limit is above the hard one" },
		{ "nofile=1:", "limits are whole numbers" },
	};
	struct spec_rlimit l;
	struct err e = { 0 };

	is_int(process_rlimit("nofile=1024:2048", &l, &e), 0);
	is_str(l.type, "RLIMIT_NOFILE");
	is_int(l.soft, 1024);
	is_int(l.hard, 2048);
	free(l.type);
	is_int(process_rlimit("core=-1", &l, &e), 0);
	ok(l.soft == UINT64_MAX && l.hard == UINT64_MAX);
	free(l.type);
	is_int(process_rlimit("nproc=5", &l, &e), 0);
	is_int(l.hard, 5);
	free(l.type);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		is_int(process_rlimit(wrong[i].text, &l, &e), -EINVAL);
		has_str(e.msg, wrong[i].says);
	}
}

TEST(R28_open_files_are_bounded_unless_a_limit_is_given_or_inherited)
{
	const struct rlimit million = { .rlim_cur = 1 << 20, .rlim_max = 1 << 20 },
			    modest = { .rlim_cur = 20000, .rlim_max = 524288 },
			    boundless = { .rlim_cur = 1024, .rlim_max = RLIM_INFINITY };
	struct spec s;
	struct err e = { 0 };

	spec_init(&s);
	is_int(process_bound_files(&s.process, &modest, &e), 0);
	is_int(s.process.n_rlimits, 0);
	is_int(process_bound_files(&s.process, &million, &e), 0);
	is_int(s.process.n_rlimits, 1);
	is_str(s.process.rlimits[0].type, "RLIMIT_NOFILE");
	is_int(s.process.rlimits[0].soft, 524288);
	is_int(s.process.rlimits[0].hard, 524288);
	/* Given: it stays. */
	s.process.rlimits[0].soft = s.process.rlimits[0].hard = 700000;
	is_int(process_bound_files(&s.process, &million, &e), 0);
	is_int(s.process.n_rlimits, 1);
	is_int(s.process.rlimits[0].hard, 700000);
	spec_done(&s);
	spec_init(&s);
	is_int(process_bound_files(&s.process, &boundless, &e), 0);
	is_int(s.process.rlimits[0].soft, 1024);
	is_int(s.process.rlimits[0].hard, 524288);
	spec_done(&s);
}

TEST(root_is_root_by_name_or_number)
{
	ok(user_is_root(NULL) && user_is_root("") && user_is_root("0") && user_is_root("root") && user_is_root("0:5") &&
	   user_is_root("root:x"));
	ok(!user_is_root("1") && !user_is_root("00x") && !user_is_root("roots") && !user_is_root("www-data") &&
	   !user_is_root("10:0"));
}

static uint64_t caps(const char *add, const char *drop, int want, struct err *e)
{
	struct run_opts o;
	uint64_t got = 0;

	run_opts_init(&o);
	o.cap_add = words(add);
	o.cap_drop = words(drop);
	is_int(caps_mask(&o, 0x3, &got, e), want);
	run_opts_done(&o);
	return got;
}

TEST(capabilities_add_and_drop_as_dockers)
{
	uint64_t all, raw, chown_;
	struct err e = { 0 };

	cap_parse("ALL", &all);
	cap_parse("NET_RAW", &raw);
	cap_parse("CHOWN", &chown_);
	ok(caps("", "", 0, &e) == 0x3);
	ok(caps("NET_RAW", "", 0, &e) == (0x3 | raw));
	ok(caps("cap_net_raw", "chown", 0, &e) == ((0x3 | raw) & ~chown_));
	ok(caps("", "ALL", 0, &e) == 0);
	ok(caps("NET_RAW", "all", 0, &e) == raw);
	ok(caps("ALL", "", 0, &e) == all);
	ok(caps("ALL", "NET_RAW", 0, &e) == (all & ~raw));
	caps("NET_RAWR", "", -EINVAL, &e);
	has_str(e.msg, "--cap-add: there is no capability \"NET_RAWR\"");
	caps("", "X", -EINVAL, &e);
	has_str(e.msg, "--cap-drop");
}

TEST(generated_names_are_valid_and_differ)
{
	_cleanup_free_ char *first = name_generate();
	bool differs = false;

	for (int i = 0; i < 20; i++) {
		_cleanup_free_ char *name = name_generate();
		ok(name_is_valid(name));
		ok(strchr(name, '_'));
		differs |= !streq(name, first);
	}
	ok(differs);
}

TEST(options_survive_the_record)
{
	struct run_opts o, p;
	struct err e = { 0 };
	_cleanup_free_ char *text = NULL, *again = NULL;

	run_opts_init(&o);
	o.image = strdup("debian");
	o.command = words("sh -c x");
	o.env = words("A=1 B=2");
	o.has_tty = true;
	o.memory = 1 << 30;
	o.memory_swap = -1;
	o.cpus = 1.5;
	text = options_print(&o);
	is_int(options_parse(text, &p, &e), 0);
	is_str(p.image, "debian");
	is_int(p.memory_swap, -1);
	ok(p.memory_reservation == SPEC_UNSET);
	ok(p.has_tty && !p.use_init);
	again = options_print(&p);
	is_str(again, text);
	run_opts_done(&p);
	run_opts_done(&o);
	is_int(options_parse("{\"image\":5}", &p, &e), -EINVAL);
	has_str(e.msg, "image");
}

TEST(what_can_be_judged_without_an_image_is)
{
	struct run_opts o;
	struct err e = { 0 };

	run_opts_init(&o);
	is_int(options_check(&o, &e), -EINVAL);
	o.image = strdup("x");
	is_int(options_check(&o, &e), 0);
	o.name = strdup("-bad");
	is_int(options_check(&o, &e), -EINVAL);
	has_str(e.msg, "--name: \"-bad\"");
	free(o.name);
	o.name = strdup("a/../b");
	is_int(options_check(&o, &e), -EINVAL);
	free(o.name);
	o.name = NULL;
	o.pull = strdup("sometimes");
	is_int(options_check(&o, &e), -EINVAL);
	has_str(e.msg, "--pull: \"sometimes\" is not known; missing, always and never are");
	free(o.pull);
	o.pull = NULL;
	o.stop_signal = strdup("SIGFOO");
	is_int(options_check(&o, &e), -EINVAL);
	free(o.stop_signal);
	o.stop_signal = NULL;
	o.labels = words("dev.berth.x=1");
	is_int(options_check(&o, &e), -EINVAL);
	has_str(e.msg, "Berth's own");
	run_opts_done(&o);
}

TAP_MAIN()
