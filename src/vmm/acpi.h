/* acpi: the tables of a machine without legacy hardware (ACPI 6.4, "hardware-reduced"): RSDP, XSDT, FADT, MADT with local
 * (x2)APICs and one I/O APIC, DSDT with the PCI bus, the machine's generation and S5. Made once, in RAM below 1 MiB (boot.h). */
#pragma once

#include "vmm.h"

struct acpi_config {
	unsigned cpus;
	bool has_serial;
	uint64_t pci_mmio, pci_mmio_bytes;     /* the window for 32-bit BARs */
	uint64_t pci_mmio64, pci_mmio64_bytes; /* above RAM, for large ones; bytes 0: none */
	uint64_t generation; /* where the id of generation.h is; 0: the guest is not told, and finds no I/O APIC */
	uint64_t gpa;        /* where the tables will be; the RSDP is first */
};
#define ACPI_GENERATION_BYTES 16u
/* Ports of the fixed hardware that is left, and ours. */
enum {
	VMM_PORT_SLEEP_CONTROL = 0x600, /* ACPI 6.4, 4.8.3.7: SLP_TYPx and SLP_EN; S5 ends the VM as powered off */
	VMM_PORT_SLEEP_STATUS = 0x601,
	VMM_PORT_RESET = 0x602, /* the FADT's reset register, value VMM_RESET_VALUE */
	VMM_PORT_START = 0x603, /* the guest's init writes any byte here when it runs: vmm_note_started */
	VMM_PORT_PANIC = 0x505, /* pvpanic (QEMU docs/specs/pvpanic): reads the events known, bit 0 written = panicked */
	VMM_RESET_VALUE = 1,
	VMM_SLEEP_TYPE_S5 = 5,
};
/* All tables, one after another, as they belong at c->gpa. out->failed tells of a lack of memory. */
void acpi_tables(const struct acpi_config *c, struct buf *out);
