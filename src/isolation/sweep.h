/* sweep: struct isolation_ops' sweep, the same for both walls. Private to isolation. */
#pragma once

#include "isolation.h"

int sweep_cgroup(const struct host *h, const struct paths *p, const char *id, struct err *e);
