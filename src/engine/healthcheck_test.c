/* healthcheck: what becomes of the image's HEALTHCHECK and the options. */
#include "engine_impl.h"
#include "tap.h"

static char words_cmd[] = "CMD", words_true[] = "/bin/true", words_x[] = "-x", words_shell[] = "CMD-SHELL", words_none[] = "NONE",
	    words_line[] = "curl -f x || exit 1";

static struct launch planned(const struct run_opts *o, struct healthcheck *h)
{
	struct image_config ic = { .config.healthcheck = h };
	struct launch l = { 0 };
	struct err e = { 0 };

	if (health_plan(o, &ic, &l, &e) < 0)
		TAP_FAIL("%s", e.msg);
	return l;
}

TEST(without_any_nothing_is_checked)
{
	struct run_opts o;

	run_opts_init(&o);
	struct launch l = planned(&o, NULL);
	ok(!l.health_args && !l.health_test && !l.health_interval_ms && !l.health_retries);
	char *none[] = { words_none, NULL };
	struct healthcheck h = { .test = none };
	l = planned(&o, &h);
	ok(!l.health_args);
}

TEST(the_images_check_has_dockers_defaults)
{
	char *test[] = { words_cmd, words_true, words_x, NULL };
	struct healthcheck h = { .test = test, .timeout_ns = 2500000000 };
	struct run_opts o;

	run_opts_init(&o);
	struct launch l = planned(&o, &h);
	is_str(l.health_args[0], "/bin/true");
	is_str(l.health_args[1], "-x");
	ok(!l.health_args[2]);
	is_str(l.health_test[0], "CMD");
	is_int(l.health_interval_ms, 30000);
	is_int(l.health_timeout_ms, 2500);
	is_int(l.health_start_period_ms, 0);
	is_int(l.health_start_interval_ms, 5000);
	is_int(l.health_retries, 3);
	launch_done(&l);
	o.no_healthcheck = true;
	l = planned(&o, &h);
	ok(!l.health_args);
}

TEST(options_replace_the_images_part_by_part)
{
	char *test[] = { words_shell, words_line, NULL };
	struct healthcheck h = { .test = test, .interval_ns = 7000000000, .retries = 9 };
	struct run_opts o;

	run_opts_init(&o);
	o.health_timeout = strdup("1m30s");
	o.health_retries = 2;
	struct launch l = planned(&o, &h);
	is_str(l.health_args[0], "/bin/sh");
	is_str(l.health_args[1], "-c");
	is_str(l.health_args[2], words_line);
	is_int(l.health_interval_ms, 7000);
	is_int(l.health_timeout_ms, 90000);
	is_int(l.health_retries, 2);
	launch_done(&l);
	o.health_cmd = strdup("true");
	l = planned(&o, &h);
	is_str(l.health_args[2], "true");
	is_str(l.health_test[0], "CMD-SHELL");
	launch_done(&l);
	run_opts_done(&o);
}

static void refused(struct run_opts *o, const char *why)
{
	struct image_config ic = { 0 };
	struct launch l = { 0 };
	struct err e = { 0 };

	is_int(health_check_options(o, &e) < 0 ? -EINVAL : health_plan(o, &ic, &l, &e), -EINVAL);
	has_str(e.msg, why);
	launch_done(&l);
	run_opts_done(o);
}

TEST(what_makes_no_sense_is_refused)
{
	struct run_opts o;

	run_opts_init(&o);
	o.no_healthcheck = true;
	o.health_cmd = strdup("true");
	refused(&o, "--no-healthcheck conflicts with --health-* options");
	o.health_cmd = strdup("true");
	o.health_interval = strdup("soon");
	refused(&o, "--health-interval: \"soon\" is no time");
	o.health_cmd = strdup("true");
	o.health_timeout = strdup("-3s");
	refused(&o, "--health-timeout");
	o.health_cmd = strdup("true");
	o.health_interval = strdup("100us");
	refused(&o, "cannot be less than 1ms");
	o.health_retries = -1;
	refused(&o, "--health-retries cannot be negative");
}

TAP_MAIN()
