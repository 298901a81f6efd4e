/* Asking for system calls behind filters that the test sets itself, so that it knows the answers. */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "tap.h"
#include "inside.h"

#define LD(field)       BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RET(v)          BPF_STMT(BPF_RET | BPF_K, v)
#define IF_NR(nr, then) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), RET(then)
#define NATIVE(n)                       \
	{                               \
		CALL_X86_64, (n), { 0 } \
	}

static int set(struct sock_filter *insns, size_t n, unsigned flags)
{
	struct sock_fprog prog = { .len = (unsigned short)n, .filter = insns };
	long fd;

	ok(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
	ok(fd >= 0);
	return (int)fd;
}

static void ask(const struct call_asked *asked, size_t n, enum call_answer *ret, enum call_way want)
{
	enum call_way way;

	is_int(calls_ask(asked, n, ret, &way), 0);
	is_int(way, want);
}

TEST(without_a_filter_all_is_reached_and_nothing_is_made)
{
	static const struct call_asked asked[] = { NATIVE(SYS_getpid), NATIVE(SYS_exit_group), NATIVE(SYS_exit),
						   NATIVE(SYS_reboot), NATIVE(SYS_fork),       NATIVE(SYS_vhangup),
						   NATIVE(511) };
	enum call_answer a[ARRAY_SIZE(asked)];

	ask(asked, ARRAY_SIZE(asked), a, CALL_BY_NOTIFY);
	for (size_t i = 0; i < ARRAY_SIZE(asked); i++)
		is_int(a[i], CALL_REACHED);
	ok(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

TEST(each_way_of_refusing_is_told_from_what_is_let_through)
{
	struct sock_filter insns[] = { LD(nr),
				       IF_NR(SYS_mkdir, SECCOMP_RET_ERRNO | EPERM),
				       IF_NR(SYS_rmdir, SECCOMP_RET_ERRNO | ENOSYS),
				       IF_NR(SYS_mount, SECCOMP_RET_KILL_PROCESS),
				       IF_NR(SYS_umount2, SECCOMP_RET_KILL_THREAD),
				       IF_NR(SYS_pivot_root, SECCOMP_RET_TRAP),
				       IF_NR(SYS_swapon, SECCOMP_RET_LOG),
				       RET(SECCOMP_RET_ALLOW) };
	static const struct call_asked asked[] = { NATIVE(SYS_mkdir),   NATIVE(SYS_rmdir),  NATIVE(SYS_mount),
						   NATIVE(SYS_umount2), NATIVE(SYS_acct),   NATIVE(SYS_pivot_root),
						   NATIVE(SYS_swapon),  NATIVE(SYS_swapoff) };
	static const enum call_answer want[] = { CALL_REFUSED, CALL_REFUSED, CALL_KILLED,  CALL_KILLED,
						 CALL_REACHED, CALL_KILLED,  CALL_REACHED, CALL_REACHED };
	enum call_answer a[ARRAY_SIZE(asked)];

	set(insns, ARRAY_SIZE(insns), 0);
	ask(asked, ARRAY_SIZE(asked), a, CALL_BY_NOTIFY);
	for (size_t i = 0; i < ARRAY_SIZE(asked); i++)
		is_int(a[i], want[i]);
}

TEST(arguments_decide_where_a_filter_looks_at_them)
{
	struct sock_filter insns[] = { LD(nr), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3), LD(args[0]),
				       IF_NR(40, SECCOMP_RET_ERRNO | EAFNOSUPPORT), RET(SECCOMP_RET_ALLOW) };
	static const struct call_asked asked[] = { { CALL_X86_64, SYS_socket, { 40, 1 } },
						   { CALL_X86_64, SYS_socket, { 1, 1 } } };
	enum call_answer a[ARRAY_SIZE(asked)];

	set(insns, ARRAY_SIZE(insns), 0);
	ask(asked, ARRAY_SIZE(asked), a, CALL_BY_NOTIFY);
	is_int(a[0], CALL_REFUSED);
	is_int(a[1], CALL_REACHED);
}

TEST(a_filter_that_kills_a_foreign_abi_closes_all_of_it)
{
	struct sock_filter insns[] = { LD(arch), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
				       RET(SECCOMP_RET_KILL_PROCESS), RET(SECCOMP_RET_ALLOW) };
	struct call_asked asked[100];
	enum call_answer a[ARRAY_SIZE(asked)];

	for (size_t i = 0; i < ARRAY_SIZE(asked); i++)
		asked[i] = (struct call_asked){ i < 90 ? CALL_I386 : CALL_X86_64, (uint32_t)i, { 0 } };
	set(insns, ARRAY_SIZE(insns), 0);
	ask(asked, ARRAY_SIZE(asked), a, CALL_BY_NOTIFY);
	for (size_t i = 0; i < ARRAY_SIZE(asked); i++)
		is_int(a[i], i < 90 ? CALL_KILLED : CALL_REACHED);
}

TEST(an_abi_that_the_kernel_lacks_is_no_way_in)
{
	static const struct call_asked asked[] = { { CALL_I386, 20, { 0 } }, { CALL_X32, SYS_getpid, { 0 } } };
	enum call_answer a[ARRAY_SIZE(asked)];

	ask(asked, ARRAY_SIZE(asked), a, CALL_BY_NOTIFY);
	is_int(a[1] == CALL_REACHED, syscall(0x40000000 | SYS_getpid) > 0);
	ok(a[0] == CALL_REACHED || a[0] == CALL_NO_ABI);
}

TEST(behind_another_supervisor_it_is_asked_less_exactly_and_says_so)
{
	struct sock_filter insns[] = { LD(nr), IF_NR(SYS_mkdir, SECCOMP_RET_ERRNO | EPERM), RET(SECCOMP_RET_ALLOW) };
	static const struct call_asked asked[] = { NATIVE(SYS_mkdir), NATIVE(SYS_rmdir), NATIVE(SYS_reboot) };
	enum call_answer a[ARRAY_SIZE(asked)];

	set(insns, ARRAY_SIZE(insns), SECCOMP_FILTER_FLAG_NEW_LISTENER);
	ask(asked, ARRAY_SIZE(asked), a, CALL_BY_TRACE);
	is_int(a[0], CALL_REFUSED);
	is_int(a[1], CALL_REACHED);
	is_int(a[2], CALL_REACHED);
}

TEST(where_filters_cannot_be_set_it_says_why)
{
	struct sock_filter insns[] = { LD(nr), IF_NR(SYS_seccomp, SECCOMP_RET_ERRNO | EACCES), RET(SECCOMP_RET_ALLOW) };
	static const struct call_asked asked[] = { NATIVE(SYS_mkdir) };
	enum call_answer a[1];
	enum call_way way;

	set(insns, ARRAY_SIZE(insns), 0);
	is_int(calls_ask(asked, 1, a, &way), -EACCES);
}

TAP_MAIN()
