/* Seccomp: the built filter's verdict against a plain reading of the profile, for every number of every ABI and the edges of every
 * argument that a rule looks at. */
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "seccomp_impl.h"
#include "tap.h"

/* The structs of a spec own their strings; those here are only read. */
#define S(literal) ((char[]){ literal })
#define DEFAULT_CAPS \
	((1ull << CAP_CHOWN) | (1ull << CAP_DAC_OVERRIDE) | (1ull << CAP_FOWNER) | (1ull << CAP_KILL) | (1ull << CAP_SYS_CHROOT))

/* Classic BPF as the kernel's seccomp runs it. */
static uint32_t run(const struct seccomp_prog *p, const struct seccomp_data *d)
{
	const struct sock_filter *f = p->filters;
	uint32_t a = 0;

	for (size_t pc = 0; pc < p->n_filters; pc++) {
		const struct sock_filter *i = &f[pc];
		bool t = false;
		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			ok(i->k % 4 == 0 && i->k + 4 <= sizeof *d);
			memcpy(&a, (const char *)d + i->k, 4);
			continue;
		case BPF_ALU | BPF_AND | BPF_K: a &= i->k; continue;
		case BPF_RET | BPF_K: return i->k;
		case BPF_JMP | BPF_JA: pc += i->k; continue;
		case BPF_JMP | BPF_JEQ | BPF_K: t = a == i->k; break;
		case BPF_JMP | BPF_JGT | BPF_K: t = a > i->k; break;
		case BPF_JMP | BPF_JGE | BPF_K: t = a >= i->k; break;
		default: TAP_FAIL("instruction %#x at %zu", i->code, pc);
		}
		pc += t ? i->jt : i->jf;
	}
	TAP_FAIL("the program runs off its end");
}

/* ---- the plain reading ---- */

static uint32_t action(const char *name, bool has, uint32_t no)
{
	if (strcmp(name, "SCMP_ACT_ALLOW") == 0)
		return SECCOMP_RET_ALLOW;
	if (strcmp(name, "SCMP_ACT_LOG") == 0)
		return SECCOMP_RET_LOG;
	if (strcmp(name, "SCMP_ACT_TRAP") == 0)
		return SECCOMP_RET_TRAP;
	if (strcmp(name, "SCMP_ACT_KILL_PROCESS") == 0)
		return SECCOMP_RET_KILL_PROCESS;
	if (strcmp(name, "SCMP_ACT_ERRNO") == 0)
		return SECCOMP_RET_ERRNO | (has ? no : EPERM);
	TAP_FAIL("the test does not know %s", name);
}

static bool holds(const struct spec_seccomp_arg *k, uint64_t v)
{
	static const char *const ops[] = { "NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ" };
	size_t i = 0;

	while (strcmp(k->op + strlen("SCMP_CMP_"), ops[i]) != 0)
		i++;
	switch (i) {
	case 0: return v != k->value;
	case 1: return v < k->value;
	case 2: return v <= k->value;
	case 3: return v == k->value;
	case 4: return v >= k->value;
	case 5: return v > k->value;
	default: return (v & k->value) == k->value_two;
	}
}

/* As signed 32-bit numbers the kernel's actions stand in their order (seccomp(2)). */
static bool stricter(uint32_t a, uint32_t b)
{
	return (int32_t)(a & SECCOMP_RET_ACTION_FULL) < (int32_t)(b & SECCOMP_RET_ACTION_FULL);
}

/* The rules that name one number. */
struct about {
	const struct spec_seccomp_rule *rules[64];
	size_t n;
};

static uint32_t verdict(const struct spec_seccomp *p, const struct about *about, const uint64_t args[6])
{
	bool has[2] = { false, false };
	uint32_t best[2] = { 0, 0 };

	for (size_t i = 0; i < about->n; i++) {
		const struct spec_seccomp_rule *r = about->rules[i];
		uint32_t ret = action(r->action, r->has_errno, r->errno_ret);
		bool all = true;
		for (size_t k = 0; k < r->n_args; k++)
			all &= holds(&r->args[k], args[r->args[k].index]);
		if (all && (!has[r->n_args > 0] || stricter(ret, best[r->n_args > 0]))) {
			has[r->n_args > 0] = true;
			best[r->n_args > 0] = ret;
		}
	}
	return has[1] ? best[1] : has[0] ? best[0] : action(p->default_action, p->has_default_errno, p->default_errno);
}

