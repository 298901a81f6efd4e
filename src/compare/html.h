/* html: text that becomes part of a page. Every text of a comparison comes here, and none gets onto the page otherwise. */
#pragma once

#include "base.h"

/* Appends s as text of an element or of a quoted attribute: no markup, no character that turns the direction of what follows, no control. */
void html_text(struct buf *b, const char *s);
/* The same of an element's text; a line may break behind each '/', and what stands between two '`' is <code>. */
void html_prose(struct buf *b, const char *s);
/* fmt is ours, and every %s in it is appended by html_text; there is no other directive. */
void html_fmt(struct buf *b, const char *fmt, ...) _printf_(2, 3);
