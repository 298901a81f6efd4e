/* template_expr.c: what stands between {{ and }}: words, operands, functions and pipes, evaluated while they are read. */
#include "template_impl.h"

#include <ctype.h>

int template_bad(struct tmpl *t, const char *why) { return err_set(t->e, EINVAL, "--format: %s near \"%.24s\"", why, t->at); }

void template_value_done(struct value *v)
{
	if (v->is_made)
		json_object_put(v->v);
	*v = (struct value){ 0 };
}

/* ---- words ---- */

void template_skip_space(struct tmpl *t)
{
	while (isspace((unsigned char)*t->at))
		t->at++;
}

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

static bool at_close(const struct tmpl *t) { return strncmp(t->at, "}}", 2) == 0 || strncmp(t->at, "-}}", 3) == 0; }

bool template_take_word(struct tmpl *t, const char *word)
{
	size_t n = strlen(word);

	template_skip_space(t);
	if (strncmp(t->at, word, n) != 0 || is_word(t->at[n]))
		return false;
	t->at += n;
	return true;
}

int template_take_close(struct tmpl *t)
{
	template_skip_space(t);
	if (!at_close(t))
		return template_bad(t, *t->at ? "unsupported syntax" : "\"}}\" is missing");
	bool trims = *t->at == '-';
	t->at += trims ? 3 : 2;
	if (trims)
		template_skip_space(t);
	return 0;
}

/* ---- operands ---- */

/* ---- nothing ---- */

/* Names that docker's documents leave out, or have as null, where there is nothing; and how Go prints nothing of that kind. */
static const struct {
	const char *name, *text;
	bool may_lack;
} nothings[] = {
	{ "Health", "<nil>", true },
	{ "Healthcheck", "<nil>", true },
	{ "Cmd", "[]" },
	{ "Entrypoint", "[]" },
	{ "Env", "[]" },
	{ "Args", "[]" },
	{ "Binds", "[]" },
	{ "CapAdd", "[]" },
	{ "CapDrop", "[]" },
	{ "OnBuild", "[]", true },
	{ "Shell", "[]", true },
	{ "Labels", "map[]" },
	{ "Options", "map[]" },
	{ "Volumes", "map[]", true },
	{ "ExposedPorts", "map[]", true },
	{ "Ports", "map[]" },
	{ "Tmpfs", "map[]", true },
	{ "Sysctls", "map[]", true },
};

static bool find_nothing(const char *name, const char **ret_text)
{
	for (size_t i = 0; i < ARRAY_SIZE(nothings); i++) {
		if (streq(nothings[i].name, name)) {
			*ret_text = nothings[i].text;
			return nothings[i].may_lack;
		}
	}
	*ret_text = NULL;
	return false;
}

/* Maps whose names are the user's: one that is not there is no misspelling. */
static bool is_users(const char *map)
{
	static const char *const maps[] = { "Attributes", "Labels", "Options", "Sysctls", "Annotations", "Tmpfs" };

	for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
		if (streq(maps[i], map))
			return true;
	}
	return false;
}

/* .A.B beginning at ret->v, which stays the owner's. A member that the map lacks is an error: it is nearly always a misspelling. */
static int walk(struct tmpl *t, struct value *ret)
{
	struct json_object *v = ret->v;
	const char *nothing = NULL;
	char before[128] = "";

	while (*t->at == '.') {
		struct json_object *next = NULL;
		char name[128];
		size_t n = 0;
		while (is_word(t->at[1 + n]))
			n++;
		if (n >= sizeof(name))
			return template_bad(t, "too long a name");
		memcpy(name, t->at + 1, n);
		name[n] = 0;
		t->at += 1 + n;
		if (n == 0)
			break;
		if (v && !json_object_is_type(v, json_type_object))
			return err_set(t->e, EINVAL, "--format: .%s: what stands before it has no fields", name);
		bool may_lack = find_nothing(name, &nothing) || is_users(before);
		if (v && !json_object_object_get_ex(v, name, &next) && !may_lack)
			return err_set(t->e, EINVAL, "--format: there is no field .%s; '{{json .}}' shows what there is", name);
		v = next;
		memcpy(before, name, sizeof(before));
	}
	ret->v = v;
	ret->nothing = v ? NULL : nothing;
	return 0;
}

