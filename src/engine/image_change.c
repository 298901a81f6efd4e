#include "image_change.h"

#include <ctype.h>
#include <string.h>

#define OUT_OF_MEMORY(e) err_set(e, ENOMEM, "out of memory")

struct change {
	struct json_object *config;
	const char *name; /* of the instruction, for messages */
	const char *rest; /* what follows it, without spaces around */
};

static int wrong(const struct change *c, const char *expected, struct err *e)
{
	return err_set(e, EINVAL, "--change: %s %.200s: expected %s", c->name, c->rest, expected);
}

/* ---- words ---- */

static const char *variable(struct json_object *config, const char *name, size_t len)
{
	struct json_object *env;

	if (!json_object_object_get_ex(config, "Env", &env) || !json_object_is_type(env, json_type_array))
		return NULL;
	for (size_t i = json_object_array_length(env); i-- > 0;) {
		const char *v = json_object_get_string(json_object_array_get_idx(env, i));
		if (v && strncmp(v, name, len) == 0 && v[len] == '=')
			return v + len + 1;
	}
	return NULL;
}

/* $NAME, ${NAME}, ${NAME:-word}, ${NAME:+word} at s; -> bytes taken, 0 = it is just a dollar. */
static size_t expand(struct json_object *config, const char *s, struct buf *out)
{
	bool braces = s[1] == '{';
	const char *name = s + 1 + braces, *end = name, *value;

	while (isalnum((unsigned char)*end) || *end == '_')
		end++;
	if (end == name)
		return 0;
	value = variable(config, name, (size_t)(end - name));
	if (!braces) {
		buf_str(out, value ? value : "");
		return (size_t)(end - s);
	}
	const char *close = strchr(end, '}');
	bool is_default = end[0] == ':' && end[1] == '-', is_other = end[0] == ':' && end[1] == '+';
	if (!close || (close != end && !is_default && !is_other))
		return 0;
	if (close == end || (is_default && value && *value))
		buf_str(out, value ? value : "");
	else if (is_default || (value && *value))
		buf_add(out, end + 2, (size_t)(close - end - 2));
	return (size_t)(close + 1 - s);
}

/* The word at *at, quotes and backslashes taken out, variables put in. Ends at a space, or at `stop`. NULL: no memory. */
static char *next_word(struct json_object *config, const char **at, char stop)
{
	struct buf out = { 0 };
	const char *s = *at;
	char quote = 0;

	buf_str(&out, "");
	while (*s && (quote || (!isspace((unsigned char)*s) && *s != stop))) {
		size_t n = *s == '$' && quote != '\'' ? expand(config, s, &out) : 0;
		if (n) {
			s += n;
		} else if (*s == '\\' && s[1] && quote != '\'') {
			buf_add(&out, s + 1, 1);
			s += 2;
		} else if (quote ? *s == quote : *s == '"' || *s == '\'') {
			quote = quote ? 0 : *s;
			s++;
		} else {
			buf_add(&out, s++, 1);
		}
	}
	*at = s;
	return buf_take(&out);
}

static const char *skip_spaces(const char *s)
{
	while (isspace((unsigned char)*s))
		s++;
	return s;
}

/* ---- the configuration's members ---- */

static int set(struct change *c, const char *key, struct json_object *v, struct err *e)
{
	return json_add(c->config, key, v) < 0 ? OUT_OF_MEMORY(e) : 0;
}

/* The object at key, made where it is missing. */
static struct json_object *object_at(struct json_object *config, const char *key)
{
	struct json_object *o;

	if (json_object_object_get_ex(config, key, &o) && json_object_is_type(o, json_type_object))
		return o;
	o = json_object_new_object();
	return json_add(config, key, o) < 0 ? NULL : o;
}

static int add_key(struct change *c, const char *key, const char *name, struct json_object *v, struct err *e)
{
	struct json_object *o = object_at(c->config, key);

	if (!o) {
		json_object_put(v);
		return OUT_OF_MEMORY(e);
	}
	return json_add(o, name, v) < 0 ? OUT_OF_MEMORY(e) : 0;
}

static int set_variable(struct change *c, const char *name, const char *value, struct err *e)
{
	_cleanup_free_ char *text = str_fmt("%s=%s", name, value);
	struct json_object *env, *v = text ? json_object_new_string(text) : NULL;
	size_t len = strlen(name);

	if (!json_object_object_get_ex(c->config, "Env", &env) || !json_object_is_type(env, json_type_array)) {
		env = json_object_new_array();
		if (json_add(c->config, "Env", env) < 0)
			env = NULL;
	}
	if (!env || !v) {
		json_object_put(v);
		return OUT_OF_MEMORY(e);
	}
	for (size_t i = 0; i < json_object_array_length(env); i++) {
		const char *old = json_object_get_string(json_object_array_get_idx(env, i));
		if (old && strncmp(old, name, len) == 0 && old[len] == '=')
			return json_object_array_put_idx(env, i, v) < 0 ? OUT_OF_MEMORY(e) : 0;
	}
	return json_object_array_add(env, v) < 0 ? OUT_OF_MEMORY(e) : 0;
}

