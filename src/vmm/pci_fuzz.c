/* Fuzz target: accesses to the configuration ports, of any kind. Input: records of {port offset, size and direction, value}. The
 * BARs must be where they were and nothing but writable bits may have changed. */
#include "pci.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore(struct pci_function *f, unsigned offset, unsigned size)
{
	if (offset + size > PCI_CONFIG_SIZE || !f->bars[0].bytes)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned sizes[4] = { 1, 2, 4, 8 };
	struct vmm_bus *bus = NULL;
	struct pci_host *host = NULL;
	struct pci_function f;
	struct pci_bar bar;
	uint8_t cap[16] = { 9 }, before[PCI_CONFIG_SIZE];

	if (vmm_bus_new(&bus) < 0 || pci_host_new(bus, VMM_HOLE_END, &host, NULL) < 0)
		abort();
	pci_function_init(&f, 0x1af4, 0x1044, 0xff000001, 0x1af4, 0x1100);
	f.on_write = f.on_read = ignore;
	if (pci_add(host, &f, NULL) < 0 || pci_add_bar(host, &f, 0, 0x8000, false, NULL, NULL, NULL) < 0 ||
	    pci_add_cap(&f, cap, sizeof(cap)) < 0)
		abort();
	bar = f.bars[0];
	memcpy(before, f.config, sizeof(before));
	for (; size >= 6; data += 6, size -= 6) {
		uint64_t v = 0;
		unsigned n = sizes[data[1] & 3];

		memcpy(&v, data + 2, 4);
		if (data[1] & 4)
			vmm_bus_read(bus, VMM_PIO, 0xcf8u + data[0] % 8, &v, n);
		else
			vmm_bus_write(bus, VMM_PIO, 0xcf8u + data[0] % 8, &v, n);
	}
	for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++)
		if ((i < 0x10 || i >= 0x28) && (f.config[i] ^ before[i]) & ~f.writable[i])
			abort();
	if (memcmp(&bar, &f.bars[0], sizeof(bar)) != 0)
		abort();
	pci_host_free(host);
	vmm_bus_free(bus);
	return 0;
}
