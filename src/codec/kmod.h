/* kmod: what Berth needs to know of a kernel module (.ko): the fields of its .modinfo section, and where its appended
 * signature begins. The files come from distribution packages or from the user: nothing in them is trusted. */
#pragma once

#include "base.h"

/* Value of the first "key=value" in the section .modinfo of a 64-bit little-endian ELF object; caller frees.
 * -ENOENT: no such key; -ENOEXEC: not such an object, or its tables point outside the file. */
int kmod_info(const void *ko, size_t n, const char *key, char **ret_value);
/* Names in "depends=" (Linux: include/linux/module.h, scripts/mod/modpost.c), underscores for dashes; NULL = none. */
int kmod_depends(const void *ko, size_t n, char ***ret_names);
/* Length of the module without its appended signature (include/linux/module_signature.h); n where it has none. */
size_t kmod_unsigned_len(const void *ko, size_t n);
/* Module names are compared with '-' and '_' alike; normalises in place and returns s. */
char *kmod_normalise(char *s);
