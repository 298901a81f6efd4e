/* Fuzz target: an I/O APIC. Input: a saved state's bytes, then records of {kind of access or an edge, offset, value}. Whatever it is told, it
 * delivers nothing but a device's interrupt, and what it saves can be loaded. */
#include "ioapic.h"
#include "state.h"

enum { STATE_BYTES = 8 * IOAPIC_PINS + 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int deliver(void *arg, uint64_t addr, uint32_t data)
{
	(void)arg;
	if ((addr & ~0xff004ull) != 0xfee00000 || (data & 0xff) < 16 || data >> 8 > 1)
		abort();
	return data & 1 ? -EINVAL : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned sizes[4] = { 1, 2, 4, 8 };
	struct vmm_bus *bus = NULL;
	struct ioapic *a = NULL;
	_cleanup_buf_ struct buf saved = { NULL }, again = { NULL };

	if (size < STATE_BYTES)
		return 0;
	if (vmm_bus_new(&bus) < 0 || ioapic_new(bus, deliver, NULL, &a, NULL) < 0)
		abort();
	state_put(&saved, STATE_IOAPIC, 0, 1, data, STATE_BYTES);
	(void)ioapic_load(a, saved.data, saved.len, NULL);
	for (data += STATE_BYTES, size -= STATE_BYTES; size >= 6; data += 6, size -= 6) {
		const unsigned n = sizes[data[0] & 3];
		uint64_t v = 0;

		memcpy(&v, data + 2, 4);
		if (data[0] & 8)
			ioapic_raise(a, IOAPIC_PIN_EVENTS);
		else if (data[0] & 4)
			vmm_bus_read(bus, VMM_MMIO, IOAPIC_GPA + data[1], &v, n);
		else
			vmm_bus_write(bus, VMM_MMIO, IOAPIC_GPA + data[1], &v, n);
	}
	if (ioapic_save(a, &again) != 1 || ioapic_load(a, again.data, again.len, NULL) != 1)
		abort();
	ioapic_free(a);
	vmm_bus_free(bus);
	return 0;
}
