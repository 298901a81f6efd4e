/* audit: a berth-probe that runs inside a workload, as the `berth` program has started it, and what it says. It is asked on a pipe and
 * stays until its standard input ends, so that what carries the workload can be looked at meanwhile. */
#pragma once

#include "base.h"

struct audit_probe {
	pid_t pid;   /* of the berth that runs it; 0: none */
	int in, out; /* its standard input and output */
};
#define AUDIT_PROBE_NONE  \
	{                 \
		0, -1, -1 \
	}

/* argv[0]: an absolute path. It ends when we do. */
int audit_start(char *const *argv, struct audit_probe *ret, struct err *e);
/* Its one line, without the newline; caller frees. At most max bytes (-EFBIG) and timeout_ms (-ETIMEDOUT). -ENODATA: it has ended without one, and
 * whoever ran it has told why on standard error. */
int audit_read(struct audit_probe *p, size_t max, uint64_t timeout_ms, char **ret_line, struct err *e);
/* Lets it go and waits for its end, by force after timeout_ms. Exit status; AUDIT_PROBE_NONE afterwards. */
int audit_end(struct audit_probe *p, uint64_t timeout_ms);
