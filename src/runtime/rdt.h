/* rdt: Intel's Resource Director Technology, by the kernel's resctrl file system (arch/x86/resctrl.rst). */
#pragma once

#include "base.h"

#define RDT_ROOT "/sys/fs/resctrl"

/* Puts the process and the threads it has into group `id`, made where missing, and writes the schemas (NULL or "" = none).
 * -ENOTSUP names what this host lacks. root: where resctrl is mounted. */
int rdt_update(const char *root, const char *id, pid_t pid, const char *l3_schema, const char *bw_schema, struct err *e);
