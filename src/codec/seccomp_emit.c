/* Instructions of a filter. Everything jumps forward only (classic BPF knows no other way), conditional jumps at most 255
 * instructions; so a block is emitted first into its place and the jump over it filled in when its length is known. */
#include <linux/seccomp.h>

#include "seccomp_emit.h"

#define ARG_LOW(i) ((uint32_t)(offsetof(struct seccomp_data, args) + 8u * (i) + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0)))
#define ARG_HIGH(i) \
	((uint32_t)(offsetof(struct seccomp_data, args) + 8u * (i) + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 0 : 4)))
#define JUMP_MAX 255

/* -> index of the instruction */
static size_t emit(struct seccomp_code *c, uint16_t op, uint32_t k, uint8_t jt, uint8_t jf)
{
	if (c->n == c->cap && !c->failed) {
		size_t cap = c->cap ? c->cap * 2 : 512;
		struct sock_filter *more = reallocarray(c->insns, cap, sizeof *more);
		if (more) {
			c->insns = more;
			c->cap = cap;
		}
		c->failed = !more;
	}
	if (c->failed)
		return 0;
	c->insns[c->n] = (struct sock_filter){ op, jt, jf, k };
	return c->n++;
}

static void load(struct seccomp_code *c, uint32_t offset) { emit(c, BPF_LD | BPF_W | BPF_ABS, offset, 0, 0); }
static void give(struct seccomp_code *c, uint32_t ret) { emit(c, BPF_RET | BPF_K, ret, 0, 0); }

/* "Skip what follows unless (A op k) is `want`": a short jump and a long one behind it; the long one's length is filled in by
 * skip_end. Where the block turns out short the pair is folded into one jump by emit_tree, which knows beforehand. */
static size_t skip_begin(struct seccomp_code *c, uint16_t op, uint32_t k, bool want)
{
	emit(c, (uint16_t)(BPF_JMP | BPF_K | op), k, want ? 1 : 0, want ? 0 : 1);
	return emit(c, BPF_JMP | BPF_JA, 0, 0, 0);
}

static void skip_end(struct seccomp_code *c, size_t at)
{
	if (!c->failed)
		c->insns[at].k = (uint32_t)(c->n - at - 1);
}

/* ---- argument checks ---- */

/* Jumps of one branch: where it has failed, to the next branch; where one check has held, to the next check. */
struct patch {
	size_t at;
	bool on_true;
};
struct patches {
	struct patch list[SECCOMP_CHECKS_MAX * 4];
	size_t n;
};

/* A jump whose one side goes somewhere later; the other falls through. */
static void jump_out(struct seccomp_code *c, struct patches *p, uint16_t op, uint32_t k, bool on_true)
{
	size_t at = emit(c, (uint16_t)(BPF_JMP | BPF_K | op), k, 0, 0);

	p->list[p->n++] = (struct patch){ at, on_true };
}

static void land(struct seccomp_code *c, struct patches *p)
{
	for (size_t i = 0; i < p->n && !c->failed; i++) {
		struct sock_filter *j = &c->insns[p->list[i].at];
		size_t distance = c->n - p->list[i].at - 1;
		if (distance > JUMP_MAX) { /* 8 checks of at most 6 instructions each never are */
			c->failed = true;
			return;
		}
		*(p->list[i].on_true ? &j->jt : &j->jf) = (uint8_t)distance;
	}
	p->n = 0;
}

