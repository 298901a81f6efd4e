/* vcpu: see vcpu.h: making vCPUs, and their threads. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "vmm_impl.h"

struct cpuid_table {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entries[VCPU_CPUID_MAX];
};

/* ---- making them ---- */

static int supported_cpuid(const struct vmm *vm, struct cpuid_table *t, struct err *e)
{
	bool has_tsc = false;

	memset(t, 0, sizeof(*t));
	t->head.nent = VCPU_CPUID_MAX;
	if (ioctl(vm->fd_kvm, KVM_GET_SUPPORTED_CPUID, t) < 0)
		return err_set(e, errno, "KVM does not tell what CPU it has: %s", strerror(errno));
	for (uint32_t i = 0; i < t->head.nent; i++)
		has_tsc |= t->entries[i].function == 1;
	if (!has_tsc || ioctl(vm->fd_vm, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) <= 0)
		return err_set(e, ENODEV, "KVM here has no TSC deadline timer, the only one that a guest is given");
	return 0;
}

static int set_cpuid(const struct vcpu *c, unsigned n, const struct cpuid_table *supported, struct err *e)
{
	struct cpuid_table *t = malloc(sizeof(*t));
	int r = t ? 0 : -ENOMEM;

	if (r >= 0) {
		memcpy(t, supported, sizeof(*t));
		cpuid_filter(t->entries, t->head.nent, c->index, n);
		if (ioctl(c->fd, KVM_SET_CPUID2, t) < 0)
			r = -errno;
	}
	free(t);
	return r < 0 ? err_set(e, -r, "vCPU %u: KVM refuses its CPUID: %s", c->index, strerror(-r)) : 0;
}

