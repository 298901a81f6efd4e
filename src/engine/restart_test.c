/* restart: docker's rules for what is started again, and when. */
#include "engine_impl.h"
#include "tap.h"

static struct restart_policy parsed(const char *text)
{
	struct restart_policy p = { 0 };
	struct err e = { 0 };

	if (restart_parse(text, &p, &e) < 0)
		TAP_FAIL("%s: %s", text, e.msg);
	return p;
}

static void refused(const char *text, const char *why)
{
	struct restart_policy p = { 0 };
	struct err e = { 0 };

	is_int(restart_parse(text, &p, &e), -EINVAL);
	has_str(e.msg, why);
}

TEST(policies_are_dockers)
{
	is_int(parsed(NULL).when, RESTART_NO);
	is_int(parsed("").when, RESTART_NO);
	is_int(parsed("no").when, RESTART_NO);
	is_int(parsed("always").when, RESTART_ALWAYS);
	is_int(parsed("unless-stopped").when, RESTART_UNLESS_STOPPED);
	is_int(parsed("on-failure").max, 0);
	is_int(parsed("on-failure:3").when, RESTART_ON_FAILURE);
	is_int(parsed("on-failure:3").max, 3);
	refused("sometimes", "unknown policy 'sometimes'");
	refused("alway", "unknown policy");
	refused("always:3", "only be used with 'on-failure'");
	refused("on-failure:x", "must be an integer");
	refused("on-failure:-1", "must be an integer");
	refused(":3", "no policy provided");
}

static uint64_t wait_of(const char *policy, struct life_end end, struct container_record c)
{
	const struct restart_policy p = parsed(policy);

	end.has_run = true;
	return restart_wait(&p, &c, &end);
}

#define END(...) ((struct life_end){ __VA_ARGS__ })
#define IN(...)  ((struct container_record){ __VA_ARGS__ })

TEST(waits_double_up_to_a_minute_and_begin_anew_after_a_good_run)
{
	static const uint64_t expected[] = { 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000 };
	uint64_t last = 0;

	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		last = wait_of("always", END(.waited_ms = last, .ran_ms = 9999), IN(.restart_count = (int64_t)i));
		is_int(last, expected[i]);
	}
	is_int(wait_of("always", END(.waited_ms = last, .ran_ms = 10000), IN(.restart_count = 99)), 100);
}

TEST(who_is_started_again)
{
	const struct exit_status bad = { .code = 1 }, good = { 0 };

	is_int(wait_of("no", END(.st = bad), IN(0)), 0);
	is_int(wait_of("always", END(.st = good), IN(0)), 100);
	is_int(wait_of("unless-stopped", END(.st = good), IN(0)), 100);
	is_int(wait_of("on-failure", END(.st = good), IN(0)), 0);
	is_int(wait_of("on-failure", END(.st = bad), IN(0)), 100);
	is_int(wait_of("on-failure:2", END(.st = bad), IN(.restart_count = 1)), 100);
	is_int(wait_of("on-failure:2", END(.st = bad), IN(.restart_count = 2)), 0);
	is_int(wait_of("always", END(.is_users = true), IN(0)), 0);
	is_int(wait_of("always", END(.is_last = true), IN(0)), 0);
	is_int(wait_of("always", END(.st = bad), IN(.is_stopped = true)), 0);
}

TEST(a_start_that_somebody_asked_for_and_that_failed_is_not_repeated)
{
	const struct restart_policy p = parsed("always");
	const struct container_record c = { 0 };
	struct life_end end = { .is_first = true, .st = { .code = 127 } };

	is_int(restart_wait(&p, &c, &end), 0);
	end.is_first = false;
	end.waited_ms = 100;
	is_int(restart_wait(&p, &c, &end), 200);
}

static bool at_boot(const char *policy, struct container_record c)
{
	const struct restart_policy p = parsed(policy);

	return restart_after_boot(&p, &c);
}

TEST(what_runs_after_a_boot)
{
#define ENDED .state = CS_EXITED, .started_ns = 1
	ok(!at_boot("no", IN(ENDED, .exit_code = 1)));
	ok(at_boot("always", IN(ENDED, .is_stopped = true)));
	ok(!at_boot("always", IN(.state = CS_CREATED)));
	ok(!at_boot("always", IN(.state = CS_RUNNING, .started_ns = 1)));
	ok(at_boot("unless-stopped", IN(ENDED)));
	ok(!at_boot("unless-stopped", IN(ENDED, .is_stopped = true)));
	ok(at_boot("on-failure", IN(ENDED, .exit_code = -1)));
	ok(!at_boot("on-failure", IN(ENDED, .exit_code = 0)));
	ok(!at_boot("on-failure", IN(ENDED, .exit_code = 1, .is_stopped = true)));
	ok(!at_boot("on-failure:3", IN(ENDED, .exit_code = 1, .restart_count = 3)));
}

TAP_MAIN()
