/* vcpu_exit: what KVM's reasons to leave the guest mean. Everything but an access to a port or to memory-mapped registers ends
 * the VM, in a way that says what it was: an unknown exit is never retried. */
#include <stdio.h>
#include <time.h>

#include "bus.h"
#include "vcpu.h"

_printf_(4, 5) static enum vmm_end end(enum vmm_end how, char *reason, size_t n, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, n, fmt, ap);
	va_end(ap);
	return how;
}

/* KVM's page: count accesses of io.size bytes at data_offset. It is KVM's word, not the guest's, and checked all the same. */
static void port_access(const struct kvm_run *run, const struct vmm_bus *bus)
{
	uint8_t *data = (uint8_t *)(uintptr_t)run + run->io.data_offset;

	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size)
		if (run->io.direction == KVM_EXIT_IO_IN)
			vmm_bus_read(bus, VMM_PIO, run->io.port, data, run->io.size);
		else
			vmm_bus_write(bus, VMM_PIO, run->io.port, data, run->io.size);
}

static void memory_access(const struct kvm_run *run, const struct vmm_bus *bus)
{
	if (run->mmio.is_write)
		vmm_bus_write(bus, VMM_MMIO, run->mmio.phys_addr, run->mmio.data, MIN(run->mmio.len, 8u));
	else
		vmm_bus_read(bus, VMM_MMIO, run->mmio.phys_addr, (uint8_t *)(uintptr_t)run->mmio.data, MIN(run->mmio.len, 8u));
}

static enum vmm_end system_event(const struct kvm_run *run, char *reason, size_t n)
{
	switch (run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN: return VMM_POWERED_OFF;
	case KVM_SYSTEM_EVENT_RESET: return VMM_RESET;
	case KVM_SYSTEM_EVENT_CRASH: return end(VMM_GUEST_PANIC, reason, n, "the guest told KVM of its crash");
	default: return end(VMM_FAILED, reason, n, "KVM_EXIT_SYSTEM_EVENT %u", run->system_event.type);
	}
}

static enum vmm_end internal_error(const struct kvm_run *run, char *reason, size_t n)
{
	static const char *const names[] = { [KVM_INTERNAL_ERROR_EMULATION] = "an instruction that KVM can't emulate",
					     [KVM_INTERNAL_ERROR_SIMUL_EX] = "nested exceptions",
					     [KVM_INTERNAL_ERROR_DELIVERY_EV] = "an event that can't be delivered",
					     [KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] =
						     "an exit of the CPU that KVM does not know" };
	uint32_t s = run->internal.suberror;

	return end(VMM_FAILED, reason, n, "KVM_EXIT_INTERNAL_ERROR %u: %s", s,
		   s < ARRAY_SIZE(names) && names[s] ? names[s] : "unknown");
}

enum vmm_end vcpu_exit(const struct kvm_run *run, const struct vmm_bus *bus, char *reason, size_t n)
{
	switch (run->exit_reason) {
	case KVM_EXIT_IO: port_access(run, bus); return VMM_RUNNING;
	case KVM_EXIT_MMIO: memory_access(run, bus); return VMM_RUNNING;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN: return VMM_RUNNING;
	case KVM_EXIT_SHUTDOWN: return end(VMM_TRIPLE_FAULT, reason, n, "triple fault");
	case KVM_EXIT_SYSTEM_EVENT: return system_event(run, reason, n);
	case KVM_EXIT_HLT: return end(VMM_FAILED, reason, n, "KVM_EXIT_HLT, which the kernel's APIC should have taken");
	case KVM_EXIT_FAIL_ENTRY:
		return end(VMM_FAILED, reason, n, "KVM_EXIT_FAIL_ENTRY: the CPU refuses the guest's state, reason %#llx",
			   (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
	case KVM_EXIT_INTERNAL_ERROR: return internal_error(run, reason, n);
	default: return end(VMM_FAILED, reason, n, "KVM exit %u, which nothing here asked for", run->exit_reason);
	}
}
