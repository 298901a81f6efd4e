/* seccomp_impl.h: what the seccomp_*.c files share; nobody else includes it.
 *
 * What a profile means here (and the built filter does exactly this, see seccomp_test.c):
 *  - a call under an ABI that the profile does not list kills the process, whatever the default action;
 *  - of the rules that name a call, those whose arguments all match are asked first, and of these the strictest action wins
 *    (the kernel's order: KILL_PROCESS, KILL_THREAD, TRAP, ERRNO, NOTIFY, TRACE, LOG, ALLOW);
 *  - then the strictest of the rules without arguments; then the default action;
 *  - the arguments of one rule must all match, but where it names an argument twice, any one is enough.
 *
 * Beside libseccomp, runc and crun: seccomp_rule_add(3) takes an argument only once in a rule (-EINVAL), so runc and crun make
 * of such a rule one rule a comparison, and profiles count on it: that is the last point. Overlapping rules are the other way
 * round: libseccomp drops every rule with arguments as soon as one without names the same call, in whatever order they come
 * and whatever the actions are, and takes the first of two without. "Allow socket" beside "refuse socket(AF_VSOCK)" lets
 * AF_VSOCK through there, without a word. Here each rule means what it says. */
#pragma once

#include <linux/filter.h>

#include "container.h"
#include "seccomp_emit.h"

/* An ABI: the name in profiles, libseccomp's token, what the kernel writes into seccomp_data.arch. Several may share that
 * (x32 is x86-64 with bit 30 of the number). */
struct seccomp_abi {
	const char *name;
	uint32_t token, audit_arch, nr_base;
	const char *machine; /* uname -m where a profile without architectures means this one */
};
extern const struct seccomp_abi seccomp_abis[];
extern const size_t seccomp_n_abis;

/* Action and errno of a rule as the kernel's return value. -EINVAL names an unknown action. */
int seccomp_action_value(const char *action, bool has_errno, uint32_t errno_ret, uint32_t *ret, struct err *e);
/* Lower is stricter. */
unsigned seccomp_strictness(uint32_t ret);
int seccomp_op_parse(const char *op, enum seccomp_op *ret, struct err *e);
/* SECCOMP_FILTER_FLAG_*. */
int seccomp_flags_parse(char *const *flags, unsigned *ret, struct err *e);
/* Number of a call under an ABI as seccomp_data.nr carries it, or -1 where it has none. */
int64_t seccomp_nr(const struct seccomp_abi *abi, const char *name);
/* The ABIs of a profile, by index into seccomp_abis; the native one when it lists none. */
int seccomp_abis_of(const struct spec_seccomp *p, const struct seccomp_abi **ret, size_t *ret_n, struct err *e);

/* What container_seccomp_default has made. */
void seccomp_profile_free(struct spec_seccomp *p);
int seccomp_compile(const struct spec_seccomp *p, struct seccomp_prog *ret, struct err *e);
