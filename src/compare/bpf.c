/* bpf: see bpf.h. Jumps only go forward, so one pass over the instructions in their order sees each after all that lead to it: beside each
 * stands whether it is reached, and what the accumulator and the index hold then, where that is the same by all ways and does not
 * depend on an argument. */
#include <linux/audit.h>
#include <linux/seccomp.h>

#include "bpf.h"

struct value {
	bool is_known;
	uint32_t v;
};
struct state {
	bool is_reached;
	struct value a, x;
};

static struct value known(uint32_t v) { return (struct value){ true, v }; }

static struct value merge(struct value a, struct value b)
{
	return a.is_known && b.is_known && a.v == b.v ? a : (struct value){ false, 0 };
}

/* Whoever comes to instruction `to` comes there with s. */
static int reach(struct state *states, size_t n, size_t to, const struct state *s)
{
	if (to >= n)
		return -EINVAL;
	if (states[to].is_reached) {
		states[to].a = merge(states[to].a, s->a);
		states[to].x = merge(states[to].x, s->x);
	} else {
		states[to] = *s;
	}
	return 0;
}

static struct value load(uint32_t offset, uint32_t arch, uint32_t nr)
{
	switch (offset) {
	case offsetof(struct seccomp_data, nr): return known(nr);
	case offsetof(struct seccomp_data, arch): return known(arch);
	default: return (struct value){ false, 0 };
	}
}

static int compute(uint16_t code, struct value a, struct value b, struct value *ret)
{
	bool is_known = a.is_known && b.is_known;
	uint32_t x = a.v, y = b.v, v = 0;

	switch (BPF_OP(code)) {
	case BPF_ADD: v = x + y; break;
	case BPF_SUB: v = x - y; break;
	case BPF_MUL: v = x * y; break;
	case BPF_DIV: v = y ? x / y : 0; break; /* the kernel returns 0 from the whole filter; a constant zero it refuses */
	case BPF_AND: v = x & y; break;
	case BPF_OR: v = x | y; break;
	case BPF_XOR: v = x ^ y; break;
	case BPF_LSH: v = y < 32 ? x << y : 0; break;
	case BPF_RSH: v = y < 32 ? x >> y : 0; break;
	case BPF_NEG:
		v = -x;
		is_known = a.is_known;
		break;
	default: return -EINVAL;
	}
	*ret = is_known ? known(v) : (struct value){ false, 0 };
	return 0;
}

/* Whether a comparison holds: bit 0: it may; bit 1: it may not. */
static int compare(uint16_t code, struct value a, struct value b)
{
	bool holds;

	switch (BPF_OP(code)) {
	case BPF_JEQ: holds = a.v == b.v; break;
	case BPF_JGT: holds = a.v > b.v; break;
	case BPF_JGE: holds = a.v >= b.v; break;
	case BPF_JSET: holds = (a.v & b.v) != 0; break;
	default: return -EINVAL;
	}
	return !a.is_known || !b.is_known ? 3 : holds ? 1 : 2;
}

static int jump(struct state *states, size_t n, size_t at, const struct sock_filter *f, const struct state *s)
{
	int r;

	if (BPF_OP(f->code) == BPF_JA)
		return f->k < n ? reach(states, n, at + 1 + f->k, s) : -EINVAL;
	int ways = compare(f->code, s->a, BPF_SRC(f->code) == BPF_X ? s->x : known(f->k));
	r = ways < 0 ? ways : 0;
	if (r >= 0 && ways & 1)
		r = reach(states, n, at + 1 + f->jt, s);
	if (r >= 0 && ways & 2)
		r = reach(states, n, at + 1 + f->jf, s);
	return r;
}

static unsigned verdict(struct value v)
{
	uint32_t action = v.v & SECCOMP_RET_ACTION_FULL;

	if (!v.is_known)
		return BPF_MAY_PASS | BPF_MAY_REFUSE;
	return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG ? BPF_MAY_PASS : BPF_MAY_REFUSE;
}

/* One instruction: where it leads to, or what it ends with. The memory words (LD|MEM, ST) are not followed. */
static int step(struct state *states, size_t n, size_t at, const struct sock_filter *f, uint32_t arch, uint32_t nr,
		unsigned *outcomes)
{
	struct state s = states[at];
	int r = 0;

	switch (BPF_CLASS(f->code)) {
	case BPF_LD:
		s.a = BPF_MODE(f->code) == BPF_ABS   ? load(f->k, arch, nr)
		      : BPF_MODE(f->code) == BPF_IMM ? known(f->k)
						     : (struct value){ false, 0 };
		break;
	case BPF_LDX: s.x = BPF_MODE(f->code) == BPF_IMM ? known(f->k) : (struct value){ false, 0 }; break;
	case BPF_ST:
	case BPF_STX: break;
	case BPF_ALU: r = compute(f->code, s.a, BPF_SRC(f->code) == BPF_X ? s.x : known(f->k), &s.a); break;
	case BPF_JMP: return jump(states, n, at, f, &s);
	case BPF_RET: *outcomes |= verdict(BPF_RVAL(f->code) == BPF_A ? s.a : known(f->k)); return 0;
	case BPF_MISC:
		if (BPF_MISCOP(f->code) == BPF_TAX)
			s.x = s.a;
		else
			s.a = s.x;
		break;
	default: return -EINVAL;
	}
	return r < 0 ? r : reach(states, n, at + 1, &s);
}

int bpf_judge(const struct sock_filter *insns, size_t n, uint32_t arch, uint32_t nr, unsigned *ret)
{
	_cleanup_free_ struct state *states = NULL;
	unsigned outcomes = 0;

	if (n == 0 || n > BPF_MAXINSNS)
		return -EINVAL;
	states = calloc(n, sizeof(*states));
	if (!states)
		return -ENOMEM;
	/* A filter begins with zeros in both. */
	states[0] = (struct state){ true, known(0), known(0) };
	for (size_t i = 0; i < n; i++) {
		int r = states[i].is_reached ? step(states, n, i, &insns[i], arch, nr, &outcomes) : 0;
		if (r < 0)
			return r;
	}
	*ret = outcomes;
	return 0;
}
