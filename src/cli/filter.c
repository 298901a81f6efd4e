/* filter.c: see filter.h. */
#include "filter.h"

#include <regex.h>

bool filter_label(const struct string_map *labels, const char *wanted)
{
	const char *eq = strchr(wanted, '='), *have;
	_cleanup_free_ char *key = strndup(wanted, eq ? (size_t)(eq - wanted) : strlen(wanted));

	have = key ? map_get(labels, key) : NULL;
	return have && (!eq || streq(have, eq + 1));
}

bool filter_name(const char *name, const char *wanted)
{
	_cleanup_free_ char *slashed = str_fmt("/%s", name);
	regex_t re;
	bool fits;

	if (!*wanted)
		return true; /* POSIX leaves open what an empty one is */
	if (!slashed || regcomp(&re, wanted, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	fits = regexec(&re, name, 0, NULL, 0) == 0 || regexec(&re, slashed, 0, NULL, 0) == 0;
	regfree(&re);
	return fits;
}

int filter_bool(const char *value)
{
	if (streq(value, "true") || streq(value, "1"))
		return 1;
	return streq(value, "false") || streq(value, "0") ? 0 : -EINVAL;
}

bool filters_pass(char *const *filters, bool (*matches)(const void *thing, const char *key, const char *value), const void *thing)
{
	for (char *const *f = filters; f && *f; f++) {
		size_t n = strcspn(*f, "=");
		bool any = false;
		for (char *const *g = filters; *g; g++) {
			_cleanup_free_ char *key = strndup(*g, n);
			if (key && strncmp(*f, *g, n + 1) == 0 && (!str_after(key, "label") || f == g))
				any |= matches(thing, key, *g + n + 1);
		}
		if (!any)
			return false;
	}
	return true;
}

static bool is_one_of(const char *filter, const char *const *keys)
{
	for (; *keys; keys++) {
		const char *rest = str_after(filter, *keys);
		if (rest && *rest == '=')
			return true;
	}
	return false;
}

int filters_check(char *const *filters, const char *const *keys, struct err *e)
{
	for (; filters && *filters; filters++) {
		_cleanup_buf_ struct buf list = { 0 };
		if (is_one_of(*filters, keys))
			continue;
		for (const char *const *k = keys; *k; k++)
			buf_fmt(&list, "%s%s", list.len ? ", " : "", *k);
		return err_set(e, EINVAL, "--filter: \"%s\" is not KEY=VALUE with one of %s", *filters,
			       list.data ? list.data : "");
	}
	return 0;
}

int filter_word(const char *key, const char *value, const char *const *words, struct err *e)
{
	_cleanup_buf_ struct buf list = { 0 };

	for (const char *const *w = words; *w; w++) {
		if (streq(*w, value))
			return 0;
		buf_fmt(&list, "%s%s", list.len ? ", " : "", *w);
	}
	return err_set(e, EINVAL, "--filter: \"%s=%s\" is none of %s", key, value, list.data ? list.data : "");
}

const char *filter_next(char *const **at, const char *key)
{
	while (*at && **at) {
		const char *rest = str_after(*(*at)++, key);
		if (rest && *rest == '=')
			return rest + 1;
	}
	return NULL;
}
