/* json_out: see inside.h. By hand: a JSON library would be larger than all else in the program. */
#include "inside.h"

static void put_string(struct json_out *j, const char *s)
{
	size_t left = strlen(s);

	buf_str(&j->b, "\"");
	while (left > 0) {
		int n = utf8_len(s, left);

		if (n <= 0)
			buf_str(&j->b, "\\ufffd");
		else if (*s == '"' || *s == '\\')
			buf_fmt(&j->b, "\\%c", *s);
		else if ((unsigned char)*s < 0x20 || *s == 0x7f)
			buf_fmt(&j->b, "\\u%04x", (unsigned)*s);
		else
			buf_add(&j->b, s, (size_t)n);
		n = MAX(n, 1);
		s += n;
		left -= (size_t)n;
	}
	buf_str(&j->b, "\"");
}

static void begin(struct json_out *j, const char *name)
{
	if (j->needs_comma)
		buf_str(&j->b, ",");
	j->needs_comma = true;
	if (name) {
		put_string(j, name);
		buf_str(&j->b, ":");
	}
}

void json_out_open(struct json_out *j, const char *name, char bracket)
{
	begin(j, name);
	buf_add(&j->b, &bracket, 1);
	j->needs_comma = false;
}

void json_out_close(struct json_out *j, char bracket)
{
	buf_add(&j->b, &bracket, 1);
	j->needs_comma = true;
}

void json_out_text(struct json_out *j, const char *name, const char *value)
{
	begin(j, name);
	put_string(j, value);
}

void json_out_int(struct json_out *j, const char *name, long long value)
{
	begin(j, name);
	buf_fmt(&j->b, "%lld", value);
}

void json_out_bool(struct json_out *j, const char *name, bool value)
{
	begin(j, name);
	buf_str(&j->b, value ? "true" : "false");
}

void json_out_why(struct json_out *j, const char *name, const char *what, int no)
{
	_cleanup_free_ char *why = str_fmt("%s: %s", what, strerror(no));

	json_out_open(j, name, '{');
	json_out_text(j, "why", why ? why : what);
	json_out_close(j, '}');
}
