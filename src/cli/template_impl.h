/* template_impl: between template.c and template_functions.c. */
#pragma once

#include "template.h"

#define TEMPLATE_ARGS_MAX 16

struct tmpl {
	const char *at;           /* next byte to read */
	struct json_object *root; /* $ */
	struct buf *out;
	struct err *e;
	int depth;
};
/* A value is borrowed from the document, or made by an expression. */
struct value {
	struct json_object *v;
	bool is_made;
};
struct template_function {
	const char *name;
	size_t min, max; /* arguments */
	/* ret->v becomes a reference of the caller's. */
	int (*call)(struct tmpl *t, const struct value *args, size_t n, struct value *ret);
};
const struct template_function *template_function_find(const char *name);
bool template_is_true(struct json_object *v);
/* -EINVAL: "--format: WHY near "...". */
int template_bad(struct tmpl *t, const char *why);
