/* Against filters written by hand, and against what the emitter of Berth's own filters makes. */
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>

#include "bpf.h"
#include "seccomp_emit.h"
#include "tap.h"

#define LD(field)    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RET(v)       BPF_STMT(BPF_RET | BPF_K, v)
#define IF(op, k, t) BPF_JUMP(BPF_JMP | (op) | BPF_K, k, 0, t)
#define PASS         BPF_MAY_PASS
#define REFUSE       BPF_MAY_REFUSE

static unsigned judge(const struct sock_filter *f, size_t n, uint32_t arch, uint32_t nr)
{
	unsigned r = 0;

	is_int(bpf_judge(f, n, arch, nr, &r), 0);
	return r;
}

TEST(a_number_and_an_architecture_decide)
{
	const struct sock_filter f[] = { LD(arch),
					 IF(BPF_JEQ, AUDIT_ARCH_X86_64, 4),
					 LD(nr),
					 IF(BPF_JGE, 100, 1),
					 RET(SECCOMP_RET_ERRNO | 1),
					 RET(SECCOMP_RET_ALLOW),
					 RET(SECCOMP_RET_KILL_PROCESS) };

	is_int(judge(f, ARRAY_SIZE(f), AUDIT_ARCH_X86_64, 99), PASS);
	is_int(judge(f, ARRAY_SIZE(f), AUDIT_ARCH_X86_64, 100), REFUSE);
	is_int(judge(f, ARRAY_SIZE(f), AUDIT_ARCH_I386, 99), REFUSE);
}

TEST(where_an_argument_decides_both_may_be)
{
	const struct sock_filter f[] = {
		LD(nr), IF(BPF_JEQ, 16, 3), LD(args[1]), IF(BPF_JSET, 0xf0, 1), RET(SECCOMP_RET_ALLOW), RET(SECCOMP_RET_TRAP)
	};

	is_int(judge(f, ARRAY_SIZE(f), AUDIT_ARCH_X86_64, 16), PASS | REFUSE);
	is_int(judge(f, ARRAY_SIZE(f), AUDIT_ARCH_X86_64, 17), REFUSE);
}

TEST(each_action_is_one_or_the_other)
{
	static const struct {
		uint32_t action;
		unsigned want;
	} rows[] = { { SECCOMP_RET_ALLOW, PASS },         { SECCOMP_RET_LOG, PASS },           { SECCOMP_RET_ERRNO | 38, REFUSE },
		     { SECCOMP_RET_TRAP, REFUSE },        { SECCOMP_RET_TRACE, REFUSE },       { SECCOMP_RET_USER_NOTIF, REFUSE },
		     { SECCOMP_RET_KILL_THREAD, REFUSE }, { SECCOMP_RET_KILL_PROCESS, REFUSE } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct sock_filter f[] = { RET(rows[i].action) };
		is_int(judge(f, 1, AUDIT_ARCH_X86_64, 0), rows[i].want);
	}
}

TEST(arithmetic_on_what_is_known_is_followed)
{
	const struct sock_filter f[] = { LD(nr),
					 BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff),
					 BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 3),
					 BPF_STMT(BPF_MISC | BPF_TAX, 0),
					 BPF_STMT(BPF_LD | BPF_IMM, 8),
					 BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 0, 1),
					 RET(SECCOMP_RET_ALLOW),
					 RET(SECCOMP_RET_ERRNO) };

	is_int(judge(f, ARRAY_SIZE(f), AUDIT_ARCH_X86_64, 0x105), PASS);
	is_int(judge(f, ARRAY_SIZE(f), AUDIT_ARCH_X86_64, 0x106), REFUSE);
}

TEST(a_value_that_two_ways_bring_differently_is_not_known)
{
	const struct sock_filter f[] = { LD(args[0]),
					 IF(BPF_JEQ, 7, 2),
					 BPF_STMT(BPF_LD | BPF_IMM, SECCOMP_RET_ALLOW),
					 BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
					 BPF_STMT(BPF_LD | BPF_IMM, SECCOMP_RET_ERRNO),
					 BPF_STMT(BPF_RET | BPF_A, 0) };

	is_int(judge(f, ARRAY_SIZE(f), AUDIT_ARCH_X86_64, 1), PASS | REFUSE);
}

TEST(what_the_kernel_would_not_take_is_refused)
{
	const struct sock_filter beyond[] = { IF(BPF_JEQ, 0, 0) },
				 far[] = { BPF_JUMP(BPF_JMP | BPF_JA, UINT32_MAX, 0, 0), RET(0) }, open[] = { LD(nr) },
				 strange[] = { BPF_STMT(BPF_ALU | 0xb0, 0), RET(0) };
	unsigned r;

	is_int(bpf_judge(beyond, 1, 0, 0, &r), -EINVAL);
	is_int(bpf_judge(far, 2, 0, 0, &r), -EINVAL);
	is_int(bpf_judge(open, 1, 0, 0, &r), -EINVAL);
	is_int(bpf_judge(strange, 2, 0, 0, &r), -EINVAL);
	is_int(bpf_judge(open, 0, 0, 0, &r), -EINVAL);
	is_int(bpf_judge(open, BPF_MAXINSNS + 1, 0, 0, &r), -EINVAL);
}

TEST(a_filter_of_the_emitter_is_read_as_it_was_meant)
{
	const struct seccomp_check check = { OP_EQ, 1, 0, 0x5401 };
	const struct seccomp_branch branch = { &check, 1, SECCOMP_RET_ALLOW };
	const struct seccomp_leaf refuse = { .ret = SECCOMP_RET_KILL_PROCESS }, allow = { .ret = SECCOMP_RET_ALLOW },
				  some = { &branch, 1, SECCOMP_RET_KILL_PROCESS };
	const struct seccomp_range ranges[] = { { 0, &refuse }, { 3, &allow }, { 5, &refuse }, { 16, &some }, { 17, &refuse } };
	struct seccomp_code c = { 0 };

	is_int(seccomp_emit_arch(&c, AUDIT_ARCH_X86_64, ranges, ARRAY_SIZE(ranges), NULL), 0);
	is_int(seccomp_emit_end(&c, NULL), 0);
	for (uint32_t nr = 0; nr < 30; nr++)
		is_int(judge(c.insns, c.n, AUDIT_ARCH_X86_64, nr), nr == 3 || nr == 4 ? PASS : nr == 16 ? PASS | REFUSE : REFUSE);
	is_int(judge(c.insns, c.n, AUDIT_ARCH_I386, 3), REFUSE);
	free(c.insns);
}

TAP_MAIN()
