/* template_impl: between template.c (blocks), template_expr.c (values) and template_functions.c, template_text.c (functions). */
#pragma once

#include "template.h"

#define TEMPLATE_ARGS_MAX      16
#define TEMPLATE_DEPTH_MAX     32 /* of blocks and of parentheses */
#define TEMPLATE_NAME_MAX      32 /* of a variable, with its NUL */
#define TEMPLATE_VARIABLES_MAX 32

struct variable {
	char name[TEMPLATE_NAME_MAX];
	struct json_object *v; /* a reference of its own */
};
struct tmpl {
	const char *at;           /* next byte to read */
	struct json_object *root; /* $ */
	struct buf *out;
	struct err *e;
	int depth;
	struct variable variables[TEMPLATE_VARIABLES_MAX]; /* the innermost last */
	size_t n_variables;
};
/* A value is borrowed from the document, or made by an expression. */
struct value {
	struct json_object *v;
	bool is_made;
	const char *nothing; /* where v is NULL: how it prints; NULL = as Go prints what is not there */
};
struct template_function {
	const char *name;
	size_t min, max; /* arguments */
	/* ret->v becomes a reference of the caller's. */
	int (*call)(struct tmpl *t, const struct value *args, size_t n, struct value *ret);
};
const struct template_function *template_function_find(const char *name);
bool template_is_true(struct json_object *v);
/* The names of a map's members, in Go's order: sorted. NULL on ENOMEM; free() what is given, not the names. */
const char **template_keys(struct json_object *map);
/* -EINVAL: "--format: WHY near "...". */
int template_bad(struct tmpl *t, const char *why);

void template_skip_space(struct tmpl *t);
/* Takes the keyword when it stands here. */
bool template_take_word(struct tmpl *t, const char *word);
/* Takes }} or -}}, which has to stand here. */
int template_take_close(struct tmpl *t);
/* Takes $NAME when one stands here. */
bool template_variable_name(struct tmpl *t, char name[TEMPLATE_NAME_MAX]);
/* The innermost of that name, or NULL. */
struct variable *template_variable(struct tmpl *t, const char *name);
/* The expression that stands here, to where it ends; *ret is ended with template_value_done. */
int template_eval(struct tmpl *t, struct json_object *dot, struct value *ret);
void template_value_done(struct value *v);

/* template_text.c */
int template_fn_printf(struct tmpl *t, const struct value *a, size_t n, struct value *ret);
int template_fn_slice(struct tmpl *t, const struct value *a, size_t n, struct value *ret);
int template_fn_split(struct tmpl *t, const struct value *a, size_t n, struct value *ret);
int template_fn_truncate(struct tmpl *t, const struct value *a, size_t n, struct value *ret);
int template_fn_pad(struct tmpl *t, const struct value *a, size_t n, struct value *ret);
int template_fn_title(struct tmpl *t, const struct value *a, size_t n, struct value *ret);