struct abi {
	const char *name;
	uint32_t token, arch, base, top;
};
static const struct abi abis[] = {
	{ "SCMP_ARCH_X86_64", SCMP_ARCH_X86_64, AUDIT_ARCH_X86_64, 0, 700 },
	{ "SCMP_ARCH_X86", SCMP_ARCH_X86, AUDIT_ARCH_I386, 0, 700 },
	{ "SCMP_ARCH_X32", SCMP_ARCH_X32, AUDIT_ARCH_X86_64, 0x40000000, 700 },
};

static void find_rules(const struct spec_seccomp *p, const struct abi *abi, uint32_t nr, struct about *out)
{
	char *name = seccomp_syscall_resolve_num_arch(abi->token, (int)nr);

	out->n = 0;
	for (size_t i = 0; name && i < p->n_rules; i++)
		for (char **n = p->rules[i].names; *n; n++)
			if (strcmp(*n, name) == 0 && (out->n == 0 || out->rules[out->n - 1] != &p->rules[i]))
				out->rules[out->n++] = &p->rules[i];
	free(name);
}

static size_t check(const struct spec_seccomp *p, const struct seccomp_prog *prog, const struct abi *abi,
		    const struct about *about, struct seccomp_data *d)
{
	uint64_t args[6];
	uint32_t got = run(prog, d), want;

	memcpy(args, d->args, sizeof args);
	want = verdict(p, about, args);
	if (got != want)
		TAP_FAIL("%s number %#x args %#llx %#llx %#llx: %#x, expected %#x", abi->name, (unsigned)d->nr,
			 (unsigned long long)args[0], (unsigned long long)args[1], (unsigned long long)args[2], got, want);
	return 1;
}

/* Each argument that a rule looks at takes the values around the edge, in both halves, while the others stay as they are. */
static size_t check_edges(const struct spec_seccomp *p, const struct seccomp_prog *prog, const struct abi *abi,
			  const struct about *about, struct seccomp_data *d)
{
	size_t n = check(p, prog, abi, about, d);

	for (size_t i = 0; i < about->n; i++)
		for (size_t k = 0; k < about->rules[i]->n_args; k++) {
			const struct spec_seccomp_arg *a = &about->rules[i]->args[k];
			const uint64_t v = a->value, w = a->value_two, hi = UINT64_C(1) << 32, top = UINT64_MAX << 32;
			const uint64_t edges[] = { 0,  1,         v,          v - 1,  v + 1,     v | hi,    v ^ top, v << 32,
						   w,  w - 1,     w + 1,      w | hi, w ^ top,   w | ~v,    v >> 1,  ~v,
						   ~w, INT32_MAX, UINT32_MAX, hi,     INT64_MAX, UINT64_MAX };
			for (size_t x = 0; x < ARRAY_SIZE(edges); x++) {
				uint64_t before = d->args[a->index];
				d->args[a->index] = edges[x];
				n += check(p, prog, abi, about, d);
				for (size_t other = 0; other < about->n; other++) /* pairs of arguments in one rule */
					for (size_t o = 0; o < about->rules[other]->n_args; o++)
						if (about->rules[other]->args[o].index != a->index) {
							const struct spec_seccomp_arg *b = &about->rules[other]->args[o];
							uint64_t kept = d->args[b->index];
							for (int delta = -1; delta <= 1; delta++) {
								d->args[b->index] = b->value + (uint64_t)delta;
								n += check(p, prog, abi, about, d);
							}
							d->args[b->index] = kept;
						}
				d->args[a->index] = before;
			}
		}
	return n;
}

static size_t check_profile(const struct spec_seccomp *p)
{
	static const uint32_t odd[] = { 0xffffffff, 0x7fffffff, 0x80000000, 0x3fffffff, 0x10000, 1023, 4096 };
	struct seccomp_prog prog;
	struct err e = { 0 };
	size_t n = 0;

	if (seccomp_compile(p, &prog, &e) < 0)
		TAP_FAIL("%s", e.msg);
	for (size_t i = 0; i < ARRAY_SIZE(abis); i++) {
		for (uint32_t k = 0; k < abis[i].top + ARRAY_SIZE(odd); k++) {
			struct seccomp_data d = { .arch = abis[i].arch };
			struct about about;
			uint32_t nr = k < abis[i].top ? abis[i].base + k : odd[k - abis[i].top];
			d.nr = (int)nr;
			find_rules(p, &abis[i], nr, &about);
			n += check_edges(p, &prog, &abis[i], &about, &d);
		}
	}
	seccomp_prog_done(&prog);
	return n;
}

/* A profile is freed as what it is a part of. */
static void profile_free(struct spec_seccomp *p)
{
	struct spec s;

	spec_init(&s);
	s.seccomp = p;
	spec_done(&s);
}

