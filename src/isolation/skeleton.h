/* skeleton.h: between container.c and skeleton.c. */
#pragma once

#include "base.h"

/* *ret: path of the skeleton layer below root (paths->root), made when it is not there yet; caller frees. */
int skeleton_get(const char *root, char **ret, struct err *e);
