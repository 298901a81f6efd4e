/* bpf: what a seccomp filter of another process says to a system call, without running it: classic BPF, read as the kernel reads it, with
 * the call's arguments left open. */
#pragma once

#include <linux/filter.h>

#include "base.h"

enum {
	BPF_MAY_PASS = 1 << 0,   /* with some arguments: ALLOW or LOG */
	BPF_MAY_REFUSE = 1 << 1, /* with some arguments: anything else */
};
/* arch: AUDIT_ARCH_*. *ret: bits of the above; with both, the arguments decide (or may: what was computed of them is not followed
 * further). -EINVAL: the kernel would not have taken it. */
int bpf_judge(const struct sock_filter *insns, size_t n, uint32_t arch, uint32_t nr, unsigned *ret);
