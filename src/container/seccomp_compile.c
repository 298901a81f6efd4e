/* A profile as classic BPF. libseccomp gives the numbers of the calls; the program is laid out here, because what costs at the
 * start of a container is its length (the kernel checks and translates every instruction): calls that follow each other
 * with one verdict become one range, and the ranges a binary tree. Docker's profile for three ABIs is some 400
 * instructions that way; one comparison a call makes it 3,000.
 *
 *   arch == A ? -> tree of A's ranges, a leaf is one `return`, or argument checks and then a `return`
 *   arch == B ? -> ...
 *   kill the process
 *
 * What the rules mean when several name one call: seccomp_impl.h. Called by seccomp_cache.c. */
#include <linux/audit.h>
#include <linux/seccomp.h>

#include "seccomp_impl.h"

#define NR_SKIPPED 0xffffffffu /* a tracer's "do not run it" (-1): no call of any ABI, answered by the default action */

/* One rule, its words turned into values. */
struct parsed_rule {
	uint32_t ret;
	struct seccomp_check checks[SECCOMP_CHECKS_MAX];
	size_t n_checks;
	bool is_any; /* one check that holds is enough: seccomp_impl.h */
};
/* A number that rule `rule` names. */
struct mention {
	uint32_t nr;
	uint32_t rule;
};
struct compiler {
	const struct spec_seccomp *profile;
	struct parsed_rule *rules;
	uint32_t default_ret;
	struct mention *mentions; /* of the architecture at hand, by number */
	size_t n_mentions, cap_mentions;
	struct seccomp_range *ranges;
	struct seccomp_leaf *leaves;
	size_t n_ranges, n_leaves, cap;
	struct seccomp_branch *branches; /* those of all leaves */
	size_t n_branches, max_branches;
	bool notifies;
};

static void compiler_done(struct compiler *c)
{
	free(c->rules);
	free(c->mentions);
	free(c->ranges);
	free(c->leaves);
	free(c->branches);
}

