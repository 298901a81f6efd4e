/* pci: bus 0 of a PCI host without bridges, by configuration mechanism #1 (ports 0xcf8 and 0xcfc).
 *
 * BARs are placed while the VM is built and stay there: the guest may size them, and a kernel that finds them sensibly placed
 * leaves them alone (Linux does); an attempt to move one is ignored. So the buses never change under a running vCPU.
 * There are no interrupt pins: the functions here speak MSI-X. */
#pragma once

#include <pthread.h>

#include "bus.h"
#include "irq.h"
#include "memory.h"
#include "state.h"

#define PCI_SLOTS       32u
#define PCI_CONFIG_SIZE 256u
#define PCI_BARS        6u
/* 32-bit BARs: from the hole's start up to what chipsets and APICs use by tradition. */
#define PCI_MMIO_START VMM_HOLE_START
#define PCI_MMIO_END   0xfec00000ull

struct pci_bar {
	uint64_t gpa, bytes; /* bytes 0: none; a power of two, at least 4 KiB, aligned to itself */
	bool is_64;          /* takes two registers; placed above RAM, prefetchable */
};

/* A function. config holds what reads give; writable says which bits the guest may change (BARs apart). */
struct pci_function {
	uint8_t config[PCI_CONFIG_SIZE];
	uint8_t writable[PCI_CONFIG_SIZE];
	struct pci_bar bars[PCI_BARS];
	uint8_t sizing;   /* bit n: BAR register n gives its size for now */
	uint8_t cap_last; /* capabilities are added upwards from 0x40 */
	uint16_t cap_end;
	/* After a guest's write changed config[offset, offset + size), and before a read of it; may be NULL. Called with the
	 * host's config lock held, on a vCPU thread. */
	void (*on_write)(struct pci_function *f, unsigned offset, unsigned size);
	void (*on_read)(struct pci_function *f, unsigned offset, unsigned size);
	unsigned slot; /* set by pci_add */
};

struct pci_host;
int pci_host_new(struct vmm_bus *bus, uint64_t ram_end, struct pci_host **ret, struct err *e);
void pci_host_free(struct pci_host *h);
DEFINE_CLEANUP(struct pci_host *, pci_host_free)
/* Puts f at the next free slot. -ENOSPC with e. f lives as long as the host. */
int pci_add(struct pci_host *h, struct pci_function *f, struct err *e);
/* Places a BAR and answers for it on the memory bus. ops NULL: the caller maps something there itself (a KVM memory slot). */
int pci_add_bar(struct pci_host *h, struct pci_function *f, unsigned bar, uint64_t bytes, bool is_64,
		const struct vmm_range_ops *ops, void *arg, struct err *e);
/* The window above RAM for 64-bit BARs, for the ACPI tables. */
void pci_window64(const struct pci_host *h, uint64_t *ret_start, uint64_t *ret_bytes);

/* Header type 0 with these ids. */
void pci_function_init(struct pci_function *f, uint16_t vendor, uint16_t device, uint32_t class_rev, uint16_t subsystem_vendor,
		       uint16_t subsystem);
/* Appends a capability (cap[0] = id; cap[1], the link, is filled in): its offset, or -ENOSPC. */
int pci_add_cap(struct pci_function *f, const void *cap, size_t n);
/* Every slot's configuration as records (STATE_PCI), vCPUs parked. Loading: the same functions must be in the same slots, and only
 * bits that a guest may write may differ; no on_write is called. The number of records, or -errno with e. */
int pci_save(struct pci_host *h, struct buf *out);
int pci_load(struct pci_host *h, const void *data, size_t len, struct err *e);
/* What the ports come to; for tests and the fuzzer. offset < 256, size 1, 2 or 4; what crosses a dword is ignored. */
uint32_t pci_config_read(struct pci_host *h, unsigned slot, unsigned offset, unsigned size);
void pci_config_write(struct pci_host *h, unsigned slot, unsigned offset, uint32_t value, unsigned size);

/* ---- msix.c: a function's MSI-X table and pending bits, as one part of a BAR ---- */
#define MSIX_VECTORS_MAX 64u
#define MSIX_PBA_OFFSET  0x800u /* of the table's start */
#define MSIX_BYTES       0x1000u
struct msix_entry {
	uint32_t addr_lo, addr_hi, data, control;
};
struct msix {
	pthread_mutex_t lock; /* guards entries, is_enabled, is_masked */
	struct vmm_irqs *irqs;
	struct pci_function *f;
	unsigned n, cap;
	bool is_enabled, is_masked; /* of the whole function */
	struct msix_entry entries[MSIX_VECTORS_MAX];
	struct vmm_msi msi[MSIX_VECTORS_MAX];
};
int msix_init(struct msix *x, struct vmm_irqs *irqs, struct pci_function *f, unsigned n, unsigned bar, uint32_t bar_offset,
	      struct err *e);
void msix_done(struct msix *x);
/* Accesses to the part of the BAR, offset from the table's start. vCPU threads. */
void msix_read(struct msix *x, uint64_t offset, void *data, unsigned size);
void msix_write(struct msix *x, uint64_t offset, const void *data, unsigned size);
/* The capability's control word was written (from on_write). */
void msix_control(struct msix *x);
/* The table, for and from a snapshot; room for MSIX_VECTORS_MAX. Loading comes after the function's configuration. */
void msix_save(struct msix *x, struct msix_entry *ret);
void msix_load(struct msix *x, const struct msix_entry *from);
/* The eventfd of a vector: -1 where it is VIRTIO_MSI_NO_VECTOR or out of range. Stable for the function's life. */
int msix_fd(const struct msix *x, unsigned vector);
