/* number.c: see number.h. */
#include "number.h"

#include <math.h>
#include <stdio.h>

#include "str.h"
#include "util.h"

#define LARGEST 1e15 /* what is more is written with an exponent */

static void part_thousands(const char *digits, const char *gap, char *out, size_t size)
{
	const char *end = digits + strspn(digits, "-0123456789"), *first = digits + (*digits == '-');
	size_t at = 0;

	for (const char *c = digits; *c && at + 8 < size; c++) {
		if (c > first && c < end && (end - c) % 3 == 0)
			at += (size_t)snprintf(out + at, size - at, "%s", gap);
		out[at++] = *c;
	}
	out[at] = 0;
}

/* Digits behind the point that make three in all. */
static int decimals_of(double v)
{
	double magnitude = fabs(v);
	int decimals = 0;

	if (magnitude == 0)
		return 0;
	while (magnitude < 99.95 && decimals < 6) {
		magnitude *= 10;
		decimals++;
	}
	return MIN(decimals, magnitude < 9.995 ? 6 : decimals);
}

char *number_text(double v, const char *gap, char buf[NUMBER_LEN])
{
	char digits[NUMBER_LEN];

	if (!isfinite(v) || fabs(v) >= LARGEST) {
		snprintf(buf, NUMBER_LEN, isfinite(v) ? "%.3g" : "\u221e", v);
		return buf;
	}
	snprintf(digits, sizeof(digits), "%.*f", decimals_of(v), v);
	if (fabs(v) >= 9999.5)
		part_thousands(digits, gap, buf, NUMBER_LEN);
	else
		snprintf(buf, NUMBER_LEN, "%s", digits);
	return buf;
}

char *number_tick(double v, char buf[NUMBER_LEN])
{
	char *point;

	number_text(v, NARROW_SPACE, buf);
	point = strchr(buf, 'e') ? NULL : strchr(buf, '.');
	for (char *end = buf + strlen(buf) - 1; point && end >= point && (*end == '0' || *end == '.'); end--)
		*end = 0;
	return buf;
}

char *number_ratio(double v, char buf[NUMBER_LEN])
{
	char text[NUMBER_LEN];

	snprintf(buf, NUMBER_LEN, "%.40s\u00d7", number_text(v, "", text));
	return buf;
}

/* Each unit, the next larger one and how many make one of that. */
static const struct {
	const char *unit, *larger;
	double step;
	const char *words;
} units[] = {
	{ "ns", "µs", 1000, "nanoseconds" }, { "µs", "ms", 1000, "microseconds" }, { "ms", "s", 1000, "milliseconds" },
	{ "s", NULL, 0, "seconds" },         { "KiB", "MiB", 1024, "KiB" },        { "MiB", "GiB", 1024, "MiB" },
	{ "MB/s", "GB/s", 1000, "MB/s" },    { "count", NULL, 0, "number" },
};

struct shown_unit unit_shown(const char *unit, double typical)
{
	struct shown_unit u = { unit, 1 };

	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (units[i].larger && streq(units[i].unit, u.unit) && fabs(typical * u.times) >= units[i].step)
			u = (struct shown_unit){ units[i].larger, u.times / units[i].step };
	return u;
}

const char *unit_in_words(const char *unit)
{
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (streq(units[i].unit, unit))
			return units[i].words;
	return unit;
}
