/* template: Go's text/template as docker's --format has it: fields, pipes, parentheses, {{if}} {{else if}} {{range}} {{with}} and their
 * {{else}}, variables ($x := VALUE, $x = VALUE, range $key, $value := VALUE; $ is the whole document), {{- and -}}, comments, .Label "NAME",
 * and the functions of the table in template_functions.c. Maps are walked in the order of their names. {{define}}, {{template}}, {{block}},
 * {{break}} and {{continue}} are not there. Anything else is an error that names it. Backslash escapes \t and \n in the text are honoured,
 * as docker's are. */
#pragma once

#include "codec.h"

/* Appends the result to out. data is borrowed. */
int template_render(const char *tmpl, struct json_object *data, struct buf *out, struct err *e);
/* Go's %v of a value: strings bare, lists [a b], maps map[k:v]. */
void template_value(struct json_object *v, struct buf *out);