static bool is_notify(uint32_t ret) { return (ret & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_USER_NOTIF; }

/* What a rule that notifies needs. sendmsg is what brings the listener to whoever answers: nobody could answer that one call. */
static int check_notify(const struct compiler *c, const struct spec_seccomp_rule *r, struct err *e)
{
	if (!c->profile->listener_path || !*c->profile->listener_path)
		return err_set(e, EINVAL, "seccomp: SCMP_ACT_NOTIFY for \"%.40s\" needs a listenerPath", r->names[0]);
	for (char **name = r->names; *name; name++)
		if (streq(*name, "sendmsg"))
			return err_set(e, EINVAL,
				       "seccomp: SCMP_ACT_NOTIFY is not possible for sendmsg, which the listener is sent with");
	return 0;
}

static int parse_rule(struct compiler *c, const struct spec_seccomp_rule *r, struct parsed_rule *out, struct err *e)
{
	int x = seccomp_action_value(r->action, r->has_errno, r->errno_ret, &out->ret, e);

	if (x == 0 && is_notify(out->ret)) {
		c->notifies = true;
		x = check_notify(c, r, e);
	}
	if (x < 0)
		return x;
	if (r->n_args > SECCOMP_CHECKS_MAX)
		return err_set(e, EINVAL, "seccomp: a rule for \"%.40s\" has %zu argument checks; %d are possible", r->names[0],
			       r->n_args, SECCOMP_CHECKS_MAX);
	for (size_t i = 0; i < r->n_args; i++) {
		const struct spec_seccomp_arg *a = &r->args[i];
		struct seccomp_check *k = &out->checks[i];
		if (a->index > 5)
			return err_set(e, EINVAL, "seccomp: argument %u of \"%.40s\": calls have arguments 0 to 5", a->index,
				       r->names[0]);
		x = seccomp_op_parse(a->op, &k->op, e);
		if (x < 0)
			return x;
		k->arg = (uint8_t)a->index;
		k->mask = k->op == OP_MASKED_EQ ? a->value : UINT64_MAX;
		k->value = k->op == OP_MASKED_EQ ? a->value_two : a->value;
	}
	out->n_checks = r->n_args;
	for (size_t i = 1; i < r->n_args; i++)
		for (size_t k = 0; k < i; k++)
			out->is_any |= r->args[i].index == r->args[k].index;
	return 0;
}

static int parse_profile(struct compiler *c, struct err *e)
{
	const struct spec_seccomp *p = c->profile;
	int r = seccomp_action_value(p->default_action, p->has_default_errno, p->default_errno, &c->default_ret, e);

	if (r < 0)
		return r;
	if (is_notify(c->default_ret))
		return err_set(e, EINVAL,
			       "seccomp: SCMP_ACT_NOTIFY is not possible as the default action, since nobody could pass the "
			       "listener on: "
			       "name the calls");
	c->rules = calloc(p->n_rules + 1, sizeof *c->rules);
	if (!c->rules)
		return err_set(e, ENOMEM, "seccomp: out of memory");
	for (size_t i = 0; i < p->n_rules; i++)
		if ((r = parse_rule(c, &p->rules[i], &c->rules[i], e)) < 0)
			return r;
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const struct mention *x = a, *y = b;

	if (x->nr != y->nr)
		return x->nr < y->nr ? -1 : 1;
	return x->rule < y->rule ? -1 : x->rule > y->rule;
}

static int collect(struct compiler *c, const struct seccomp_abi *abi)
{
	const struct spec_seccomp *p = c->profile;

	for (uint32_t i = 0; i < p->n_rules; i++)
		for (char **name = p->rules[i].names; name && *name; name++) {
			int64_t nr = seccomp_nr(abi, *name);
			if (nr < 0)
				continue;
			if (c->n_mentions == c->cap_mentions) {
				size_t cap = c->cap_mentions ? c->cap_mentions * 2 : 1024;
				struct mention *more = reallocarray(c->mentions, cap, sizeof *more);
				if (!more)
					return -ENOMEM;
				c->mentions = more;
				c->cap_mentions = cap;
			}
			c->mentions[c->n_mentions++] = (struct mention){ (uint32_t)nr, i };
			c->max_branches += c->rules[i].is_any ? c->rules[i].n_checks : 1;
		}
	return 0;
}

/* Into b[0..n), which is sorted, the strictest first. */
static void add_branch(struct seccomp_branch *b, size_t n, struct seccomp_branch one)
{
	for (; n > 0 && seccomp_strictness(b[n - 1].ret) > seccomp_strictness(one.ret); n--)
		b[n] = b[n - 1];
	b[n] = one;
}

/* The verdict on one number, from the mentions m[0..n) of it. */
static void make_leaf(struct compiler *c, const struct mention *m, size_t n, struct seccomp_leaf *out)
{
	struct seccomp_branch *branches = c->branches + c->n_branches;
	uint32_t last = c->default_ret;
	bool has_last = false;
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		const struct parsed_rule *r = &c->rules[m[i].rule];
		if (r->n_checks == 0) {
			if (!has_last || seccomp_strictness(r->ret) < seccomp_strictness(last))
				last = r->ret;
			has_last = true;
		} else if (r->is_any) {
			for (size_t k = 0; k < r->n_checks; k++)
				add_branch(branches, count++, (struct seccomp_branch){ &r->checks[k], 1, r->ret });
		} else {
			add_branch(branches, count++, (struct seccomp_branch){ r->checks, r->n_checks, r->ret });
		}
	}
	c->n_branches += count;
	*out = (struct seccomp_leaf){ branches, count, last };
}

static bool same_leaf(const struct seccomp_leaf *a, const struct seccomp_leaf *b)
{
	return a->n == 0 && b->n == 0 && a->ret == b->ret; /* argument checks are rare: not worth comparing */
}

static void add_range(struct compiler *c, uint32_t start, const struct seccomp_leaf *leaf)
{
	if (c->n_ranges > 0 && same_leaf(&c->leaves[c->n_ranges - 1], leaf))
		return;
	c->ranges[c->n_ranges].start = start;
	c->leaves[c->n_ranges] = *leaf;
	c->ranges[c->n_ranges].leaf = &c->leaves[c->n_ranges];
	c->n_ranges++;
}

