/* What berth-transfer gives up before it hears the first byte from the network. */
#pragma once

#include "base.h"

/* no_new_privs; no core dumps (they would hold passwords); Landlock (skipped with a debug line where the kernel has none):
 * writes beneath rootfd (and to /dev/null) only, reads of system folders, of /proc, of ROOT and of `readable` (NULL-terminated, entries that are
 * missing are skipped); a seccomp deny list: no exec, no ptrace, no mounts, no kernel modules, keys, bpf and the like
 * (EPERM). Inherited by the unpackers, which narrow it further. */
int confine_transfer(int rootfd, const char *const *readable, struct err *e);
