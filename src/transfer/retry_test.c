#include "retry.h"
#include "tap.h"

#define SECOND 1000000u

TEST(delay_doubles_from_250_ms_to_8_s_and_its_upper_half_is_random)
{
	static const uint64_t full[] = { 250, 500, 1000, 2000, 4000, 8000, 8000 };

	for (unsigned i = 0; i < ARRAY_SIZE(full); i++) {
		is_int(retry_delay_ms(i + 1, 0, -1), full[i] / 2);
		is_int(retry_delay_ms(i + 1, UINT32_MAX, -1), full[i]);
	}
}

TEST(delay_is_never_less_than_the_server_asks)
{
	is_int(retry_delay_ms(1, 0, 7), 7000);
	is_int(retry_delay_ms(6, UINT32_MAX, 1), 8000);
	is_int(retry_delay_ms(1, UINT32_MAX, 0), 250);
}

TEST(tries_without_progress_end_after_five)
{
	struct retry r;
	uint64_t delay;
	unsigned n = 0;

	retry_start(&r, 0, 1000000);
	while (retry_next(&r, RETRY_BACKOFF, 0, 0, -1, &delay))
		n++;
	is_int(n, RETRY_MAX);
}

TEST(a_refused_connection_is_tried_twice_more)
{
	struct retry r;
	uint64_t delay;
	unsigned n = 0;

	retry_start(&r, 0, 1000000);
	while (retry_next(&r, RETRY_CONNECT, 0, 0, -1, &delay))
		n++;
	is_int(n, RETRY_CONNECT_MAX);
}

TEST(progress_starts_the_count_anew)
{
	struct retry r;
	uint64_t delay;

	retry_start(&r, 0, 60000);
	for (unsigned i = 0; i < 40; i++) {
		ok(retry_next(&r, RETRY_BACKOFF, i * 10ull * SECOND, 0, -1, &delay));
		retry_progressed(&r, i * 10ull * SECOND + SECOND);
	}
}

TEST(no_progress_for_the_stall_time_ends_it)
{
	struct retry r;
	uint64_t delay;

	retry_start(&r, 0, 60000);
	ok(retry_next(&r, RETRY_BACKOFF, 20ull * SECOND, 0, -1, &delay));
	ok(retry_next(&r, RETRY_BACKOFF, 41ull * SECOND, 0, -1, &delay));
	ok(!retry_next(&r, RETRY_BACKOFF, 61ull * SECOND, 0, -1, &delay));
}

TEST(waiting_as_told_is_no_stall_but_too_long_a_wait_is_refused)
{
	struct retry r;
	uint64_t delay;

	retry_start(&r, 0, 10000);
	ok(retry_next(&r, RETRY_BACKOFF, 9ull * SECOND, 0, 30, &delay));
	is_int(delay, 30000);
	ok(retry_next(&r, RETRY_BACKOFF, 40ull * SECOND, 0, -1, &delay));
	ok(!retry_next(&r, RETRY_BACKOFF, 40ull * SECOND, 0, RETRY_AFTER_MAX_S + 1, &delay));
}

TEST(what_is_retried_and_what_not)
{
	is_int(retry_class_of_status(429), RETRY_BACKOFF);
	is_int(retry_class_of_status(503), RETRY_BACKOFF);
	is_int(retry_class_of_status(404), RETRY_NEVER);
	is_int(retry_class_of_status(501), RETRY_NEVER);
	is_int(retry_class_of_curl(CURLE_PARTIAL_FILE), RETRY_BACKOFF);
	is_int(retry_class_of_curl(CURLE_COULDNT_CONNECT), RETRY_CONNECT);
	is_int(retry_class_of_curl(CURLE_PEER_FAILED_VERIFICATION), RETRY_NEVER);
	is_int(retry_class_of_curl(CURLE_WRITE_ERROR), RETRY_NEVER);
}

TAP_MAIN()