/* ---- instructions ---- */

/* ["a","b"], else NULL without an error. */
static struct json_object *json_words(const char *text)
{
	struct json_object *o = NULL;

	if (*text != '[' || json_parse(text, strlen(text), "words", &o, NULL) < 0)
		return NULL;
	bool is_list = json_object_is_type(o, json_type_array);
	for (size_t i = 0; is_list && i < json_object_array_length(o); i++)
		is_list = json_object_is_type(json_object_array_get_idx(o, i), json_type_string);
	if (is_list)
		return o;
	json_object_put(o);
	return NULL;
}

static struct json_object *command_of(const char *text)
{
	struct json_object *o = json_words(text);
	char sh[] = "/bin/sh", dash_c[] = "-c", *copy = strdup(text), *words[] = { sh, dash_c, copy, NULL };

	if (!o && copy)
		o = json_from_strv(words);
	free(copy);
	return o;
}

static int do_cmd(struct change *c, struct err *e) { return set(c, "Cmd", command_of(c->rest), e); }

static int do_entrypoint(struct change *c, struct err *e) { return set(c, "Entrypoint", command_of(c->rest), e); }

/* NAME=VALUE ..., or NAME VALUE to the end of the line. */
static int each_pair(struct change *c, int (*put)(struct change *c, const char *name, const char *value, struct err *e),
		     struct err *e)
{
	const char *at = c->rest;
	int r = 0;

	while (r == 0 && *at) {
		_cleanup_free_ char *name = next_word(c->config, &at, '='), *value = NULL;
		if (!name)
			return OUT_OF_MEMORY(e);
		if (!*name || (*at != '=' && at[0] == '\0'))
			return wrong(c, "NAME=VALUE", e);
		if (*at == '=') {
			at++;
			value = next_word(c->config, &at, '\0');
			at = skip_spaces(at);
		} else {
			value = strdup(skip_spaces(at));
			at += strlen(at);
		}
		r = value ? put(c, name, value, e) : OUT_OF_MEMORY(e);
	}
	return r;
}

static int do_env(struct change *c, struct err *e) { return each_pair(c, set_variable, e); }

static int put_label(struct change *c, const char *name, const char *value, struct err *e)
{
	return add_key(c, "Labels", name, json_object_new_string(value), e);
}
static int do_label(struct change *c, struct err *e) { return each_pair(c, put_label, e); }

static int put_port(struct change *c, const char *word, struct err *e)
{
	const char *slash = strchr(word, '/');
	_cleanup_free_ char *number = strndup(word, slash ? (size_t)(slash - word) : strlen(word)), *whole = NULL;
	uint64_t port;

	if (!number)
		return OUT_OF_MEMORY(e);
	if (str_to_u64(number, &port) < 0 || port < 1 || port > 65535 ||
	    (slash && !streq(slash, "/tcp") && !streq(slash, "/udp") && !streq(slash, "/sctp")))
		return wrong(c, "ports such as 80 or 53/udp", e);
	whole = str_fmt("%s%s", number, slash ? slash : "/tcp");
	return whole ? add_key(c, "ExposedPorts", whole, json_object_new_object(), e) : OUT_OF_MEMORY(e);
}

static int put_volume(struct change *c, const char *word, struct err *e)
{
	return *word ? add_key(c, "Volumes", word, json_object_new_object(), e) : wrong(c, "paths", e);
}

static int each_word(struct change *c, int (*put)(struct change *c, const char *word, struct err *e), struct err *e)
{
	const char *at = c->rest;
	int r = 0;

	while (r == 0 && *at) {
		_cleanup_free_ char *word = next_word(c->config, &at, '\0');
		at = skip_spaces(at);
		r = word ? put(c, word, e) : OUT_OF_MEMORY(e);
	}
	return r;
}

static int do_expose(struct change *c, struct err *e) { return each_word(c, put_port, e); }

static int do_volume(struct change *c, struct err *e)
{
	_cleanup_json_ struct json_object *list = json_words(c->rest);
	int r = 0;

	if (!list)
		return each_word(c, put_volume, e);
	for (size_t i = 0; r == 0 && i < json_object_array_length(list); i++)
		r = put_volume(c, json_object_get_string(json_object_array_get_idx(list, i)), e);
	return r;
}

/* The one word that it takes. NULL: an error was set. */
static char *only_word(struct change *c, const char *expected, struct err *e)
{
	const char *at = c->rest;
	char *word = next_word(c->config, &at, '\0');

	if (word && *word && !*skip_spaces(at))
		return word;
	if (word)
		wrong(c, expected, e);
	else
		OUT_OF_MEMORY(e);
	free(word);
	return NULL;
}

static int do_user(struct change *c, struct err *e)
{
	_cleanup_free_ char *word = only_word(c, "USER[:GROUP]", e);

	return word ? set(c, "User", json_object_new_string(word), e) : -EINVAL;
}

static int do_stopsignal(struct change *c, struct err *e)
{
	_cleanup_free_ char *word = only_word(c, "a signal", e);

	if (!word)
		return -EINVAL;
	return signal_parse(word) < 0 ? wrong(c, "a signal", e) : set(c, "StopSignal", json_object_new_string(word), e);
}

