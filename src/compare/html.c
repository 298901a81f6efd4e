/* html.c: see html.h. */
#include "html.h"

#define REPLACEMENT "\xef\xbf\xbd"

/* Marks, embeddings, overrides and isolates of direction (U+200E, U+200F, U+202A-E, U+2066-9): they reorder what stands beside them. */
static bool turns_direction(const char *s, int n)
{
	const unsigned char *u = (const unsigned char *)s;

	if (n != 3 || u[0] != 0xe2)
		return false;
	return (u[1] == 0x80 && (u[2] == 0x8e || u[2] == 0x8f || (u[2] >= 0xaa && u[2] <= 0xae))) ||
	       (u[1] == 0x81 && u[2] >= 0xa6 && u[2] <= 0xa9);
}

static bool is_control(const char *s, int n)
{
	const unsigned char *u = (const unsigned char *)s;

	return (n == 1 && (*u < 0x20 || *u == 0x7f)) || (n == 2 && *u == 0xc2 && u[1] < 0xa0);
}

void html_text(struct buf *b, const char *s)
{
	for (int n; *s; s += MAX(n, 1)) {
		n = utf8_len(s, strlen(s));
		switch (*s) {
		case '&': buf_str(b, "&amp;"); break;
		case '<': buf_str(b, "&lt;"); break;
		case '>': buf_str(b, "&gt;"); break;
		case '"': buf_str(b, "&quot;"); break;
		case '\'': buf_str(b, "&#39;"); break;
		case '\n':
		case '\t': buf_str(b, " "); break;
		default:
			if (n <= 0 || is_control(s, n) || turns_direction(s, n))
				buf_str(b, REPLACEMENT);
			else
				buf_add(b, s, (size_t)n);
		}
	}
}

void html_prose(struct buf *b, const char *s)
{
	_cleanup_free_ char *copy = strdup(s);
	bool is_code = false;
	char *part = copy, *end;

	b->failed |= !copy;
	for (; part && (end = strpbrk(part, "/`")); part = end + 1) {
		bool is_tick = *end == '`' && (is_code || strchr(end + 1, '`'));
		char kept = *end;

		*end = 0;
		html_text(b, part);
		if (is_tick)
			buf_str(b, is_code ? "</code>" : "<code>");
		else
			buf_str(b, kept == '/' ? "/<wbr>" : "`");
		is_code = is_tick ? !is_code : is_code;
	}
	html_text(b, part ? part : "");
}

void html_fmt(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	for (const char *at; (at = strchr(fmt, '%')); fmt = at + 2) {
		buf_add(b, fmt, (size_t)(at - fmt));
		if (at[1] == 's')
			html_text(b, va_arg(ap, const char *));
		else if (at[1] == '%')
			buf_str(b, "%");
		else
			b->failed = true; /* the format is wrong: no page rather than an unescaped one */
		if (!at[1])
			break;
	}
	va_end(ap);
	buf_str(b, fmt);
}
