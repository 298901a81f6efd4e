/* Image references, by the grammar of the distribution project (reference/reference.go and normalize.go):
 *
 *     reference      := name [ ":" tag ] [ "@" digest ]
 *     name           := [ domain "/" ] path-component [ "/" path-component ]*      at most 255 bytes
 *     domain         := host [ ":" port ]      host: DNS labels, IPv4, or IPv6 in brackets
 *     path-component := alnum [ ( "." | "_" | "__" | "-"+ ) alnum ]*               alnum: a-z 0-9
 *     tag            := word [ word | "." | "-" ]{0,127}                           word: A-Z a-z 0-9 _
 *
 * What stands before the first slash is a domain only if it looks like one (a dot, a colon, "localhost", a capital);
 * else the name is short and belongs to the default registry. A ref that ref_parse returns can be put into a URL and
 * into a file name's component as it is: no byte of it needs escaping.
 *
 * Called by the command line (through engine), the transfer program and the records. */
#include "ref.h"

#include <ctype.h>
#include <stdio.h>

#define NAME_MAX_LEN  255
#define TAG_MAX_LEN   128
#define DOCKER_DOMAIN "docker.io"

static bool is_alnum_lower(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

static bool is_word(char c) { return is_alnum_lower(c) || (c >= 'A' && c <= 'Z') || c == '_'; }

/* Length of the separator at s: one of "." "_" "__" or a run of "-"; 0 = none. */
static size_t separator_len(const char *s)
{
	if (*s == '.')
		return 1;
	if (*s == '_')
		return s[1] == '_' ? 2 : 1;
	return strspn(s, "-");
}

static bool path_is_valid(const char *s)
{
	for (;;) {
		if (!is_alnum_lower(*s))
			return false;
		while (is_alnum_lower(*s))
			s++;
		if (!*s)
			return true;
		if (*s == '/') {
			s++;
			continue;
		}
		size_t n = separator_len(s);
		if (n == 0)
			return false;
		s += n;
	}
}

static bool tag_is_valid(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n > TAG_MAX_LEN || !is_word(*s))
		return false;
	for (; *s; s++)
		if (!is_word(*s) && *s != '.' && *s != '-')
			return false;
	return true;
}

static bool port_is_valid(const char *s)
{
	uint64_t v;

	return strlen(s) <= 5 && str_to_u64(s, &v) == 0 && v > 0 && v <= 65535;
}

/* DNS labels (letters, digits, inner hyphens) joined by dots. */
static bool host_is_valid(const char *s, size_t n)
{
	bool at_label_start = true;

	if (n == 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		bool alnum = isalnum((unsigned char)s[i]);
		bool last = i + 1 == n || s[i + 1] == '.';
		if (s[i] == '.' && !at_label_start) {
			at_label_start = true;
		} else if (alnum || (s[i] == '-' && !at_label_start && !last)) {
			at_label_start = false;
		} else {
			return false;
		}
	}
	return !at_label_start;
}

static bool domain_is_valid(const char *s)
{
	if (*s == '[') {
		const char *end = strchr(s, ']');
		if (!end || end == s + 1 || strspn(s + 1, "0123456789abcdefABCDEF:") != (size_t)(end - s - 1))
			return false;
		return !end[1] || (end[1] == ':' && port_is_valid(end + 2));
	}
	const char *colon = strchr(s, ':');
	size_t n = colon ? (size_t)(colon - s) : strlen(s);
	return host_is_valid(s, n) && (!colon || port_is_valid(colon + 1));
}

static bool looks_like_domain(const char *s, size_t n)
{
	if (n == strlen("localhost") && memcmp(s, "localhost", n) == 0)
		return true;
	for (size_t i = 0; i < n; i++)
		if (s[i] == '.' || s[i] == ':' || (s[i] >= 'A' && s[i] <= 'Z'))
			return true;
	return false;
}

static bool is_hex_id(const char *s) { return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64; }

/* What is wrong with a path that path_is_valid refused, in words. */
static int refuse_path(const char *whole, const char *path, struct err *e)
{
	if (!*path)
		return err_set(e, EINVAL, "image reference \"%.255s\": no repository name; write [REGISTRY/]NAME[:TAG][@DIGEST]",
			       whole);
	for (const char *c = path; *c; c++) {
		if (*c >= 'A' && *c <= 'Z')
			return err_set(e, EINVAL, "image reference \"%.255s\": repository names are lower case, not \"%.255s\"",
				       whole, path);
		if (!is_alnum_lower(*c) && !strchr("._-/", *c))
			return err_set(e, EINVAL,
				       "image reference \"%.255s\": '%c' can't stand in a repository name (a-z 0-9 . _ - /)",
				       whole, *c);
	}
	return err_set(
		e, EINVAL,
		"image reference \"%.255s\": in \"%.255s\" each part between slashes begins and ends with a letter or digit, "
		"parted by one '.', '_', '__' or dashes",
		whole, path);
}

