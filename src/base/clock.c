/* Clocks and their texts. Dates are always UTC. glibc's gmtime_r reads /etc/localtime the first time, whatever it is called for:
 * 30 us, and a file of somebody else's root after a chroot. So the calendar is computed here. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "str.h"

uint64_t clock_mono_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t clock_real_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static bool is_leap(unsigned year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

/* The date that is `days` after 1970-01-01; month and day from 1. */
static void civil(unsigned days, unsigned *ret_year, unsigned *ret_month, unsigned *ret_day)
{
	static const unsigned char lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	unsigned year = 1970, month = 0;

	for (; days >= 365u + is_leap(year); year++)
		days -= 365u + is_leap(year);
	for (unsigned n; days >= (n = lengths[month] + (month == 1 && is_leap(year))); month++)
		days -= n;
	*ret_year = year;
	*ret_month = month + 1;
	*ret_day = days + 1;
}

char *clock_rfc3339(uint64_t real_ns, char buf[RFC3339_LEN])
{
	uint64_t sec = real_ns / 1000000000;
	unsigned of_day = (unsigned)(sec % 86400), year, month, day;

	civil((unsigned)(sec / 86400), &year, &month, &day); /* a uint64_t of ns ends in the year 2554 */
	snprintf(buf, RFC3339_LEN, "%04u-%02u-%02uT%02u:%02u:%02u.%09uZ", year, month, day, of_day / 3600, of_day / 60 % 60,
		 of_day % 60, (unsigned)(real_ns % 1000000000));
	return buf;
}

/* Exactly `digits` digits within [lo, hi]. */
static bool take_number(const char **s, int digits, int lo, int hi, int *ret)
{
	int v = 0;

	for (int i = 0; i < digits; i++, (*s)++) {
		if (**s < '0' || **s > '9')
			return false;
		v = v * 10 + (**s - '0');
	}
	*ret = v;
	return v >= lo && v <= hi;
}

static bool take_char(const char **s, char c)
{
	if (**s != c)
		return false;
	(*s)++;
	return true;
}

/* ".123456789" (any length; beyond nine digits cut), or nothing. */
static bool take_fraction(const char **s, uint64_t *ret_ns)
{
	uint64_t ns = 0, unit = 100000000;

	if (take_char(s, '.')) {
		if (**s < '0' || **s > '9')
			return false;
		for (; **s >= '0' && **s <= '9'; (*s)++, unit /= 10)
			ns += unit * (uint64_t)(**s - '0');
	}
	*ret_ns = ns;
	return true;
}

/* RFC 3339 section 5.6; a date alone, a missing zone (= UTC), and ' ' for 'T' are taken too. */
static int parse_date(const char *s, uint64_t *ret_ns)
{
	struct tm tm = { 0 };
	uint64_t frac = 0;
	int year, mon, zh = 0, zm = 0, sign = 0;

	if (!take_number(&s, 4, 1970, 9999, &year) || !take_char(&s, '-') || !take_number(&s, 2, 1, 12, &mon) ||
	    !take_char(&s, '-') || !take_number(&s, 2, 1, 31, &tm.tm_mday))
		return -EINVAL;
	tm.tm_year = year - 1900;
	tm.tm_mon = mon - 1;
	if (*s) {
		if (!strchr("Tt ", *s++))
			return -EINVAL;
		if (!take_number(&s, 2, 0, 23, &tm.tm_hour) || !take_char(&s, ':') || !take_number(&s, 2, 0, 59, &tm.tm_min))
			return -EINVAL;
		if (take_char(&s, ':') && !take_number(&s, 2, 0, 60, &tm.tm_sec))
			return -EINVAL;
		if (!take_fraction(&s, &frac))
			return -EINVAL;
		if (*s == '+' || *s == '-') {
			sign = *s++ == '+' ? 1 : -1;
			if (!take_number(&s, 2, 0, 23, &zh) || !take_char(&s, ':') || !take_number(&s, 2, 0, 59, &zm))
				return -EINVAL;
		} else if (*s == 'Z' || *s == 'z') {
			s++;
		}
		if (*s)
			return -EINVAL;
	}
	int day = tm.tm_mday;
	int64_t sec = (int64_t)timegm(&tm);
	if (tm.tm_mday != day) /* 31 April */
		return -EINVAL;
	sec -= sign * (zh * 3600 + zm * 60);
	if (sec < 0 || (uint64_t)sec > UINT64_MAX / 1000000000 - 1)
		return -EINVAL;
	*ret_ns = (uint64_t)sec * 1000000000 + frac;
	return 0;
}

int clock_parse(const char *s, uint64_t *ret_real_ns)
{
	const char *p = s;
	uint64_t sec = 0, frac;

	if (strlen(s) >= 8 && s[4] == '-')
		return parse_date(s, ret_real_ns);
	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(sec, 10, &sec) || __builtin_add_overflow(sec, (uint64_t)(*p - '0'), &sec))
			return -EINVAL;
	if (!take_fraction(&p, &frac) || *p || sec > UINT64_MAX / 1000000000 - 1)
		return -EINVAL;
	*ret_real_ns = sec * 1000000000 + frac;
	return 0;
}

char *clock_ago(uint64_t seconds, char buf[32])
{
	/* docker's steps: up to `below` seconds an age is counted in `unit` seconds; hours are rounded, the rest cut. */
	enum { MINUTE = 60, HOUR = 3600, DAY = 24 * HOUR };
	static const struct {
		uint64_t below, unit;
		const char *name;
	} steps[] = {
		{ MINUTE, 1, "seconds" },           { HOUR, MINUTE, "minutes" },    { 48 * HOUR, HOUR, "hours" },
		{ 14 * DAY, DAY, "days" },          { 60 * DAY, 7 * DAY, "weeks" }, { 730 * DAY, 30 * DAY, "months" },
		{ UINT64_MAX, 365 * DAY, "years" },
	};
	static const struct {
		uint64_t from, below;
		const char *text;
	} words[] = {
		{ 0, 1, "Less than a second" },
		{ 1, 2, "1 second" },
		{ MINUTE, 2 * MINUTE, "About a minute" },
		{ HOUR, HOUR + HOUR / 2, "About an hour" },
	};
	size_t i = 0;

	for (size_t w = 0; w < ARRAY_SIZE(words); w++)
		if (seconds >= words[w].from && seconds < words[w].below) {
			snprintf(buf, 32, "%s", words[w].text);
			return buf;
		}
	uint64_t t = seconds >= HOUR && seconds < UINT64_MAX - HOUR ? seconds + HOUR / 2 : seconds;
	t = seconds >= HOUR ? t - t % HOUR : t;
	while (t >= steps[i].below && i + 1 < ARRAY_SIZE(steps))
		i++;
	snprintf(buf, 32, "%llu %s", (unsigned long long)(t / steps[i].unit), steps[i].name);
	return buf;
}
