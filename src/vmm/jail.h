/* jail: what the process of a VM has of the host: the descriptors of its plan, and /dev/kvm. Nothing else, from before the first
 * byte of a guest's kernel is read; there is no way to ask for less. Threads' filters of system calls come on top when the
 * guest starts (thread.h). The walls, what each stops, and the test that proves it: docs/THREATS.md. */
#pragma once

#include "vmm.h"

/* uids and gids for VMs whose starter names none: this plus the process's id. No distribution and no container manager hands
 * them out (systemd's UIDS-GIDS.md: 1879048192 and up are free). */
#define VMM_JAIL_UID_BASE 0x70000000u

/* Opens /dev/kvm where plan->kvm_fd is -1, then enters the jail, and has KVM make the VM meanwhile (plan->vm_fd). The process must be
 * single-threaded, and is again.
 *
 * Where it is not the first of a pid namespace yet it becomes two: the caller goes on in a child that is, and the parent stays
 * behind (it has no more than the child), passes SIGTERM and SIGINT on, and ends as the child ends. Each ends with the other,
 * however it ends.
 *
 * Root takes plan->uid, others make a user namespace, in which nothing of that is left either. -errno: in the caller or in the
 * child, which is to end then. Nothing is undone. */
int vmm_jail_enter(struct vmm_plan *plan, struct err *e);
