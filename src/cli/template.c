/* template.c: reads a template and evaluates it in the same pass. Blocks that are not taken are skipped by their brackets. */
#include "template_impl.h"

#include <ctype.h>

#define DEPTH_MAX 32 /* of blocks and of parentheses */

enum stop { STOP_TEXT, STOP_ELSE, STOP_END }; /* what ended a block; behind the keyword */

static int eval(struct tmpl *t, struct json_object *dot, struct value *ret);
static int render(struct tmpl *t, struct json_object *dot, enum stop *ret_stop);

int template_bad(struct tmpl *t, const char *why) { return err_set(t->e, EINVAL, "--format: %s near \"%.24s\"", why, t->at); }

static void value_done(struct value *v)
{
	if (v->is_made)
		json_object_put(v->v);
	*v = (struct value){ 0 };
}

/* ---- words ---- */

static void skip_space(struct tmpl *t)
{
	while (isspace((unsigned char)*t->at))
		t->at++;
}

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

static bool at_close(const struct tmpl *t) { return strncmp(t->at, "}}", 2) == 0 || strncmp(t->at, "-}}", 3) == 0; }

/* Takes the keyword when it stands here. */
static bool take_word(struct tmpl *t, const char *word)
{
	size_t n = strlen(word);

	skip_space(t);
	if (strncmp(t->at, word, n) != 0 || is_word(t->at[n]))
		return false;
	t->at += n;
	return true;
}

static int take_close(struct tmpl *t)
{
	skip_space(t);
	if (!at_close(t))
		return template_bad(t, *t->at ? "unsupported syntax" : "\"}}\" is missing");
	bool trims = *t->at == '-';
	t->at += trims ? 3 : 2;
	if (trims)
		skip_space(t);
	return 0;
}

/* ---- operands ---- */

/* .A.B beginning at v. A member that the map lacks is an error: it is nearly always a misspelling. */
static int walk(struct tmpl *t, struct json_object *v, struct json_object **ret)
{
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
		/* There the names are the user's, and one that is not there is no misspelling. */
		bool is_users = streq(before, "Attributes") || streq(before, "Labels");
		if (v && !json_object_object_get_ex(v, name, &next) && !is_users)
			return err_set(t->e, EINVAL, "--format: there is no field .%s; '{{json .}}' shows what there is", name);
		v = next;
		memcpy(before, name, sizeof(before));
	}
	*ret = v;
	return 0;
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
	*ret = (struct value){ json_object_new_string_len(b.data ? b.data : "", (int)b.len), true };
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
	*ret = (struct value){ json_object_new_int64(n), true };
	return ret->v ? 0 : err_set(t->e, ENOMEM, "out of memory");
}

static int read_parens(struct tmpl *t, struct json_object *dot, struct value *ret)
{
	int r;

	if (++t->depth > DEPTH_MAX)
		return template_bad(t, "nested too deeply");
	t->at++;
	r = eval(t, dot, ret);
	t->depth--;
	if (r < 0)
		return r;
	skip_space(t);
	if (*t->at != ')') {
		value_done(ret);
		return template_bad(t, "\")\" is missing");
	}
	t->at++;
	if (*t->at == '.') {
		struct value inner = *ret;
		r = walk(t, inner.v, &ret->v);
		ret->is_made = true;
		if (r >= 0)
			json_object_get(ret->v);
		value_done(&inner);
	}
	return r;
}

