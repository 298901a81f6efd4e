/* Private to image: store_check's parts. */
#pragma once

#include <stdio.h>

#include "store_private.h"

struct check {
	struct store *s;
	void (*cb)(const char *problem, void *arg);
	void *arg;
	int problems;
};
void check_report(struct check *c, const char *fmt, ...) _printf_(2, 3);
/* Layer ROOT/layers/HEX against its file list (check_layer.c). */
void check_layer(struct check *c, int layersfd, const char *hex);
