/* process: what exec is to run, from a file of the caller's or from the container's own process and options. */
#pragma once

#include "bundle.h"

/* base: the container's own. command: NULL-terminated, empty with o->process_file. ret owns all its members. */
int process_make(const struct exec_opts *o, const struct spec_process *base, char *const *command, struct spec_process *ret,
		 struct err *e);
