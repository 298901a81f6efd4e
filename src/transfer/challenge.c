/* WWW-Authenticate: `Bearer realm="https://auth.example/token",service="x",scope="repository:a/b:pull", Basic realm="y"`.
 * Fed by strangers: no recursion, nothing is trusted to be terminated. Called by http.c for each such header. */
#include <ctype.h>

#include "auth.h"

void challenge_done(struct challenge *c)
{
	free(c->realm);
	free(c->service);
	free(c->scope);
	*c = (struct challenge){};
}

static bool is_token_char(char c) /* RFC 9110 section 5.6.2 */
{
	return isalnum((unsigned char)c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static const char *skip(const char *p, const char *set) { return p + strspn(p, set); }

/* A quoted string (with its escapes undone) or a bare word at *p, which is moved behind it. NULL when malformed. */
static char *take_value(const char **p)
{
	const char *s = *p;
	struct buf b = {};

	if (*s != '"') {
		while (*s && *s != ',' && !isspace((unsigned char)*s))
			s++;
		buf_add(&b, *p, (size_t)(s - *p));
		*p = s;
		return buf_take(&b);
	}
	for (s++; *s && *s != '"'; s++) {
		if (*s == '\\' && s[1])
			s++;
		buf_add(&b, s, 1);
	}
	if (*s != '"') {
		buf_done(&b);
		return NULL;
	}
	*p = s + 1;
	if (!b.data)
		buf_str(&b, "");
	return buf_take(&b);
}

static void keep_best(struct challenge *best, struct challenge *seen)
{
	if (seen->scheme > best->scheme && seen->realm) {
		challenge_done(best);
		*best = *seen;
		*seen = (struct challenge){};
	}
	challenge_done(seen);
}

static void keep_param(struct challenge *c, const char *name, size_t len, char *value)
{
	static const struct {
		const char *name;
		size_t offset;
	} params[] = {
		{ "realm", offsetof(struct challenge, realm) },
		{ "service", offsetof(struct challenge, service) },
		{ "scope", offsetof(struct challenge, scope) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(params); i++) {
		char **member = (char **)(void *)((char *)c + params[i].offset);

		if (strlen(params[i].name) == len && strncasecmp(params[i].name, name, len) == 0 && !*member) {
			*member = value;
			return;
		}
	}
	free(value);
}

void challenge_read(const char *value, struct challenge *best)
{
	struct challenge c = {};
	const char *p = value;

	while (*(p = skip(p, " \t,"))) {
		const char *name = p, *after;
		size_t len;
		char *v;

		while (is_token_char(*p))
			p++;
		len = (size_t)(p - name);
		if (len == 0) { /* not a token: on to the next element of the list */
			p += strcspn(p, ",");
			continue;
		}
		after = skip(p, " \t");
		if (*after == '=') { /* a parameter of the scheme at hand */
			p = skip(after + 1, " \t");
			v = take_value(&p);
			if (!v)
				break; /* an open quote: what follows can't be told apart */
			keep_param(&c, name, len, v);
			continue;
		}
		keep_best(best, &c);
		if (len == 6 && strncasecmp(name, "Bearer", 6) == 0)
			c.scheme = CHALLENGE_BEARER;
		else if (len == 5 && strncasecmp(name, "Basic", 5) == 0)
			c.scheme = CHALLENGE_BASIC;
		else
			c.scheme = CHALLENGE_NONE;
	}
	keep_best(best, &c);
}