TEST(R18_the_default_filter_is_the_default_profile_for_every_call_and_abi)
{
	static const uint64_t caps[] = { 0, DEFAULT_CAPS, 1ull << CAP_SYS_ADMIN, UINT64_MAX };
	size_t n = 0;

#ifndef __x86_64__
	skip("the three ABIs are x86-64's");
#endif
	for (size_t i = 0; i < ARRAY_SIZE(caps); i++) {
		struct spec_seccomp *p;
		is_int(container_seccomp_default(caps[i], &p, NULL), 0);
		n += check_profile(p);
		profile_free(p);
	}
	printf("# %zu verdicts\n", n);
	ok(n > 4 * 3 * 700);
}

static char *names_of(const char *s) { return strdup(s); }

TEST(R18_every_comparison_looks_at_all_64_bits)
{
	char *ops[] = { S("SCMP_CMP_NE"), S("SCMP_CMP_LT"), S("SCMP_CMP_LE"),       S("SCMP_CMP_EQ"),
			S("SCMP_CMP_GE"), S("SCMP_CMP_GT"), S("SCMP_CMP_MASKED_EQ") };
	static const uint64_t values[] = { 0, 1, 38, 0xffffffff, 0x100000000, 0x123456789abcdef0, UINT64_MAX };
	char *actions[] = { S("SCMP_ACT_ALLOW"), S("SCMP_ACT_TRAP"), S("SCMP_ACT_LOG"), S("SCMP_ACT_KILL_PROCESS") };
	char *names[] = { names_of(S("read")), names_of("no_such_call_anywhere"), NULL };
	char *archs[] = { S("SCMP_ARCH_X86_64"), S("SCMP_ARCH_X86"), S("SCMP_ARCH_X32"), NULL };
	size_t n = 0;

#ifndef __x86_64__
	skip("the three ABIs are x86-64's");
#endif
	for (size_t o = 0; o < ARRAY_SIZE(ops); o++)
		for (size_t o2 = 0; o2 < ARRAY_SIZE(ops); o2++)
			for (size_t v = 0; v < ARRAY_SIZE(values); v++) {
				struct spec_seccomp_arg two[] = { { 1, values[v], values[v] & 0xff00ff00ff, ops[o] },
								  { 5, values[(v + o2) % 7], values[v], ops[o2] } };
				struct spec_seccomp_arg one[] = { { 2, values[v], 0, ops[o2] } };
				struct spec_seccomp_rule rules[] = {
					{ .names = names, .action = actions[v % 4], .args = two, .n_args = 2 },
					{ .names = names, .action = actions[(v + 1) % 4], .args = one, .n_args = 1 },
					{ .names = names, .action = S("SCMP_ACT_ERRNO"), .has_errno = true, .errno_ret = 7 },
				};
				struct spec_seccomp p = { .default_action = S("SCMP_ACT_ALLOW"),
							  .architectures = archs,
							  .rules = rules,
							  .n_rules = 3 };
				n += check_profile(&p);
			}
	ok(n > 100000);
	free(names[0]);
	free(names[1]);
}

/* What the rules say about socket(domain). */
struct asked {
	uint64_t domain;
	uint32_t ret;
};

static void asks(struct spec_seccomp_rule *rules, size_t n, const struct asked *rows, size_t n_rows)
{
	char *names[] = { S("socket"), NULL };
	struct spec_seccomp p = { .default_action = S("SCMP_ACT_KILL_PROCESS"), .rules = rules, .n_rules = n };
	struct seccomp_prog prog;
	struct err e = { 0 };

	for (int turn = 0; turn < 2; turn++) { /* the order of the rules says nothing */
		for (size_t i = 0; i < n; i++)
			rules[i].names = names;
		if (seccomp_compile(&p, &prog, &e) < 0)
			TAP_FAIL("%s", e.msg);
		for (size_t i = 0; i < n_rows; i++) {
			const struct seccomp_data d = { .arch = seccomp_abis[0].audit_arch,
							.nr = seccomp_syscall_resolve_name("socket"),
							.args = { rows[i].domain } };
			uint32_t got = run(&prog, &d);
			if (got != rows[i].ret)
				TAP_FAIL("socket(%llu): %#x, expected %#x", (unsigned long long)rows[i].domain, got, rows[i].ret);
		}
		seccomp_prog_done(&prog);
		struct spec_seccomp_rule first = rules[0];
		rules[0] = rules[n - 1];
		rules[n - 1] = first;
	}
}

