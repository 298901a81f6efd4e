/* thread: the threads of a VM, and what each may ask of the kernel.
 *
 * Every thread belongs to a class, a row of allowed system calls in seccomp_table.c. All threads are made while the VM is built;
 * each loads its class's filter before it does anything else (the vmm thread at the start of vmm_run), and no class may make
 * a thread or a process: from the first guest instruction on there are the threads that there are.
 *
 * So a device doesn't call pthread_create. It says how many workers it wants and of what class (virtio/virtio.h), is given them
 * by virtio_add, and lends them a function from activate on:
 *
 *   vmm_worker_new -> IDLE -vmm_worker_start-> BUSY -fn returns-> IDLE ...  -vmm_worker_free-> joined
 *
 * What a worker needs before that its class has not (io_uring_setup, say) is done in the device's _new, unconfined. A call that
 * a class lacks is a row in seccomp_table.c, with its arguments bounded, for that class alone; a violation ends the process
 * with SIGSYS. */
#pragma once

#include <pthread.h>

#include "vmm.h"

enum vmm_thread {
	VMM_THREAD_MAIN,    /* the vmm thread: the loop, every function of every device */
	VMM_THREAD_CONNECT, /* the same, where the plan has a directory of sockets that the guest may connect to (vsock) */
	VMM_THREAD_VCPU,    /* runs the guest, answers registers */
	VMM_THREAD_FILE,    /* a worker on files that are open already: blk, pmem */
	VMM_THREAD_SHARE,   /* every thread of a file server, which is a process of its own (fs/serve.c) */
	VMM_THREAD_NET,     /* a worker on taps and sockets that are open already: net */
	VMM_THREADS,
};
const char *vmm_thread_name(enum vmm_thread class);

/* What every thread does first: names itself (at most 15 characters) and, where the plan asks for filters, loads its class's.
 * 0 or -errno: then it must not go on. Called by vcpu.c, vmm_run and thread.c; a device does not need it. */
int vmm_thread_enter(struct vmm *vm, enum vmm_thread class, const char *name);

/* pthread_create, with a stack of our size: the default's 8 MiB may get a huge page of the host's for the few KiB that are used, zeroed
 * while a guest waits for its start. 0 or -errno. */
int vmm_thread_new(pthread_t *ret, void *(*fn)(void *arg), void *arg);

struct vmm_worker;
/* Makes the thread; it waits with all signals blocked. vmm thread, while building. */
int vmm_worker_new(struct vmm *vm, enum vmm_thread class, const char *name, struct vmm_worker **ret, struct err *e);
/* Runs fn(arg) once on the worker. It must be idle. vmm thread. */
void vmm_worker_start(struct vmm_worker *w, void (*fn)(void *arg), void *arg);
/* Returns when the worker is idle; telling fn to return is the caller's business (an eventfd that fn polls). vmm thread. */
void vmm_worker_wait(struct vmm_worker *w);
/* Idle, or NULL. Joins the thread. */
void vmm_worker_free(struct vmm_worker *w);