/* (arg & mask) == value: a half whose mask is 0 needs no look, unless it can never hold. */
static void check_half(struct seccomp_code *c, uint32_t offset, uint32_t mask, uint32_t value, struct patches *fail)
{
	if (mask == 0 && value == 0)
		return;
	load(c, offset);
	if (mask != UINT32_MAX)
		emit(c, BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
	jump_out(c, fail, BPF_JEQ, value, false);
}

static void check_equal(struct seccomp_code *c, const struct seccomp_check *k, struct patches *fail)
{
	check_half(c, ARG_HIGH(k->arg), (uint32_t)(k->mask >> 32), (uint32_t)(k->value >> 32), fail);
	check_half(c, ARG_LOW(k->arg), (uint32_t)k->mask, (uint32_t)k->value, fail);
}

static void check_not_equal(struct seccomp_code *c, const struct seccomp_check *k, struct patches *fail)
{
	struct patches held = { 0 };

	load(c, ARG_HIGH(k->arg));
	jump_out(c, &held, BPF_JEQ, (uint32_t)(k->value >> 32), false);
	load(c, ARG_LOW(k->arg));
	jump_out(c, fail, BPF_JEQ, (uint32_t)k->value, true);
	land(c, &held);
}

/* arg > value (or >=), or with `negated` the opposite: LE is not GT, LT is not GE. */
static void check_above(struct seccomp_code *c, const struct seccomp_check *k, bool or_equal, bool negated, struct patches *fail)
{
	uint32_t high = (uint32_t)(k->value >> 32), low = (uint32_t)k->value;
	struct patches held = { 0 };

	load(c, ARG_HIGH(k->arg));
	jump_out(c, negated ? fail : &held, BPF_JGT, high, true);
	jump_out(c, negated ? &held : fail, BPF_JEQ, high, false); /* the upper half is less */
	load(c, ARG_LOW(k->arg));
	jump_out(c, fail, or_equal ? BPF_JGE : BPF_JGT, low, negated);
	land(c, &held);
}

static void emit_check(struct seccomp_code *c, const struct seccomp_check *k, struct patches *fail)
{
	switch (k->op) {
	case OP_EQ:
	case OP_MASKED_EQ: check_equal(c, k, fail); break;
	case OP_NE: check_not_equal(c, k, fail); break;
	case OP_GT: check_above(c, k, false, false, fail); break;
	case OP_GE: check_above(c, k, true, false, fail); break;
	case OP_LE: check_above(c, k, false, true, fail); break;
	case OP_LT: check_above(c, k, true, true, fail); break;
	}
}

/* ---- several values of one argument ---- */

#define ALIKE_MAX ((size_t)SECCOMP_CHECKS_MAX * 3) /* jumps that a struct patches holds, and some */

static uint64_t mask_of(const struct seccomp_check *k) { return k->op == OP_EQ ? UINT64_MAX : k->mask; }

/* Whether both say "this argument, masked so, is a value with these upper 32 bits", to the same end. */
static bool are_alike(const struct seccomp_branch *a, const struct seccomp_branch *b)
{
	const struct seccomp_check *k = a->checks, *m = b->checks;

	return a->n_checks == 1 && b->n_checks == 1 && a->ret == b->ret && (k->op == OP_EQ || k->op == OP_MASKED_EQ) &&
	       (m->op == OP_EQ || m->op == OP_MASKED_EQ) && k->arg == m->arg && mask_of(k) == mask_of(m) &&
	       k->value >> 32 == m->value >> 32;
}

/* n of them: the argument is loaded once. */
static void emit_alike(struct seccomp_code *c, const struct seccomp_branch *b, size_t n)
{
	struct patches fail = { 0 }, held = { 0 };
	uint32_t mask = (uint32_t)mask_of(b->checks);

	check_half(c, ARG_HIGH(b->checks->arg), (uint32_t)(mask_of(b->checks) >> 32), (uint32_t)(b->checks->value >> 32), &fail);
	load(c, ARG_LOW(b->checks->arg));
	if (mask != UINT32_MAX)
		emit(c, BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
	for (size_t i = 0; i + 1 < n; i++)
		jump_out(c, &held, BPF_JEQ, (uint32_t)b[i].checks->value, true);
	jump_out(c, &fail, BPF_JEQ, (uint32_t)b[n - 1].checks->value, false);
	land(c, &held);
	give(c, b->ret);
	land(c, &fail);
}

static void emit_branch(struct seccomp_code *c, const struct seccomp_branch *b)
{
	struct patches fail = { 0 };

	for (size_t k = 0; k < b->n_checks; k++)
		emit_check(c, &b->checks[k], &fail);
	give(c, b->ret);
	land(c, &fail);
}

static void emit_leaf(struct seccomp_code *c, const struct seccomp_leaf *leaf)
{
	for (size_t i = 0, n; i < leaf->n; i += n) {
		for (n = 1; i + n < leaf->n && n < ALIKE_MAX && are_alike(&leaf->branches[i], &leaf->branches[i + n]); n++)
			;
		if (n > 1)
			emit_alike(c, &leaf->branches[i], n);
		else
			emit_branch(c, &leaf->branches[i]);
	}
	give(c, leaf->ret);
}

/* ---- the tree ---- */

/* Length of what emit_leaf writes, by writing it elsewhere; leaves without branches are one instruction. */
static size_t leaf_length(const struct seccomp_leaf *leaf)
{
	struct seccomp_code tmp = { 0 };

	if (leaf->n == 0)
		return 1;
	emit_leaf(&tmp, leaf);
	free(tmp.insns);
	return tmp.n;
}

static size_t tree_length(const struct seccomp_range *r, size_t n)
{
	size_t left;

	if (n == 1)
		return leaf_length(r[0].leaf);
	left = tree_length(r, n / 2);
	return left + tree_length(r + n / 2, n - n / 2) + (left > JUMP_MAX ? 2 : 1);
}

/* The number is in A until a leaf. The smaller numbers come first. */
static void emit_tree(struct seccomp_code *c, const struct seccomp_range *r, size_t n)
{
	size_t mid = n / 2, left;

	if (n == 1) {
		emit_leaf(c, r[0].leaf);
		return;
	}
	left = tree_length(r, mid);
	if (left <= JUMP_MAX) {
		emit(c, BPF_JMP | BPF_K | BPF_JGE, r[mid].start, (uint8_t)left, 0);
		emit_tree(c, r, mid);
	} else {
		size_t skip = skip_begin(c, BPF_JGE, r[mid].start, false);
		emit_tree(c, r, mid);
		skip_end(c, skip);
	}
	emit_tree(c, r + mid, n - mid);
}

static int check_length(const struct seccomp_code *c, struct err *e)
{
	if (c->failed)
		return err_set(e, ENOMEM, "seccomp: out of memory");
	return c->n > BPF_MAXINSNS ? err_set(e, E2BIG, "seccomp: the profile takes more than %d instructions, the kernel's most",
					     BPF_MAXINSNS)
				   : 0;
}

int seccomp_emit_arch(struct seccomp_code *c, uint32_t audit_arch, const struct seccomp_range *ranges, size_t n, struct err *e)
{
	size_t skip;

	load(c, offsetof(struct seccomp_data, arch));
	skip = skip_begin(c, BPF_JEQ, audit_arch, true);
	load(c, offsetof(struct seccomp_data, nr));
	emit_tree(c, ranges, n);
	skip_end(c, skip);
	return check_length(c, e);
}

int seccomp_emit_end(struct seccomp_code *c, struct err *e)
{
	give(c, SECCOMP_RET_KILL_PROCESS);
	return check_length(c, e);
}