/* Cuts 0..2^32 into ranges of one verdict each. */
static int make_ranges(struct compiler *c, bool has_x32, bool could_x32, struct err *e)
{
	const struct seccomp_leaf none = { .ret = c->default_ret }, alien = { .ret = SECCOMP_RET_KILL_PROCESS };
	uint32_t next = 0; /* first number not yet covered */

	free(c->ranges);
	free(c->leaves);
	free(c->branches);
	c->n_ranges = c->n_branches = 0;
	c->ranges = calloc(2 * c->n_mentions + 4, sizeof *c->ranges);
	c->leaves = calloc(2 * c->n_mentions + 4, sizeof *c->leaves);
	c->branches = calloc(c->max_branches + 1, sizeof *c->branches);
	if (!c->ranges || !c->leaves || !c->branches)
		return err_set(e, ENOMEM, "seccomp: out of memory");
	for (size_t i = 0; i < c->n_mentions;) {
		struct seccomp_leaf leaf;
		size_t n = 1;
		while (i + n < c->n_mentions && c->mentions[i + n].nr == c->mentions[i].nr)
			n++;
		make_leaf(c, &c->mentions[i], n, &leaf);
		if (c->mentions[i].nr > next)
			add_range(c, next, &none);
		add_range(c, c->mentions[i].nr, &leaf);
		next = c->mentions[i].nr + 1;
		i += n;
	}
	add_range(c, next, &none);
	/* x86-64 numbers with bit 30 are x32's: another ABI, and where the profile does not list it, an alien one. */
	if (could_x32 && !has_x32) {
		add_range(c, 0x40000000u, &alien);
		add_range(c, NR_SKIPPED, &none);
	}
	return 0;
}

static int compile_arch(struct compiler *c, const struct seccomp_abi *const *abis, size_t n, size_t first,
			struct seccomp_code *out, struct err *e)
{
	uint32_t arch = abis[first]->audit_arch;
	bool has_x32 = false;
	int r = 0;

	c->n_mentions = c->max_branches = 0;
	for (size_t i = first; i < n && r == 0; i++)
		if (abis[i]->audit_arch == arch) {
			has_x32 |= abis[i]->nr_base != 0;
			r = collect(c, abis[i]);
		}
	if (r < 0)
		return err_set(e, -r, "seccomp: out of memory");
	if (c->n_mentions)
		qsort(c->mentions, c->n_mentions, sizeof *c->mentions, by_number);
	r = make_ranges(c, has_x32, arch == AUDIT_ARCH_X86_64, e);
	return r < 0 ? r : seccomp_emit_arch(out, arch, c->ranges, c->n_ranges, e);
}

/* With a listener TSYNC has another result (Linux 5.7), and only with one is there a wait to be killed in. */
static unsigned listener_flags(unsigned flags, bool notifies)
{
	if (!notifies)
		return flags & ~(unsigned)SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
	if (flags & SECCOMP_FILTER_FLAG_TSYNC)
		flags |= SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
	return flags | SECCOMP_FILTER_FLAG_NEW_LISTENER;
}

int seccomp_compile(const struct spec_seccomp *p, struct seccomp_prog *ret, struct err *e)
{
	_cleanup_(compiler_done) struct compiler c = { .profile = p };
	const struct seccomp_abi *abis[16];
	struct seccomp_code code = { 0 };
	unsigned flags = 0;
	size_t n = 0;
	int r = parse_profile(&c, e);

	_Static_assert(SECCOMP_RET_ALLOW == 0x7fff0000u, "the kernel's numbers");
	if (r == 0)
		r = seccomp_flags_parse(p->flags, &flags, e);
	if (r == 0)
		r = seccomp_abis_of(p, abis, &n, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n && r == 0; i++) {
		bool seen = false;
		for (size_t k = 0; k < i; k++)
			seen |= abis[k]->audit_arch == abis[i]->audit_arch;
		if (!seen)
			r = compile_arch(&c, abis, n, i, &code, e);
	}
	if (r == 0)
		r = seccomp_emit_end(&code, e);
	if (r < 0) {
		free(code.insns);
		return r;
	}
	*ret = (struct seccomp_prog){ .filters = code.insns, .n_filters = code.n, .flags = listener_flags(flags, c.notifies) };
	return 0;
}
