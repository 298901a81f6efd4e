/* vm_death: why a VMM ended, in one line. Apart from what reaps it, so that every kind of end can be told in a test. */
#include <sys/wait.h>

#include "vm_impl.h"

/* QEMU says what it did not get; that its test guest ran makes it worth saying that KVM is the matter, and what to do. */
static void explain_exit(const struct vm_death *d, struct err *e)
{
	int n = d->said ? (int)strcspn(d->said, "\n") : 0;
	const char *said = n ? d->said : "ended without a reason";

	if (!n)
		n = (int)strlen(said);
	if (d->has_kvm && d->is_booting && d->said && strcasestr(d->said, "kvm"))
		err_set(e, EIO,
			"QEMU can't use this host's KVM, though a test guest ran: %.*s; BERTH_VM_ACCEL=tcg emulates instead", n,
			said);
	else
		err_set(e, EIO, "QEMU: %.*s", n, said);
}

/* In order of how much each explains. */
void vm_explain(const struct vm_death *d, struct err *e)
{
	if (d->guest_reason)
		err_set(e, EIO, "%s", d->guest_reason);
	else if (d->is_host_oom)
		err_set(e, ENOMEM, "the host's memory limit killed the virtual machine");
	else if (WIFSIGNALED(d->status))
		err_set(e, EIO, "the virtual machine was killed from outside by SIG%s", signal_name(WTERMSIG(d->status)) ?: "?");
	else if (WEXITSTATUS(d->status) != 0)
		explain_exit(d, e);
	else
		err_set(e, EIO,
			d->is_booting ? "the guest reset itself while it booted (is the kernel one for this CPU?)"
				      : "the guest reset itself (a triple fault, or a reboot from inside)");
}
