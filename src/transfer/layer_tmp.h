/* Directories of unpacks in progress: each is locked by the process that fills it, so that leftovers of a dead one can be told
 * from work in progress. */
#pragma once

#include "transfer.h"

/* layer_tmp_new plus an flock on *ret_dirfd, atomically with regard to layers_sweep. */
int layer_tmp_new_locked(int rootfd, char **ret_name, int *ret_dirfd, struct err *e);
