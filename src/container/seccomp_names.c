/* The words of a profile: architectures, actions, comparisons, flags, system calls (OCI 1.2 config-linux.md §seccomp). An
 * unknown architecture, action or comparison is an error that names it. An unknown system call is no error: profiles are
 * written for more kernels and machines than one, and what a kernel lacks it answers by itself (as the other runtimes do). */
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/utsname.h>

#include "seccomp_impl.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5) /* Linux 5.19 */
#endif
#define X32_BIT 0x40000000u

const struct seccomp_abi seccomp_abis[] = {
	{ "SCMP_ARCH_X86_64", SCMP_ARCH_X86_64, AUDIT_ARCH_X86_64, 0, "x86_64" },
	{ "SCMP_ARCH_X86", SCMP_ARCH_X86, AUDIT_ARCH_I386, 0, "i686" },
	{ "SCMP_ARCH_X32", SCMP_ARCH_X32, AUDIT_ARCH_X86_64, X32_BIT, NULL },
	{ "SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64, AUDIT_ARCH_AARCH64, 0, "aarch64" },
	{ "SCMP_ARCH_ARM", SCMP_ARCH_ARM, AUDIT_ARCH_ARM, 0, "armv7l" },
	{ "SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64, AUDIT_ARCH_RISCV64, 0, "riscv64" },
};
const size_t seccomp_n_abis = ARRAY_SIZE(seccomp_abis);

/* In the kernel's order of precedence (seccomp(2)). takes_errno: the low 16 bits are data. */
static const struct {
	const char *name;
	uint32_t value;
	bool takes_errno;
} actions[] = {
	{ "SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS, false },
	{ "SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD, false },
	{ "SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD, false },
	{ "SCMP_ACT_TRAP", SECCOMP_RET_TRAP, false },
	{ "SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO, true },
	{ "SCMP_ACT_NOTIFY", SECCOMP_RET_USER_NOTIF, false },
	{ "SCMP_ACT_TRACE", SECCOMP_RET_TRACE, true },
	{ "SCMP_ACT_LOG", SECCOMP_RET_LOG, false },
	{ "SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW, false },
};

static const struct {
	const char *name;
	enum seccomp_op op;
} ops[] = {
	{ "SCMP_CMP_NE", OP_NE },
	{ "SCMP_CMP_LT", OP_LT },
	{ "SCMP_CMP_LE", OP_LE },
	{ "SCMP_CMP_EQ", OP_EQ },
	{ "SCMP_CMP_GE", OP_GE },
	{ "SCMP_CMP_GT", OP_GT },
	{ "SCMP_CMP_MASKED_EQ", OP_MASKED_EQ },
};

static const struct {
	const char *name;
	unsigned value;
} flag_names[] = {
	{ "SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC },
	{ "SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG },
	{ "SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW },
	{ "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV },
};

int seccomp_action_value(const char *action, bool has_errno, uint32_t errno_ret, uint32_t *ret, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		if (streq(actions[i].name, action)) {
			uint32_t data = has_errno ? errno_ret : EPERM;
			if (actions[i].takes_errno && data > SECCOMP_RET_DATA)
				return err_set(e, EINVAL, "seccomp: %u is too large for an errno", data);
			*ret = actions[i].value | (actions[i].takes_errno ? data : 0);
			return 0;
		}
	return err_set(e, EINVAL, "seccomp: \"%.60s\" is not an action such as SCMP_ACT_ERRNO", action);
}

unsigned seccomp_strictness(uint32_t ret)
{
	unsigned i = 0;

	while (i < ARRAY_SIZE(actions) - 1 && actions[i].value != (ret & SECCOMP_RET_ACTION_FULL))
		i++;
	return i;
}

int seccomp_op_parse(const char *op, enum seccomp_op *ret, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		if (streq(ops[i].name, op)) {
			*ret = ops[i].op;
			return 0;
		}
	return err_set(e, EINVAL, "seccomp: \"%.60s\" is not a comparison such as SCMP_CMP_EQ", op);
}

int seccomp_flags_parse(char *const *flags, unsigned *ret, struct err *e)
{
	unsigned v = 0;

	for (; flags && *flags; flags++) {
		size_t i = 0;
		while (i < ARRAY_SIZE(flag_names) && !streq(flag_names[i].name, *flags))
			i++;
		if (i == ARRAY_SIZE(flag_names))
			return err_set(e, EINVAL, "seccomp: \"%.60s\" is not a flag such as SECCOMP_FILTER_FLAG_LOG", *flags);
		v |= flag_names[i].value;
	}
	*ret = v;
	return 0;
}

/* i386 reaches sockets and System V IPC by multiplexers and, since Linux 4.3 and 5.1, by calls of their own, for which
 * libseccomp knows no number (arch/x86/entry/syscalls/syscall_32.tbl). */
static const struct {
	const char *name;
	int nr;
} i386_direct[] = {
	{ "recvmmsg", 337 },    { "sendmmsg", 345 },    { "socket", 359 },  { "socketpair", 360 }, { "bind", 361 },
	{ "connect", 362 },     { "listen", 363 },      { "accept4", 364 }, { "getsockopt", 365 }, { "setsockopt", 366 },
	{ "getsockname", 367 }, { "getpeername", 368 }, { "sendto", 369 },  { "sendmsg", 370 },    { "recvfrom", 371 },
	{ "recvmsg", 372 },     { "shutdown", 373 },    { "semget", 393 },  { "semctl", 394 },     { "shmget", 395 },
	{ "shmctl", 396 },      { "shmat", 397 },       { "shmdt", 398 },   { "msgget", 399 },     { "msgsnd", 400 },
	{ "msgrcv", 401 },      { "msgctl", 402 },
};

int64_t seccomp_nr(const struct seccomp_abi *abi, const char *name)
{
	int nr = seccomp_syscall_resolve_name_arch(abi->token, name);

	for (size_t i = 0; nr < 0 && abi->token == SCMP_ARCH_X86 && i < ARRAY_SIZE(i386_direct); i++)
		if (streq(i386_direct[i].name, name))
			nr = i386_direct[i].nr;
	/* Negative: libseccomp's pseudo numbers for calls that this ABI lacks. */
	return nr < 0 ? -1 : (int64_t)((uint32_t)nr | abi->nr_base);
}

static const struct seccomp_abi *native_abi(void)
{
	struct utsname u;

	if (uname(&u) < 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(seccomp_abis); i++)
		if (seccomp_abis[i].machine && streq(seccomp_abis[i].machine, u.machine))
			return &seccomp_abis[i];
	return NULL;
}

/* Names of the specification for machines that Berth does not run on: known words, whose calls can't occur here. */
static const char *const foreign[] = {
	"SCMP_ARCH_MIPS",        "SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL",      "SCMP_ARCH_MIPSEL64",
	"SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC",    "SCMP_ARCH_PPC64",     "SCMP_ARCH_S390",        "SCMP_ARCH_S390X",
	"SCMP_ARCH_PPC64LE",     "SCMP_ARCH_PARISC", "SCMP_ARCH_PARISC64",  "SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_M68K",
	"SCMP_ARCH_SH",          "SCMP_ARCH_SHEB",
};

int seccomp_abis_of(const struct spec_seccomp *p, const struct seccomp_abi **ret, size_t *ret_n, struct err *e)
{
	const struct seccomp_abi *native = native_abi();
	size_t n = 0;

	if (!native)
		return err_set(e, ENOTSUP, "seccomp: profiles are not supported on this machine");
	ret[n++] = native; /* always: a filter that kills every call would be nobody's wish, and it is asked first */
	for (size_t i = 0; p->architectures && p->architectures[i]; i++) {
		const char *name = p->architectures[i];
		size_t k = 0, known = 0;
		while (k < ARRAY_SIZE(seccomp_abis) && !streq(seccomp_abis[k].name, name))
			k++;
		while (k == ARRAY_SIZE(seccomp_abis) && known < ARRAY_SIZE(foreign) && !streq(foreign[known], name))
			known++;
		if (known == ARRAY_SIZE(foreign))
			return err_set(e, EINVAL, "seccomp: \"%.60s\" is not an architecture such as SCMP_ARCH_X86_64", name);
		for (size_t d = 0; d < n && k < ARRAY_SIZE(seccomp_abis); d++)
			if (ret[d] == &seccomp_abis[k])
				k = ARRAY_SIZE(seccomp_abis);
		if (k < ARRAY_SIZE(seccomp_abis))
			ret[n++] = &seccomp_abis[k];
	}
	*ret_n = n;
	return 0;
}

const char *seccomp_action_word(size_t i) { return i < ARRAY_SIZE(actions) ? actions[i].name : NULL; }

const char *seccomp_operator_word(size_t i) { return i < ARRAY_SIZE(ops) ? ops[i].name : NULL; }

const char *seccomp_arch_word(size_t i) { return i < seccomp_n_abis ? seccomp_abis[i].name : NULL; }

const char *seccomp_flag_word(size_t i) { return i < ARRAY_SIZE(flag_names) ? flag_names[i].name : NULL; }
