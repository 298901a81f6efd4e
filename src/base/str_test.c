#include "clock.h"
#include "str.h"
#include "tap.h"

struct row {
	const char *s;
	int r;
	uint64_t v;
};

TEST(decimals_are_strict)
{
	static const struct row rows[] = {
		{ "0", 0, 0 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "18446744073709551616", -ERANGE, 0 },
		{ "007", 0, 7 },
		{ "", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 },
		{ " 1", -EINVAL, 0 },
		{ "1 ", -EINVAL, 0 },
		{ "0x10", -EINVAL, 0 },
		{ "1e3", -EINVAL, 0 },
		{ "99999999999999999999x", -EINVAL, 0 },
	};
	uint64_t v;
	int64_t i;

	for (size_t k = 0; k < ARRAY_SIZE(rows); k++) {
		v = 77;
		if (str_to_u64(rows[k].s, &v) != rows[k].r || v != (rows[k].r ? 77 : rows[k].v))
			TAP_FAIL("\"%s\"", rows[k].s);
	}
	is_int(str_to_i64("-9223372036854775808", &i), 0);
	ok(i == INT64_MIN);
	is_int(str_to_i64("9223372036854775807", &i), 0);
	ok(i == INT64_MAX);
	is_int(str_to_i64("9223372036854775808", &i), -ERANGE);
	is_int(str_to_i64("-9223372036854775809", &i), -ERANGE);
	is_int(str_to_i64("--1", &i), -EINVAL);
	is_int(str_to_i64("-", &i), -EINVAL);
}

TEST(sizes_are_read_as_docker_reads_them)
{
	static const struct row rows[] = {
		{ "512", 0, 512 },
		{ "64k", 0, 65536 },
		{ "64K", 0, 65536 },
		{ "1.5g", 0, 1610612736 },
		{ "2GiB", 0, 2147483648 },
		{ "1kb", 0, 1024 },
		{ "1b", 0, 1 },
		{ "10 MB", 0, 10485760 },
		{ "0.5m", 0, 524288 },
		{ "1t", 0, 1ull << 40 },
		{ "1p", 0, 1ull << 50 },
		{ "15e", 0, 15ull << 60 },
		{ "16e", -ERANGE, 0 },
		{ "99999999999999999999k", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ "k", -EINVAL, 0 },
		{ "1kk", -EINVAL, 0 },
		{ "1i", -EINVAL, 0 },
		{ "1ki", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ "1.", -EINVAL, 0 },
		{ ".5g", -EINVAL, 0 },
		{ "1  k", -EINVAL, 0 },
		{ "1k ", -EINVAL, 0 },
		{ "1.5.5k", -EINVAL, 0 },
		{ "0x10k", -EINVAL, 0 },
	};
	uint64_t v;

	for (size_t k = 0; k < ARRAY_SIZE(rows); k++) {
		int r = str_to_bytes(rows[k].s, &v);
		if (r != rows[k].r || (r == 0 && v != rows[k].v))
			TAP_FAIL("\"%s\" gives %d, %llu", rows[k].s, r, (unsigned long long)v);
	}
}

TEST(durations)
{
	static const struct row rows[] = {
		{ "90s", 0, 90000 },
		{ "1m30s", 0, 90000 },
		{ "100ms", 0, 100 },
		{ "1h", 0, 3600000 },
		{ "10", 0, 10000 },
		{ "1.5", 0, 1500 },
		{ "1.5h", 0, 5400000 },
		{ "1h1m1s1ms", 0, 3661001 },
		{ "500us", 0, 0 },
		{ "0", 0, 0 },
		{ "", -EINVAL, 0 },
		{ "s", -EINVAL, 0 },
		{ "1m30", -EINVAL, 0 },
		{ "-1s", -EINVAL, 0 },
		{ "1 s", -EINVAL, 0 },
		{ "1d", -EINVAL, 0 },
		{ "99999999999h", -ERANGE, 0 },
		{ "5000000h5000000h", -ERANGE, 0 },
	};
	uint64_t v;

	for (size_t k = 0; k < ARRAY_SIZE(rows); k++) {
		int r = str_to_duration_ms(rows[k].s, &v);
		if (r != rows[k].r || (r == 0 && v != rows[k].v))
			TAP_FAIL("\"%s\" gives %d, %llu", rows[k].s, r, (unsigned long long)v);
	}
}

