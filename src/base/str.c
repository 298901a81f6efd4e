/* Text: formatting, and strict parsers of what people and files write as numbers, sizes and durations. Every parser takes
 * the whole string or refuses it, and uses integers only, so that "1.1g" is the same number on every machine. */
#include <ctype.h>
#include <stdio.h>

#include "str.h"

const char *str_after(const char *s, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

bool str_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

char *str_fmt(const char *fmt, ...)
{
	char *s;
	va_list ap;

	va_start(ap, fmt);
	int n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return n < 0 ? NULL : s;
}

int str_to_u64(const char *s, uint64_t *ret_v)
{
	uint64_t v = 0;

	if (!*s)
		return -EINVAL;
	for (const char *p = s; *p; p++)
		if (*p < '0' || *p > '9')
			return -EINVAL;
	for (; *s; s++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return -ERANGE;
	*ret_v = v;
	return 0;
}

int str_to_i64(const char *s, int64_t *ret_v)
{
	bool minus = *s == '-';
	uint64_t v;
	int r = str_to_u64(minus ? s + 1 : s, &v);

	if (r < 0)
		return r;
	if (v > (uint64_t)INT64_MAX + minus)
		return -ERANGE;
	*ret_v = minus ? (int64_t)(0 - v) : (int64_t)v;
	return 0;
}

/* A decimal with an optional fraction, kept as whole + nano / 10^9; digits beyond the ninth don't count. */
struct decimal {
	uint64_t whole, nano;
};

static int parse_decimal(const char **p, struct decimal *ret)
{
	struct decimal d = { 0 };
	const char *s = *p;
	uint64_t unit = 100000000;
	bool any = false, over = false;

	for (; *s >= '0' && *s <= '9'; s++, any = true)
		over |= __builtin_mul_overflow(d.whole, 10, &d.whole) ||
			__builtin_add_overflow(d.whole, (uint64_t)(*s - '0'), &d.whole);
	if (*s == '.') {
		bool frac = false;
		for (s++; *s >= '0' && *s <= '9'; s++, frac = true, unit /= 10)
			d.nano += unit * (uint64_t)(*s - '0');
		if (!frac || !any)
			return -EINVAL;
	}
	if (!any)
		return -EINVAL;
	if (over)
		return -ERANGE;
	*p = s;
	*ret = d;
	return 0;
}

/* d * unit, rounded down. */
static int scale(struct decimal d, uint64_t unit, uint64_t *ret)
{
	unsigned __int128 v = (unsigned __int128)d.whole * unit + (unsigned __int128)d.nano * unit / 1000000000u;

	if (v > UINT64_MAX)
		return -ERANGE;
	*ret = (uint64_t)v;
	return 0;
}

int str_to_bytes(const char *s, uint64_t *ret_bytes)
{
	static const char units[] = "kmgtpe"; /* 2^10, 2^20, ... */
	struct decimal d;
	uint64_t mult = 1;
	int r = parse_decimal(&s, &d);

	if (r < 0)
		return r;
	if (*s == ' ')
		s++;
	const char *u = *s ? strchr(units, tolower((unsigned char)*s)) : NULL;
	if (u) {
		mult <<= 10 * (u - units + 1);
		s++;
		if (tolower((unsigned char)s[0]) == 'i' && tolower((unsigned char)s[1]) == 'b')
			s++;
	}
	if (tolower((unsigned char)*s) == 'b')
		s++;
	if (*s)
		return -EINVAL;
	return scale(d, mult, ret_bytes);
}

int str_to_duration_ms(const char *s, uint64_t *ret_ms)
{
	/* The longer names first: "ms" is not minutes. */
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {
		{ "ns", 1 }, { "us", 1000 }, { "ms", 1000000 }, { "s", 1000000000 }, { "m", 60000000000 }, { "h", 3600000000000 },
	};
	uint64_t total = 0;
	bool first = true;

	do {
		struct decimal d;
		uint64_t ns;
		size_t i;
		int r = parse_decimal(&s, &d);
		if (r < 0)
			return r;
		if (!*s && first) {
			i = 3; /* a bare number is seconds */
		} else {
			for (i = 0; i < ARRAY_SIZE(units); i++) {
				const char *rest = str_after(s, units[i].name);
				if (rest) {
					s = rest;
					break;
				}
			}
			if (i == ARRAY_SIZE(units))
				return -EINVAL;
		}
		r = scale(d, units[i].ns, &ns);
		if (r < 0 || __builtin_add_overflow(total, ns, &total))
			return -ERANGE;
		first = false;
	} while (*s);
	*ret_ms = total / 1000000;
	return 0;
}

char *str_human_size(uint64_t bytes, char buf[16])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
	double v = (double)bytes;
	size_t u = 0;

	while (v >= 999.5 && u + 1 < ARRAY_SIZE(units)) { /* what would round to 1000 */
		v /= 1000;
		u++;
	}
	snprintf(buf, 16, "%.3g%s", v, units[u]);
	return buf;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20; /* a letter is small from here on */
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int str_to_mac(const char *s, uint8_t ret_mac[6])
{
	uint8_t mac[6];

	if (strlen(s) != 3 * sizeof(mac) - 1)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(mac); i++, s += 3) {
		int high = hex_digit(s[0]), low = hex_digit(s[1]);

		if (high < 0 || low < 0 || s[2] != (i + 1 < sizeof(mac) ? ':' : '\0'))
			return -EINVAL;
		mac[i] = (uint8_t)((unsigned)high << 4 | (unsigned)low);
	}
	if (mac[0] & 1) /* a group's (IEEE 802, 8.2) */
		return -EINVAL;
	memcpy(ret_mac, mac, sizeof(mac));
	return 0;
}

char *str_hex(const void *data, size_t n, char *ret_2n1)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = data;
	char *out = ret_2n1;

	for (size_t i = 0; i < n; i++) {
		*out++ = digits[p[i] >> 4];
		*out++ = digits[p[i] & 15];
	}
	*out = '\0';
	return ret_2n1;
}

int utf8_len(const void *s, size_t n)
{
	/* Unicode, table 3-7: `least` refuses overlong forms. */
	static const struct {
		uint8_t mask, lead;
		uint32_t least;
	} forms[] = { { 0x80, 0x00, 0 }, { 0xE0, 0xC0, 0x80 }, { 0xF0, 0xE0, 0x800 }, { 0xF8, 0xF0, 0x10000 } };
	const uint8_t *p = s;

	for (size_t more = 0; more < ARRAY_SIZE(forms); more++) {
		if ((p[0] & forms[more].mask) != forms[more].lead)
			continue;
		uint32_t c = p[0] & (uint8_t)~forms[more].mask;
		for (size_t k = 1; k <= more; k++) {
			if (k == n)
				return -1;
			if ((p[k] & 0xC0) != 0x80)
				return 0;
			c = c << 6 | (p[k] & 0x3Fu);
		}
		bool surrogate = c >= 0xD800 && c <= 0xDFFF;
		return c >= forms[more].least && c <= 0x10FFFF && !surrogate ? (int)more + 1 : 0;
	}
	return 0;
}

char *text_defuse(char *s)
{
	for (unsigned char *c = (unsigned char *)s; *c; c++) {
		/* C1 controls are 0xc2 0x80..0x9f in UTF-8. */
		if ((*c < 0x20 && *c != '\t' && *c != '\n') || *c == 0x7f)
			*c = '?';
		else if (*c == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f)
			c[0] = c[1] = '?';
	}
	return s;
}
