/* A compiled filter into the kernel, and its release. Apart from the compiler, so that a program which only loads (berth-init
 * in a guest) links nothing else. */
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "seccomp_impl.h"

void seccomp_prog_done(struct seccomp_prog *p)
{
	free(p->filters);
	*p = (struct seccomp_prog){ 0 };
}

int seccomp_prog_load(const struct seccomp_prog *p, struct err *e)
{
	struct sock_fprog prog;

	if (!p || p->n_filters == 0)
		return 0;
	if (p->n_filters > BPF_MAXINSNS)
		return err_set(e, E2BIG, "seccomp filter has %zu instructions, the kernel takes %d", p->n_filters, BPF_MAXINSNS);
	prog = (struct sock_fprog){ .len = (unsigned short)p->n_filters, .filter = p->filters };
	/* With TSYNC a positive result is a thread that could not follow (seccomp(2)); there are no others here. */
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, p->flags, &prog) != 0)
		return err_set(e, errno ? errno : EBUSY, "seccomp filter: %s", strerror(errno));
	return 0;
}
