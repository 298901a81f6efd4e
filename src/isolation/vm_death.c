/* vm_death: why a VMM ended, in one line. Apart from what reaps it, so that every kind of end can be told in a test. */
#include <signal.h>
#include <sys/wait.h>

#include "vm_impl.h"

/* In order of how much each explains. */
void vm_explain(const struct vm_death *d, struct err *e)
{
	if (d->guest_reason)
		err_set(e, EIO, "%s", d->guest_reason);
	else if (d->is_host_oom)
		err_set(e, ENOMEM, "the host's memory limit killed the virtual machine");
	else if (WIFSIGNALED(d->status) && WTERMSIG(d->status) == SIGSYS)
		err_set(e, EIO,
			"the VMM was killed at a system call that it has no use for: its guest may have taken it over (the "
			"host's kernel log has more)");
	else if (WIFSIGNALED(d->status))
		err_set(e, EIO, "the virtual machine was killed from outside by SIG%s", signal_name(WTERMSIG(d->status)) ?: "?");
	else
		d->backend->explain_exit(d, e);
}
