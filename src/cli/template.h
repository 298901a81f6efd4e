/* template: the part of Go's text/template that docker's --format is used with:
 *   text {{.Field.Sub}} {{json .Field}} {{len .List}} {{index .Map "key"}} {{index .List 0}} {{join .List ","}} {{upper .X}}
 *   {{lower .X}} {{if .X}}..{{else}}..{{end}} {{range .List}}..{{else}}..{{end}} {{with .X}}..{{end}} {{eq .A "x"}} {{ne ..}}
 *   {{not .X}} {{and ..}} {{or ..}} {{println .X}}, pipes, parentheses, $ (the whole document), {{- and -}}.
 * Anything else is an error that names it. Backslash escapes \t and \n in the text are honoured, as docker's are. */
#pragma once

#include "codec.h"

/* Appends the result to out. data is borrowed. */
int template_render(const char *tmpl, struct json_object *data, struct buf *out, struct err *e);
/* Go's %v of a value: strings bare, lists [a b], maps map[k:v]. */
void template_value(struct json_object *v, struct buf *out);
