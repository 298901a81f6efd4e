/* ioapic: the least I/O APIC that a kernel takes for one (Intel 82093AA, with the EOI register of version 2x): a machine without an
 * interrupt line needs none for its devices, which send messages, but ACPI can name an interrupt only as a pin of an I/O APIC, and the notice
 * of a new generation (generation.h) comes by ACPI.
 *
 * Its pins are inputs of the VMM's own: an edge on one becomes the message that the pin's redirection entry describes. While the entry is
 * masked the edge waits. There are no levels: the trigger bit is kept for who reads it back and otherwise ignored, so
 * there is no end of interrupt to wait for either. */
#pragma once

#include "bus.h"
#include "vmm.h"

#define IOAPIC_GPA   0xfec00000ull
#define IOAPIC_BYTES 0x50u /* the last register's end */
#define IOAPIC_ID    0u
#define IOAPIC_PINS  1u
/* The first pin's number as ACPI counts interrupts ("GSI"): none below it, where a PC has its ISA lines. */
#define IOAPIC_GSI 16u
enum { IOAPIC_PIN_EVENTS }; /* of the generic event device */

struct ioapic;
/* deliver(arg, ...) sends a message to the local APICs; on the thread that raises or unmasks, with the I/O APIC's lock held. */
int ioapic_new(struct vmm_bus *bus, int (*deliver)(void *arg, uint64_t addr, uint32_t data), void *arg, struct ioapic **ret,
	       struct err *e);
void ioapic_free(struct ioapic *a);
DEFINE_CLEANUP(struct ioapic *, ioapic_free)
/* An edge. Any thread. */
void ioapic_raise(struct ioapic *a, unsigned pin);

/* The number of records written or read, or -errno with e. An edge that waits is part of it. */
int ioapic_save(struct ioapic *a, struct buf *out);
int ioapic_load(struct ioapic *a, const void *data, size_t len, struct err *e);
