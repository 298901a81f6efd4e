/* Device rules: their shortest form, and the eBPF program's verdicts against a plain reading of the rules. */
#include <linux/bpf.h>
#include <stdio.h>

#include "cgroup_impl.h"
#include "tap.h"

#define POLICY(p, ...)                                                              \
	struct device_policy p;                                                     \
	const struct spec_device_rule p##_rules[] = { __VA_ARGS__ };                \
	struct err p##_err = { 0 };                                                 \
	if (device_policy_make(p##_rules, ARRAY_SIZE(p##_rules), &p, &p##_err) < 0) \
	TAP_FAIL("%s", p##_err.msg)

/* Enough of an eBPF machine for what device_bpf.c emits. */
static int run(const struct bpf_insn *code, size_t n, uint32_t access_type, uint32_t major, uint32_t minor)
{
	const uint32_t ctx[3] = { access_type, major, minor };
	uint64_t reg[11] = { 0 };

	for (size_t pc = 0; pc < n; pc++) {
		const struct bpf_insn *i = &code[pc];
		uint32_t d = (uint32_t)reg[i->dst_reg];
		switch (i->code) {
		case BPF_LDX | BPF_MEM | BPF_W: reg[i->dst_reg] = ctx[i->off / 4]; break;
		case BPF_ALU | BPF_MOV | BPF_X: reg[i->dst_reg] = (uint32_t)reg[i->src_reg]; break;
		case BPF_ALU | BPF_K | BPF_AND: reg[i->dst_reg] = d & (uint32_t)i->imm; break;
		case BPF_ALU | BPF_K | BPF_RSH: reg[i->dst_reg] = d >> i->imm; break;
		case BPF_ALU64 | BPF_MOV | BPF_K: reg[i->dst_reg] = (uint64_t)(int64_t)i->imm; break;
		case BPF_JMP32 | BPF_K | BPF_JNE: pc += d != (uint32_t)i->imm ? (size_t)i->off : 0; break;
		case BPF_JMP32 | BPF_K | BPF_JEQ: pc += d == (uint32_t)i->imm ? (size_t)i->off : 0; break;
		case BPF_JMP | BPF_EXIT: return (int)reg[0];
		default: TAP_FAIL("instruction %#x at %zu", i->code, pc);
		}
	}
	TAP_FAIL("the program runs off its end");
}

/* The rules read as OCI means them: each access bit is decided by the last rule that speaks of it. */
static int expected(const struct spec_device_rule *r, size_t n, char type, uint32_t major, uint32_t minor, const char *access)
{
	for (; *access; access++) {
		/* Berth adds these behind the user's rules: mknod, the default devices (of those tested here, pts). */
		int always = *access == 'm' || (type == 'c' && major == 136), allowed = always;
		for (size_t i = 0; i < n && !always; i++)
			if ((r[i].type == 'a' || r[i].type == type) && (r[i].major < 0 || r[i].major == major) &&
			    (r[i].minor < 0 || r[i].minor == minor) && (!r[i].access[0] || strchr(r[i].access, *access)))
				allowed = r[i].allow;
		if (!allowed)
			return 0;
	}
	return 1;
}

TEST(the_default_rules_are_one_deny_and_ten_allows)
{
	struct spec s;
	struct device_policy p;

	is_int(spec_default(&s, NULL), 0);
	is_int(device_policy_make(s.resources.devices, s.resources.n_devices, &p, NULL), 0);
	ok(!p.default_allow);
	is_int(p.n, 10); /* mknod of b and c, null .. pts */
	device_policy_done(&p);
	spec_done(&s);
}

TEST(allow_all_needs_no_rule)
{
	POLICY(p, { false, 'a', -1, -1, "rwm" }, { true, 'c', 10, 200, "rwm" }, { true, 'a', -1, -1, "rwm" });
	ok(p.default_allow);
	is_int(p.n, 0);
	device_policy_done(&p);
}

TEST(a_deny_of_an_equal_allow_leaves_nothing)
{
	POLICY(p, { true, 'c', 10, 200, "rwm" }, { false, 'c', 10, 200, "rwm" });
	for (size_t i = 0; i < p.n; i++)
		ok(p.rules[i].allow && p.rules[i].major != 10);
	device_policy_done(&p);
}

TEST(a_deny_of_some_letters_leaves_the_others)
{
	POLICY(p, { true, 'c', 10, 200, "rwm" }, { false, 'c', 10, 200, "w" }, { false, 'c', -1, -1, "m" });
	bool found = false;

	for (size_t i = 0; i < p.n; i++) {
		ok(p.rules[i].allow);
		if (p.rules[i].major == 10) {
			found = true;
			is_str(p.rules[i].access, "r");
		}
	}
	ok(found);
	device_policy_done(&p);
}

TEST(default_devices_come_back_unless_their_whole_class_is_denied)
{
	POLICY(one, { true, 'a', -1, -1, "rwm" }, { false, 'c', 1, 3, "rwm" }, { false, 'c', 10, 200, "rwm" });
	is_int(one.n, 1);
	is_int(one.rules[0].major, 10);
	device_policy_done(&one);
	POLICY(all, { true, 'a', -1, -1, "rwm" }, { false, 'c', -1, -1, "rwm" });
	is_int(all.n, 1);
	ok(!all.rules[0].allow && all.rules[0].major == -1);
	device_policy_done(&all);
}

TEST(bad_rules_are_refused_by_name)
{
	struct device_policy p;
	struct err e = { 0 };

	is_int(device_policy_make(&(struct spec_device_rule){ true, 'x', 1, 1, "r" }, 1, &p, &e), -EINVAL);
	has_str(e.msg, "'x'");
	is_int(device_policy_make(&(struct spec_device_rule){ true, 'c', 1, 1, "rx" }, 1, &p, &e), -EINVAL);
	has_str(e.msg, "rx");
	is_int(device_policy_make(&(struct spec_device_rule){ true, 'c', -7, 1, "r" }, 1, &p, &e), -EINVAL);
	has_str(e.msg, "-7:1");
}

TEST(the_ebpf_program_agrees_with_the_rules)
{
	static const struct spec_device_rule base[] = {
		{ false, 'a', -1, -1, "rwm" }, { true, 'c', -1, -1, "m" },    { true, 'b', -1, -1, "m" },
		{ true, 'c', 1, 3, "rwm" },    { true, 'c', 1, 5, "rwm" },    { true, 'c', 1, 7, "rwm" },
		{ true, 'c', 1, 8, "rwm" },    { true, 'c', 1, 9, "rwm" },    { true, 'c', 5, 0, "rwm" },
		{ true, 'c', 5, 2, "rwm" },    { true, 'c', 136, -1, "rwm" }, { true, 'c', 10, 200, "r" },
		{ true, 'c', 10, 200, "w" },   { false, 'c', 136, 7, "w" },   { true, 'b', 8, -1, "rwm" },
		{ false, 'b', 8, 1, "" },      { false, 'a', 8, 2, "w" },     { true, 'c', 4294967295, 1, "r" },
	};
	static const uint32_t majors[] = { 0, 1, 5, 8, 10, 136, 4294967295 }, minors[] = { 0, 1, 2, 3, 7, 8, 200 };
	static const char *const access[] = { "r", "w", "m", "rw", "rwm", "wm" };
	struct bpf_insn *code;
	struct device_policy p;
	size_t n, checked = 0;

	is_int(device_policy_make(base, ARRAY_SIZE(base), &p, NULL), 0);
	is_int(device_bpf_assemble(&p, &code, &n), 0);
	for (size_t t = 0; t < 2; t++)
		for (size_t i = 0; i < ARRAY_SIZE(majors); i++)
			for (size_t k = 0; k < ARRAY_SIZE(minors); k++)
				for (size_t a = 0; a < ARRAY_SIZE(access); a++, checked++) {
					uint32_t bits = (strchr(access[a], 'm') ? 1u : 0) | (strchr(access[a], 'r') ? 2u : 0) |
							(strchr(access[a], 'w') ? 4u : 0);
					int got = run(code, n, bits << 16 | (t ? 1 : 2), majors[i], minors[k]);
					int want = expected(base, ARRAY_SIZE(base), "cb"[t], majors[i], minors[k], access[a]);
					if (got != want)
						TAP_FAIL("%c %u:%u %s: %d, expected %d", "cb"[t], majors[i], minors[k], access[a],
							 got, want);
				}
	is_int(checked, 2 * 7 * 7 * 6);
	free(code);
	device_policy_done(&p);
}

static unsigned next(uint64_t *seed, unsigned n)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(*seed >> 33) % n;
}

TEST(the_last_rule_decides_in_any_order_of_rules)
{
	static const char *const access[] = { "r", "w", "m", "rw", "rm", "wm", "rwm", "" };
	static const int64_t numbers[] = { -1, 8, 9 };
	uint64_t seed = 1;

	for (unsigned round = 0; round < 3000; round++) {
		struct spec_device_rule rules[7] = { { false, 'a', -1, -1, "rwm" } };
		size_t n = 2 + next(&seed, ARRAY_SIZE(rules) - 1), len;
		struct device_policy p;
		struct bpf_insn *code;
		for (size_t i = 1; i < n; i++) {
			rules[i] = (struct spec_device_rule){ next(&seed, 2), "cba"[next(&seed, 8) / 3], numbers[next(&seed, 3)],
							      numbers[next(&seed, 3)], "" };
			snprintf(rules[i].access, sizeof rules[i].access, "%s", access[next(&seed, 8)]);
			if (rules[i].type == 'a' && rules[i].major == -1 && rules[i].minor == -1)
				rules[i].major = 8; /* a new default is tested elsewhere */
		}
		is_int(device_policy_make(rules, n, &p, NULL), 0);
		is_int(device_bpf_assemble(&p, &code, &len), 0);
		for (unsigned k = 0; k < 2 * 3 * 3 * 7; k++) {
			char type = "cb"[k % 2];
			uint32_t major = 7 + k / 2 % 3, minor = 7 + k / 6 % 3;
			const char *a = access[k / 18];
			uint32_t bits = (strchr(a, 'm') ? 1u : 0) | (strchr(a, 'r') ? 2u : 0) | (strchr(a, 'w') ? 4u : 0);
			if (run(code, len, bits << 16 | (type == 'b' ? 1 : 2), major, minor) !=
			    expected(rules, n, type, major, minor, a))
				TAP_FAIL("round %u: %c %u:%u %s", round, type, major, minor, a);
		}
		free(code);
		device_policy_done(&p);
	}
}

TAP_MAIN()
