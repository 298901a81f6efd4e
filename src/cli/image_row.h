/* image_row: one image under one of its names as a row of `images`, with docker's keys and wording. */
#pragma once

#include "cli.h"
#include "output.h"

/* ref NULL: it has no name. */
int image_row(const struct image_record *i, const char *ref, bool no_trunc, struct json_object **ret, struct err *e);

/* ---- image_filter.c: what --filter picks of images, beside their names ---- */
/* Of before=IMAGE, since=IMAGE and until=TIME: made after, before. All zero: whatever. */
struct image_span {
	uint64_t after_ns, before_ns;
};
/* Reads them, and checks dangling=true|false. */
int image_filters_read(struct cli *c, char *const *filters, struct image_span *ret, struct err *e);
bool image_in_span(const struct image_record *i, const struct image_span *s);
/* label, label!; true for any other key. */
bool image_filter_matches(const struct image_record *i, const char *key, const char *value);
