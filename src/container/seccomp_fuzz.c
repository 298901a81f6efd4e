/* Fuzz target: linux.seccomp of config.json to a filter. What comes out passes the checks of the kernel (kernel/seccomp.c,
 * seccomp_check_filter; net/core/filter.c, bpf_check_classic): a filter is never refused only when a container starts. */
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "container.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD "{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},\"linux\":{\"seccomp\":"

static void check_insn(const struct sock_filter *f, size_t i, size_t n)
{
	size_t left = n - i - 1;

	switch (BPF_CLASS(f[i].code)) {
	case BPF_LD:
		if (f[i].code != (BPF_LD | BPF_W | BPF_ABS) || f[i].k % 4 || f[i].k >= sizeof(struct seccomp_data))
			abort();
		break;
	case BPF_ALU: break;
	case BPF_JMP:
		if (BPF_OP(f[i].code) == BPF_JA ? f[i].k >= left : f[i].jt >= left || f[i].jf >= left)
			abort();
		break;
	case BPF_RET:
		if (f[i].code != (BPF_RET | BPF_K))
			abort();
		break;
	default: abort();
	}
}

static void check_filter(const struct spec_seccomp *s, const struct seccomp_prog *p)
{
	const struct sock_filter *f = p->filters;

	if (!f || p->n_filters == 0 || p->n_filters > BPF_MAXINSNS || BPF_CLASS(f[p->n_filters - 1].code) != BPF_RET)
		abort();
	for (size_t i = 0; i < p->n_filters; i++)
		check_insn(f, i, p->n_filters);
	/* A listener there is only with somebody to give it to. */
	if ((p->flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) && (!s->listener_path || !*s->listener_path))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buf_ struct buf b = { 0 };
	struct seccomp_prog p = { 0 };
	struct err e = { 0 };
	struct spec s;

	buf_str(&b, HEAD);
	buf_add(&b, data, size);
	buf_str(&b, "}}");
	if (b.failed)
		abort();
	if (spec_parse(b.data, b.len, &s, &e) == 0) {
		if (container_seccomp_get(&s, NULL, &p, &e) == 0 && s.seccomp)
			check_filter(s.seccomp, &p);
		else if (s.seccomp && (e.no <= 0 || !e.msg[0]))
			abort();
		seccomp_prog_done(&p);
		spec_done(&s);
	} else if (e.no <= 0 || !e.msg[0]) {
		abort();
	}
	return 0;
}