/* Cuts "@digest" and ":tag" off name (which is shortened in place) into r. */
static int split_tail(const char *whole, char *name, struct ref *r, struct err *e)
{
	char *at = strchr(name, '@');

	if (at) {
		*at = 0;
		int k = digest_check(at + 1, NULL);
		if (k < 0)
			return err_set(
				e, EINVAL,
				"image reference \"%.255s\": \"%.80s\" is not a digest: sha256: and 64 lower-case hex digits",
				whole, at + 1);
		r->digest = strdup(at + 1);
		if (!r->digest)
			return err_set(e, ENOMEM, "out of memory");
	}
	char *slash = strrchr(name, '/');
	char *colon = strrchr(slash ? slash : name, ':');
	if (colon) {
		*colon = 0;
		if (!tag_is_valid(colon + 1))
			return err_set(
				e, EINVAL,
				"image reference \"%.255s\": \"%.140s\" is not a tag: up to 128 letters, digits, '_', '.', '-', "
				"not beginning with '.' or '-'",
				whole, colon + 1);
		r->tag = strdup(colon + 1);
	} else if (!at) {
		r->tag = strdup("latest");
	}
	return !r->tag && !at ? err_set(e, ENOMEM, "out of memory") : 0;
}

/* Fills r->domain and r->path from a name without tag and digest. */
static int split_domain(const char *name, const char *default_registry, struct ref *r, struct err *e)
{
	const char *slash = strchr(name, '/');
	const char *rest = name;

	if (slash && looks_like_domain(name, (size_t)(slash - name))) {
		r->domain = strndup(name, (size_t)(slash - name));
		rest = slash + 1;
	} else {
		r->domain = strdup(default_registry ? default_registry : DOCKER_DOMAIN);
	}
	if (r->domain && streq(r->domain, "index.docker.io")) {
		free(r->domain);
		r->domain = strdup(DOCKER_DOMAIN);
	}
	if (!r->domain)
		return err_set(e, ENOMEM, "out of memory");
	bool official = streq(r->domain, DOCKER_DOMAIN) && *rest && !strchr(rest, '/');
	r->path = official ? str_fmt("library/%s", rest) : strdup(rest);
	return r->path ? 0 : err_set(e, ENOMEM, "out of memory");
}

int ref_parse(const char *s, const char *default_registry, struct ref *ret, struct err *e)
{
	_cleanup_(ref_done) struct ref r = {};
	_cleanup_free_ char *name = NULL;
	const char *scheme = strstr(s, "://");
	int k;

	if (!*s)
		return err_set(e, EINVAL, "image reference \"\": empty; write [REGISTRY/]NAME[:TAG][@DIGEST]");
	if (scheme)
		return err_set(e, EINVAL, "image reference \"%.255s\": a reference has no \"%.*s://\"; leave it out", s,
			       (int)MIN(scheme - s, 32), s);
	if (strlen(s) > NAME_MAX_LEN + 1 + TAG_MAX_LEN + 1 + DIGEST_LEN)
		return err_set(e, EINVAL, "image reference \"%.60s...\": too long, a name has at most %d bytes", s, NAME_MAX_LEN);
	if (is_hex_id(s))
		return err_set(e, EINVAL, "image reference \"%s\": 64 hex digits are an image id, not a name; write sha256:%s", s,
			       s);
	name = strdup(s);
	if (!name)
		return err_set(e, ENOMEM, "out of memory");
	k = split_tail(s, name, &r, e);
	if (k < 0)
		return k;
	k = split_domain(name, default_registry, &r, e);
	if (k < 0)
		return k;
	if (!domain_is_valid(r.domain))
		return err_set(e, EINVAL, "image reference \"%.255s\": \"%.255s\" is not a registry: HOST or HOST:PORT", s,
			       r.domain);
	if (!path_is_valid(r.path))
		return refuse_path(s, r.path, e);
	if (strlen(r.domain) + 1 + strlen(r.path) > NAME_MAX_LEN)
		return err_set(e, EINVAL, "image reference \"%.60s...\": the name has more than %d bytes", s, NAME_MAX_LEN);
	*ret = r;
	r = (struct ref){};
	return 0;
}

void ref_done(struct ref *r)
{
	free(r->domain);
	free(r->path);
	free(r->tag);
	free(r->digest);
	*r = (struct ref){};
}

static char *ref_text(const char *domain, const char *path, const struct ref *r)
{
	return str_fmt("%s%s%s%s%s%s%s", domain, *domain ? "/" : "", path, r->tag ? ":" : "", r->tag ? r->tag : "",
		       r->digest ? "@" : "", r->digest ? r->digest : "");
}

char *ref_str(const struct ref *r) { return ref_text(r->domain, r->path, r); }

char *ref_familiar(const struct ref *r)
{
	const char *official = str_after(r->path, "library/");

	/* Without its domain, a first part such as "lib.x" would be taken for one. */
	if (!streq(r->domain, DOCKER_DOMAIN) || looks_like_domain(r->path, strcspn(r->path, "/")))
		return ref_str(r);
	if (official && !strchr(official, '/') && !is_hex_id(official))
		return ref_text("", official, r);
	return ref_text("", r->path, r);
}
