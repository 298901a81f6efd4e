/* pci_impl: the transport's registers, between pci.c, which answers for them, and pci_state.c, which saves and loads them. */
#pragma once

#include "../vmm_impl.h"

struct virtio_pci {
	struct pci_function f; /* first: found from it */
	struct msix msix;
	struct vmm *vm;
	struct virtio_device *d;
	unsigned cfg_cap; /* offset of the capability that is a window to the BAR */
	struct loop_src *kicks[VIRTIO_QUEUES_MAX];

	pthread_mutex_t lock;
	uint64_t driver_features;
	uint32_t feature_select, driver_feature_select;
	uint16_t config_vector, queue_select;
	uint8_t status, isr, generation;
};

/* What the driver chose, told to device and queues; then the activation itself, which calls it too. vmm thread. */
void virtio_pci_prepare(struct virtio_pci *p);
int virtio_pci_activate(struct virtio_device *d, struct err *e);
uint64_t virtio_pci_offered(const struct virtio_device *d);
