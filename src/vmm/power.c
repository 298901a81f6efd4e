/* power: how a guest ends and how it says that it lives: the ports of acpi.h. */
#include "vmm_impl.h"

enum { SLP_EN = 0x20, SLP_TYP_SHIFT = 2, SLP_TYP_MASK = 7, PANICKED = 1 };

static void on_read(void *arg, uint64_t offset, void *data, unsigned size)
{
	(void)arg;
	(void)offset;
	memset(data, 0, size); /* sleep status: no wake event */
}

static void on_write(void *arg, uint64_t offset, const void *data, unsigned size)
{
	struct vmm *vm = arg;
	uint8_t v = *(const uint8_t *)data;

	if (size != 1)
		return;
	switch (VMM_PORT_SLEEP_CONTROL + offset) {
	case VMM_PORT_SLEEP_CONTROL:
		if (v & SLP_EN && (v >> SLP_TYP_SHIFT & SLP_TYP_MASK) == VMM_SLEEP_TYPE_S5)
			vmm_end(vm, VMM_POWERED_OFF, NULL);
		break;
	case VMM_PORT_RESET:
		if (v == VMM_RESET_VALUE)
			vmm_end(vm, VMM_RESET, NULL);
		break;
	case VMM_PORT_START: vmm_note_started(vm); break;
	default: break;
	}
}
static const struct vmm_range_ops power_ops = { "power ports", on_read, on_write };

static void on_panic_read(void *arg, uint64_t offset, void *data, unsigned size)
{
	(void)arg;
	(void)offset;
	memset(data, 0, size);
	*(uint8_t *)data = PANICKED; /* the events that it may tell */
}

static void on_panic_write(void *arg, uint64_t offset, const void *data, unsigned size)
{
	(void)offset;
	(void)size;
	if (*(const uint8_t *)data & PANICKED)
		vmm_end(arg, VMM_GUEST_PANIC, NULL);
}
static const struct vmm_range_ops panic_ops = { "panic port", on_panic_read, on_panic_write };

int power_add(struct vmm *vm, struct err *e)
{
	int r = vmm_bus_add(vm->bus, VMM_PIO, VMM_PORT_SLEEP_CONTROL, VMM_PORT_START - VMM_PORT_SLEEP_CONTROL + 1, &power_ops, vm,
			    e);

	return r < 0 ? r : vmm_bus_add(vm->bus, VMM_PIO, VMM_PORT_PANIC, 1, &panic_ops, vm, e);
}
