/* end: the ways to end by name and by exit status. Apart from the VM, so that who starts a berth-vmm can tell them too. */
#include "vmm.h"

/* Name and exit status of each end. 125 and above are left to whoever runs berth-vmm. */
static const struct end_row {
	const char *name;
	int status;
} ends[] = {
	[VMM_RUNNING] = { "running", 70 },
	[VMM_POWERED_OFF] = { "powered-off", 0 },
	[VMM_RESET] = { "reset", 64 },
	[VMM_TRIPLE_FAULT] = { "triple-fault", 65 },
	[VMM_GUEST_PANIC] = { "guest-panic", 66 },
	[VMM_BOOT_HANG] = { "boot-hang", 67 },
	[VMM_STOPPED] = { "stopped", 68 },
	[VMM_FAILED] = { "failed", 69 },
};
_Static_assert(ARRAY_SIZE(ends) == VMM_ENDS, "every end has a name");

const char *vmm_end_name(enum vmm_end end) { return (unsigned)end < VMM_ENDS ? ends[end].name : "unknown"; }
int vmm_end_status(enum vmm_end end) { return (unsigned)end < VMM_ENDS ? ends[end].status : 70; }
enum vmm_end vmm_end_of_status(int status)
{
	for (unsigned i = 0; i < VMM_ENDS; i++)
		if (ends[i].status == status)
			return i;
	return VMM_ENDS;
}
