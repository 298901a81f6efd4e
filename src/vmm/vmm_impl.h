/* vmm_impl: the VM as the files of this folder see it. One owner: the vmm thread builds and frees it; what others touch while
 * it runs says so. */
#pragma once

#include <pthread.h>

#include "acpi.h"
#include "boot.h"
#include "bus.h"
#include "generation.h"
#include "ioapic.h"
#include "irq.h"
#include "memory.h"
#include "pci.h"
#include "snapshot.h"
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
	struct ioapic *ioapic;
	struct pci_host *pci;
	struct vcpu vcpus[VMM_CPUS_MAX];
	unsigned n_vcpus;
	struct virtio_device *devices[VMM_DEVICES_MAX];
	unsigned n_devices;
	struct serial *serial;
	struct control *control;
	struct boot_written written; /* between the building and the running */
	struct snapshot_track track;
	struct { /* between snapshot_open and snapshot_load */
		struct snapshot_head head;
		char *data; /* NULL: a VM that boots */
		size_t len;
	} restore;
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

/* ---- control.c ---- */
struct control;
int control_new(struct vmm *vm, int fd, struct control **ret, struct err *e);
void control_free(struct control *c);

/* ---- own.c: makes private what the guest is about to write to of its kernel's file. vmm thread, as the guest begins ---- */
void vmm_own_written(struct vmm *vm);

/* ---- power.c: sleep, reset, start and panic ports ---- */
int power_add(struct vmm *vm, struct err *e);
/* ---- serial.c: a 16550 at 0x3f8 that writes to fd; input never comes, no interrupt ---- */
int serial_add(struct vmm_bus *bus, int fd, struct serial **ret, struct err *e);
void serial_free(struct serial *s);
/* s NULL: there is no such port. The number of records, or -errno with e. */
int serial_save(struct serial *s, struct buf *out);
int serial_load(struct serial *s, const void *data, size_t len, struct err *e);
