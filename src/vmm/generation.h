/* generation: tells a guest that it has become another machine: Microsoft's "Virtual Machine Generation ID" (2012). 16 random bytes in a page
 * that the memory map reserves, others after each restore, and then a notice: an edge on the I/O APIC's pin of the generic event device
 * (ACPI 6.4, 5.6.9), whose method notifies the device "VM_Gen_Counter" (acpi.c). Linux from 5.18 on seeds its random numbers with them
 * (drivers/virt/vmgenid.c) and tells its other drivers, before any reader gets numbers that a sibling gets as well.
 *
 * Nothing of it is saved: a saved VM has the bytes in its RAM, and is never given them again. */
#pragma once

#include "vmm.h"

struct vmm;
/* New bytes: while a VM is built, once its RAM is there. */
int generation_renew(struct vmm *vm, struct err *e);
/* The same and the notice: once the whole state of a restored one is loaded, before its vCPUs run. */
int generation_tell(struct vmm *vm, struct err *e);
