/* image_row: one image under one of its names as a row of `images`, with docker's keys and wording. */
#pragma once

#include "cli.h"
#include "output.h"

/* ref NULL: it has no name. */
int image_row(const struct image_record *i, const char *ref, bool no_trunc, struct json_object **ret, struct err *e);