TEST(sizes_for_people)
{
	char b[16];

	is_str(str_human_size(0, b), "0B");
	is_str(str_human_size(999, b), "999B");
	is_str(str_human_size(1000, b), "1kB");
	is_str(str_human_size(12345678, b), "12.3MB");
	is_str(str_human_size(126900000, b), "127MB");
	is_str(str_human_size(999999, b), "1MB");
	is_str(str_human_size(UINT64_MAX, b), "18.4EB");
}

TEST(utf8_sequences_by_the_table)
{
	is_int(utf8_len("a", 1), 1);
	is_int(utf8_len("\xc3\xa9", 2), 2);
	is_int(utf8_len("\xe2\x82\xac", 3), 3);
	is_int(utf8_len("\xf0\x9f\x98\x80", 4), 4);
	is_int(utf8_len("\xe2\x82", 2), -1);
	is_int(utf8_len("\xf0", 1), -1);
	is_int(utf8_len("\x80", 1), 0);
	is_int(utf8_len("\xc0\xaf", 2), 0); /* overlong */
	is_int(utf8_len("\xe0\x80\xaf", 3), 0);
	is_int(utf8_len("\xed\xa0\x80", 3), 0);     /* surrogate */
	is_int(utf8_len("\xf4\x90\x80\x80", 4), 0); /* beyond U+10FFFF */
	is_int(utf8_len("\xff", 1), 0);
	is_int(utf8_len("\xe2x\xac", 3), 0);
}

TEST(vectors_grow_split_and_copy)
{
	_cleanup_strv_ char **v = NULL, **c = NULL, **s = NULL, **e = NULL;
	char word[16];

	for (int i = 0; i < 100; i++) {
		snprintf(word, sizeof(word), "w%d", i);
		is_int(strv_push(&v, word), 0);
		is_int(strv_len(v), i + 1);
	}
	c = strv_copy(v);
	is_int(strv_len(c), 100);
	is_str(c[99], "w99");
	is_int(strv_push(&c, "more"), 0);
	is_str(c[100], "more");
	s = strv_split("a,,b,", ',');
	is_int(strv_len(s), 4);
	is_str(s[1], "");
	is_str(s[3], "");
	e = strv_split("", ',');
	is_int(strv_len(e), 1);
	is_str(e[0], "");
	_cleanup_strv_ char **none = strv_copy(NULL);
	is_int(strv_len(none), 0);
	is_int(strv_push_take(&none, NULL), -ENOMEM);
}

TEST(environments)
{
	_cleanup_strv_ char **env = NULL;

	is_int(env_set(&env, "A=1"), 0);
	is_int(env_set(&env, "AB=2"), 0);
	is_int(env_set(&env, "A=3=x"), 0);
	is_int(strv_len(env), 2);
	is_str(env_get(env, "A"), "3=x");
	is_str(env_get(env, "AB"), "2");
	ok(!env_get(env, "B"));
	ok(!env_get(NULL, "A"));
	is_int(env_set(&env, "noequals"), -EINVAL);
	is_int(env_set(&env, "=x"), -EINVAL);
	is_int(env_set(&env, "EMPTY="), 0);
	is_str(env_get(env, "EMPTY"), "");
}

TEST(buffers)
{
	struct buf b = { 0 };

	buf_str(&b, "hello");
	buf_fmt(&b, " %d %s", 42, "world");
	is_str(b.data, "hello 42 world");
	buf_consume(&b, 6);
	is_str(b.data, "42 world");
	buf_consume(&b, 1000);
	is_int(b.len, 0);
	is_str(b.data, "");
	buf_done(&b);
	char *empty = buf_take(&b);
	is_str(empty, "");
	free(empty);
	buf_add(&b, "x", SIZE_MAX); /* no such memory */
	ok(b.failed);
	buf_str(&b, "y");
	ok(buf_take(&b) == NULL);
	ok(!b.failed && !b.data);
}

TEST(prefixes_and_suffixes)
{
	is_str(str_after("--root=x", "--root="), "x");
	ok(!str_after("--roo", "--root="));
	is_str(str_after("x", ""), "x");
	ok(str_ends("a.json", ".json"));
	ok(!str_ends("json", ".json"));
	ok(str_ends("x", ""));
	ok(streq0(NULL, NULL) && !streq0("a", NULL) && streq0("a", "a"));
}

