/* template.c: reads a template and evaluates it in the same pass. Blocks that are not taken are skipped by their brackets. */
#include "template_impl.h"

#include <ctype.h>

enum stop { STOP_TEXT, STOP_ELSE, STOP_END }; /* what ended a block; behind the keyword */

static int render(struct tmpl *t, struct json_object *dot, enum stop *ret_stop);

/* ---- variables: each lives until the block ends in which it was made ---- */

static void forget_variables(struct tmpl *t, size_t n)
{
	while (t->n_variables > n)
		json_object_put(t->variables[--t->n_variables].v);
}

static void set_variable(struct variable *var, struct json_object *v)
{
	json_object_get(v);
	json_object_put(var->v);
	var->v = v;
}

static int add_variable(struct tmpl *t, const char *name, struct json_object *v)
{
	if (t->n_variables == ARRAY_SIZE(t->variables))
		return template_bad(t, "too many variables");
	struct variable *var = &t->variables[t->n_variables++];
	*var = (struct variable){ .v = json_object_get(v) };
	memcpy(var->name, name, sizeof(var->name));
	return 0;
}

/* What stands in an action before its value: "$x := ", "$x = ", in range also "$i, $x := ". */
struct target {
	char names[2][TEMPLATE_NAME_MAX];
	size_t n; /* 0: nothing of the kind */
	bool is_new;
};

static void read_target(struct tmpl *t, size_t most, struct target *ret)
{
	const char *begin;

	*ret = (struct target){ 0 };
	template_skip_space(t);
	begin = t->at;
	while (ret->n < most && template_variable_name(t, ret->names[ret->n])) {
		ret->n++;
		template_skip_space(t);
		if (*t->at != ',')
			break;
		t->at++;
		template_skip_space(t);
	}
	ret->is_new = str_after(t->at, ":=");
	if (ret->n && (ret->is_new || *t->at == '=')) {
		t->at += ret->is_new ? 2 : 1;
		return;
	}
	t->at = begin; /* a value that begins with a variable */
	ret->n = 0;
}

