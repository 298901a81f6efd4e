/* Private to engine_check: what its parts share. */
#pragma once

#include "engine_impl.h"

struct engine_check {
	struct engine *en;
	const struct check_opts *o;
	int remaining;
	uint64_t patience_end_us; /* until then what is being removed is waited for; 0: nothing was yet */
};
/* One thing that is wrong. remedy: NULL = none. */
void check_found(struct engine_check *c, const char *kind, const char *name, bool is_repaired, const char *remedy,
		 const char *fmt, ...) _printf_(6, 7);
/* check_records.c: containers, pods and volumes against their files. */
int check_objects(struct engine_check *c, struct err *e);
