/* files_diff: the upper directory of an overlayfs: what in it is its container's doing, as nodes and as a list of changes. */
#pragma once

#include "files.h"

struct upper {
	int fd;              /* O_PATH, not owned; */
	int lower;           /* and what is below it, merged */
	char *const *mounts; /* where something is mounted, relative: a place that was made for it is no change; NULL: nothing */
};
/* Through all that is in it but such places; u is borrowed until the walk has ended. */
struct walk upper_walk(struct upper *u);

/* What a listed change is: the mode of its node, which has a path and nothing else. */
enum change_kind { CHANGE_ADDED = 'A', CHANGE_CHANGED = 'C', CHANGE_DELETED = 'D' };
bool change_is_known(uint32_t mode);
/* What it changes in what is below, as docker lists it, into the sink; nothing before all of it is known. */
int files_diff(struct upper *u, struct file_sink *s, struct err *e);