/* 1 and *ret, 0 when no operand stands here. */
static int read_operand(struct tmpl *t, struct json_object *dot, struct value *ret)
{
	int r;

	skip_space(t);
	*ret = (struct value){ 0 };
	if (*t->at == '.') {
		r = walk(t, dot, &ret->v);
	} else if (*t->at == '$' && !is_word(t->at[1])) {
		t->at++;
		ret->v = t->root;
		r = *t->at == '.' ? walk(t, t->root, &ret->v) : 0;
	} else if (*t->at == '"' || *t->at == '`') {
		r = read_string(t, ret);
	} else if (isdigit((unsigned char)*t->at) || (*t->at == '-' && isdigit((unsigned char)t->at[1]))) {
		r = read_number(t, ret);
	} else if (*t->at == '(') {
		r = read_parens(t, dot, ret);
	} else if (take_word(t, "true") || take_word(t, "false")) {
		*ret = (struct value){ json_object_new_boolean(t->at[-2] == 'u'), true };
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
		return err_set(t->e, EINVAL,
			       "--format: function \"%s\" is not supported; json, len, index, join, upper, lower, eq, ne, not, "
			       "and, or and println are",
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
		struct value made = { NULL, true };
		r = f->call(t, args, n, &made);
		if (r >= 0)
			*ret = made;
	}
	for (size_t i = 0; i < n; i++)
		value_done(&args[i]);
	return r;
}

static int eval(struct tmpl *t, struct json_object *dot, struct value *ret)
{
	struct value v;
	int r = read_operand(t, dot, &v);

	if (r == 0)
		r = call(t, dot, NULL, &v);
	for (;;) {
		if (r < 0)
			return r;
		skip_space(t);
		if (*t->at != '|')
			break;
		struct value piped = v;
		t->at++;
		skip_space(t);
		r = call(t, dot, &piped, &v);
		value_done(&piped);
	}
	*ret = v;
	return 0;
}

/* ---- blocks ---- */

/* To the "else" or "end" of the block whose inside begins here; nested blocks are passed over. */
static int skip_block(struct tmpl *t, bool stops_at_else, enum stop *ret_stop)
{
	int depth = 0;

	for (;;) {
		const char *open = strstr(t->at, "{{");
		if (!open)
			return err_set(t->e, EINVAL, "--format: {{end}} is missing");
		t->at = open + 2;
		if (*t->at == '-')
			t->at++;
		if (take_word(t, "if") || take_word(t, "range") || take_word(t, "with")) {
			depth++;
		} else if (take_word(t, "end")) {
			*ret_stop = STOP_END;
			if (depth-- == 0)
				return 0;
		} else if (depth == 0 && stops_at_else && take_word(t, "else")) {
			*ret_stop = STOP_ELSE;
			return 0;
		}
	}
}

/* From behind a block's taken part to behind its "end". */
static int leave_block(struct tmpl *t, enum stop stop)
{
	int r = 0;

	if (stop == STOP_TEXT)
		return err_set(t->e, EINVAL, "--format: {{end}} is missing");
	if (stop == STOP_ELSE)
		r = skip_block(t, false, &stop);
	return r < 0 ? r : take_close(t);
}

static int render_else(struct tmpl *t, struct json_object *dot);

static int render_if(struct tmpl *t, struct json_object *dot, bool binds)
{
	struct value v;
	enum stop stop = STOP_TEXT;
	int r = eval(t, dot, &v);

	if (r < 0)
		return r;
	bool taken = template_is_true(v.v);
	r = take_close(t);
	if (r >= 0 && taken)
		r = render(t, binds ? v.v : dot, &stop);
	else if (r >= 0)
		r = skip_block(t, true, &stop);
	value_done(&v);
	if (r < 0)
		return r;
	return !taken && stop == STOP_ELSE ? render_else(t, dot) : leave_block(t, stop);
}

static int render_else(struct tmpl *t, struct json_object *dot)
{
	enum stop stop = STOP_TEXT;
	int r;

	if (take_word(t, "if"))
		return render_if(t, dot, false);
	r = take_close(t);
	if (r >= 0)
		r = render(t, dot, &stop);
	if (r >= 0 && stop == STOP_ELSE)
		return template_bad(t, "a second {{else}}");
	return r < 0 ? r : leave_block(t, stop);
}

/* Calls the body for each member; the body is read anew each time. */
static int render_each(struct tmpl *t, struct json_object *list, enum stop *ret_stop)
{
	const char *body = t->at;
	int r = 0;

	if (json_object_is_type(list, json_type_array)) {
		for (size_t i = 0; r >= 0 && i < json_object_array_length(list); i++) {
			t->at = body;
			r = render(t, json_object_array_get_idx(list, i), ret_stop);
		}
		return r;
	}
	json_object_object_foreach(list, key, member)
	{
		(void)key;
		t->at = body;
		r = render(t, member, ret_stop);
		if (r < 0)
			break;
	}
	return r;
}

static int render_range(struct tmpl *t, struct json_object *dot)
{
	struct value v;
	enum stop stop = STOP_TEXT;
	int r;

	skip_space(t);
	if (*t->at == '$')
		return template_bad(t, "variables are not supported");
	r = eval(t, dot, &v);
	if (r < 0)
		return r;
	r = take_close(t);
	bool has_members = template_is_true(v.v);
	if (r >= 0 && has_members && !json_object_is_type(v.v, json_type_array) && !json_object_is_type(v.v, json_type_object))
		r = template_bad(t, "range over what is no list");
	if (r >= 0 && has_members)
		r = render_each(t, v.v, &stop);
	else if (r >= 0)
		r = skip_block(t, true, &stop);
	value_done(&v);
	if (r < 0)
		return r;
	return !has_members && stop == STOP_ELSE ? render_else(t, dot) : leave_block(t, stop);
}

/* Behind "{{": 1 = a block ended, *ret_stop; 0 = done. */
static int action(struct tmpl *t, struct json_object *dot, enum stop *ret_stop)
{
	struct value v;
	int r;

	if (take_word(t, "end") || take_word(t, "else")) {
		*ret_stop = t->at[-1] == 'd' ? STOP_END : STOP_ELSE;
		return 1;
	}
	if (take_word(t, "if"))
		return render_if(t, dot, false);
	if (take_word(t, "with"))
		return render_if(t, dot, true);
	if (take_word(t, "range"))
		return render_range(t, dot);
	if (*t->at == '$' && is_word(t->at[1]))
		return template_bad(t, "variables are not supported");
	r = eval(t, dot, &v);
	if (r < 0)
		return r;
	template_value(v.v, t->out);
	value_done(&v);
	return take_close(t);
}

static void trim_right(struct buf *out)
{
	while (out->len && isspace((unsigned char)out->data[out->len - 1]))
		out->data[--out->len] = 0;
}

/* Until the end of the text or of the block. */
static int render(struct tmpl *t, struct json_object *dot, enum stop *ret_stop)
{
	int r = 0;

	if (++t->depth > DEPTH_MAX)
		return template_bad(t, "nested too deeply");
	*ret_stop = STOP_TEXT;
	while (r == 0 && *t->at) {
		if (strncmp(t->at, "{{", 2) != 0) {
			buf_add(t->out, t->at++, 1);
			continue;
		}
		t->at += 2;
		if (*t->at == '-' && isspace((unsigned char)t->at[1])) {
			t->at++;
			trim_right(t->out);
		}
		r = action(t, dot, ret_stop);
	}
	t->depth--;
	return r < 0 ? r : 0;
}

/* The shell gives \t and \n as two characters; docker's CLI turns them into one. */
static char *unescape(const char *s)
{
	char *copy = strdup(s), *w = copy;

	for (; copy && *s; s++) {
		if (s[0] == '\\' && (s[1] == 't' || s[1] == 'n')) {
			*w++ = s[1] == 't' ? '\t' : '\n';
			s++;
		} else {
			*w++ = *s;
		}
	}
	if (copy)
		*w = 0;
	return copy;
}

int template_render(const char *tmpl, struct json_object *data, struct buf *out, struct err *e)
{
	_cleanup_free_ char *text = unescape(tmpl);
	struct tmpl t = { .at = text, .root = data, .out = out, .e = e };
	enum stop stop = STOP_TEXT;
	int r = text ? render(&t, data, &stop) : err_set(e, ENOMEM, "out of memory");

	if (r >= 0 && stop != STOP_TEXT)
		r = err_set(e, EINVAL, "--format: {{%s}} without a block", stop == STOP_END ? "end" : "else");
	if (r >= 0 && out->failed)
		r = err_set(e, ENOMEM, "out of memory");
	return r;
}
