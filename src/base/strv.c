/* NULL-terminated vectors of strings, and environment vectors on top of them. A vector has no stored capacity: lengths are
 * those of command lines and environments, where counting again costs less than carrying a second number around. */
#include "str.h"

size_t strv_len(char *const *v)
{
	size_t n = 0;

	while (v && v[n])
		n++;
	return n;
}

int strv_push_take(char ***v, char *s)
{
	if (!s)
		return -ENOMEM;
	size_t n = strv_len(*v);
	/* Exactly what is needed each time: a vector may come from anywhere, so no capacity may be assumed of its block. */
	char **bigger = realloc(*v, (n + 2) * sizeof(char *));
	if (!bigger) {
		free(s);
		return -ENOMEM;
	}
	*v = bigger;
	bigger[n] = s;
	bigger[n + 1] = NULL;
	return 0;
}

int strv_push(char ***v, const char *s) { return strv_push_take(v, strdup(s)); }

int strv_push_option(char ***v, const char *option, char *value)
{
	int r = value ? strv_push(v, option) : -ENOMEM;

	if (r < 0) {
		free(value);
		return r;
	}
	return strv_push_take(v, value);
}

char **strv_copy(char *const *v)
{
	_cleanup_strv_ char **copy = calloc(1, 2 * sizeof(char *));

	if (!copy)
		return NULL;
	for (size_t i = 0; v && v[i]; i++)
		if (strv_push(&copy, v[i]) < 0)
			return NULL;
	return TAKE_PTR(copy);
}

char **strv_split(const char *s, char sep)
{
	_cleanup_strv_ char **v = NULL;

	for (;;) {
		const char *end = strchrnul(s, sep);
		if (strv_push_take(&v, strndup(s, (size_t)(end - s))) < 0)
			return NULL;
		if (!*end)
			return TAKE_PTR(v);
		s = end + 1;
	}
}

void strv_free(char **v)
{
	for (size_t i = 0; v && v[i]; i++)
		free(v[i]);
	free(v);
}

/* Index of NAME's entry, or the vector's length. name ends at its '=' or its NUL. */
static size_t env_find(char *const *env, const char *name)
{
	size_t n = (size_t)(strchrnul(name, '=') - name), i = 0;

	for (; env && env[i]; i++)
		if (strncmp(env[i], name, n) == 0 && env[i][n] == '=')
			break;
	return i;
}

const char *env_get(char *const *env, const char *name)
{
	size_t i = env_find(env, name);

	return env && env[i] ? strchr(env[i], '=') + 1 : NULL;
}

int env_set(char ***env, const char *name_eq_value)
{
	if (!strchr(name_eq_value, '=') || name_eq_value[0] == '=')
		return -EINVAL;
	size_t i = env_find(*env, name_eq_value);
	if (!*env || !(*env)[i])
		return strv_push(env, name_eq_value);
	char *copy = strdup(name_eq_value);
	if (!copy)
		return -ENOMEM;
	free((*env)[i]);
	(*env)[i] = copy;
	return 0;
}