/* 1 and *ret, 0 when no operand stands here. */
static int read_operand(struct tmpl *t, struct json_object *dot, struct value *ret);

/* .Label "NAME", as docker's lists have it: one of the labels, "" where there is none of that name. */
static int read_label(struct tmpl *t, struct json_object *dot, struct value *ret)
{
	struct json_object *labels = NULL, *label = NULL;
	struct value name = { 0 };
	int r;

	t->at += strlen(".Label");
	json_object_object_get_ex(dot, "Labels", &labels);
	bool is_title = json_object_is_type(labels, json_type_string) && !json_object_get_userdata(labels);
	if (json_object_is_type(labels, json_type_string))
		labels = json_object_get_userdata(labels); /* of a list's row: listing_add_labels */
	r = read_operand(t, dot, &name);
	if (r == 0 || (r > 0 && !json_object_is_type(name.v, json_type_string)))
		r = template_bad(t, ".Label wants a label's name, such as .Label \"maker\"");
	if (r >= 0 && labels)
		json_object_object_get_ex(labels, json_object_get_string(name.v), &label);
	if (r >= 0 && is_title)
		*ret = (struct value){ json_object_get(name.v), true, NULL };
	else if (r >= 0)
		*ret = (struct value){ .v = label, .nothing = "" };
	template_value_done(&name);
	return MIN(r, 0);
}

static bool at_label(const struct tmpl *t, struct json_object *dot)
{
	const char *behind = str_after(t->at, ".Label");

	return behind && !is_word(*behind) && *behind != '.' && json_object_is_type(dot, json_type_object) &&
	       !json_object_object_get_ex(dot, "Label", NULL);
}

/* The same of a value that was made: *ret is one then, of its own. */
static int walk_made(struct tmpl *t, struct value *ret)
{
	struct value whole = *ret, part = { .v = ret->v };
	int r = walk(t, &part);

	*ret = (struct value){ 0 };
	if (r >= 0)
		*ret = (struct value){ json_object_get(part.v), true, part.nothing };
	template_value_done(&whole);
	return r;
}

bool template_variable_name(struct tmpl *t, char name[TEMPLATE_NAME_MAX])
{
	size_t n = 0;

	if (*t->at != '$' || !is_word(t->at[1]))
		return false;
	while (is_word(t->at[1 + n]))
		n++;
	if (n >= TEMPLATE_NAME_MAX)
		return false;
	memcpy(name, t->at + 1, n);
	name[n] = 0;
	t->at += 1 + n;
	return true;
}

struct variable *template_variable(struct tmpl *t, const char *name)
{
	for (size_t i = t->n_variables; i-- > 0;) {
		if (streq(t->variables[i].name, name))
			return &t->variables[i];
	}
	return NULL;
}

/* $ and $NAME, with the fields behind it. */
static int read_variable(struct tmpl *t, struct value *ret)
{
	char name[TEMPLATE_NAME_MAX];

	if (!is_word(t->at[1])) {
		t->at++;
		ret->v = t->root;
		return walk(t, ret);
	}
	if (!template_variable_name(t, name))
		return template_bad(t, "too long a name");
	const struct variable *var = template_variable(t, name);
	if (!var)
		return err_set(t->e, EINVAL, "--format: there is no variable $%s", name);
	*ret = (struct value){ json_object_get(var->v), true, NULL };
	return *t->at == '.' ? walk_made(t, ret) : 0;
}

static int read_string(struct tmpl *t, struct value *ret)
{
	_cleanup_buf_ struct buf b = { 0 };
	char quote = *t->at++;

	for (; *t->at && *t->at != quote; t->at++) {
		char c = *t->at;
		if (c == '\\' && quote == '"' && t->at[1])
			c = *++t->at == 'n' ? '\n' : *t->at == 't' ? '\t' : *t->at;
		buf_add(&b, &c, 1);
	}
	if (!*t->at)
		return template_bad(t, "a string without its closing quote");
	t->at++;
	*ret = (struct value){ json_object_new_string_len(b.data ? b.data : "", (int)b.len), true, NULL };
	return ret->v && !b.failed ? 0 : err_set(t->e, ENOMEM, "out of memory");
}

