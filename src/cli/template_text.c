/* template_text.c: functions of templates that cut and set text: Go's printf and slice; docker's split, truncate, pad and title. */
#include "template_impl.h"

#include <ctype.h>

#define WIDTH_MAX 4096 /* of a padded text */

static void put_text(struct buf *b, struct value *ret)
{
	ret->v = b->failed ? NULL : json_object_new_string_len(b->data ? b->data : "", (int)b->len);
}

static bool is_text(const struct value *v) { return json_object_is_type(v->v, json_type_string); }

static bool is_number(const struct value *v) { return json_object_is_type(v->v, json_type_int); }

/* Bytes of the first n characters (UTF-8), or of all. */
static size_t characters(const char *s, size_t n)
{
	size_t at = 0;

	while (s[at] && n--) {
		at++;
		while (((unsigned char)s[at] & 0xc0) == 0x80)
			at++;
	}
	return at;
}

static size_t length(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

int template_fn_title(struct tmpl *t, const struct value *a, size_t n, struct value *ret)
{
	_cleanup_buf_ struct buf b = { 0 };

	(void)t;
	(void)n;
	template_value(a[0].v, &b);
	for (size_t i = 0; i < b.len; i++) {
		bool begins = i == 0 || isspace((unsigned char)b.data[i - 1]);
		b.data[i] = (char)(begins ? toupper((unsigned char)b.data[i]) : b.data[i]);
	}
	put_text(&b, ret);
	return 0;
}

/* slice X FROM TO: of a text bytes, of a list members, as in Go. */
int template_fn_slice(struct tmpl *t, const struct value *a, size_t n, struct value *ret)
{
	bool text = is_text(&a[0]);

	if (!text && !json_object_is_type(a[0].v, json_type_array))
		return template_bad(t, "slice wants a text or a list");
	int64_t all = text ? json_object_get_string_len(a[0].v) : (int64_t)json_object_array_length(a[0].v);
	int64_t from = n > 1 ? json_object_get_int64(a[1].v) : 0, to = n > 2 ? json_object_get_int64(a[2].v) : all;
	if ((n > 1 && !is_number(&a[1])) || (n > 2 && !is_number(&a[2])) || from < 0 || to > all || from > to)
		return template_bad(t, "slice wants numbers within what it cuts");
	if (text) {
		ret->v = json_object_new_string_len(json_object_get_string(a[0].v) + from, (int)(to - from));
		return 0;
	}
	ret->v = json_object_new_array();
	for (; ret->v && from < to; from++)
		if (json_object_array_add(ret->v, json_object_get(json_object_array_get_idx(a[0].v, (size_t)from))) < 0)
			return err_set(t->e, ENOMEM, "out of memory");
	return 0;
}

/* Between each two characters, where the separator is empty. */
int template_fn_split(struct tmpl *t, const struct value *a, size_t n, struct value *ret)
{
	(void)n;
	if (!is_text(&a[0]) || !is_text(&a[1]))
		return template_bad(t, "split wants a text and a separator");
	const char *s = json_object_get_string(a[0].v), *by = json_object_get_string(a[1].v);
	struct json_object *list = json_object_new_array();
	while (list) {
		const char *end = *by ? strstr(s, by) : s[0] && s[characters(s, 1)] ? s + characters(s, 1) : NULL;
		if (json_object_array_add(list, json_object_new_string_len(s, end ? (int)(end - s) : (int)strlen(s))) < 0) {
			json_object_put(list);
			return err_set(t->e, ENOMEM, "out of memory");
		}
		if (!end)
			break;
		s = end + strlen(by);
	}
	ret->v = list;
	return 0;
}

int template_fn_truncate(struct tmpl *t, const struct value *a, size_t n, struct value *ret)
{
	(void)n;
	if (!is_text(&a[0]) || !is_number(&a[1]) || json_object_get_int64(a[1].v) < 0)
		return template_bad(t, "truncate wants a text and a length");
	const char *s = json_object_get_string(a[0].v);
	ret->v = json_object_new_string_len(s, (int)characters(s, (size_t)json_object_get_int64(a[1].v)));
	return 0;
}

/* pad X BEFORE AFTER: with so many blanks; nothing stays nothing (docker's). */
int template_fn_pad(struct tmpl *t, const struct value *a, size_t n, struct value *ret)
{
	_cleanup_buf_ struct buf b = { 0 };
	int64_t before = json_object_get_int64(a[1].v), after = json_object_get_int64(a[2].v);

	(void)n;
	if (!is_text(&a[0]) || !is_number(&a[1]) || !is_number(&a[2]) || before < 0 || after < 0 || before > WIDTH_MAX ||
	    after > WIDTH_MAX)
		return template_bad(t, "pad wants a text and two numbers of blanks");
	const char *s = json_object_get_string(a[0].v);
	if (*s)
		buf_fmt(&b, "%*s%s%*s", (int)before, "", s, (int)after, "");
	put_text(&b, ret);
	return 0;
}

/* ---- printf ---- */

struct verb {
	bool left, zeros, plus;
	int width, precision; /* -1: none is given */
	char letter;
};

static int read_digits(const char **at)
{
	int n = 0;

	for (; isdigit((unsigned char)**at); (*at)++)
		n = MIN(n * 10 + (**at - '0'), WIDTH_MAX);
	return n;
}

/* Behind the '%'. */
static struct verb read_verb(const char **at)
{
	struct verb v = { .width = -1, .precision = -1 };

	for (; **at && strchr("-0+ #", **at); (*at)++) {
		v.left |= **at == '-';
		v.zeros |= **at == '0';
		v.plus |= **at == '+';
	}
	if (isdigit((unsigned char)**at))
		v.width = read_digits(at);
	if (**at == '.') {
		(*at)++;
		v.precision = read_digits(at);
	}
	v.letter = **at;
	return v;
}

static int put_number(struct tmpl *t, const struct verb *v, const struct value *a, struct buf *text)
{
	int64_t n = json_object_get_int64(a->v);

	if (!is_number(a))
		return template_bad(t, "printf wants a number for %d, %x and %o");
	if (v->letter == 'd' && v->plus)
		buf_fmt(text, "%+" PRId64, n);
	else if (v->letter == 'd')
		buf_fmt(text, "%" PRId64, n);
	else if (v->letter == 'x')
		buf_fmt(text, "%" PRIx64, (uint64_t)n);
	else if (v->letter == 'X')
		buf_fmt(text, "%" PRIX64, (uint64_t)n);
	else
		buf_fmt(text, "%" PRIo64, (uint64_t)n);
	return 0;
}

static int put_real(struct tmpl *t, const struct verb *v, const struct value *a, struct buf *text)
{
	if (!is_number(a) && !json_object_is_type(a->v, json_type_double))
		return template_bad(t, "printf wants a number for %f");
	buf_fmt(text, v->plus ? "%+.*f" : "%.*f", v->precision < 0 ? 6 : v->precision, json_object_get_double(a->v));
	return 0;
}

static int put_verb(struct tmpl *t, const struct verb *v, const struct value *a, struct buf *b)
{
	_cleanup_buf_ struct buf text = { 0 };
	bool counts = strchr("dxXof", v->letter);
	int r = 0;

	buf_str(&text, "");
	if (v->letter == 'f')
		r = put_real(t, v, a, &text);
	else if (counts)
		r = put_number(t, v, a, &text);
	else if (v->letter == 'q')
		buf_str(&text, json_object_to_json_string_ext(a->v, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	else
		template_value(a->v, &text);
	if (r < 0 || text.failed)
		return r < 0 ? r : err_set(t->e, ENOMEM, "out of memory");
	const char *s = text.data ? text.data : "";
	size_t bytes = !counts && v->precision >= 0 ? characters(s, (size_t)v->precision) : strlen(s), wide = length(s);
	wide = !counts && v->precision >= 0 ? MIN(wide, (size_t)v->precision) : wide;
	int blanks = v->width > (int)wide ? v->width - (int)wide : 0;
	bool signed_zeros = counts && v->zeros && !v->left && blanks && (*s == '-' || *s == '+');
	if (signed_zeros) {
		buf_add(b, s++, 1);
		bytes--;
	}
	for (int i = 0; !v->left && i < blanks; i++)
		buf_str(b, v->zeros ? "0" : " ");
	buf_add(b, s, bytes);
	buf_fmt(b, "%*s", v->left ? blanks : 0, "");
	return 0;
}

int template_fn_printf(struct tmpl *t, const struct value *a, size_t n, struct value *ret)
{
	_cleanup_buf_ struct buf b = { 0 };
	size_t next = 1;

	if (!is_text(&a[0]))
		return template_bad(t, "printf wants a text first");
	for (const char *at = json_object_get_string(a[0].v); *at; at++) {
		if (*at != '%') {
			buf_add(&b, at, 1);
			continue;
		}
		at++;
		struct verb v = read_verb(&at);
		if (v.letter == '%') {
			buf_str(&b, "%");
			continue;
		}
		if (!v.letter || !strchr("svqtdxXof", v.letter))
			return template_bad(t, "printf knows %s, %v, %q, %t, %d, %x, %X, %o, %f and %%; another one stands");
		if (next == n)
			return template_bad(t, "printf has more verbs than values");
		int r = put_verb(t, &v, &a[next++], &b);
		if (r < 0)
			return r;
	}
	if (next < n)
		return template_bad(t, "printf has more values than verbs");
	put_text(&b, ret);
	return ret->v ? 0 : err_set(t->e, ENOMEM, "out of memory");
}
