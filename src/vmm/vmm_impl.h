/* vmm_impl: the VM as the files of this folder see it. One owner: the vmm thread builds and frees it; what others touch while
 * it runs says so. */
#pragma once

#include <pthread.h>

#include "acpi.h"
#include "boot.h"
#include "bus.h"
#include "irq.h"
#include "memory.h"
#include "pci.h"
#include "state.h"
#include "thread.h"
#include "vcpu.h"
#include "virtio/virtio.h"
#include "vmm.h"

#define VMM_DEVICES_MAX 31u /* slots but the host bridge's */

struct vmm {
	const struct vmm_plan *plan;
	int fd_kvm, fd_vm;
	struct vmm_mem *mem;
	struct vmm_bus *bus;
	struct vmm_irqs *irqs;
	struct pci_host *pci;
	struct vcpu vcpus[VMM_CPUS_MAX];
	unsigned n_vcpus;
	struct virtio_device *devices[VMM_DEVICES_MAX];
	unsigned n_devices;
	struct serial *serial;
	struct loop *loop;
	int wake_fd; /* eventfd: wakes the loop for calls and the end */
	pthread_t loop_thread;

	/* sync: the pause barrier, calls to the vmm thread, the end. Every field below it is under it. */
	pthread_mutex_t sync;
	pthread_cond_t changed;
	unsigned pause_depth, n_threads, n_parked, n_done;
	bool is_quitting;
	struct vmm_call *calls;
	struct vmm_result result;
	bool is_started;
};

/* Runs fn(arg) on the vmm thread and returns when it has; from the vmm thread itself at once. The vmm thread takes calls
 * from its loop, and while it waits for vCPUs to park, so a vCPU that waits here never blocks a pause. fn must not pause. */
void vmm_call(struct vmm *vm, void (*fn)(void *arg), void *arg);

/* sync held: runs the calls that wait. */
void vmm_calls_serve(struct vmm *vm);

/* ---- power.c: sleep, reset, start and panic ports ---- */
int power_add(struct vmm *vm, struct err *e);
/* ---- serial.c: a 16550 at 0x3f8 that writes to fd; input never comes, no interrupt ---- */
int serial_add(struct vmm_bus *bus, int fd, struct serial **ret, struct err *e);
void serial_free(struct serial *s);