static int vcpu_new(struct vmm *vm, unsigned index, struct vcpu *c, struct err *e)
{
	int size = ioctl(vm->fd_kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	void *p;

	*c = (struct vcpu){ .vm = vm, .index = index, .fd = -1 };
	c->fd = ioctl(vm->fd_vm, KVM_CREATE_VCPU, index);
	if (c->fd < 0 || size < (int)sizeof(struct kvm_run))
		return err_set(e, errno ?: EIO, "vCPU %u: %s", index, strerror(errno));
	p = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
	if (p == MAP_FAILED)
		return err_set(e, errno, "vCPU %u: %s", index, strerror(errno));
	c->run = p;
	c->run_bytes = (size_t)size;
	return 0;
}

int vcpus_new(struct vmm *vm, unsigned n, struct err *e)
{
	_cleanup_free_ struct cpuid_table *t = malloc(sizeof(*t));
	int r = t ? supported_cpuid(vm, t, e) : err_set(e, ENOMEM, "out of memory");

	for (unsigned i = 0; r >= 0 && i < n; i++) {
		vm->n_vcpus = i + 1;
		r = vcpu_new(vm, i, &vm->vcpus[i], e);
		if (r >= 0)
			r = set_cpuid(&vm->vcpus[i], n, t, e);
	}
	return r;
}

void vcpus_free(struct vmm *vm)
{
	for (unsigned i = 0; i < vm->n_vcpus; i++) {
		if (vm->vcpus[i].run)
			munmap(vm->vcpus[i].run, vm->vcpus[i].run_bytes);
		fd_close(vm->vcpus[i].fd);
	}
	vm->n_vcpus = 0;
}

/* ---- the first one's registers ---- */

/* Flat segments (SDM vol. 3, 3.4.5): type 11 is code that ran, 3 data that was written, 11 in a system segment a busy TSS. */
static void set_segments(struct kvm_sregs *s, const struct vcpu_entry *entry)
{
	bool is_long = entry->mode == VCPU_LONG64;
	/* The selectors are the Linux boot protocol's __BOOT_CS and __BOOT_DS. */
	struct kvm_segment data = { .limit = 0xffffffff, .selector = 0x18, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1 };
	struct kvm_segment code = data;

	code.selector = 0x10;
	code.type = 11;
	code.l = is_long;
	code.db = !is_long;
	s->cs = code;
	s->ds = s->es = s->fs = s->gs = s->ss = data;
	s->tr = (struct kvm_segment){ .limit = 0x67, .type = 11, .present = 1 };
	s->gdt = (struct kvm_dtable){ .base = entry->gdt, .limit = 4 * 8 - 1 };
	s->idt = (struct kvm_dtable){ 0 };
}

int vcpu_set_entry(struct vcpu *c, const struct vcpu_entry *entry, struct err *e)
{
	enum { CR0_PE = 1, CR0_ET = 1 << 4, CR4_PAE = 1 << 5, EFER_LME = 1 << 8, EFER_LMA = 1 << 10, APIC_X2 = 1 << 10 };
	struct kvm_regs regs = { .rip = entry->rip, .rsi = entry->rsi, .rbx = entry->rbx, .rflags = 2 };
	struct kvm_sregs s;

	if (ioctl(c->fd, KVM_GET_SREGS, &s) < 0)
		return err_set(e, errno, "vCPU %u: KVM does not tell its state: %s", c->index, strerror(errno));
	set_segments(&s, entry);
	s.cr0 = CR0_PE | CR0_ET;
	s.apic_base |= APIC_X2; /* SDM vol. 3, 10.12.1 */
	if (entry->mode == VCPU_LONG64) {
		s.cr0 |= 1u << 31;
		s.cr3 = entry->cr3;
		s.cr4 |= CR4_PAE;
		s.efer |= EFER_LME | EFER_LMA;
	}
	if (ioctl(c->fd, KVM_SET_SREGS, &s) < 0 || ioctl(c->fd, KVM_SET_REGS, &regs) < 0)
		return err_set(e, errno, "vCPU %u: KVM refuses its first state: %s", c->index, strerror(errno));
	return 0;
}

/* ---- threads ---- */

static void on_kick(int sig) { (void)sig; /* KVM_RUN returns EINTR; that is all */ }

/* Parks while the VM is paused. false: it is time to end. */
static bool may_run(struct vcpu *c)
{
	struct vmm *vm = c->vm;
	bool goes_on;

	pthread_mutex_lock(&vm->sync);
	if (vm->pause_depth > 0 && !vm->is_quitting) {
		vm->n_parked++;
		pthread_cond_broadcast(&vm->changed);
		while (vm->pause_depth > 0 && !vm->is_quitting)
			pthread_cond_wait(&vm->changed, &vm->sync);
		vm->n_parked--;
	}
	goes_on = !vm->is_quitting;
	/* Under the lock, so that a pause that comes after sets it again and is not lost. */
	__atomic_store_n(&c->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&vm->sync);
	return goes_on;
}

static void report(struct vcpu *c, enum vmm_end end, const char *reason)
{
	if (reason[0])
		vmm_end(c->vm, end, "vCPU %u: %s", c->index, reason);
	else
		vmm_end(c->vm, end, NULL);
}

static void count(struct vcpu *c, uint32_t reason)
{
	uint64_t *n = &c->exits[MIN(reason, VCPU_EXITS - 1)];

	__atomic_store_n(n, *n + 1, __ATOMIC_RELAXED); /* this thread alone writes it */
}

static void run_loop(struct vcpu *c)
{
	char reason[160] = "";
	enum vmm_end end;

	for (;;) {
		if (ioctl(c->fd, KVM_RUN, 0) < 0) {
			if (errno == EINTR || errno == EAGAIN) {
				count(c, 0);
				if (!may_run(c))
					return;
				continue;
			}
			snprintf(reason, sizeof(reason), "KVM_RUN: %s", strerror(errno));
			report(c, VMM_FAILED, reason);
			return;
		}
		count(c, c->run->exit_reason);
		end = vcpu_exit(c->run, c->vm->bus, reason, sizeof(reason));
		if (end != VMM_RUNNING) {
			report(c, end, reason);
			return;
		}
	}
}

static void *thread_main(void *arg)
{
	struct vcpu *c = arg;
	struct vmm *vm = c->vm;
	char name[16];
	int r;

	snprintf(name, sizeof(name), "vcpu%u", c->index);
	r = vmm_thread_enter(vm, VMM_THREAD_VCPU, name);
	if (r < 0)
		vmm_end(vm, VMM_FAILED, "thread %s: %s", name, strerror(-r));
	else if (may_run(c)) {
		if (c->index == 0) /* nobody else marks any more */
			vmm_mark(vm->plan, "first KVM_RUN");
		run_loop(c);
	}
	pthread_mutex_lock(&vm->sync);
	vm->n_done++;
	pthread_cond_broadcast(&vm->changed);
	pthread_mutex_unlock(&vm->sync);
	return NULL;
}

int vcpus_start(struct vmm *vm, struct err *e)
{
	struct sigaction sa = { .sa_handler = on_kick };
	sigset_t all, kick, old;
	int r = 0;

	/* vCPU threads take the kick and nothing else; no other thread takes the kick. */
	sigemptyset(&kick);
	sigaddset(&kick, VCPU_SIGNAL_KICK);
	sigfillset(&all);
	sigdelset(&all, VCPU_SIGNAL_KICK);
	if (sigaction(VCPU_SIGNAL_KICK, &sa, NULL) < 0)
		return err_set(e, errno, "signal handler: %s", strerror(errno));
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (unsigned i = 0; r == 0 && i < vm->n_vcpus; i++) {
		r = vmm_thread_new(&vm->vcpus[i].thread, thread_main, &vm->vcpus[i]);
		vm->vcpus[i].has_thread = r == 0;
		vm->n_threads += r == 0;
	}
	sigaddset(&old, VCPU_SIGNAL_KICK);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r < 0 ? err_set(e, -r, "thread of a vCPU: %s", strerror(-r)) : 0;
}

void vcpus_kick(struct vmm *vm)
{
	for (unsigned i = 0; i < vm->n_vcpus; i++)
		if (vm->vcpus[i].has_thread) {
			__atomic_store_n(&vm->vcpus[i].run->immediate_exit, 1, __ATOMIC_SEQ_CST);
			(void)pthread_kill(vm->vcpus[i].thread, VCPU_SIGNAL_KICK);
		}
}

void vcpus_join(struct vmm *vm)
{
	for (unsigned i = 0; i < vm->n_vcpus; i++)
		if (vm->vcpus[i].has_thread) {
			(void)pthread_join(vm->vcpus[i].thread, NULL);
			vm->vcpus[i].has_thread = false;
		}
}
