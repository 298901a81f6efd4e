/* rdt: Intel's Resource Director Technology, by the kernel's resctrl file system (arch/x86/resctrl.rst). */
#pragma once

#include "base.h"

#define RDT_ROOT "/sys/fs/resctrl"
#define RDT_MARK "rdt" /* in the record's directory: update has made a group of the container's id */

/* Puts the process and the threads it has into a group, made where missing, and writes the schemas (NULL or "" = none).
 * -ENOTSUP names what this host lacks. root: where resctrl is mounted. */
int rdt_group_update(const char *root, const char *name, pid_t pid, const char *l3_schema, const char *bw_schema, struct err *e);
/* The group goes; 0 also where there is none. Its processes return to the default one. */
int rdt_group_remove(const char *root, const char *name, struct err *e);
