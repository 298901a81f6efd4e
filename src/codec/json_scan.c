/* What json-c 0.16 lets pass even in strict mode, found in the text itself: strings in single quotes, raw control
 * characters in strings, NaN and Infinity, "00", "-01", "1.", integers beyond 64 bits (which it clamps), and duplicate
 * keys (of which it keeps the last). Readers that disagree on such a text are how one digest comes to mean two images
 * (CVE-2021-41190's family), so each is refused (RFC 8259).
 *
 * Invariant: json-c has accepted the text before, so brackets, commas and escapes need no second look here.
 * Called by json_parse alone. */
#include "json.h"
#include "json_scan.h"

#define SCAN_DEPTH 64

/* Position of the quote that ends the string whose opening quote is at text[i]. */
static size_t string_end(const char *text, size_t len, size_t i)
{
	for (i++; i < len && text[i] != '"'; i++)
		if (text[i] == '\\')
			i++;
	return i;
}

static size_t digits(const char *p, const char *end)
{
	size_t n = 0;

	while (p + n < end && p[n] >= '0' && p[n] <= '9')
		n++;
	return n;
}

/* Whether the n digits at p are at most the decimal number limit. */
static bool is_at_most(const char *p, size_t n, const char *limit)
{
	size_t m = strlen(limit);

	return n < m || (n == m && memcmp(p, limit, n) <= 0);
}

/* Length of the number at p by RFC 8259 §6; 0 and *ret_why when it is none, or an integer that 64 bits don't hold. */
static size_t number_len(const char *p, const char *end, const char **ret_why)
{
	const char *start = p;
	bool negative = *p == '-', whole = true;

	p += negative;
	const char *integer = p;
	size_t n = digits(p, end);
	*ret_why = "a number can't be written like this";
	if (n == 0 || (n > 1 && *p == '0'))
		return 0;
	p += n;
	if (p < end && *p == '.') {
		size_t fraction = digits(p + 1, end);
		if (fraction == 0)
			return 0;
		p += 1 + fraction;
		whole = false;
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		p += p < end && (*p == '+' || *p == '-');
		size_t exponent = digits(p, end);
		if (exponent == 0)
			return 0;
		p += exponent;
		whole = false;
	}
	*ret_why = "a whole number beyond 64 bits";
	if (whole && !is_at_most(integer, n, negative ? "9223372036854775808" : "18446744073709551615"))
		return 0;
	return (size_t)(p - start);
}

static size_t literal_len(const char *p, const char *end)
{
	static const char *const literals[] = { "true", "false", "null" };

	for (size_t i = 0; i < ARRAY_SIZE(literals); i++) {
		size_t n = strlen(literals[i]);
		if ((size_t)(end - p) >= n && memcmp(p, literals[i], n) == 0)
			return n;
	}
	return 0;
}

int json_scan(const char *text, size_t len, struct json_scan *ret)
{
	const char *end = text + len;

	*ret = (struct json_scan){};
	for (size_t i = 0; i < len; i++) {
		ret->offset = i;
		char c = text[i];
		if (c == '"') {
			size_t close = string_end(text, len, i);
			for (ret->offset = i + 1; ret->offset < close; ret->offset++) {
				ret->why = "a control character in a string must be escaped";
				if ((unsigned char)text[ret->offset] < ' ')
					return -EINVAL;
			}
			i = close;
		} else if (c == '-' || (c >= '0' && c <= '9')) {
			size_t n = number_len(text + i, end, &ret->why);
			if (n == 0)
				return -EINVAL;
			i += n - 1;
		} else if (c == ':') {
			ret->members++;
		} else if (!strchr("{}[], \t\r\n", c)) {
			size_t n = literal_len(text + i, end);
			ret->why = "expected a value in JSON's own spelling";
			if (n == 0)
				return -EINVAL;
			i += n - 1;
		}
	}
	return 0;
}

/* A key as json-c understands it (escapes resolved); NULL on ENOMEM. */
static char *key_unescape(const char *quoted, size_t len)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct json_tokener *t = json_tokener_new();

	if (!t)
		return NULL;
	o = json_tokener_parse_ex(t, quoted, (int)len);
	json_tokener_free(t);
	const char *s = o ? json_object_get_string(o) : NULL;
	return s ? strdup(s) : NULL;
}

/* One open object (its keys so far) or array (NULL keys, never filled) of the walk below. */
struct level {
	struct json_object *keys;
};

char *json_scan_duplicate(const char *text, size_t len)
{
	struct level stack[SCAN_DEPTH + 1] = {};
	size_t depth = 0;
	char *found = NULL;

	for (size_t i = 0; i < len && !found; i++) {
		if (text[i] == '{' || text[i] == '[') {
			if (depth == SCAN_DEPTH)
				break;
			stack[++depth].keys = text[i] == '{' ? json_object_new_object() : NULL;
		} else if ((text[i] == '}' || text[i] == ']') && depth > 0) {
			json_object_put(stack[depth--].keys);
		} else if (text[i] == '"') {
			size_t end = string_end(text, len, i), after = end + 1;
			while (after < len && strchr(" \t\r\n", text[after]))
				after++;
			if (after < len && text[after] == ':' && stack[depth].keys) {
				_cleanup_free_ char *key = key_unescape(text + i, end + 1 - i);
				if (key && json_object_object_get_ex(stack[depth].keys, key, NULL))
					found = TAKE_PTR(key);
				else if (key)
					json_object_object_add(stack[depth].keys, key, NULL);
			}
			i = end;
		}
	}
	while (depth > 0)
		json_object_put(stack[depth--].keys);
	return found;
}