static int put_target(struct tmpl *t, const struct target *to, size_t which, struct json_object *v)
{
	const char *name = to->names[which];
	struct variable *var;

	if (to->is_new)
		return add_variable(t, name, v);
	var = template_variable(t, name);
	if (!var)
		return err_set(t->e, EINVAL, "--format: there is no variable $%s; $%s := makes one", name, name);
	set_variable(var, v);
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
		template_skip_space(t);
		if (str_after(t->at, "/*"))
			t->at = strstr(t->at, "*/") ? strstr(t->at, "*/") : t->at;
		else if (template_take_word(t, "if") || template_take_word(t, "range") || template_take_word(t, "with")) {
			depth++;
		} else if (template_take_word(t, "end")) {
			*ret_stop = STOP_END;
			if (depth-- == 0)
				return 0;
		} else if (depth == 0 && stops_at_else && template_take_word(t, "else")) {
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
	return r < 0 ? r : template_take_close(t);
}

static int render_else(struct tmpl *t, struct json_object *dot);

/* if, and with, which binds: its value is the dot inside. */
static int render_if(struct tmpl *t, struct json_object *dot, bool binds)
{
	struct value v = { 0 };
	struct target to;
	enum stop stop = STOP_TEXT;
	size_t n_variables = t->n_variables;
	bool taken = false;

	read_target(t, 1, &to);
	int r = template_eval(t, dot, &v);
	if (r >= 0 && to.n)
		r = put_target(t, &to, 0, v.v);
	if (r >= 0)
		r = template_take_close(t);
	taken = r >= 0 && template_is_true(v.v);
	if (taken)
		r = render(t, binds ? v.v : dot, &stop);
	else if (r >= 0)
		r = skip_block(t, true, &stop);
	template_value_done(&v);
	if (r >= 0)
		r = !taken && stop == STOP_ELSE ? render_else(t, dot) : leave_block(t, stop);
	forget_variables(t, n_variables);
	return r;
}

static int render_else(struct tmpl *t, struct json_object *dot)
{
	enum stop stop = STOP_TEXT;
	int r;

	if (template_take_word(t, "if"))
		return render_if(t, dot, false);
	r = template_take_close(t);
	if (r >= 0)
		r = render(t, dot, &stop);
	if (r >= 0 && stop == STOP_ELSE)
		return template_bad(t, "a second {{else}}");
	return r < 0 ? r : leave_block(t, stop);
}

/* The body once, for one member; it is read anew each time. */
static int render_member(struct tmpl *t, const char *body, const struct target *to, struct json_object *key,
			 struct json_object *member, enum stop *ret_stop)
{
	size_t n_variables = t->n_variables;
	int r = key ? 0 : err_set(t->e, ENOMEM, "out of memory");

	if (r >= 0 && to->n == 2)
		r = put_target(t, to, 0, key);
	if (r >= 0 && to->n)
		r = put_target(t, to, to->n - 1, member);
	t->at = body;
	if (r >= 0)
		r = render(t, member, ret_stop);
	forget_variables(t, n_variables);
	json_object_put(key);
	return r;
}

static int render_each(struct tmpl *t, const struct target *to, struct json_object *list, enum stop *ret_stop)
{
	const char *body = t->at;
	int r = 0;

	if (json_object_is_type(list, json_type_array)) {
		for (size_t i = 0; r >= 0 && i < json_object_array_length(list); i++)
			r = render_member(t, body, to, json_object_new_int64((int64_t)i), json_object_array_get_idx(list, i),
					  ret_stop);
		return r;
	}
	_cleanup_free_ const char **keys = template_keys(list);
	if (!keys)
		return err_set(t->e, ENOMEM, "out of memory");
	for (const char **key = keys; r >= 0 && *key; key++)
		r = render_member(t, body, to, json_object_new_string(*key), json_object_object_get(list, *key), ret_stop);
	return r;
}

static int render_range(struct tmpl *t, struct json_object *dot)
{
	struct value v = { 0 };
	struct target to;
	enum stop stop = STOP_TEXT;

	read_target(t, 2, &to);
	int r = template_eval(t, dot, &v);
	if (r >= 0)
		r = template_take_close(t);
	bool has_members = r >= 0 && template_is_true(v.v);
	if (has_members && !json_object_is_type(v.v, json_type_array) && !json_object_is_type(v.v, json_type_object))
		r = template_bad(t, "range over what is no list");
	else if (has_members)
		r = render_each(t, &to, v.v, &stop);
	else if (r >= 0)
		r = skip_block(t, true, &stop);
	template_value_done(&v);
	if (r < 0)
		return r;
	return !has_members && stop == STOP_ELSE ? render_else(t, dot) : leave_block(t, stop);
}

static int skip_comment(struct tmpl *t)
{
	const char *end = strstr(t->at, "*/");

	if (!end)
		return template_bad(t, "a comment without its end");
	t->at = end + 2;
	return template_take_close(t);
}

/* {{VALUE}}, or {{$x := VALUE}}, which prints nothing. */
static int render_value(struct tmpl *t, struct json_object *dot)
{
	struct value v;
	struct target to;
	int r;

	read_target(t, 1, &to);
	r = template_eval(t, dot, &v);
	if (r < 0)
		return r;
	if (to.n)
		r = put_target(t, &to, 0, v.v);
	else if (!v.v && v.nothing)
		buf_str(t->out, v.nothing);
	else
		template_value(v.v, t->out);
	template_value_done(&v);
	return r < 0 ? r : template_take_close(t);
}

/* Behind "{{": 1 = a block ended, *ret_stop; 0 = done. */
static int action(struct tmpl *t, struct json_object *dot, enum stop *ret_stop)
{
	if (template_take_word(t, "end") || template_take_word(t, "else")) {
		*ret_stop = t->at[-1] == 'd' ? STOP_END : STOP_ELSE;
		return 1;
	}
	if (template_take_word(t, "if"))
		return render_if(t, dot, false);
	if (template_take_word(t, "with"))
		return render_if(t, dot, true);
	if (template_take_word(t, "range"))
		return render_range(t, dot);
	return str_after(t->at, "/*") ? skip_comment(t) : render_value(t, dot);
}

static void trim_right(struct buf *out)
{
	while (out->len && isspace((unsigned char)out->data[out->len - 1]))
		out->data[--out->len] = 0;
}

/* Until the end of the text or of the block. */
static int render(struct tmpl *t, struct json_object *dot, enum stop *ret_stop)
{
	size_t n_variables = t->n_variables;
	int r = 0;

	if (++t->depth > TEMPLATE_DEPTH_MAX)
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
	forget_variables(t, n_variables);
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