TEST(R18_a_rule_that_names_an_argument_twice_holds_where_any_of_its_comparisons_does)
{
	struct spec_seccomp_arg args[] = { { 0, 3, 0, S("SCMP_CMP_EQ") }, { 0, 7, 0, S("SCMP_CMP_GE") } };
	struct spec_seccomp_rule rules[] = { { .action = S("SCMP_ACT_ERRNO"), .args = args, .n_args = 2 },
					     { .action = S("SCMP_ACT_ALLOW") } };
	const uint32_t refused = SECCOMP_RET_ERRNO | EPERM, fine = SECCOMP_RET_ALLOW;
	const struct asked rows[] = { { 2, fine }, { 3, refused }, { 4, fine }, { 6, fine }, { 7, refused }, { 8, refused } };

	asks(rules, 2, rows, ARRAY_SIZE(rows));
}

TEST(R18_a_refusal_with_arguments_holds_beside_a_permission_without)
{
	struct spec_seccomp_arg vsock[] = { { 0, 40, 0, S("SCMP_CMP_EQ") } };
	struct spec_seccomp_rule rules[] = { { .action = S("SCMP_ACT_ERRNO"), .args = vsock, .n_args = 1 },
					     { .action = S("SCMP_ACT_ALLOW") } };
	const struct asked rows[] = { { 39, SECCOMP_RET_ALLOW }, { 40, SECCOMP_RET_ERRNO | EPERM }, { 41, SECCOMP_RET_ALLOW } };

	asks(rules, 2, rows, ARRAY_SIZE(rows));
}

TEST(R18_a_permission_with_arguments_holds_beside_a_refusal_without)
{
	struct spec_seccomp_arg local[] = { { 0, 1, 0, S("SCMP_CMP_EQ") } };
	struct spec_seccomp_rule rules[] = { { .action = S("SCMP_ACT_ALLOW"), .args = local, .n_args = 1 },
					     { .action = S("SCMP_ACT_ERRNO") } };
	const struct asked rows[] = { { 1, SECCOMP_RET_ALLOW }, { 2, SECCOMP_RET_ERRNO | EPERM } };

	asks(rules, 2, rows, ARRAY_SIZE(rows));
}

TEST(R18_of_rules_that_overlap_the_strictest_holds)
{
	struct spec_seccomp_arg some[] = { { 0, 40, 0, S("SCMP_CMP_GE") } }, one[] = { { 0, 40, 0, S("SCMP_CMP_EQ") } };
	struct spec_seccomp_rule rules[] = { { .action = S("SCMP_ACT_ALLOW"), .args = one, .n_args = 1 },
					     { .action = S("SCMP_ACT_ERRNO"), .args = some, .n_args = 1 },
					     { .action = S("SCMP_ACT_ALLOW") },
					     { .action = S("SCMP_ACT_TRAP") } };
	const struct asked rows[] = { { 39, SECCOMP_RET_TRAP },
				      { 40, SECCOMP_RET_ERRNO | EPERM },
				      { 41, SECCOMP_RET_ERRNO | EPERM } };

	asks(rules, 4, rows, ARRAY_SIZE(rows));
}

TEST(R18_an_abi_that_the_profile_does_not_list_is_killed)
{
	char *archs[] = { S("SCMP_ARCH_X86_64"), NULL };
	struct spec_seccomp p = { .default_action = S("SCMP_ACT_ALLOW"), .architectures = archs };
	struct seccomp_prog prog;

#ifndef __x86_64__
	skip("the ABIs are x86-64's");
#endif
	is_int(seccomp_compile(&p, &prog, NULL), 0);
	is_int(run(&prog, &(struct seccomp_data){ .arch = AUDIT_ARCH_X86_64, .nr = 0 }), SECCOMP_RET_ALLOW);
	is_int(run(&prog, &(struct seccomp_data){ .arch = AUDIT_ARCH_X86_64, .nr = 0x40000000 }), SECCOMP_RET_KILL_PROCESS);
	is_int(run(&prog, &(struct seccomp_data){ .arch = AUDIT_ARCH_X86_64, .nr = 0x40000000 | 520 }), SECCOMP_RET_KILL_PROCESS);
	is_int(run(&prog, &(struct seccomp_data){ .arch = AUDIT_ARCH_I386, .nr = 1 }), SECCOMP_RET_KILL_PROCESS);
	is_int(run(&prog, &(struct seccomp_data){ .arch = AUDIT_ARCH_AARCH64, .nr = 1 }), SECCOMP_RET_KILL_PROCESS);
	is_int(run(&prog, &(struct seccomp_data){ .arch = AUDIT_ARCH_X86_64, .nr = -1 }), SECCOMP_RET_ALLOW);
	seccomp_prog_done(&prog);
}