TEST(dates_survive_the_way_to_text_and_back)
{
	static const uint64_t times[] = { 0, 1, 999999999, 1767323045123456789ull, 951782400000000000ull /* 29 February 2000 */ };
	char buf[RFC3339_LEN];
	uint64_t v;

	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		is_int(clock_parse(clock_rfc3339(times[i], buf), &v), 0);
		ok(v == times[i]);
	}
	is_str(clock_rfc3339(1767323045123456789ull, buf), "2026-01-02T03:04:05.123456789Z");
	is_str(clock_rfc3339(951782400ull * 1000000000, buf), "2000-02-29T00:00:00.000000000Z");
	bool agree = true; /* the calendar with libc's, day by day for 400 years */
	for (uint64_t day = 0; day < 146097; day++)
		agree &= clock_parse(clock_rfc3339(day * 86400 * 1000000000, buf), &v) == 0 && v == day * 86400 * 1000000000;
	ok(agree);
	clock_rfc3339(UINT64_MAX, buf);
	ok(strlen(buf) < RFC3339_LEN);
}

TEST(dates_of_people)
{
	static const struct row rows[] = {
		{ "2026-01-02T03:04:05Z", 0, 1767323045000000000ull },
		{ "2026-01-02T03:04:05.5+01:00", 0, 1767319445500000000ull },
		{ "2026-01-02 03:04:05", 0, 1767323045000000000ull },
		{ "2026-01-02T03:04", 0, 1767323040000000000ull },
		{ "2026-01-02", 0, 1767312000000000000ull },
		{ "1767323045", 0, 1767323045000000000ull },
		{ "1767323045.25", 0, 1767323045250000000ull },
		{ "0", 0, 0 },
		{ "2026-02-30", -EINVAL, 0 },
		{ "2026-13-01", -EINVAL, 0 },
		{ "2026-01-02T25:00:00Z", -EINVAL, 0 },
		{ "2026-01-02T03:04:05Zx", -EINVAL, 0 },
		{ "2026-01-02T", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
		{ "-5", -EINVAL, 0 },
		{ "1.", -EINVAL, 0 },
		{ "99999999999999999999", -EINVAL, 0 },
		{ "26-01-02", -EINVAL, 0 },
	};
	uint64_t v;

	for (size_t k = 0; k < ARRAY_SIZE(rows); k++) {
		int r = clock_parse(rows[k].s, &v);
		if (r != rows[k].r || (r == 0 && v != rows[k].v))
			TAP_FAIL("\"%s\" gives %d, %llu", rows[k].s, r, (unsigned long long)v);
	}
}

TEST(ages_are_worded_as_docker_words_them)
{
	static const struct {
		uint64_t s;
		const char *text;
	} rows[] = {
		{ 0, "Less than a second" },  { 1, "1 second" },          { 59, "59 seconds" },      { 60, "About a minute" },
		{ 119, "About a minute" },    { 120, "2 minutes" },       { 3599, "59 minutes" },    { 3600, "About an hour" },
		{ 5399, "About an hour" },    { 5400, "2 hours" },        { 47 * 3600, "47 hours" }, { 48 * 3600, "2 days" },
		{ 13 * 86400, "13 days" },    { 14 * 86400, "2 weeks" },  { 59 * 86400, "8 weeks" }, { 60 * 86400, "2 months" },
		{ 729 * 86400, "24 months" }, { 730 * 86400, "2 years" },
	};
	char b[32];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		is_str(clock_ago(rows[i].s, b), rows[i].text);
	clock_ago(UINT64_MAX, b);
}

TEST(a_hardware_address_is_six_bytes_of_one_station)
{
	static const char *const bad[] = { "",
					   "02:42:0a:4d:00",
					   "02:42:0a:4d:00:0",
					   "02:42:0a:4d:00:020",
					   "02-42-0a-4d-00-02",
					   "02:42:0a:4d:00:0g",
					   "+2:42:0a:4d:00:02",
					   "02:42:0a:4d:00:02:",
					   "03:42:0a:4d:00:02" };
	uint8_t mac[6] = { 7 };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (str_to_mac(bad[i], mac) != -EINVAL || mac[0] != 7)
			TAP_FAIL("%s", bad[i]);
	is_int(str_to_mac("02:42:0A:4d:00:ff", mac), 0);
	ok(memcmp(mac, "\x02\x42\x0a\x4d\x00\xff", 6) == 0);
}

TAP_MAIN()
