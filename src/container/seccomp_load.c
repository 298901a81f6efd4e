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

int seccomp_prog_load(const struct seccomp_prog *p, int *ret_listener, struct err *e)
{
	bool has_listener = p && (p->flags & SECCOMP_FILTER_FLAG_NEW_LISTENER);
	struct sock_fprog prog;
	long r;

	if (ret_listener)
		*ret_listener = -1;
	if (!p || p->n_filters == 0)
		return 0;
	if (has_listener && !ret_listener)
		return err_set(e, EINVAL, "seccomp filter: notifies someone, and there is nobody to listen here");
	if (p->n_filters > BPF_MAXINSNS)
		return err_set(e, E2BIG, "seccomp filter has %zu instructions, the kernel takes %d", p->n_filters, BPF_MAXINSNS);
	prog = (struct sock_fprog){ .len = (unsigned short)p->n_filters, .filter = p->filters };
	r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, p->flags, &prog);
	if (r < 0 && errno == EBUSY && has_listener)
		return err_set(e, EBUSY,
			       "seccomp filter: this process is under a filter that notifies someone already, and the kernel "
			       "takes one such only");
	/* With TSYNC alone a positive result is a thread that could not follow (seccomp(2)); there are no others here. */
	if (r < 0 || (r > 0 && !has_listener))
		return err_set(e, r < 0 ? errno : EBUSY, "seccomp filter: %s", strerror(r < 0 ? errno : EBUSY));
	if (has_listener)
		*ret_listener = (int)r;
	return 0;
}
