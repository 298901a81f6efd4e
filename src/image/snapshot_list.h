/* Private to image: what snapshot.c and snapshot_list.c share. */
#pragma once

#include "image.h"

/* err_set with the kernel's own words, read from the filesystem context. */
int snapshot_error(int fsfd, int no, const char *what, struct err *e);
/* Upper, work, flags, create, fsmount: what follows once the layers are set. */
int snapshot_finish(int fsfd, const struct snapshot *s, int *ret_mountfd, struct err *e);
/* snapshot_mount for kernels without `lowerdir+`; fits more layers than any image may have (512). */
int snapshot_mount_list(const struct snapshot *s, int *ret_mountfd, struct err *e);
