/* vcpu: virtual CPUs, one thread each.
 *
 * A vCPU's thread alternates between KVM_RUN and answering the exit. Others reach it only through vcpus_kick: immediate_exit
 * is set, then the thread gets SIGNAL_KICK (its handler does nothing, it makes KVM_RUN return). Whether the vCPU is inside or
 * just before KVM_RUN, it comes out with EINTR, and an access that the last exit began is finished then (KVM completes it on
 * entry), so a parked vCPU's state is whole.
 *
 *   STARTING -> RUNNING <-> PARKED -> DONE         (all transitions in vcpu.c, under struct vmm's sync lock)
 *
 * State (struct vcpu_state) may be read and written only while the vCPU is parked or has not started. */
#pragma once

#include <linux/kvm.h>
#include <pthread.h>

#include "vmm.h"

#define VCPU_SIGNAL_KICK   (SIGRTMIN + 1)
#define VCPU_MSRS_MAX      256u
#define VCPU_CPUID_MAX     256u
#define VCPU_STATE_VERSION 1u
#define VCPU_EXITS         40u

struct vmm_bus;

/* Everything of one vCPU, as KVM's own fixed structs (their layout is ABI). Saved as is (state.h). */
struct vcpu_state {
	struct kvm_mp_state mp;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_xsave xsave; /* 4 KiB: no feature with a larger area is offered (AMX) */
	struct kvm_xcrs xcrs;
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events events;
	struct kvm_debugregs debugregs;
	uint32_t tsc_khz;
	uint32_t n_msrs;
	struct kvm_msr_entry msrs[VCPU_MSRS_MAX];
	uint32_t n_cpuid;
	struct kvm_cpuid_entry2 cpuid[VCPU_CPUID_MAX];
};

struct vcpu {
	struct vmm *vm;
	unsigned index;
	int fd;
	struct kvm_run *run;
	size_t run_bytes;
	pthread_t thread;
	bool has_thread;
	uint64_t exits[VCPU_EXITS]; /* by reason (KVM_EXIT_x; the last: all others), 0 is of signals; atomic, relaxed */
};

/* How a CPU begins. The others wait for the first one's SIPI in the kernel's APIC. */
enum vcpu_mode {
	VCPU_LONG64,      /* 64-bit, paging on: the Linux 64-bit boot protocol */
	VCPU_PROTECTED32, /* 32-bit flat, paging off: PVH */
};
struct vcpu_entry {
	enum vcpu_mode mode;
	uint64_t rip;
	uint64_t rsi; /* long mode: the zero page */
	uint64_t rbx; /* PVH: hvm_start_info */
	uint64_t cr3; /* long mode */
	uint64_t gdt; /* where boot.c has put the GDT */
};

/* Makes n vCPUs with filtered CPUID. vmm thread, while building. */
int vcpus_new(struct vmm *vm, unsigned n, struct err *e);
/* Sets the first vCPU's registers. */
int vcpu_set_entry(struct vcpu *c, const struct vcpu_entry *entry, struct err *e);
int vcpus_start(struct vmm *vm, struct err *e);
/* Ends and joins all threads (vmm.c). */
void vcpus_stop(struct vmm *vm);
/* sync held: makes every vCPU come out of the guest soon. */
void vcpus_kick(struct vmm *vm);
void vcpus_join(struct vmm *vm);
void vcpus_free(struct vmm *vm);
int vcpu_state_get(struct vcpu *c, struct vcpu_state *ret, struct err *e);
int vcpu_state_set(struct vcpu *c, const struct vcpu_state *s, struct err *e);

/* What the exit means for the VM: VMM_RUNNING, or the end and, in reason, why. Pure but for the bus; for tests and V17. */
enum vmm_end vcpu_exit(const struct kvm_run *run, const struct vmm_bus *bus, char *reason, size_t n);

/* ---- cpuid.c: what guests see of the CPU ---- */
/* Edits KVM's supported entries for vCPU index of n: topology, no nesting, no PMU, no MONITOR; the KVM leaf stays. */
void cpuid_filter(struct kvm_cpuid_entry2 *entries, uint32_t n_entries, unsigned index, unsigned n);
