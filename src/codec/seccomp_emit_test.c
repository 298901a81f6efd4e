/* Filters, run here: what the instructions say of a call is what the ranges said. */
#include "seccomp_emit.h"

#include <linux/audit.h>
#include <linux/seccomp.h>

#include "tap.h"

/* The few instructions of classic BPF that seccomp filters are made of. */
static uint32_t verdict(const struct seccomp_code *c, const struct seccomp_data *d)
{
	uint32_t a = 0;

	for (size_t at = 0; at < c->n; at++) {
		const struct sock_filter *i = &c->insns[at];

		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS: memcpy(&a, (const char *)d + i->k, sizeof(a)); break;
		case BPF_ALU | BPF_AND | BPF_K: a &= i->k; break;
		case BPF_JMP | BPF_JA: at += i->k; break;
		case BPF_JMP | BPF_K | BPF_JEQ: at += a == i->k ? i->jt : i->jf; break;
		case BPF_JMP | BPF_K | BPF_JGE: at += a >= i->k ? i->jt : i->jf; break;
		case BPF_JMP | BPF_K | BPF_JGT: at += a > i->k ? i->jt : i->jf; break;
		case BPF_RET | BPF_K: return i->k;
		default: TAP_FAIL("instruction %#x", i->code);
		}
	}
	TAP_FAIL("beyond the end");
	return 0;
}

static uint32_t of_arg(const struct seccomp_code *c, unsigned arg, uint64_t value)
{
	struct seccomp_data d = { .nr = 16, .arch = AUDIT_ARCH_X86_64 };

	d.args[arg] = value;
	return verdict(c, &d);
}

static struct seccomp_code filter(const struct seccomp_branch *b, size_t n)
{
	const struct seccomp_leaf refuse = { .ret = SECCOMP_RET_ERRNO }, leaf = { b, n, SECCOMP_RET_ERRNO };
	const struct seccomp_range ranges[] = { { 0, &refuse }, { 16, &leaf }, { 17, &refuse } };
	struct seccomp_code c = { 0 };

	is_int(seccomp_emit_arch(&c, AUDIT_ARCH_X86_64, ranges, ARRAY_SIZE(ranges), NULL), 0);
	is_int(seccomp_emit_end(&c, NULL), 0);
	return c;
}

/* Values of one argument are one comparison each: with more of them than a jump reaches, and with all 64 bits looked at. */
TEST(each_of_many_values_of_an_argument_holds_and_no_other)
{
	enum { MANY = 400 };
	static struct seccomp_check checks[MANY];
	static struct seccomp_branch branches[MANY];
	struct seccomp_code c;

	for (unsigned i = 0; i < MANY; i++) {
		checks[i] = (struct seccomp_check){ .op = OP_EQ, .arg = 1, .mask = UINT64_MAX, .value = 0x8004ae00u + 3ull * i };
		branches[i] = (struct seccomp_branch){ &checks[i], 1, SECCOMP_RET_ALLOW };
	}
	c = filter(branches, MANY);
	for (unsigned i = 0; i < 3 * MANY + 3; i++) {
		uint64_t value = 0x8004ae00u + i;

		is_int(of_arg(&c, 1, value), i % 3 == 0 && i < 3 * MANY ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO);
		is_int(of_arg(&c, 1, value | 1ull << 32), SECCOMP_RET_ERRNO);
		is_int(of_arg(&c, 0, value), SECCOMP_RET_ERRNO);
	}
	printf("# %d values: %zu instructions\n", MANY, c.n);
	ok(c.n < MANY + MANY / 4);
	free(c.insns);
}

TEST(values_that_differ_in_more_than_the_lower_half_are_told_apart)
{
	static const struct seccomp_check checks[] = {
		{ OP_EQ, 2, UINT64_MAX, 5 },
		{ OP_EQ, 2, UINT64_MAX, 7 },
		{ OP_EQ, 2, UINT64_MAX, 7 | 1ull << 40 }, /* another upper half */
		{ OP_MASKED_EQ, 2, 0xf0, 0x10 },          /* another mask */
		{ OP_MASKED_EQ, 2, 0xf0, 0x20 },
		{ OP_EQ, 3, UINT64_MAX, 9 }, /* another argument */
		{ OP_GT, 3, 0, 1ull << 50 }, /* another comparison */
	};
	struct seccomp_branch branches[ARRAY_SIZE(checks)];
	const struct {
		unsigned arg;
		uint64_t value;
		bool holds;
	} rows[] = { { 2, 5, true },
		     { 2, 6, false },
		     { 2, 7, true },
		     { 2, 5 | 1ull << 40, false },
		     { 2, 7 | 1ull << 40, true },
		     { 2, 0x11, true },
		     { 2, 0x1ff2f, true },
		     { 2, 0x30, false },
		     { 2, 1ull << 60 | 0x10, true },
		     { 3, 9, true },
		     { 3, 5, false },
		     { 3, (1ull << 50) + 1, true },
		     { 3, 1ull << 50, false } };
	struct seccomp_code c;

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
		branches[i] = (struct seccomp_branch){ &checks[i], 1, SECCOMP_RET_ALLOW };
	c = filter(branches, ARRAY_SIZE(checks));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if ((of_arg(&c, rows[i].arg, rows[i].value) == SECCOMP_RET_ALLOW) != rows[i].holds)
			TAP_FAIL("row %zu", i);
	free(c.insns);
}

/* Two checks of one branch hold together; neighbours with other ends keep them. */
TEST(branches_with_several_checks_or_other_verdicts_are_not_joined)
{
	static const struct seccomp_check one[] = { { OP_EQ, 0, UINT64_MAX, 1 } }, two[] = { { OP_EQ, 0, UINT64_MAX, 2 } },
					  both[] = { { OP_EQ, 0, UINT64_MAX, 3 }, { OP_EQ, 1, UINT64_MAX, 4 } };
	const struct seccomp_branch branches[] = { { one, 1, SECCOMP_RET_ALLOW },
						   { two, 1, SECCOMP_RET_TRAP },
						   { both, 2, SECCOMP_RET_ALLOW } };
	struct seccomp_code c = filter(branches, ARRAY_SIZE(branches));
	struct seccomp_data d = { .nr = 16, .arch = AUDIT_ARCH_X86_64, .args = { 3, 4 } };

	is_int(of_arg(&c, 0, 1), SECCOMP_RET_ALLOW);
	is_int(of_arg(&c, 0, 2), SECCOMP_RET_TRAP);
	is_int(of_arg(&c, 0, 3), SECCOMP_RET_ERRNO);
	is_int(verdict(&c, &d), SECCOMP_RET_ALLOW);
	free(c.insns);
}

TAP_MAIN()