static int do_workdir(struct change *c, struct err *e)
{
	_cleanup_free_ char *word = only_word(c, "a path", e), *whole = NULL;
	struct json_object *old;

	if (!word)
		return -EINVAL;
	if (*word != '/' && json_object_object_get_ex(c->config, "WorkingDir", &old) && *json_object_get_string(old)) {
		const char *base = json_object_get_string(old);
		whole = str_fmt("%s%s%s", base, str_ends(base, "/") ? "" : "/", word);
	} else {
		whole = str_fmt("%s%s", *word == '/' ? "" : "/", word);
	}
	return whole ? set(c, "WorkingDir", json_object_new_string(whole), e) : OUT_OF_MEMORY(e);
}

static int do_onbuild(struct change *c, struct err *e)
{
	struct json_object *list, *v = json_object_new_string(c->rest);

	if (!json_object_object_get_ex(c->config, "OnBuild", &list) || !json_object_is_type(list, json_type_array)) {
		list = json_object_new_array();
		if (json_add(c->config, "OnBuild", list) < 0)
			list = NULL;
	}
	if (!list || !v || json_object_array_add(list, v) < 0)
		return OUT_OF_MEMORY(e);
	return 0;
}

/* NONE, or [--interval=..] [--timeout=..] [--start-period=..] [--retries=N] CMD command. */
static int do_healthcheck(struct change *c, struct err *e)
{
	static const struct {
		const char *option, *key;
	} times[] = { { "--interval=", "Interval" }, { "--timeout=", "Timeout" }, { "--start-period=", "StartPeriod" } };
	_cleanup_json_ struct json_object *o = json_object_new_object();
	struct json_object *test = json_object_new_array(), *words;
	const char *at = c->rest, *v;
	uint64_t n;

	if (json_add(o, "Test", test) < 0)
		return OUT_OF_MEMORY(e);
	while (str_after(at, "--")) {
		_cleanup_free_ char *word = strndup(at, strcspn(at, " \t"));
		bool is_known = false;
		if (!word)
			return OUT_OF_MEMORY(e);
		for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
			if (!(v = str_after(word, times[i].option)) || str_to_duration_ms(v, &n) < 0)
				continue;
			is_known = json_add(o, times[i].key, json_object_new_int64((int64_t)n * 1000000)) == 0;
		}
		if ((v = str_after(word, "--retries=")) && str_to_u64(v, &n) == 0)
			is_known = json_add(o, "Retries", json_object_new_int64((int64_t)n)) == 0;
		if (!is_known)
			return wrong(c, "--interval=, --timeout=, --start-period= (times) or --retries=N before CMD", e);
		at = skip_spaces(at + strlen(word));
	}
	if (strcasecmp(at, "NONE") == 0) {
		json_object_array_add(test, json_object_new_string("NONE"));
		return set(c, "Healthcheck", TAKE_PTR(o), e);
	}
	if (strncasecmp(at, "CMD", 3) != 0 || !isspace((unsigned char)at[3]))
		return wrong(c, "NONE or CMD", e);
	at = skip_spaces(at + 3);
	words = json_words(at);
	json_object_array_add(test, json_object_new_string(words ? "CMD" : "CMD-SHELL"));
	for (size_t i = 0; words && i < json_object_array_length(words); i++)
		json_object_array_add(test, json_object_get(json_object_array_get_idx(words, i)));
	if (!words)
		json_object_array_add(test, json_object_new_string(at));
	json_object_put(words);
	return set(c, "Healthcheck", TAKE_PTR(o), e);
}

static const struct {
	const char *name;
	int (*run)(struct change *c, struct err *e);
} instructions[] = {
	{ "CMD", do_cmd },         { "ENTRYPOINT", do_entrypoint },   { "ENV", do_env },
	{ "EXPOSE", do_expose },   { "HEALTHCHECK", do_healthcheck }, { "LABEL", do_label },
	{ "ONBUILD", do_onbuild }, { "STOPSIGNAL", do_stopsignal },   { "USER", do_user },
	{ "VOLUME", do_volume },   { "WORKDIR", do_workdir },
};

int image_change(struct json_object *config, const char *text, struct err *e)
{
	const char *at = skip_spaces(text);
	size_t len = strcspn(at, " \t\r\n");
	_cleanup_free_ char *rest = strdup(skip_spaces(at + len));

	if (!rest)
		return OUT_OF_MEMORY(e);
	for (size_t n = strlen(rest); n > 0 && isspace((unsigned char)rest[n - 1]); n--)
		rest[n - 1] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(instructions); i++) {
		struct change c = { .config = config, .name = instructions[i].name, .rest = rest };
		if (strlen(c.name) != len || strncasecmp(at, c.name, len) != 0)
			continue;
		if (!*rest)
			return err_set(e, EINVAL, "--change: %s says nothing", c.name);
		return instructions[i].run(&c, e);
	}
	return err_set(
		e, EINVAL,
		"--change: \"%.100s\" is not a valid change command; CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, "
		"STOPSIGNAL, USER, VOLUME and WORKDIR are",
		text);
}