static int read_number(struct tmpl *t, struct value *ret)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(t->at, &end, 10);
	if (errno || end == t->at || *end == '.')
		return template_bad(t, "unsupported number");
	t->at = end;
	*ret = (struct value){ json_object_new_int64(n), true, NULL };
	return ret->v ? 0 : err_set(t->e, ENOMEM, "out of memory");
}

static int read_parens(struct tmpl *t, struct json_object *dot, struct value *ret)
{
	int r;

	if (++t->depth > TEMPLATE_DEPTH_MAX)
		return template_bad(t, "nested too deeply");
	t->at++;
	r = template_eval(t, dot, ret);
	t->depth--;
	if (r < 0)
		return r;
	template_skip_space(t);
	if (*t->at != ')') {
		template_value_done(ret);
		return template_bad(t, "\")\" is missing");
	}
	t->at++;
	return *t->at == '.' ? walk_made(t, ret) : r;
}

static int read_operand(struct tmpl *t, struct json_object *dot, struct value *ret)
{
	int r;

	template_skip_space(t);
	*ret = (struct value){ 0 };
	if (at_label(t, dot)) {
		r = read_label(t, dot, ret);
	} else if (*t->at == '.') {
		ret->v = dot;
		r = walk(t, ret);
	} else if (*t->at == '$') {
		r = read_variable(t, ret);
	} else if (*t->at == '"' || *t->at == '`') {
		r = read_string(t, ret);
	} else if (isdigit((unsigned char)*t->at) || (*t->at == '-' && isdigit((unsigned char)t->at[1]))) {
		r = read_number(t, ret);
	} else if (*t->at == '(') {
		r = read_parens(t, dot, ret);
	} else if (template_take_word(t, "true") || template_take_word(t, "false")) {
		*ret = (struct value){ json_object_new_boolean(t->at[-2] == 'u'), true, NULL };
		r = ret->v ? 0 : err_set(t->e, ENOMEM, "out of memory");
	} else {
		return 0;
	}
	return r < 0 ? r : 1;
}

/* ---- expressions: an operand, or a function and its arguments; piped, the value is the next one's last argument ---- */

static int read_function(struct tmpl *t, const struct template_function **ret)
{
	char name[32];
	size_t n = 0;

	while (n < sizeof(name) - 1 && is_word(t->at[n])) {
		name[n] = t->at[n];
		n++;
	}
	name[n] = 0;
	if (n == 0)
		return template_bad(t, *t->at ? "unsupported syntax" : "the template ends in the middle of {{");
	*ret = template_function_find(name);
	if (!*ret)
		return err_set(t->e, EINVAL, "--format: there is no function \"%s\"; those that berth-inspect(1) lists are there",
			       name);
	t->at += n;
	return 0;
}

static int call(struct tmpl *t, struct json_object *dot, struct value *piped, struct value *ret)
{
	const struct template_function *f;
	struct value args[TEMPLATE_ARGS_MAX + 1];
	size_t n = 0;
	int r = read_function(t, &f);

	while (r >= 0 && n < TEMPLATE_ARGS_MAX) {
		r = read_operand(t, dot, &args[n]);
		if (r <= 0)
			break;
		n++;
	}
	if (r >= 0 && piped) {
		args[n++] = *piped;
		*piped = (struct value){ 0 };
	}
	if (r >= 0 && (n < f->min || n > f->max))
		r = err_set(t->e, EINVAL, "--format: %s wants %s%zu argument%s", f->name, f->min == f->max ? "" : "at least ",
			    f->min, f->min == 1 ? "" : "s");
	if (r >= 0) {
		struct value made = { NULL, true, NULL };
		r = f->call(t, args, n, &made);
		if (r >= 0)
			*ret = made;
		else
			template_value_done(&made);
	}
	for (size_t i = 0; i < n; i++)
		template_value_done(&args[i]);
	return r;
}

int template_eval(struct tmpl *t, struct json_object *dot, struct value *ret)
{
	struct value v;
	int r = read_operand(t, dot, &v);

	if (r == 0)
		r = call(t, dot, NULL, &v);
	for (;;) {
		if (r < 0)
			return r;
		template_skip_space(t);
		if (*t->at != '|')
			break;
		struct value piped = v;
		t->at++;
		template_skip_space(t);
		r = call(t, dot, &piped, &v);
		template_value_done(&piped);
	}
	*ret = v;
	return 0;
}
