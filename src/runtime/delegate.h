/* delegate: which of the host's cgroups a user without root's rights may use. */
#pragma once

#include "record.h"

/* *ret: where a container's cgroup may be made and its process moved to, relative to the mount points; NULL = nowhere. */
int delegated_cgroup(const struct host *h, const char *id, char **ret, struct err *e);
