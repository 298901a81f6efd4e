/* seccomp_emit: from ranges of verdicts to a seccomp filter's instructions (classic BPF). For the compiler of containers' profiles
 * and for the lists of the VMM's threads. */
#pragma once

#include <linux/filter.h>

#include "base.h"

enum seccomp_op { OP_NE, OP_LT, OP_LE, OP_EQ, OP_GE, OP_GT, OP_MASKED_EQ };
#define SECCOMP_CHECKS_MAX 8 /* comparisons in one rule */

/* arg OP value; MASKED_EQ: (arg & mask) == value. All 64 bits count. */
struct seccomp_check {
	enum seccomp_op op;
	uint8_t arg;
	uint64_t mask, value;
};
struct seccomp_branch {
	const struct seccomp_check *checks; /* all must hold */
	size_t n_checks;
	uint32_t ret;
};
/* Branches are tried in order; ret when none holds. */
struct seccomp_leaf {
	const struct seccomp_branch *branches;
	size_t n;
	uint32_t ret;
};
/* Numbers from start up to the next range's. The first starts at 0. */
struct seccomp_range {
	uint32_t start;
	const struct seccomp_leaf *leaf;
};
struct seccomp_code {
	struct sock_filter *insns;
	size_t n, cap;
	bool failed;
};
int seccomp_emit_arch(struct seccomp_code *c, uint32_t audit_arch, const struct seccomp_range *ranges, size_t n, struct err *e);
/* What follows the last architecture. -E2BIG when the whole is longer than the kernel takes. */
int seccomp_emit_end(struct seccomp_code *c, struct err *e);
