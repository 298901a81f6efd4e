/* generation: see generation.h. */
#include "generation.h"

#include <sys/random.h>

#include "vmm_impl.h"

int generation_renew(struct vmm *vm, struct err *e)
{
	uint8_t id[ACPI_GENERATION_BYTES];
	int r;

	if (getrandom(id, sizeof(id), 0) != (ssize_t)sizeof(id))
		return err_set(e, errno ?: EIO, "random numbers: %s", strerror(errno));
	r = vmm_mem_write(vm->mem, BOOT_GENERATION, id, sizeof(id));
	return r < 0 ? err_set(e, -r, "generation of the machine: %s", strerror(-r)) : 0;
}

int generation_tell(struct vmm *vm, struct err *e)
{
	int r = generation_renew(vm, e);

	if (r >= 0)
		ioapic_raise(vm->ioapic, IOAPIC_PIN_EVENTS);
	return r;
}
