/* irq: interrupts. The local APICs are in the kernel (KVM_CAP_SPLIT_IRQCHIP, Linux 4.5); there is no PIC, no PIT and no RTC:
 * a message is the only kind of interrupt there is, so nothing of the legacy chips can be attacked, saved
 * or polled. What there is of an I/O APIC (ioapic.h) sends messages too. vCPUs start with their APIC in x2APIC mode.
 *
 * One struct vmm_msi is one MSI-X vector: an eventfd that KVM turns into the message (irqfd). Writing the eventfd is all that
 * it takes to interrupt the guest, from any thread or process; while the vector is masked the eventfd keeps the count, which
 * is the pending bit. */
#pragma once

#include "vmm.h"

struct vmm_irqs;
int vmm_irqs_new(int fd_vm, struct vmm_irqs **ret, struct err *e); /* turns the split irqchip on: before any vCPU */
void vmm_irqs_free(struct vmm_irqs *q);
DEFINE_CLEANUP(struct vmm_irqs *, vmm_irqs_free)

struct vmm_msi {
	int fd; /* eventfd, non-blocking; -1: not made */
	uint32_t gsi;
	uint64_t addr;
	uint32_t data;
	bool is_open; /* not masked: the eventfd is KVM's to read */
};
#define VMM_MSI_MAX 1024u /* of a VM */

/* A vector, masked. The struct must not move while it lives. vmm thread, while building. */
int vmm_msi_new(struct vmm_irqs *q, struct vmm_msi *ret, struct err *e);
void vmm_msi_done(struct vmm_irqs *q, struct vmm_msi *m);
/* Sets message and mask, as the guest wrote them. The owner serialises calls for one vector; any thread. */
int vmm_msi_set(struct vmm_irqs *q, struct vmm_msi *m, uint64_t addr, uint32_t data, bool masked);
/* Any thread; also when masked. */
void vmm_msi_raise(const struct vmm_msi *m);
/* A message at once, without a vector of the table. q, as void *: what ioapic.h calls. Any thread. 0, or -errno: nobody took it. */
int vmm_irqs_send(void *q, uint64_t addr, uint32_t data);
bool vmm_msi_is_pending(const struct vmm_msi *m);