TEST(the_default_profile_says_eperm_to_known_calls_and_enosys_to_unknown_ones)
{
	static const struct {
		const char *name;
		uint32_t ret;
	} rows[] = {
		{ "read", SECCOMP_RET_ALLOW },
		{ "mount", SECCOMP_RET_ERRNO | EPERM },
		{ "bpf", SECCOMP_RET_ERRNO | EPERM },
		{ "io_uring_setup", SECCOMP_RET_ERRNO | EPERM },
		{ "keyctl", SECCOMP_RET_ERRNO | EPERM },
		{ "clone3", SECCOMP_RET_ERRNO | ENOSYS },
		{ "chroot", SECCOMP_RET_ALLOW },
		{ "unshare", SECCOMP_RET_ERRNO | EPERM },
		{ "userfaultfd", SECCOMP_RET_ERRNO | EPERM },
		{ "ptrace", SECCOMP_RET_ALLOW },
		{ "pivot_root", SECCOMP_RET_ERRNO | EPERM },
		{ "init_module", SECCOMP_RET_ERRNO | EPERM },
	};
	struct spec_seccomp *p;
	struct seccomp_prog prog;

	is_int(container_seccomp_default(DEFAULT_CAPS, &p, NULL), 0);
	is_int(seccomp_compile(p, &prog, NULL), 0);
	printf("# %zu instructions\n", prog.n_filters);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int nr = seccomp_syscall_resolve_name(rows[i].name);
		uint32_t got = run(&prog, &(struct seccomp_data){ .arch = seccomp_abis[0].audit_arch, .nr = nr });
		if (got != rows[i].ret)
			TAP_FAIL("%s: %#x, expected %#x", rows[i].name, got, rows[i].ret);
	}
	is_int(run(&prog, &(struct seccomp_data){ .arch = AUDIT_ARCH_X86_64, .nr = 10000 }), SECCOMP_RET_ERRNO | ENOSYS);
	seccomp_prog_done(&prog);
	profile_free(p);
}

TEST(unknown_words_are_errors_that_name_them)
{
	char *archs[] = { S("SCMP_ARCH_VAX"), NULL }, *flags[] = { S("SECCOMP_FILTER_FLAG_NEW"), NULL },
	     *names[] = { S("read"), NULL };
	struct spec_seccomp_arg arg = { 0, 0, 0, S("SCMP_CMP_ALMOST") };
	struct spec_seccomp_rule rule = { .names = names, .action = S("SCMP_ACT_MAYBE") },
				 args = { .names = names, .action = S("SCMP_ACT_ALLOW"), .args = &arg, .n_args = 1 };
	char *sends[] = { S("read"), S("sendmsg"), NULL };
	struct spec_seccomp_rule send = { .names = sends, .action = S("SCMP_ACT_NOTIFY") };
	struct spec_seccomp_rule notify = { .names = names, .action = S("SCMP_ACT_NOTIFY") };
	const struct {
		struct spec_seccomp p;
		const char *word;
	} rows[] = {
		{ { .default_action = S("ALLOW") }, "\"ALLOW\"" },
		{ { .default_action = S("SCMP_ACT_ALLOW"), .architectures = archs }, "SCMP_ARCH_VAX" },
		{ { .default_action = S("SCMP_ACT_ALLOW"), .flags = flags }, "SECCOMP_FILTER_FLAG_NEW" },
		{ { .default_action = S("SCMP_ACT_ALLOW"), .rules = &rule, .n_rules = 1 }, "SCMP_ACT_MAYBE" },
		{ { .default_action = S("SCMP_ACT_ALLOW"), .rules = &args, .n_rules = 1 }, "SCMP_CMP_ALMOST" },
		{ { .default_action = S("SCMP_ACT_ALLOW"), .rules = &notify, .n_rules = 1 },
		  "SCMP_ACT_NOTIFY for \"read\" needs a listenerPath" },
		{ { .default_action = S("SCMP_ACT_NOTIFY"), .listener_path = S("/s") }, "not possible as the default action" },
		{ { .default_action = S("SCMP_ACT_ALLOW"), .rules = &send, .n_rules = 1, .listener_path = S("/s") },
		  "SCMP_ACT_NOTIFY is not possible for sendmsg" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct seccomp_prog prog;
		struct err e = { 0 };
		ok(seccomp_compile(&rows[i].p, &prog, &e) < 0);
		has_str(e.msg, rows[i].word);
	}
}

TAP_MAIN()
